//! ZRANGE, its older relatives, and ZRANGESTORE: <https://redis.io/docs/latest/commands/zrange/>

use super::score::Span;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::collections::listpack::Element;
use larder_protocol::ProtocolVersion;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]
pub static ZRANGE: CommandSpec = CommandSpec {
    name: "zrange",
    id: 333,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
    summary: "Returns members in a sorted set within a range of indexes.",
    handler: Handler::Read(|context, args, reply| show(None, None, context, args, reply)),
};

/// ZRANGEBYLEX key min max [LIMIT offset count]
pub static ZRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zrangebylex",
    id: 334,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Returns members in a sorted set within a lexicographical range.",
    handler: Handler::Read(|context, args, reply| show(Some(By::Lex), Some(false), context, args, reply)),
};

/// ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]
pub static ZRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zrangebyscore",
    id: 335,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.0.5",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Returns members in a sorted set within a range of scores.",
    handler: Handler::Read(|context, args, reply| show(Some(By::Score), Some(false), context, args, reply)),
};

/// ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]
pub static ZRANGESTORE: CommandSpec = CommandSpec {
    name: "zrangestore",
    id: 336,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::SortedSet,
    since: "6.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.",
    summary: "Stores a range of members from sorted set in a key.",
    handler: Handler::Write(zrangestore),
};

/// ZREVRANGE key start stop [WITHSCORES]
pub static ZREVRANGE: CommandSpec = CommandSpec {
    name: "zrevrange",
    id: 337,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.",
    summary: "Returns members in a sorted set within a range of indexes in reverse order.",
    handler: Handler::Read(|context, args, reply| show(Some(By::Rank), Some(true), context, args, reply)),
};

/// ZREVRANGEBYLEX key max min [LIMIT offset count]
pub static ZREVRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zrevrangebylex",
    id: 338,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Returns members in a sorted set within a lexicographical range in reverse order.",
    handler: Handler::Read(|context, args, reply| show(Some(By::Lex), Some(true), context, args, reply)),
};

/// ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]
pub static ZREVRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zrevrangebyscore",
    id: 339,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.2.0",
    complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).",
    summary: "Returns members in a sorted set within a range of scores in reverse order.",
    handler: Handler::Read(|context, args, reply| show(Some(By::Score), Some(true), context, args, reply)),
};

/// What a range is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range as it was asked for.
#[derive(Debug)]
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    offset: i64,
    /// Negative: all.
    limit: i64,
    with_scores: bool,
}

#[derive(Debug)]
enum Bounds<'a> {
    Ranks(i64, i64),
    Span(Span<'a>),
}

const LIMIT_OF_RANKS: CommandError =
    CommandError::text("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
const SCORES_OF_LEX: CommandError =
    CommandError::text("ERR syntax error, WITHSCORES not supported in combination with BYLEX");

impl<'a> Query<'a> {
    /// Reads bounds and options. Where the command's name says what the range is of, or in which direction it goes, there
    /// is no option for it.
    fn parse(
        by: Option<By>,
        reverse: Option<bool>,
        store: bool,
        low: &'a [u8],
        high: &'a [u8],
        options: Args<'_>,
    ) -> Result<Self, CommandError> {
        let (mut chosen, mut backwards, mut with_scores, mut offset, mut limit) = (by, reverse, false, 0, -1);
        let mut words = options.iter();
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_slice() {
                b"WITHSCORES" if !store => with_scores = true,
                b"LIMIT" if words.len() >= 2 => {
                    let mut next = || number::integer(words.next().unwrap_or_default());
                    (offset, limit) = (next()?, next()?);
                }
                b"REV" if backwards.is_none() => backwards = Some(true),
                b"BYLEX" if by.is_none() && chosen.is_none() => chosen = Some(By::Lex),
                b"BYSCORE" if by.is_none() && chosen.is_none() => chosen = Some(By::Score),
                _ => return Err(CommandError::Syntax),
            }
        }
        let (by, reverse) = (chosen.unwrap_or(By::Rank), backwards.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(LIMIT_OF_RANKS);
        }
        if with_scores && by == By::Lex {
            return Err(SCORES_OF_LEX);
        }
        let (min, max) = if reverse { (high, low) } else { (low, high) };
        let bounds = match by {
            By::Rank => Bounds::Ranks(number::integer(low)?, number::integer(high)?),
            By::Score => Bounds::Span(Span::scores(min, max)?),
            By::Lex => Bounds::Span(Span::members(min, max)?),
        };
        Ok(Self { bounds, reverse, offset, limit, with_scores })
    }

    /// Where the range begins, by rank, and how many members it has; it goes on in the query's direction.
    fn resolve(&self, set: crate::keyspace::collections::sorted_set::SortedSetRef<'_>) -> (usize, usize) {
        match &self.bounds {
            Bounds::Ranks(start, stop) => {
                let range = number::range(*start, *stop, set.len());
                let from = if self.reverse { set.len() - 1 - range.start } else { range.start };
                (from, range.len())
            }
            Bounds::Span(span) => {
                let ranks = span.ranks(set);
                // A negative offset skips everything, in Redis.
                let skipped = usize::try_from(self.offset).unwrap_or(usize::MAX).min(ranks.len());
                let count = ranks.len() - skipped;
                let count = usize::try_from(self.limit).map_or(count, |limit| limit.min(count));
                let from = if self.reverse { (ranks.end - skipped).saturating_sub(1) } else { ranks.start + skipped };
                (from, count)
            }
        }
    }
}

