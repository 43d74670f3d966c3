//! GETSET: <https://redis.io/docs/latest/commands/getset/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GETSET key value
pub static GETSET: CommandSpec = CommandSpec {
    name: "getset",
    id: 6,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Returns the previous string value of a key after setting it to a new value.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let old = context.read_string(&args[1])?;
    reply.bulk_or_null(old);
    context.keyspace.set_string(&args[1], &args[2], Deadline::Clear, context.touch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn the_old_value_comes_back_and_the_deadline_goes() {
        Bench::new().expect(&[
            ("GETSET k a", "$-1|"),
            ("EXPIRE k 10", ":1|"),
            ("GETSET k b", "$1|a|"),
            ("TTL k", ":-1|"),
            ("GET k", "$1|b|"),
        ]);
    }
}
