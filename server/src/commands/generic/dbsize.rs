//! DBSIZE: <https://redis.io/docs/latest/commands/dbsize/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// DBSIZE
pub static DBSIZE: CommandSpec = CommandSpec {
    name: "dbsize",
    id: 84,
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::None,
    family: Family::Server,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Returns the number of keys in the database.",
    handler: Handler::ReadAll(read, Fanout::Sum),
};

/// Items that are due and not yet reaped count, as in Redis.
fn read(context: &mut Context<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    reply.integer(context.keyspace.len() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn keys_are_counted() {
        Bench::new().expect(&[("DBSIZE", ":0|"), ("MSET a 1 b 2", "+OK|"), ("DBSIZE", ":2|")]);
    }
}
