//! A bench for the handlers' own tests: one keyspace, one instant, replies as text.

use super::Context;
use super::spec::{CommandSpec, DataFn, Handler};
use crate::clock::{UnixMs, tick_of};
use crate::ids::DatabaseNo;
use crate::keyspace::{HashSeed, Keyspace};
use crate::limits::DATABASES_DEFAULT;
use larder_protocol::{Args, ProtocolVersion, ReplyBuffer};

/// One keyspace and the instant of the next command.
pub(crate) struct Bench {
    pub keyspace: Keyspace,
    pub now: UnixMs,
    pub version: ProtocolVersion,
    pub database: DatabaseNo,
}

impl Bench {
    pub fn new() -> Self {
        let keyspace = Keyspace::new(HashSeed::default());
        Self { keyspace, now: 1_700_000_000_000, version: ProtocolVersion::Resp2, database: DatabaseNo::FIRST }
    }

    pub fn context(&mut self) -> Context<'_> {
        let touch = Some(tick_of(self.now));
        self.keyspace.select(self.database);
        Context {
            keyspace: &mut self.keyspace,
            now: self.now,
            touch,
            databases: DATABASES_DEFAULT,
            seed: 7,
            key_hash: None,
            hits: 0,
            misses: 0,
        }
    }

    /// Runs a handler on arguments of any bytes; its reply as it is.
    pub fn raw(&mut self, spec: &CommandSpec, words: &[&[u8]]) -> Vec<u8> {
        assert!(spec.arity.allows(words.len()), "arity of {}", spec.name);
        let buffer = words.concat();
        let mut end = 0;
        let ranges: Vec<(u32, u32)> = words
            .iter()
            .map(|word| {
                let start = end;
                end += word.len() as u32;
                (start, end)
            })
            .collect();
        let mut reply = ReplyBuffer::new(self.version);
        let handler = data_fn(spec).expect("a data command");
        if let Err(error) = handler(&mut self.context(), Args::new(&buffer, &ranges), &mut reply) {
            reply.truncate(0);
            reply.error(&error.to_string());
        }
        reply.as_slice().to_vec()
    }
}

#[cfg(test)]
impl Bench {
    /// Runs a handler on words that are separated by spaces and shows its reply, CRLF as `|`.
    pub fn call(&mut self, spec: &CommandSpec, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.call_args(spec, &words)
    }

    /// Runs a handler on arguments of any bytes and shows its reply, CRLF as `|`.
    pub fn call_args(&mut self, spec: &CommandSpec, words: &[&[u8]]) -> String {
        String::from_utf8_lossy(&self.raw(spec, words)).replace("\r\n", "|")
    }

    /// Runs a line whose first word is the name of a top-level data command.
    pub fn run(&mut self, line: &str) -> String {
        let name = line.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        let spec = super::table::all().find(|spec| spec.name == name).expect("a known command");
        self.call(spec, line)
    }

    /// Runs lines one after another and compares their replies.
    pub fn expect(&mut self, exchanges: &[(&str, &str)]) {
        for (line, reply) in exchanges {
            assert_eq!(self.run(line), *reply, "{line}");
        }
    }
}

/// The handler of a command that works on a partition.
pub(crate) fn data_fn(spec: &CommandSpec) -> Option<DataFn> {
    match spec.handler {
        Handler::Read(run) | Handler::Write(run) | Handler::Scan(run) => Some(run),
        Handler::ReadFanout(run, _)
        | Handler::WriteFanout(run, _)
        | Handler::ReadAll(run, _)
        | Handler::WriteAll(run, _) => Some(run),
        Handler::Container(_) | Handler::Connection(_) | Handler::Dispatch => None,
    }
}
