//! MGET: <https://redis.io/docs/latest/commands/mget/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// MGET key [key ...]
pub static MGET: CommandSpec = CommandSpec {
    name: "mget",
    id: 9,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::from(1, 1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys to retrieve.",
    summary: "Atomically returns the string values of one or more keys.",
    handler: Handler::ReadFanout(read, Fanout::PerKey),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    reply.array_header(args.len() - 1);
    for key in args.iter().skip(1) {
        // A key of another type reads as null, not as an error.
        reply.bulk_or_null(context.read_string(key).unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn one_element_a_key() {
        Bench::new().expect(&[("SET a 1", "+OK|"), ("MGET a x a", "*3|$1|1|$-1|$1|1|")]);
    }
}
