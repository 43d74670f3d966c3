//! RANDOMKEY: <https://redis.io/docs/latest/commands/randomkey/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// RANDOMKEY
pub static RANDOMKEY: CommandSpec = CommandSpec {
    name: "randomkey",
    id: 81,
    arity: Arity::Exactly(1),
    flags: Flags::READONLY,
    keys: KeySpec::None,
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Returns a random key name from the database.",
    handler: Handler::ReadAll(read, Fanout::Any),
};

fn read(context: &mut Context<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    reply.bulk_or_null(context.keyspace.random_key(context.seed, context.now));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn some_key_that_is_alive() {
        let mut bench = Bench::new();
        bench.expect(&[("RANDOMKEY", "$-1|"), ("SET a 1", "+OK|"), ("SET b 1 PX 5", "+OK|")]);
        bench.now += 5;
        bench.expect(&[("RANDOMKEY", "$1|a|")]);
    }
}
