//! HGETALL, HKEYS and HVALS: <https://redis.io/docs/latest/commands/hgetall/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HGETALL key
pub static HGETALL: CommandSpec = CommandSpec {
    name: "hgetall",
    id: 133,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the size of the hash.",
    summary: "Returns all fields and values in a hash.",
    handler: Handler::Read(hgetall),
};

/// HKEYS key
pub static HKEYS: CommandSpec = CommandSpec {
    name: "hkeys",
    id: 134,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the size of the hash.",
    summary: "Returns all fields in a hash.",
    handler: Handler::Read(hkeys),
};

/// HVALS key
pub static HVALS: CommandSpec = CommandSpec {
    name: "hvals",
    id: 135,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the size of the hash.",
    summary: "Returns all values in a hash.",
    handler: Handler::Read(hvals),
};

fn hgetall(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let hash = context.read_hash(&args[1])?;
    reply.map_header(hash.map_or(0, |hash| hash.len()));
    let (mut field_text, mut value_text) = Default::default();
    for (field, value) in hash.iter().flat_map(|hash| hash.pairs()) {
        reply.bulk(field.bytes(&mut field_text));
        reply.bulk(value.bytes(&mut value_text));
    }
    Ok(())
}

fn hkeys(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let hash = context.read_hash(&args[1])?;
    reply.array_header(hash.map_or(0, |hash| hash.len()));
    let mut text = Default::default();
    hash.iter().flat_map(|hash| hash.pairs()).for_each(|(field, _)| reply.bulk(field.bytes(&mut text)));
    Ok(())
}

fn hvals(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let hash = context.read_hash(&args[1])?;
    reply.array_header(hash.map_or(0, |hash| hash.len()));
    let mut text = Default::default();
    hash.iter().flat_map(|hash| hash.pairs()).for_each(|(_, value)| reply.bulk(value.bytes(&mut text)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn all_is_a_map() {
        let mut bench = Bench::new();
        bench.expect(&[("HSET h a 1 b 2", ":2|"), ("HKEYS h", "*2|$1|a|$1|b|"), ("HVALS h", "*2|$1|1|$1|2|")]);
        bench.expect(&[("HGETALL x", "*0|"), ("HKEYS x", "*0|")]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("HGETALL h", "%2|$1|a|$1|1|$1|b|$1|2|"), ("HGETALL x", "%0|"), ("HVALS x", "*0|")]);
    }
}
