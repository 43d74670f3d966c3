//! ZCARD, ZCOUNT, ZLEXCOUNT, ZSCORE, ZMSCORE, ZRANK and ZREVRANK: <https://redis.io/docs/latest/commands/zscore/>

use super::score::Span;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// ZCARD key
pub static ZCARD: CommandSpec = CommandSpec {
    name: "zcard",
    id: 326,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Returns the number of members in a sorted set.",
    handler: Handler::Read(zcard),
};

/// ZCOUNT key min max
pub static ZCOUNT: CommandSpec = CommandSpec {
    name: "zcount",
    id: 327,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Returns the count of members in a sorted set that have scores within a range.",
    handler: Handler::Read(|context, args, reply| count(Span::scores(&args[2], &args[3])?, context, &args[1], reply)),
};

/// ZLEXCOUNT key min max
pub static ZLEXCOUNT: CommandSpec = CommandSpec {
    name: "zlexcount",
    id: 328,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.8.9",
    complexity: "O(log(N)) with N being the number of elements in the sorted set.",
    summary: "Returns the number of members in a sorted set within a lexicographical range.",
    handler: Handler::Read(|context, args, reply| count(Span::members(&args[2], &args[3])?, context, &args[1], reply)),
};

/// ZMSCORE key member [member ...]
pub static ZMSCORE: CommandSpec = CommandSpec {
    name: "zmscore",
    id: 329,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "6.2.0",
    complexity: "O(N) where N is the number of members being requested.",
    summary: "Returns the score of one or more members in a sorted set.",
    handler: Handler::Read(zmscore),
};

/// ZRANK key member [WITHSCORE]
pub static ZRANK: CommandSpec = CommandSpec {
    name: "zrank",
    id: 330,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N))",
    summary: "Returns the index of a member in a sorted set ordered by ascending scores.",
    handler: Handler::Read(|context, args, reply| rank(false, "zrank", context, args, reply)),
};

/// ZREVRANK key member [WITHSCORE]
pub static ZREVRANK: CommandSpec = CommandSpec {
    name: "zrevrank",
    id: 331,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "2.0.0",
    complexity: "O(log(N))",
    summary: "Returns the index of a member in a sorted set ordered by descending scores.",
    handler: Handler::Read(|context, args, reply| rank(true, "zrevrank", context, args, reply)),
};

/// ZSCORE key member
pub static ZSCORE: CommandSpec = CommandSpec {
    name: "zscore",
    id: 332,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Returns the score of a member in a sorted set.",
    handler: Handler::Read(zscore),
};

fn zcard(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let length = context.read_sorted_set(&args[1])?.map_or(0, |set| set.len());
    reply.integer(length as i64);
    Ok(())
}

fn count(span: Span<'_>, context: &mut Context<'_>, key: &[u8], reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let count = context.read_sorted_set(key)?.map_or(0, |set| span.ranks(set).len());
    reply.integer(count as i64);
    Ok(())
}

fn write_score(score: Option<f64>, reply: &mut ReplyBuffer) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let score = context.read_sorted_set(&args[1])?.and_then(|set| set.score(&args[2]));
    write_score(score, reply);
    Ok(())
}

fn zmscore(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.read_sorted_set(&args[1])?;
    reply.array_header(args.len() - 2);
    args.iter().skip(2).for_each(|member| write_score(set.and_then(|set| set.score(member)), reply));
    Ok(())
}

fn rank(
    reverse: bool,
    name: &'static str,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    if args.len() > 4 {
        return Err(CommandError::Arity(name.into()));
    }
    let with_score = args.get(3).is_some();
    if args.get(3).is_some_and(|word| !word.eq_ignore_ascii_case(b"WITHSCORE")) {
        return Err(CommandError::Syntax);
    }
    let set = context.read_sorted_set(&args[1])?;
    let Some((set, (rank, score))) = set.and_then(|set| Some((set, set.rank(&args[2])?))) else {
        if with_score {
            reply.null_array();
        } else {
            reply.null();
        }
        return Ok(());
    };
    let rank = if reverse { set.len() - 1 - rank } else { rank };
    if with_score {
        reply.array_header(2);
    }
    reply.integer(rank as i64);
    if with_score {
        reply.double(score);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn members_are_found_and_counted() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("ZADD z 1 a 2 b 2 c 3.25 d", ":4|"),
            ("ZCARD z", ":4|"),
            ("ZCOUNT z 2 (3.25", ":2|"),
            ("ZCOUNT z -inf +inf", ":4|"),
            ("ZCOUNT z 5 1", ":0|"),
            ("ZCOUNT z a 1", "-ERR min or max is not a float|"),
            ("ZLEXCOUNT z - +", ":4|"),
            ("ZLEXCOUNT z + -", ":0|"),
            ("ZSCORE z d", "$4|3.25|"),
            ("ZSCORE z x", "$-1|"),
            ("ZMSCORE z a x", "*2|$1|1|$-1|"),
            ("ZRANK z c", ":2|"),
            ("ZREVRANK z c", ":1|"),
            ("ZRANK z x", "$-1|"),
            ("ZRANK z x WITHSCORE", "*-1|"),
            ("ZRANK z d WITHSCORE", "*2|:3|$4|3.25|"),
            ("ZRANK z d WITH", "-ERR syntax error|"),
            ("ZRANK z d WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("ZSCORE z d", ",3.25|"), ("ZREVRANK z a WITHSCORE", "*2|:3|,1|"), ("ZMSCORE x a", "*1|_|")]);
    }
}
