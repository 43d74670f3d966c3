//! EVICT: eviction by memory, as a mutation.

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// EVICT key [key ...]
pub static EVICT: CommandSpec = CommandSpec {
    name: "evict",
    id: 0xFF00,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE,
    keys: KeySpec::from(1, 1),
    family: Family::Generic,
    since: "internal",
    complexity: "O(N) where N is the number of keys.",
    summary: "Removes items that the partition's leader chose to evict.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let removed = args.iter().skip(1).filter(|key| context.keyspace.remove(key)).count();
    reply.integer(removed as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn whatever_is_there_goes() {
        let mut bench = Bench::new();
        bench.expect(&[("SET a 1", "+OK|"), ("SET b 1 EX 5", "+OK|"), ("SET c 1", "+OK|")]);
        assert_eq!(bench.call(&EVICT, "EVICT a b x"), ":2|");
        assert_eq!(bench.run("DBSIZE"), ":1|");
    }
}
