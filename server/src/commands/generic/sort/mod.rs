//! SORT and SORT_RO: <https://redis.io/docs/latest/commands/sort/>

mod order;
mod pattern;

use super::super::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::ValueRef;
use crate::keyspace::collections::list::End;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use pattern::Pattern;
use std::ops::Range;

const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).";

/// SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]
pub static SORT: CommandSpec = CommandSpec {
    name: "sort",
    id: 113,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: KeySpec::WithStore { key: 1, options: 2, words: &["STORE"], takes: &[("LIMIT", 2), ("GET", 1), ("BY", 1)] },
    family: Family::Generic,
    since: "1.0.0",
    complexity: COMPLEXITY,
    summary: "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
    handler: Handler::Write(|context, args, reply| run(true, context, args, reply)),
};

/// SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]
pub static SORT_RO: CommandSpec = CommandSpec {
    name: "sort_ro",
    id: 114,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: KeySpec::at(1),
    family: Family::Generic,
    since: "7.0.0",
    complexity: COMPLEXITY,
    summary: "Returns the sorted elements of a list, a set, or a sorted set.",
    handler: Handler::Read(|context, args, reply| run(false, context, args, reply)),
};

/// By what elements are sorted.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    /// Not at all.
    Nothing,
    /// By themselves.
    Element,
    /// By what a pattern leads to.
    Pattern(Pattern<'a>),
}

struct Options<'a> {
    descending: bool,
    alpha: bool,
    by: By<'a>,
    gets: Vec<Pattern<'a>>,
    start: i64,
    count: i64,
    destination: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(stores: bool, key: &[u8], args: Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self {
            descending: false,
            alpha: false,
            by: By::Element,
            gets: Vec::new(),
            start: 0,
            count: -1,
            destination: None,
        };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            match (word.to_ascii_uppercase().as_slice(), words.len()) {
                (b"ASC", _) => options.descending = false,
                (b"DESC", _) => options.descending = true,
                (b"ALPHA", _) => options.alpha = true,
                (b"LIMIT", 2..) => {
                    let mut integer = || number::integer(words.next().unwrap_or_default());
                    (options.start, options.count) = (integer()?, integer()?);
                }
                (b"STORE", 1..) if stores => options.destination = words.next(),
                (b"BY", 1..) => {
                    let pattern = Pattern::new(words.next().unwrap_or_default());
                    // As in Redis, one that was constant stays in force whatever follows.
                    options.by = match options.by {
                        _ if pattern.is_constant() => By::Nothing,
                        _ if !pattern.is_in_slot_of(key) => return Err(pattern::denied("BY")),
                        By::Nothing => By::Nothing,
                        By::Element | By::Pattern(_) => By::Pattern(pattern),
                    };
                }
                (b"GET", 1..) => {
                    let pattern = Pattern::new(words.next().unwrap_or_default());
                    if !pattern.is_element() && !pattern.is_in_slot_of(key) {
                        return Err(pattern::denied("GET"));
                    }
                    options.gets.push(pattern);
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(options)
    }

    /// The places that are shown, of so many.
    fn window(&self, length: usize) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(0).min(length);
        let count = usize::try_from(self.count).unwrap_or(length).min(length - start);
        start..start + count
    }
}

/// The elements of a collection, in its own order, a sorted set's and a list's backwards where nothing is sorted but for
/// DESC.
fn elements(value: ValueRef<'_>, backwards: bool) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut elements: Vec<Vec<u8>> = match value {
        ValueRef::List(list) => list.from(0).map(|element| element.to_vec()).collect(),
        ValueRef::Set(set) => return Ok(set.members().map(|member| member.to_vec()).collect()),
        ValueRef::SortedSet(set) => {
            let mut members = Vec::with_capacity(set.len());
            set.visit(0, set.len(), false, &mut |member, _| members.push(member.to_vec()));
            members
        }
        _ => return Err(CommandError::WrongType),
    };
    if backwards {
        elements.reverse();
    }
    Ok(elements)
}