fn show(
    by: Option<By>,
    reverse: Option<bool>,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let query = Query::parse(by, reverse, false, &args[2], &args[3], args.from(4))?;
    let Some(set) = context.read_sorted_set(&args[1])? else {
        reply.array_header(0);
        return Ok(());
    };
    let (from, count) = query.resolve(set);
    let nested = query.with_scores && reply.version() == ProtocolVersion::Resp3;
    reply.array_header(if query.with_scores && !nested { 2 * count } else { count });
    let mut text = Default::default();
    set.visit(from, count, query.reverse, &mut |member: Element<'_>, score| {
        if nested {
            reply.array_header(2);
        }
        reply.bulk(member.bytes(&mut text));
        if query.with_scores {
            reply.double(score);
        }
    });
    Ok(())
}

fn zrangestore(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let query = Query::parse(None, None, true, &args[3], &args[4], args.from(5))?;
    let mut members = Vec::new();
    if let Some(set) = context.peek_sorted_set(&args[2])? {
        let (from, count) = query.resolve(set);
        set.visit(from, count, query.reverse, &mut |member, score| members.push((member.to_vec(), score)));
    }
    let built = context.build_sorted_set(|set| {
        set.expect(members.len());
        members.iter().for_each(|(member, score)| {
            set.set(member, *score);
        });
    });
    context.store_built(&args[1], built);
    reply.integer(members.len() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn ranges_go_both_ways() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("ZADD z 1 a 2 b 3 c 4 d", ":4|"),
            ("ZRANGE z 1 2", "*2|$1|b|$1|c|"),
            ("ZRANGE z 0 0 REV WITHSCORES", "*2|$1|d|$1|4|"),
            ("ZREVRANGE z 0 1", "*2|$1|d|$1|c|"),
            ("ZRANGE z 5 9", "*0|"),
            ("ZRANGE z 5 9 REV", "*0|"),
            ("ZRANGE z (1 3 BYSCORE", "*2|$1|b|$1|c|"),
            ("ZRANGE z 3 (1 BYSCORE REV", "*2|$1|c|$1|b|"),
            ("ZRANGE z 1 3 BYSCORE REV", "*0|"),
            ("ZRANGE z [b [c BYLEX", "*2|$1|b|$1|c|"),
            ("ZRANGE z + - BYLEX REV LIMIT 1 2", "*2|$1|c|$1|b|"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 1 2", "*2|$1|b|$1|c|"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT -1 2", "*0|"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 2 -5", "*2|$1|c|$1|d|"),
            ("ZREVRANGEBYSCORE z +inf -inf LIMIT 0 1 WITHSCORES", "*2|$1|d|$1|4|"),
            ("ZRANGEBYLEX z - (b", "*1|$1|a|"),
            ("ZREVRANGEBYLEX z (b -", "*1|$1|a|"),
            ("ZRANGE none 0 -1", "*0|"),
            ("ZRANGESTORE y z 0 1 REV", ":2|"),
            ("ZRANGE y 0 -1", "*2|$1|c|$1|d|"),
            ("ZRANGESTORE y z 9 10", ":0|"),
            ("EXISTS y", ":0|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("ZRANGE z 0 0 WITHSCORES", "*1|*2|$1|a|,1|"), ("ZRANGE none 0 -1", "*0|")]);
    }

    #[test]
    fn options_are_checked() {
        Bench::new().expect(&[
            (
                "ZRANGE z 0 1 LIMIT 0 1",
                "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX|",
            ),
            ("ZRANGE z - + BYLEX WITHSCORES", "-ERR syntax error, WITHSCORES not supported in combination with BYLEX|"),
            ("ZRANGE z 0 1 BYLEX BYSCORE", "-ERR syntax error|"),
            ("ZRANGE z 0 1 BYSCORE LIMIT 1", "-ERR syntax error|"),
            ("ZRANGE z 0 1 BYSCORE LIMIT 1 x", "-ERR value is not an integer or out of range|"),
            ("ZRANGEBYSCORE z 0 1 REV", "-ERR syntax error|"),
            ("ZRANGE z x 1", "-ERR value is not an integer or out of range|"),
            ("ZRANGE z x 1 BYSCORE", "-ERR min or max is not a float|"),
            ("ZRANGE z x + BYLEX", "-ERR min or max not valid string range item|"),
            ("ZRANGESTORE y z 0 1 WITHSCORES", "-ERR syntax error|"),
        ]);
    }
}
