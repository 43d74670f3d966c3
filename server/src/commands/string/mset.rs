//! MSET and MSETNX: <https://redis.io/docs/latest/commands/mset/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use std::borrow::Cow;

/// MSET key value [key value ...]
pub static MSET: CommandSpec = CommandSpec {
    name: "mset",
    id: 10,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::from(1, 2),
    family: Family::String,
    since: "1.0.1",
    complexity: "O(N) where N is the number of keys to set.",
    summary: "Atomically creates or modifies the string values of one or more keys.",
    handler: Handler::WriteFanout(mset, Fanout::AllOk),
};

/// MSETNX key value [key value ...]
pub static MSETNX: CommandSpec = CommandSpec {
    name: "msetnx",
    id: 11,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::from(1, 2),
    family: Family::String,
    since: "1.0.1",
    complexity: "O(N) where N is the number of keys to set.",
    summary: "Atomically modifies the string values of one or more keys only when all keys don't exist.",
    handler: Handler::Write(msetnx),
};

fn mset(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    check_pairs(args, "mset")?;
    store(context, args);
    reply.ok();
    Ok(())
}

fn msetnx(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    check_pairs(args, "msetnx")?;
    let stored = !args.iter().skip(1).step_by(2).any(|key| context.exists_for_write(key));
    if stored {
        store(context, args);
    }
    reply.integer(i64::from(stored));
    Ok(())
}

/// Whether every key has its value.
fn check_pairs(args: Args<'_>, command: &'static str) -> Result<(), CommandError> {
    if args.len().is_multiple_of(2) { Err(CommandError::Arity(Cow::Borrowed(command))) } else { Ok(()) }
}

fn store(context: &mut Context<'_>, args: Args<'_>) {
    let mut words = args.iter().skip(1);
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        context.keyspace.set_string(key, value, Deadline::Clear, context.touch);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn pairs_are_stored_together() {
        Bench::new().expect(&[
            ("MSET a 1 b 2 a 3", "+OK|"),
            ("MGET a b", "*2|$1|3|$1|2|"),
            ("MSETNX c 1 a 2", ":0|"),
            ("EXISTS c", ":0|"),
            ("MSETNX c 1 d 2 c 3", ":1|"),
            ("GET c", "$1|3|"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command|"),
            ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command|"),
        ]);
    }
}
