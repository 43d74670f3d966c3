//! DEL and UNLINK: <https://redis.io/docs/latest/commands/del/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// DEL key [key ...]
pub static DEL: CommandSpec = CommandSpec {
    name: "del",
    id: 64,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE,
    keys: KeySpec::from(1, 1),
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other \
                 than a string, the individual complexity for this key is O(M) where M is the number of elements in \
                 the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
    summary: "Deletes one or more keys.",
    handler: Handler::WriteFanout(apply, Fanout::Sum),
};

/// UNLINK key [key ...]
pub static UNLINK: CommandSpec = CommandSpec {
    name: "unlink",
    id: 65,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::from(1, 1),
    family: Family::Generic,
    since: "4.0.0",
    complexity: "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different \
                 thread in order to reclaim memory, where N is the number of allocations the deleted objects where \
                 composed of.",
    summary: "Asynchronously deletes one or more keys.",
    handler: Handler::WriteFanout(apply, Fanout::Sum),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut removed = 0;
    for key in args.iter().skip(1) {
        // An item that is due goes too, but was not there.
        let alive = !context.keyspace.is_due(key, context.now);
        removed += i64::from(context.keyspace.remove(key) && alive);
    }
    reply.integer(removed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn what_was_there_is_counted() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("MSET a 1 b 2 c 3", "+OK|"),
            ("DEL a a x", ":1|"),
            ("UNLINK b", ":1|"),
            ("PEXPIRE c 5", ":1|"),
        ]);
        bench.now += 5;
        bench.expect(&[("DEL c", ":0|"), ("DBSIZE", ":0|")]);
    }
}
