//! XREAD: <https://redis.io/docs/latest/commands/xread/>

use super::ids;
use super::read_options::{self, Of, Options};
use super::shapes::reply_entry;
use crate::commands::blocking::Blocking;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::ValueRef;
use crate::keyspace::collections::stream::StreamId;
use larder_protocol::{Args, Arity, Flags, KeySpec, ProtocolVersion, ReplyBuffer};

/// XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]
pub static XREAD: CommandSpec = CommandSpec {
    name: "xread",
    id: 391,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: KeySpec::Streams,
    family: Family::Stream,
    since: "5.0.0",
    complexity: "For each stream mentioned: O(N) with N being the number of elements being returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will pay O(M) time in order to serve the M clients blocked on the stream getting new data.",
    summary: "Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available otherwise.",
    handler: Handler::Read(read),
};

/// How XREAD waits.
pub static XREAD_WAITS: Blocking = Blocking {
    command: &XREAD,
    timeout: |args| Ok(Options::parse(args, Of::Read)?.wait),
    keys: read_options::keys,
    worth: entries,
    settle: Some(settle),
};

const NEW_HERE: CommandError = CommandError::text(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
);

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    if !answer(context, args, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// What is read stays, so an entry serves all who wait for it.
fn entries(value: Option<ValueRef<'_>>) -> usize {
    match value {
        Some(ValueRef::Stream(stream)) if stream.len() > 0 => usize::MAX,
        _ => 0,
    }
}

/// `$` is the last id of the instant at which the command came.
fn settle(context: &mut Context<'_>, args: Args<'_>) -> Vec<(usize, Vec<u8>)> {
    let (from, to) = read_options::keys(args);
    let mut settled = Vec::new();
    for at in (from..to).filter(|at| args.get(at + to - from) == Some(b"$")) {
        // A key of another type is for the attempt to refuse.
        if let Ok(stream) = context.peek_stream(&args[at]) {
            let last = stream.map_or(StreamId::MIN, |stream| stream.last_id());
            settled.push((at + to - from, last.to_string().into_bytes()));
        }
    }
    settled
}

/// Answers with what there is. False, and nothing is written, where there is nothing.
fn answer(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<bool, CommandError> {
    let options = Options::parse(args, Of::Read)?;
    let after = resolve(context, &options)?;
    let mut parts = Parts::new(reply.version());
    for (key, after) in options.keys.iter().zip(after) {
        let Some(stream) = context.peek_stream(key)? else { continue };
        let Some(start) = stream.last_entry_id().filter(|last| *last > after).and_then(|_| after.next()) else {
            continue;
        };
        parts.begin(key);
        for entry in stream.range(start..=StreamId::MAX).take(options.count) {
            parts.entry(|reply| reply_entry(reply, &entry));
        }
    }
    Ok(parts.finish(reply))
}

/// The ids after which entries are wanted, `$` and `+` being what they are now.
fn resolve(context: &mut Context<'_>, options: &Options<'_>) -> Result<Vec<StreamId>, CommandError> {
    let mut after = Vec::with_capacity(options.ids.len());
    for (key, id) in options.keys.iter().zip(options.ids.iter()) {
        let stream = context.read_stream(key)?;
        after.push(match id {
            b"$" => stream.map_or(StreamId::MIN, |stream| stream.last_id()),
            // The last entry that is there is still to be read.
            b"+" => stream.and_then(|stream| stream.last_entry_id()?.previous()).unwrap_or_default(),
            b">" => return Err(NEW_HERE),
            id => ids::strict(id, 0)?,
        });
    }
    Ok(after)
}

/// A reply that grows stream by stream.
pub(super) struct Parts<'a> {
    entries: ReplyBuffer,
    /// Key, number of entries, and where the next stream's begin.
    streams: Vec<(&'a [u8], usize, usize)>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(version: ProtocolVersion) -> Self {
        Self { entries: ReplyBuffer::new(version), streams: Vec::new() }
    }

    /// What follows is of the stream at `key`.
    pub(super) fn begin(&mut self, key: &'a [u8]) {
        self.streams.push((key, 0, self.entries.len()));
    }

    /// One entry.
    pub(super) fn entry(&mut self, write: impl FnOnce(&mut ReplyBuffer)) {
        write(&mut self.entries);
        if let Some((_, count, end)) = self.streams.last_mut() {
            *count += 1;
            *end = self.entries.len();
        }
    }

    /// Writes all of it; false, and nothing, where no stream was begun.
    pub(super) fn finish(self, reply: &mut ReplyBuffer) -> bool {
        if self.streams.is_empty() {
            return false;
        }
        let nested = reply.version() == ProtocolVersion::Resp2;
        if nested {
            reply.array_header(self.streams.len());
        } else {
            reply.map_header(self.streams.len());
        }
        let mut start = 0;
        for (key, count, end) in self.streams {
            if nested {
                reply.array_header(2);
            }
            reply.bulk(key);
            reply.array_header(count);
            reply.raw(&self.entries.as_slice()[start..end]);
            start = end;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn what_comes_after_is_read() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("XREAD STREAMS s 0", "*-1|"),
            ("XADD s 1 a 1", "$3|1-0|"),
            ("XADD s 2 a 2", "$3|2-0|"),
            ("XADD t 5 b 1", "$3|5-0|"),
            (
                "XREAD COUNT 1 STREAMS s t u 0 0 0",
                "*2|*2|$1|s|*1|*2|$3|1-0|*2|$1|a|$1|1|*2|$1|t|*1|*2|$3|5-0|*2|$1|b|$1|1|",
            ),
            ("XREAD STREAMS s $", "*-1|"),
            ("XREAD STREAMS s +", "*1|*2|$1|s|*1|*2|$3|2-0|*2|$1|a|$1|2|"),
            ("XREAD BLOCK 0 STREAMS s 2", "*-1|"),
            ("XREAD BLOCK -1 STREAMS s 2", "-ERR timeout is negative|"),
            ("XREAD BLOCK 1.5 STREAMS s 2", "-ERR timeout is not an integer or out of range|"),
            ("XREAD BLOCK 9223372036854775807 STREAMS s 2", "-ERR timeout is out of range|"),
            (
                "XREAD STREAMS s t 2",
                "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.|",
            ),
            ("XREAD COUNT 1 BLOCK 2 STREAMS", "-ERR syntax error|"),
            (
                "XREAD GROUP g c STREAMS s 2",
                "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.|",
            ),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("XREAD STREAMS t 0", "%1|$1|t|*1|*2|$3|5-0|*2|$1|b|$1|1|"), ("XREAD STREAMS t 9", "_|")]);
    }
}
