//! HEXISTS, HLEN and HSTRLEN: <https://redis.io/docs/latest/commands/hexists/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HEXISTS key field
pub static HEXISTS: CommandSpec = CommandSpec {
    name: "hexists",
    id: 137,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Determines whether a field exists in a hash.",
    handler: Handler::Read(hexists),
};

/// HLEN key
pub static HLEN: CommandSpec = CommandSpec {
    name: "hlen",
    id: 138,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Returns the number of fields in a hash.",
    handler: Handler::Read(hlen),
};

/// HSTRLEN key field
pub static HSTRLEN: CommandSpec = CommandSpec {
    name: "hstrlen",
    id: 139,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "3.2.0",
    complexity: "O(1)",
    summary: "Returns the length of the value of a field.",
    handler: Handler::Read(hstrlen),
};

fn hexists(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let found = context.read_hash(&args[1])?.is_some_and(|hash| hash.get(&args[2]).is_some());
    reply.integer(i64::from(found));
    Ok(())
}

fn hlen(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let length = context.read_hash(&args[1])?.map_or(0, |hash| hash.len());
    reply.integer(length as i64);
    Ok(())
}

fn hstrlen(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let value = context.read_hash(&args[1])?.and_then(|hash| hash.get(&args[2]));
    reply.integer(value.map_or(0, |value| value.len()) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn nothing_is_zero() {
        Bench::new().expect(&[
            ("HSET h a -12 b xyz", ":2|"),
            ("HEXISTS h a", ":1|"),
            ("HEXISTS h x", ":0|"),
            ("HEXISTS x x", ":0|"),
            ("HLEN h", ":2|"),
            ("HLEN x", ":0|"),
            ("HSTRLEN h a", ":3|"),
            ("HSTRLEN h x", ":0|"),
            ("HSTRLEN x a", ":0|"),
        ]);
    }
}
