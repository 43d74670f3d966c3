//! The smallest thing that can run commands: lookup by name, arity, one keyspace.

use larder::clock;
use larder::commands::number;
use larder::commands::spec::{CommandSpec, DataFn};
use larder::commands::{Context, Handler, generic, table};
use larder::config::Settings;
use larder::ids::DatabaseNo;
use larder::keyspace::collections::limits::Limits;
use larder::keyspace::{HashSeed, Keyspace};
use larder::limits::DATABASES_DEFAULT;
use larder_protocol::{Args, ProtocolVersion, ReplyBuffer};

/// One keyspace under the wall clock.
pub struct Local {
    keyspace: Keyspace,
    version: ProtocolVersion,
    seed: u64,
    database: DatabaseNo,
}

impl Local {
    pub fn new(version: ProtocolVersion) -> Self {
        Self { keyspace: Keyspace::new(HashSeed([7; 16])), version, seed: 0, database: DatabaseNo::FIRST }
    }

    /// Sets up to which sizes collections are small.
    pub fn set_thresholds(&mut self, pairs: &[(&str, &str)]) {
        let settings = Settings::default();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        settings.set(&pairs).expect("settings");
        self.keyspace.set_limits(Limits::of(&settings));
    }

    /// The reply to one command.
    pub fn call(&mut self, command: &[Vec<u8>]) -> Vec<u8> {
        let mut reply = ReplyBuffer::new(self.version);
        if let [name, database] = command
            && name == b"SELECT"
        {
            match number::database(database, DATABASES_DEFAULT) {
                Ok(database) => {
                    self.database = database;
                    reply.ok();
                }
                Err(error) => reply.error(&error.to_string()),
            }
            return reply.as_slice().to_vec();
        }
        match resolve(command) {
            Ok(handler) => {
                let buffer = command.concat();
                let mut end = 0;
                let ranges: Vec<(u32, u32)> = command
                    .iter()
                    .map(|word| {
                        let start = end;
                        end += word.len() as u32;
                        (start, end)
                    })
                    .collect();
                self.seed += 1;
                let now = clock::unix_ms();
                let touch = Some(clock::tick_of(now));
                let seed = self.seed;
                let keyspace = &mut self.keyspace;
                keyspace.select(self.database);
                let databases = DATABASES_DEFAULT;
                let mut context = Context { keyspace, now, touch, databases, seed, key_hash: None, hits: 0, misses: 0 };
                if let Err(error) = handler(&mut context, Args::new(&buffer, &ranges), &mut reply) {
                    assert!(reply.is_empty(), "an error after a part of a reply: {error}");
                    reply.error(&error.to_string());
                }
            }
            Err(text) => reply.error(&text),
        }
        reply.as_slice().to_vec()
    }
}

/// The handler of a command, or the error that a dispatcher answers.
fn resolve(command: &[Vec<u8>]) -> Result<DataFn, String> {
    let lower = |at: usize| command.get(at).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase());
    let name = lower(0).unwrap_or_default();
    let (spec, full_name) = if name == "memory" {
        (&generic::MEMORY_USAGE, "memory|usage".to_string())
    } else {
        let spec = table::all().find(|spec| spec.name == name).ok_or("ERR unknown command")?;
        match (&spec.handler, lower(1)) {
            (Handler::Container(subcommands), Some(subcommand)) => {
                let found: Option<&&'static CommandSpec> = subcommands.iter().find(|spec| spec.name == subcommand);
                let Some(found) = found else {
                    let word = String::from_utf8_lossy(&command[1]);
                    return Err(format!("ERR unknown subcommand '{word}'. Try {} HELP.", name.to_ascii_uppercase()));
                };
                (*found, format!("{name}|{subcommand}"))
            }
            _ => (spec, name),
        }
    };
    if !spec.arity.allows(command.len()) {
        return Err(format!("ERR wrong number of arguments for '{full_name}' command"));
    }
    match spec.handler {
        Handler::Read(run) | Handler::Write(run) | Handler::Scan(run) => Ok(run),
        Handler::ReadFanout(run, _) | Handler::WriteFanout(run, _) => Ok(run),
        Handler::ReadAll(run, _) | Handler::WriteAll(run, _) => Ok(run),
        Handler::Container(_) | Handler::Connection(_) | Handler::Dispatch => Err("ERR not a data command".into()),
    }
}
