//! HGET and HMGET: <https://redis.io/docs/latest/commands/hget/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HGET key field
pub static HGET: CommandSpec = CommandSpec {
    name: "hget",
    id: 131,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Returns the value of a field in a hash.",
    handler: Handler::Read(hget),
};

/// HMGET key field [field ...]
pub static HMGET: CommandSpec = CommandSpec {
    name: "hmget",
    id: 132,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the number of fields being requested.",
    summary: "Returns the values of all fields in a hash.",
    handler: Handler::Read(hmget),
};

fn hget(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    match context.read_hash(&args[1])?.and_then(|hash| hash.get(&args[2])) {
        Some(value) => reply.bulk(value.bytes(&mut Default::default())),
        None => reply.null(),
    }
    Ok(())
}

fn hmget(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let hash = context.read_hash(&args[1])?;
    reply.array_header(args.len() - 2);
    let mut text = Default::default();
    for field in args.iter().skip(2) {
        let value = hash.and_then(|hash| hash.get(field));
        reply.bulk_or_null(value.as_ref().map(|value| value.bytes(&mut text)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn what_is_not_there_is_null() {
        Bench::new().expect(&[
            ("HSET h a 1 b x", ":2|"),
            ("HGET h a", "$1|1|"),
            ("HGET h c", "$-1|"),
            ("HGET x a", "$-1|"),
            ("HMGET h a c b", "*3|$1|1|$-1|$1|x|"),
            ("HMGET x a b", "*2|$-1|$-1|"),
        ]);
    }
}
