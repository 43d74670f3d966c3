//! SCARD, SISMEMBER, SMEMBERS and SMISMEMBER: <https://redis.io/docs/latest/commands/sismember/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SCARD key
pub static SCARD: CommandSpec = CommandSpec {
    name: "scard",
    id: 194,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Returns the number of members in a set.",
    handler: Handler::Read(scard),
};

/// SISMEMBER key member
pub static SISMEMBER: CommandSpec = CommandSpec {
    name: "sismember",
    id: 195,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Determines whether a member belongs to a set.",
    handler: Handler::Read(sismember),
};

/// SMEMBERS key
pub static SMEMBERS: CommandSpec = CommandSpec {
    name: "smembers",
    id: 196,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the set cardinality.",
    summary: "Returns all members of a set.",
    handler: Handler::Read(smembers),
};

/// SMISMEMBER key member [member ...]
pub static SMISMEMBER: CommandSpec = CommandSpec {
    name: "smismember",
    id: 197,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "6.2.0",
    complexity: "O(N) where N is the number of elements being checked for membership",
    summary: "Determines whether multiple members belong to a set.",
    handler: Handler::Read(smismember),
};

fn scard(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let length = context.read_set(&args[1])?.map_or(0, |set| set.len());
    reply.integer(length as i64);
    Ok(())
}

fn sismember(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let found = context.read_set(&args[1])?.is_some_and(|set| set.contains(&args[2]));
    reply.integer(i64::from(found));
    Ok(())
}

fn smembers(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.read_set(&args[1])?;
    reply.set_header(set.map_or(0, |set| set.len()));
    let mut text = Default::default();
    set.iter().flat_map(|set| set.members()).for_each(|member| reply.bulk(member.bytes(&mut text)));
    Ok(())
}

fn smismember(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.read_set(&args[1])?;
    reply.array_header(args.len() - 2);
    for member in args.iter().skip(2) {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn members_are_found() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SADD s 3 1 2", ":3|"),
            ("SCARD s", ":3|"),
            ("SCARD x", ":0|"),
            ("SISMEMBER s 1", ":1|"),
            ("SISMEMBER s 01", ":0|"),
            ("SISMEMBER x 1", ":0|"),
            ("SMISMEMBER s 1 9 2", "*3|:1|:0|:1|"),
            ("SMISMEMBER x 1", "*1|:0|"),
            ("SMEMBERS s", "*3|$1|1|$1|2|$1|3|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("SMEMBERS s", "~3|$1|1|$1|2|$1|3|"), ("SMEMBERS x", "~0|")]);
    }
}
