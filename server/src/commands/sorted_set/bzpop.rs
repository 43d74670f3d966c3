//! BZPOPMIN, BZPOPMAX and BZMPOP: <https://redis.io/docs/latest/commands/bzpopmin/>

use super::zpop::{take, write};
use crate::commands::blocking::{self, Blocking};
use crate::commands::blocking_pop::{Many, take_first, waits, waits_for_many};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// BZPOPMIN key [key ...] timeout
pub static BZPOPMIN: CommandSpec = CommandSpec {
    name: "bzpopmin",
    id: 352,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::NOSCRIPT).union(Flags::BLOCKING).union(Flags::FAST),
    keys: KeySpec::Range { first: 1, last: -2, step: 1 },
    family: Family::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
    handler: Handler::Write(|context, args, reply| pop(false, context, args, reply)),
};

/// BZPOPMAX key [key ...] timeout
pub static BZPOPMAX: CommandSpec = CommandSpec {
    name: "bzpopmax",
    id: 353,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::NOSCRIPT).union(Flags::BLOCKING).union(Flags::FAST),
    keys: KeySpec::Range { first: 1, last: -2, step: 1 },
    family: Family::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member available otherwise.  Deletes the sorted set if the last element was popped.",
    handler: Handler::Write(|context, args, reply| pop(true, context, args, reply)),
};

/// BZMPOP timeout numkeys key [key ...] MIN | MAX [COUNT count]
pub static BZMPOP: CommandSpec = CommandSpec {
    name: "bzmpop",
    id: 354,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 2 },
    family: Family::SortedSet,
    since: "7.0.0",
    complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
    summary: "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
    handler: Handler::Write(many),
};

/// How BZPOPMIN waits.
pub static BZPOPMIN_WAITS: Blocking = waits(&BZPOPMIN, blocking::sorted_set_members);
/// How BZPOPMAX waits.
pub static BZPOPMAX_WAITS: Blocking = waits(&BZPOPMAX, blocking::sorted_set_members);
/// How BZMPOP waits.
pub static BZMPOP_WAITS: Blocking =
    waits_for_many(&BZMPOP, |args| Ok(Many::read(args, is_highest)?.timeout), blocking::sorted_set_members);

fn pop(highest: bool, context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    take_first(args, reply, |key, reply| {
        let Some(popped) = take(highest, 1, context, key)? else { return Ok(false) };
        let Some((member, score)) = popped.first() else { return Ok(false) };
        reply.array_header(3);
        reply.bulk(key);
        reply.bulk(member);
        reply.double(*score);
        Ok(true)
    })
}

/// Whether MIN or MAX is said.
fn is_highest(word: &[u8]) -> Option<bool> {
    match word {
        _ if word.eq_ignore_ascii_case(b"MIN") => Some(false),
        _ if word.eq_ignore_ascii_case(b"MAX") => Some(true),
        _ => None,
    }
}

fn many(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let many = Many::read(args, is_highest)?;
    many.take_first(reply, |key, reply| {
        let Some(popped) = take(many.end, many.count, context, key)? else { return Ok(false) };
        reply.array_header(2);
        reply.bulk(key);
        reply.array_header(popped.len());
        popped.iter().for_each(|pair| write(pair, true, reply));
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn the_first_set_that_is_there_gives() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("BZPOPMIN a b 0", "*-1|"),
            ("ZADD b 1 x 2 y 3 z 4 w", ":4|"),
            ("BZPOPMIN a b 0", "*3|$1|b|$1|x|$1|1|"),
            ("BZPOPMAX a b 0", "*3|$1|b|$1|w|$1|4|"),
            ("BZPOPMAX b x", "-ERR timeout is not a float or out of range|"),
            ("BZMPOP 0 1 b MIN COUNT 1", "*2|$1|b|*1|*2|$1|y|$1|2|"),
            ("BZMPOP 0 1 b MEAN", "-ERR syntax error|"),
            ("BZMPOP -1 1 b MIN", "-ERR timeout is negative|"),
            ("SET s v", "+OK|"),
            ("BZPOPMIN s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("BZPOPMIN b 0", "*3|$1|b|$1|z|,3|"), ("BZMPOP 0 1 b MIN", "_|")]);
    }
}
