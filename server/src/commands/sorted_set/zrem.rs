//! ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX: <https://redis.io/docs/latest/commands/zrem/>

use super::score::Span;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// ZREM key member [member ...]
pub static ZREM: CommandSpec = CommandSpec {
    name: "zrem",
    id: 322,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
    summary: "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
    handler: Handler::Write(zrem),
};

/// ZREMRANGEBYLEX key min max
pub static ZREMRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zremrangebylex",
    id: 323,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
    summary: "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.",
    handler: Handler::Write(|context, args, reply| {
        remove_span(Span::members(&args[2], &args[3])?, context, &args[1], reply)
    }),
};

/// ZREMRANGEBYRANK key start stop
pub static ZREMRANGEBYRANK: CommandSpec = CommandSpec {
    name: "zremrangebyrank",
    id: 324,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
    summary: "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.",
    handler: Handler::Write(zremrangebyrank),
};

/// ZREMRANGEBYSCORE key min max
pub static ZREMRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zremrangebyscore",
    id: 325,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
    summary: "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.",
    handler: Handler::Write(|context, args, reply| {
        remove_span(Span::scores(&args[2], &args[3])?, context, &args[1], reply)
    }),
};

fn zrem(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let removed = context.edit_sorted_set(&args[1], OrCreate::No, |set| {
        Ok(args.iter().skip(2).filter(|member| set.remove(member)).count())
    })?;
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn zremrangebyrank(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (start, stop) = (number::integer(&args[2])?, number::integer(&args[3])?);
    let removed = context.edit_sorted_set(&args[1], OrCreate::No, |set| {
        let ranks = number::range(start, stop, set.read().len());
        set.remove_ranks(ranks.start, ranks.len());
        Ok(ranks.len())
    })?;
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn remove_span(
    span: Span<'_>,
    context: &mut Context<'_>,
    key: &[u8],
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let removed = context.edit_sorted_set(key, OrCreate::No, |set| {
        let ranks = span.ranks(set.read());
        set.remove_ranks(ranks.start, ranks.len());
        Ok(ranks.len())
    })?;
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn an_empty_set_is_gone() {
        Bench::new().expect(&[
            ("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6|"),
            ("ZREM z a x a", ":1|"),
            ("ZREMRANGEBYRANK z -1 -1", ":1|"),
            ("ZREMRANGEBYSCORE z (2 3", ":1|"),
            ("ZRANGE z 0 -1", "*3|$1|b|$1|d|$1|e|"),
            ("ZREMRANGEBYLEX z [d +", ":2|"),
            ("ZREMRANGEBYLEX z d +", "-ERR min or max not valid string range item|"),
            ("ZREMRANGEBYSCORE z x 1", "-ERR min or max is not a float|"),
            ("ZREMRANGEBYRANK z 0 5", ":1|"),
            ("EXISTS z", ":0|"),
            ("ZREM z a", ":0|"),
        ]);
    }
}
