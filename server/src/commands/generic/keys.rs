//! KEYS: <https://redis.io/docs/latest/commands/keys/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler, glob};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// KEYS pattern
pub static KEYS: CommandSpec = CommandSpec {
    name: "keys",
    id: 82,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: KeySpec::None,
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the \
                 database and the given pattern have limited length.",
    summary: "Returns all key names that match a pattern.",
    handler: Handler::ReadAll(read, Fanout::Concat),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let filter = KeyFilter::new(&args[1]);
    // The header wants the number first; so the keys are written beside the reply.
    let mut keys = ReplyBuffer::new(reply.version());
    let mut count = 0;
    context.keyspace.scan(0, usize::MAX, context.now, &mut |key, _| {
        if filter.allows(key) {
            keys.bulk(key);
            count += 1;
        }
    });
    reply.array_header(count);
    reply.raw(keys.as_slice());
    Ok(())
}

/// A pattern for keys. A lone `*` lets every key pass, the empty one too, which the matcher itself would not.
pub(in crate::commands) struct KeyFilter<'a>(Option<&'a [u8]>);

impl<'a> KeyFilter<'a> {
    /// Whatever `pattern` matches.
    pub(in crate::commands) fn new(pattern: &'a [u8]) -> Self {
        Self((pattern != b"*").then_some(pattern))
    }

    /// Every key.
    pub(in crate::commands) fn all() -> Self {
        Self(None)
    }

    /// Whether `key` passes.
    pub(in crate::commands) fn allows(&self, key: &[u8]) -> bool {
        self.0.is_none_or(|pattern| glob::matches(pattern, key))
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn matching_keys_that_are_alive() {
        let mut bench = Bench::new();
        bench.expect(&[("KEYS *", "*0|"), ("MSET one 1 two 2", "+OK|"), ("SET  empty-key-is-a-key", "+OK|")]);
        bench.expect(&[("KEYS o*", "*1|$3|one|"), ("KEYS ", "*1|$0||"), ("KEYS t?o", "*1|$3|two|")]);
        assert!(bench.run("KEYS *").starts_with("*3|"));
        bench.expect(&[("PEXPIRE one 1", ":1|")]);
        bench.now += 1;
        bench.expect(&[("KEYS o*", "*0|")]);
    }
}
