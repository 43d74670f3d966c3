//! ZUNION, ZINTER, ZDIFF, their STORE forms and ZINTERCARD: <https://redis.io/docs/latest/commands/zunion/>

use super::score;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::collections::listpack::Element;
use crate::keyspace::collections::set::SetRef;
use crate::keyspace::collections::sorted_set::SortedSetRef;
use crate::keyspace::{Built, ValueRef};
use larder_protocol::ProtocolVersion;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// ZDIFF numkeys key [key ...] [WITHSCORES]
pub static ZDIFF: CommandSpec = CommandSpec {
    name: "zdiff",
    id: 345,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 1 },
    family: Family::SortedSet,
    since: "6.2.0",
    complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
    summary: "Returns the difference between multiple sorted sets.",
    handler: Handler::Read(|context, args, reply| show(Operation::Difference, "zdiff", context, args, reply)),
};

/// ZDIFFSTORE destination numkeys key [key ...]
pub static ZDIFFSTORE: CommandSpec = CommandSpec {
    name: "zdiffstore",
    id: 346,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: KeySpec::StoreCounted { count: 2 },
    family: Family::SortedSet,
    since: "6.2.0",
    complexity: "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.",
    summary: "Stores the difference of multiple sorted sets in a key.",
    handler: Handler::Write(|context, args, reply| store(Operation::Difference, "zdiffstore", context, args, reply)),
};

/// ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
pub static ZINTER: CommandSpec = CommandSpec {
    name: "zinter",
    id: 347,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 1 },
    family: Family::SortedSet,
    since: "6.2.0",
    complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
    summary: "Returns the intersect of multiple sorted sets.",
    handler: Handler::Read(|context, args, reply| show(Operation::Intersection, "zinter", context, args, reply)),
};

/// ZINTERCARD numkeys key [key ...] [LIMIT limit]
pub static ZINTERCARD: CommandSpec = CommandSpec {
    name: "zintercard",
    id: 348,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 1 },
    family: Family::SortedSet,
    since: "7.0.0",
    complexity: "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
    summary: "Returns the number of members of the intersect of multiple sorted sets.",
    handler: Handler::Read(zintercard),
};

/// ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]
pub static ZINTERSTORE: CommandSpec = CommandSpec {
    name: "zinterstore",
    id: 349,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: KeySpec::StoreCounted { count: 2 },
    family: Family::SortedSet,
    since: "2.0.0",
    complexity: "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.",
    summary: "Stores the intersect of multiple sorted sets in a key.",
    handler: Handler::Write(|context, args, reply| store(Operation::Intersection, "zinterstore", context, args, reply)),
};

/// ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]
pub static ZUNION: CommandSpec = CommandSpec {
    name: "zunion",
    id: 350,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 1 },
    family: Family::SortedSet,
    since: "6.2.0",
    complexity: "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
    summary: "Returns the union of multiple sorted sets.",
    handler: Handler::Read(|context, args, reply| show(Operation::Union, "zunion", context, args, reply)),
};

/// ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]
pub static ZUNIONSTORE: CommandSpec = CommandSpec {
    name: "zunionstore",
    id: 351,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: KeySpec::StoreCounted { count: 2 },
    family: Family::SortedSet,
    since: "2.0.0",
    complexity: "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.",
    summary: "Stores the union of multiple sorted sets in a key.",
    handler: Handler::Write(|context, args, reply| store(Operation::Union, "zunionstore", context, args, reply)),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Difference,
    Intersection,
    Union,
}

/// What the command wants of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Show,
    Store,
    Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    /// Infinities that cancel out sum to 0, as in Redis.
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number_or_zero(one + other),
            Self::Min => {
                if one < other {
                    one
                } else {
                    other
                }
            }
            Self::Max => {
                if one > other {
                    one
                } else {
                    other
                }
            }
        }
    }
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

struct Query<'a> {
    keys: Args<'a>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// 0: none.
    limit: usize,
}

const NEGATIVE_LIMIT: CommandError = CommandError::text("ERR LIMIT can't be negative");
const WEIGHT: CommandError = CommandError::text("ERR weight value is not a float");

