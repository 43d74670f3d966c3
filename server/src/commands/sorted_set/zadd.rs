//! ZADD and ZINCRBY: <https://redis.io/docs/latest/commands/zadd/>

use super::score;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::collections::sorted_set::Scoring;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]
pub static ZADD: CommandSpec = CommandSpec {
    name: "zadd",
    id: 320,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    summary: "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
    handler: Handler::Write(zadd),
};

/// ZINCRBY key increment member
pub static ZINCRBY: CommandSpec = CommandSpec {
    name: "zincrby",
    id: 321,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "1.2.0",
    complexity: "O(log(N)) where N is the number of elements in the sorted set.",
    summary: "Increments the score of a member in a sorted set.",
    handler: Handler::Write(zincrby),
};

const NX_XX: CommandError = CommandError::text("ERR XX and NX options at the same time are not compatible");
const GT_LT: CommandError = CommandError::text("ERR GT, LT, and/or NX options at the same time are not compatible");
const ONE_PAIR: CommandError = CommandError::text("ERR INCR option supports a single increment-element pair");
const NOT_A_NUMBER: CommandError = CommandError::text("ERR resulting score is not a number (NaN)");

/// Which members are given their scores, and what is answered.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::commands) struct Options {
    pub(in crate::commands) if_absent: bool,
    pub(in crate::commands) if_present: bool,
    if_greater: bool,
    if_less: bool,
    pub(in crate::commands) count_changes: bool,
    increment: bool,
}

impl Options {
    /// The options, and how many words they are.
    fn parse(args: Args<'_>) -> (Self, usize) {
        let mut options = Self::default();
        for (count, word) in args.iter().enumerate() {
            let flag = match word.to_ascii_uppercase().as_slice() {
                b"NX" => &mut options.if_absent,
                b"XX" => &mut options.if_present,
                b"GT" => &mut options.if_greater,
                b"LT" => &mut options.if_less,
                b"CH" => &mut options.count_changes,
                b"INCR" => &mut options.increment,
                _ => return (options, count),
            };
            *flag = true;
        }
        (options, args.len())
    }

    /// The score that a member has afterwards; `None` where it stays as it is, or absent.
    fn decide(&self, old: Option<f64>, given: f64) -> Result<Option<f64>, CommandError> {
        let Some(old) = old else { return Ok((!self.if_present).then_some(given)) };
        if self.if_absent {
            return Ok(None);
        }
        let new = if self.increment { old + given } else { given };
        if new.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        let kept = (self.if_less && new >= old) || (self.if_greater && new <= old);
        Ok((!kept).then_some(new))
    }
}

fn zadd(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (options, words) = Options::parse(args.from(2));
    let pairs = args.from(2 + words);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    if options.if_absent && options.if_present {
        return Err(NX_XX);
    }
    let conditions = [options.if_greater, options.if_less, options.if_absent];
    if conditions.into_iter().filter(|condition| *condition).count() > 1 {
        return Err(GT_LT);
    }
    if options.increment && pairs.len() > 2 {
        return Err(ONE_PAIR);
    }
    add(options, context, &args[1], pairs, reply)
}

fn zincrby(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let options = Options { increment: true, ..Options::default() };
    add(options, context, &args[1], args.from(2), reply)
}

fn add(
    options: Options,
    context: &mut Context<'_>,
    key: &[u8],
    pairs: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let scores = pairs.iter().step_by(2).map(score::score).collect::<Result<smallvec::SmallVec<[f64; 4]>, _>>()?;
    add_members(options, context, key, &scores, pairs.iter().skip(1).step_by(2), reply)
}

/// Gives members their scores, one each.
pub(in crate::commands) fn add_members<'a>(
    options: Options,
    context: &mut Context<'_>,
    key: &[u8],
    scores: &[f64],
    members: impl Iterator<Item = &'a [u8]>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let create = if options.if_present { OrCreate::No } else { OrCreate::Yes };
    let done = context.edit_sorted_set(key, create, |set| {
        set.expect(scores.len());
        let (mut added, mut updated, mut last) = (0, 0, None);
        for (given, member) in scores.iter().zip(members) {
            // Without a condition there is nothing to look up first.
            let plain = !(options.increment
                || options.if_absent
                || options.if_present
                || options.if_greater
                || options.if_less);
            last = if plain { Some(*given) } else { options.decide(set.read().score(member), *given)? };
            match last.map(|score| set.set(member, score)) {
                Some(Scoring::Added) => added += 1,
                Some(Scoring::Updated) => updated += 1,
                Some(Scoring::Same) | None => {}
            }
        }
        Ok((added, updated, last))
    })?;
    let (added, updated, last) = done.unwrap_or((0, 0, None));
    match (options.increment, last) {
        (true, Some(score)) => reply.double(score),
        (true, None) => reply.null(),
        (false, _) => reply.integer(added + if options.count_changes { updated } else { 0 }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn flags_decide() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("ZADD z XX 1 a", ":0|"),
            ("EXISTS z", ":0|"),
            ("ZADD z 1 a 2 b 3 a", ":2|"),
            ("ZADD z NX 9 a 4 c", ":1|"),
            ("ZADD z XX CH 9 a 4 x", ":1|"),
            ("ZADD z GT CH 8 a 5 c", ":1|"),
            ("ZADD z LT CH 8 a 9 c 7 d", ":2|"),
            ("ZADD z INCR 2 a", "$2|10|"),
            ("ZADD z NX INCR 2 a", "$-1|"),
            ("ZADD z GT INCR -2 a", "$-1|"),
            ("ZADD z XX INCR 2 y", "$-1|"),
            ("ZRANGE z 0 -1 WITHSCORES", "*8|$1|b|$1|2|$1|c|$1|5|$1|d|$1|7|$1|a|$2|10|"),
            ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible|"),
            ("ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible|"),
            ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair|"),
            ("ZADD z CH 1", "-ERR syntax error|"),
            ("ZADD z nan a", "-ERR value is not a valid float|"),
            ("ZADD z inf a", ":0|"),
            ("ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)|"),
            ("ZINCRBY z 1.5 b", "$3|3.5|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("ZINCRBY z 1 b", ",4.5|"), ("ZSCORE z a", ",inf|"), ("ZADD z NX INCR 2 a", "_|")]);
    }
}
