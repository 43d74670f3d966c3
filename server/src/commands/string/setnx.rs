//! SETNX: <https://redis.io/docs/latest/commands/setnx/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SETNX key value
pub static SETNX: CommandSpec = CommandSpec {
    name: "setnx",
    id: 3,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Set the string value of a key only when the key doesn't exist.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let stored = !context.exists_for_write(&args[1]);
    if stored {
        context.keyspace.set_string(&args[1], &args[2], Deadline::Clear, context.touch);
    }
    reply.integer(i64::from(stored));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn only_the_first_one_is_stored() {
        let mut bench = Bench::new();
        bench.expect(&[("SETNX k a", ":1|"), ("SETNX k b", ":0|"), ("GET k", "$1|a|"), ("PEXPIRE k 5", ":1|")]);
        bench.now += 5;
        bench.expect(&[("SETNX k c", ":1|"), ("TTL k", ":-1|")]);
    }
}