impl<'a> Query<'a> {
    /// Reads what comes from the number of keys on. The types of the keys are checked before the options, as in Redis.
    fn parse(
        operation: Operation,
        form: Form,
        name: &str,
        context: &mut Context<'_>,
        args: Args<'a>,
    ) -> Result<Self, CommandError> {
        let count = number::integer(&args[0])?;
        let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0) else {
            return Err(CommandError::Other(format!("ERR at least 1 input key is needed for '{name}' command").into()));
        };
        if count > args.len() - 1 {
            return Err(CommandError::Syntax);
        }
        let keys = args.between(1, 1 + count);
        for key in keys.iter() {
            let item = if form == Form::Store { context.keyspace.peek(key, context.now) } else { context.read(key) };
            if item.is_some_and(|item| !matches!(item.value, ValueRef::SortedSet(_) | ValueRef::Set(_))) {
                return Err(CommandError::WrongType);
            }
        }
        let (weights, aggregate) = (vec![1.0; count], Aggregate::Sum);
        let mut query = Self { keys, weights, aggregate, with_scores: false, limit: 0 };
        let weighs = operation != Operation::Difference && form != Form::Count;
        let mut words = args.from(1 + count).iter();
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_slice() {
                b"WEIGHTS" if weighs && words.len() >= count => {
                    for weight in &mut query.weights {
                        *weight = words.next().and_then(score::parse).ok_or(WEIGHT)?;
                    }
                }
                b"AGGREGATE" if weighs => {
                    query.aggregate = match words.next().unwrap_or_default().to_ascii_uppercase().as_slice() {
                        b"SUM" => Aggregate::Sum,
                        b"MIN" => Aggregate::Min,
                        b"MAX" => Aggregate::Max,
                        _ => return Err(CommandError::Syntax),
                    };
                }
                b"WITHSCORES" if form == Form::Show => query.with_scores = true,
                b"LIMIT" if form == Form::Count => {
                    let limit = words.next().ok_or(CommandError::Syntax)?;
                    query.limit = number::not_negative(limit, NEGATIVE_LIMIT)?;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(query)
    }

    /// What is at the keys, with its weights, in the order of the keys.
    fn sources<'c>(&self, context: &'c Context<'_>) -> Vec<Source<'c>> {
        let members = |key| match context.keyspace.peek(key, context.now).map(|item| item.value) {
            Some(ValueRef::SortedSet(set)) => Members::SortedSet(set),
            Some(ValueRef::Set(set)) => Members::Set(set),
            _ => Members::None,
        };
        let weighted = self.keys.iter().zip(&self.weights);
        weighted.map(|(key, weight)| Source { members: members(key), weight: *weight }).collect()
    }
}

/// A set counts as a sorted set in which every score is 1.
#[derive(Clone, Copy)]
enum Members<'a> {
    None,
    Set(SetRef<'a>),
    SortedSet(SortedSetRef<'a>),
}

#[derive(Clone, Copy)]
struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self.members {
            Members::None => 0,
            Members::Set(set) => set.len(),
            Members::SortedSet(set) => set.len(),
        }
    }

    /// The weighted score of a member.
    fn score(&self, member: &[u8]) -> Option<f64> {
        match self.members {
            Members::None => None,
            Members::Set(set) => set.contains(member).then_some(self.weight),
            Members::SortedSet(set) => set.score(member).map(|score| score * self.weight),
        }
    }

