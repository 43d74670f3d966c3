//! ZPOPMIN, ZPOPMAX and ZMPOP: <https://redis.io/docs/latest/commands/zpopmin/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use larder_protocol::ProtocolVersion;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// ZMPOP numkeys key [key ...] MIN | MAX [COUNT count]
pub static ZMPOP: CommandSpec = CommandSpec {
    name: "zmpop",
    id: 340,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 1 },
    family: Family::SortedSet,
    since: "7.0.0",
    complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
    summary: "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped.",
    handler: Handler::Write(zmpop),
};

/// ZPOPMAX key [count]
pub static ZPOPMAX: CommandSpec = CommandSpec {
    name: "zpopmax",
    id: 341,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
    summary: "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
    handler: Handler::Write(|context, args, reply| pop(true, context, args, reply)),
};

/// ZPOPMIN key [count]
pub static ZPOPMIN: CommandSpec = CommandSpec {
    name: "zpopmin",
    id: 342,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "5.0.0",
    complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
    summary: "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
    handler: Handler::Write(|context, args, reply| pop(false, context, args, reply)),
};

pub(super) type Popped = Vec<(Vec<u8>, f64)>;

/// Removes up to `count` members from an end; `None` where there is no set.
pub(super) fn take(
    highest: bool,
    count: usize,
    context: &mut Context<'_>,
    key: &[u8],
) -> Result<Option<Popped>, CommandError> {
    context.edit_sorted_set(key, OrCreate::No, |set| {
        let length = set.read().len();
        let count = count.min(length);
        let mut popped = Vec::with_capacity(count);
        let from = if highest { length - 1 } else { 0 };
        set.read().visit(from, count, highest, &mut |member, score| popped.push((member.to_vec(), score)));
        set.remove_ranks(if highest { length - count } else { 0 }, count);
        Ok(popped)
    })
}

fn pop(highest: bool, context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = match args.get(2) {
        Some(count) => number::not_negative(count, CommandError::NotPositive)?,
        None => 1,
    };
    let popped = take(highest, count, context, &args[1])?.unwrap_or_default();
    // Pairs are arrays of their own in RESP3, where there may be several.
    let nested = args.len() == 3 && reply.version() == ProtocolVersion::Resp3;
    reply.array_header(if nested { popped.len() } else { 2 * popped.len() });
    popped.iter().for_each(|pair| write(pair, nested, reply));
    Ok(())
}

pub(super) fn write((member, score): &(Vec<u8>, f64), nested: bool, reply: &mut ReplyBuffer) {
    if nested {
        reply.array_header(2);
    }
    reply.bulk(member);
    reply.double(*score);
}

fn zmpop(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let keys = number::key_count_or(&args[1], CommandError::text("ERR numkeys should be greater than 0"))?;
    let highest = match args.get(keys.saturating_add(2)) {
        Some(word) if word.eq_ignore_ascii_case(b"MIN") => false,
        Some(word) if word.eq_ignore_ascii_case(b"MAX") => true,
        _ => return Err(CommandError::Syntax),
    };
    let count = number::pop_count(args.from(3 + keys))?;
    for key in args.between(2, 2 + keys).iter() {
        if let Some(popped) = take(highest, count, context, key)? {
            reply.array_header(2);
            reply.bulk(key);
            reply.array_header(popped.len());
            popped.iter().for_each(|pair| write(pair, true, reply));
            return Ok(());
        }
    }
    reply.null_array();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn the_ends_are_popped() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("ZPOPMIN z", "*0|"),
            ("ZMPOP 2 x z MIN", "*-1|"),
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5|"),
            ("ZPOPMIN z", "*2|$1|a|$1|1|"),
            ("ZPOPMAX z 2", "*4|$1|e|$1|5|$1|d|$1|4|"),
            ("ZPOPMAX z 0", "*0|"),
            ("ZPOPMAX z -1", "-ERR value is out of range, must be positive|"),
            ("ZPOPMAX z 1 1", "-ERR syntax error|"),
            ("ZMPOP 2 x z MIN COUNT 1", "*2|$1|z|*1|*2|$1|b|$1|2|"),
            ("ZMPOP 2 x z FOO", "-ERR syntax error|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[
            ("ZADD z 1 a 2 b", ":2|"),
            ("ZPOPMIN z", "*2|$1|a|,1|"),
            ("ZPOPMIN z 1", "*1|*2|$1|b|,2|"),
            ("ZMPOP 1 z MAX COUNT 9", "*2|$1|z|*1|*2|$1|c|,3|"),
            ("ZMPOP 1 z MAX", "_|"),
            ("EXISTS z", ":0|"),
        ]);
    }
}
