//! REAP: expiry by TTL, as a mutation.

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// REAP key [key ...]
pub static REAP: CommandSpec = CommandSpec {
    name: "reap",
    id: 0xFF01,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE,
    keys: KeySpec::from(1, 1),
    family: Family::Generic,
    since: "internal",
    complexity: "O(N) where N is the number of keys.",
    summary: "Removes items that are due.",
    handler: Handler::Write(apply),
};

/// Removes only what is due at the entry's clock: between the leader's look and this entry, another entry may have
/// stored the key anew.
fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut removed = 0;
    for key in args.iter().skip(1) {
        if context.keyspace.is_due(key, context.now) {
            removed += i64::from(context.keyspace.remove(key));
        }
    }
    reply.integer(removed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn only_what_is_due_goes() {
        let mut bench = Bench::new();
        bench.expect(&[("SET a 1 PX 10", "+OK|"), ("SET b 1 PX 20", "+OK|"), ("SET c 1", "+OK|")]);
        bench.now += 10;
        assert_eq!(bench.call(&REAP, "REAP a b c x"), ":1|");
        assert_eq!(bench.keyspace.len(), 2);
    }
}