    /// Shows members with their weighted scores.
    fn visit(&self, visit: &mut dyn FnMut(Element<'_>, f64)) {
        match self.members {
            Members::None => {}
            Members::Set(set) => set.members().for_each(|member| visit(member, self.weight)),
            Members::SortedSet(set) => {
                set.visit(0, set.len(), false, &mut |member, score| visit(member, score * self.weight));
            }
        }
    }
}

/// The result as a sorted set of its own.
fn build(operation: Operation, form: Form, context: &Context<'_>, query: &Query<'_>) -> Built {
    let mut sources = query.sources(context);
    if operation != Operation::Difference {
        sources.sort_by_key(Source::len);
    }
    context.build_sorted_set(|result| {
        result.begin_result();
        let mut text = Default::default();
        match operation {
            Operation::Difference => sources[0].visit(&mut |member, score| {
                let member = member.bytes(&mut text);
                if sources[1..].iter().all(|other| other.score(member).is_none()) {
                    result.set(member, number_or_zero(score));
                }
            }),
            Operation::Intersection => intersect(&sources, query.aggregate, &mut |member, score| {
                result.set(member, score);
                true
            }),
            Operation::Union => {
                for source in &sources {
                    source.visit(&mut |member, score| {
                        let (member, score) = (member.bytes(&mut text), number_or_zero(score));
                        let old = result.read().score(member);
                        result.set(member, old.map_or(score, |old| query.aggregate.of(old, score)));
                    });
                }
            }
        }
        if form == Form::Store {
            result.end_result();
        }
    })
}

/// Shows the members that are in all, the fewest of them first, until `visit` says false.
fn intersect(sources: &[Source<'_>], aggregate: Aggregate, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
    let (mut text, mut more) = (Default::default(), true);
    sources[0].visit(&mut |member, score| {
        let member = member.bytes(&mut text);
        let mut total = number_or_zero(score);
        let in_all = more
            && sources[1..].iter().all(|other| match other.score(member) {
                Some(score) => {
                    total = aggregate.of(total, score);
                    true
                }
                None => false,
            });
        if in_all {
            more = visit(member, number_or_zero(total));
        }
    });
}

fn result_of(built: &Built) -> Option<SortedSetRef<'_>> {
    match built.value() {
        ValueRef::SortedSet(set) => Some(set),
        _ => None,
    }
}

fn show(
    operation: Operation,
    name: &str,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let query = Query::parse(operation, Form::Show, name, context, args.from(1))?;
    let built = build(operation, Form::Show, context, &query);
    let Some(set) = result_of(&built) else { unreachable!("a sorted set was built") };
    let nested = query.with_scores && reply.version() == ProtocolVersion::Resp3;
    reply.array_header(if query.with_scores && !nested { 2 * set.len() } else { set.len() });
    let mut text = Default::default();
    set.visit(0, set.len(), false, &mut |member, score| {
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

fn store(
    operation: Operation,
    name: &str,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let query = Query::parse(operation, Form::Store, name, context, args.from(2))?;
    let built = build(operation, Form::Store, context, &query);
    let length = result_of(&built).map_or(0, |set| set.len());
    context.store_built(&args[1], built);
    reply.integer(length as i64);
    Ok(())
}

fn zintercard(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let query = Query::parse(Operation::Intersection, Form::Count, "zintercard", context, args.from(1))?;
    let mut sources = query.sources(context);
    sources.sort_by_key(Source::len);
    let mut count = 0;
    intersect(&sources, query.aggregate, &mut |_, _| {
        count += 1;
        count != query.limit
    });
    reply.integer(count as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn sets_are_combined() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("ZADD a 1 x 2 y", ":2|"),
            ("ZADD b 10 y 20 z", ":2|"),
            ("SADD s x q", ":2|"),
            ("ZUNION 2 a b WITHSCORES", "*6|$1|x|$1|1|$1|y|$2|12|$1|z|$2|20|"),
            ("ZUNION 2 a s WEIGHTS 2 3 WITHSCORES", "*6|$1|q|$1|3|$1|y|$1|4|$1|x|$1|5|"),
            ("ZUNION 2 a b AGGREGATE MAX WITHSCORES", "*6|$1|x|$1|1|$1|y|$2|10|$1|z|$2|20|"),
            ("ZINTER 2 a b WITHSCORES AGGREGATE min", "*2|$1|y|$1|2|"),
            ("ZINTER 2 a none", "*0|"),
            ("ZDIFF 2 a b WITHSCORES", "*2|$1|x|$1|1|"),
            ("ZINTERCARD 2 a b", ":1|"),
            ("ZINTERCARD 2 a a LIMIT 1", ":1|"),
            ("ZUNIONSTORE c 2 a b", ":3|"),
            ("ZINTERSTORE c 2 c a WEIGHTS 0 1", ":2|"),
            ("ZRANGE c 0 -1 WITHSCORES", "*4|$1|x|$1|1|$1|y|$1|2|"),
            ("ZDIFFSTORE c 2 a a", ":0|"),
            ("EXISTS c", ":0|"),
            ("ZADD i inf x", ":1|"),
            ("ZADD j -inf x", ":1|"),
            ("ZUNION 2 i j WITHSCORES", "*2|$1|x|$1|0|"),
            ("ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command|"),
            ("ZUNION x a", "-ERR value is not an integer or out of range|"),
            ("ZUNION 3 a b", "-ERR syntax error|"),
            ("ZUNION 1 a WEIGHTS x", "-ERR weight value is not a float|"),
            ("ZUNION 2 a b WEIGHTS 1", "-ERR syntax error|"),
            ("ZDIFF 1 a WEIGHTS 1", "-ERR syntax error|"),
            ("ZUNIONSTORE c 1 a WITHSCORES", "-ERR syntax error|"),
            ("ZINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative|"),
            ("SET t v", "+OK|"),
            ("ZUNION 2 a t FOO", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("ZDIFF 2 a b WITHSCORES", "*1|*2|$1|x|,1|"), ("ZDIFF 2 a b", "*1|$1|x|")]);
    }
}