fn run(stores: bool, context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut options = Options::parse(stores, &args[1], args.from(2))?;
    let value = context.read(&args[1]).map(|item| item.value);
    if matches!(value, Some(ValueRef::Set(_))) && options.destination.is_some() && matches!(options.by, By::Nothing) {
        // A set has no order of its own that could be stored.
        (options.by, options.alpha) = (By::Element, true);
    }
    let backwards = matches!(options.by, By::Nothing) && options.descending;
    let elements = value.map(|value| elements(value, backwards)).transpose()?.unwrap_or_default();
    let window = options.window(elements.len());
    let sorted = match options.by {
        By::Nothing => elements,
        By::Element => order::by_themselves(elements, options.alpha, options.descending)?,
        By::Pattern(by) => {
            let weight = |element: &[u8]| by.value(context, element);
            order::by_weights(elements, weight, options.alpha, options.descending, window.clone())?
        }
    };
    let shown = &sorted[window];
    match options.destination {
        Some(destination) => store(context, destination, shown, &options.gets, reply),
        None => show(context, shown, &options.gets, reply),
    }
    Ok(())
}

fn show(context: &Context<'_>, shown: &[Vec<u8>], gets: &[Pattern<'_>], reply: &mut ReplyBuffer) {
    reply.array_header(shown.len() * gets.len().max(1));
    for element in shown {
        if gets.is_empty() {
            reply.bulk(element);
        }
        for get in gets {
            reply.bulk_or_null(get.value(context, element).as_deref());
        }
    }
}

/// What is not there is stored as an empty text.
fn store(
    context: &mut Context<'_>,
    destination: &[u8],
    shown: &[Vec<u8>],
    gets: &[Pattern<'_>],
    reply: &mut ReplyBuffer,
) {
    let built = context.build_list(|list| {
        for element in shown {
            if gets.is_empty() {
                list.push(End::Right, element);
            }
            for get in gets {
                list.push(End::Right, &get.value(context, element).unwrap_or_default());
            }
        }
    });
    context.store_built(destination, built);
    reply.integer((shown.len() * gets.len().max(1)) as i64);
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn numbers_and_texts_are_sorted() {
        Bench::new().expect(&[
            ("RPUSH l 3 10 2 1", ":4|"),
            ("SORT l", "*4|$1|1|$1|2|$1|3|$2|10|"),
            ("SORT l DESC LIMIT 1 2", "*2|$1|3|$1|2|"),
            ("SORT l ALPHA LIMIT -1 2", "*2|$1|1|$2|10|"),
            ("SORT_RO l LIMIT 9 2", "*0|"),
            ("SORT l BY nosort DESC", "*4|$1|1|$1|2|$2|10|$1|3|"),
            ("SORT l STORE d", ":4|"),
            ("LRANGE d 0 -1", "*4|$1|1|$1|2|$1|3|$2|10|"),
            ("SORT l LIMIT 0 0 STORE d", ":0|"),
            ("EXISTS d", ":0|"),
            ("SORT_RO l STORE d", "-ERR syntax error|"),
            ("SORT l LIMIT 0 x", "-ERR value is not an integer or out of range|"),
            ("SORT l LIMIT 0", "-ERR syntax error|"),
            ("SORT none", "*0|"),
            ("RPUSH l x", ":5|"),
            ("SORT l", "-ERR One or more scores can't be converted into double|"),
            ("SET s 1", "+OK|"),
            ("SORT s", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("SADD set b c a", ":3|"),
            ("SORT set BY nosort STORE d", ":3|"),
            ("LRANGE d 0 -1", "*3|$1|a|$1|b|$1|c|"),
            ("ZADD z 1 b 2 a", ":2|"),
            ("SORT z BY nosort DESC LIMIT 0 1", "*1|$1|a|"),
        ]);
    }

    #[test]
    fn patterns_lead_to_keys_in_the_slot() {
        Bench::new().expect(&[
            ("RPUSH {t}l 1 2 3", ":3|"),
            ("MSET {t}w1 30 {t}w2 20 {t}x1 one", "+OK|"),
            ("HSET {t}h2 f two", ":1|"),
            ("SORT {t}l BY {t}w*", "*3|$1|3|$1|2|$1|1|"),
            ("SORT {t}l BY {t}w* DESC GET # GET {t}x* GET {t}h*->f", "*9|$1|1|$3|one|$-1|$1|2|$-1|$3|two|$1|3|$-1|$-1|"),
            ("SORT {t}l BY nosort GET {t}x* STORE {t}d", ":3|"),
            ("LRANGE {t}d 0 -1", "*3|$3|one|$0||$0||"),
            (
                "SORT {t}l BY w*",
                "-ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.|",
            ),
            (
                "SORT {t}l BY nosort GET w*",
                "-ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.|",
            ),
        ]);
    }
}
