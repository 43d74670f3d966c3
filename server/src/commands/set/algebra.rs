//! SINTER, SUNION, SDIFF, their STORE forms and SINTERCARD: <https://redis.io/docs/latest/commands/sinter/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::collections::set::SetRef;
use crate::keyspace::{Built, ValueRef};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SDIFF key [key ...]
pub static SDIFF: CommandSpec = CommandSpec {
    name: "sdiff",
    id: 202,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::from(1, 1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Returns the difference of multiple sets.",
    handler: Handler::Read(|context, args, reply| show(Operation::Difference, context, args, reply)),
};

/// SDIFFSTORE destination key [key ...]
pub static SDIFFSTORE: CommandSpec = CommandSpec {
    name: "sdiffstore",
    id: 203,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::from(1, 1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Stores the difference of multiple sets in a key.",
    handler: Handler::Write(|context, args, reply| store(Operation::Difference, context, args, reply)),
};

/// SINTER key [key ...]
pub static SINTER: CommandSpec = CommandSpec {
    name: "sinter",
    id: 204,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::from(1, 1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
    summary: "Returns the intersect of multiple sets.",
    handler: Handler::Read(|context, args, reply| show(Operation::Intersection, context, args, reply)),
};

/// SINTERCARD numkeys key [key ...] [LIMIT limit]
pub static SINTERCARD: CommandSpec = CommandSpec {
    name: "sintercard",
    id: 205,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 1 },
    family: Family::Set,
    since: "7.0.0",
    complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
    summary: "Returns the number of members of the intersect of multiple sets.",
    handler: Handler::Read(sintercard),
};

/// SINTERSTORE destination key [key ...]
pub static SINTERSTORE: CommandSpec = CommandSpec {
    name: "sinterstore",
    id: 206,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::from(1, 1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
    summary: "Stores the intersect of multiple sets in a key.",
    handler: Handler::Write(|context, args, reply| store(Operation::Intersection, context, args, reply)),
};

/// SUNION key [key ...]
pub static SUNION: CommandSpec = CommandSpec {
    name: "sunion",
    id: 207,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::from(1, 1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Returns the union of multiple sets.",
    handler: Handler::Read(|context, args, reply| show(Operation::Union, context, args, reply)),
};

/// SUNIONSTORE destination key [key ...]
pub static SUNIONSTORE: CommandSpec = CommandSpec {
    name: "sunionstore",
    id: 208,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::from(1, 1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of elements in all given sets.",
    summary: "Stores the union of multiple sets in a key.",
    handler: Handler::Write(|context, args, reply| store(Operation::Union, context, args, reply)),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Difference,
    Intersection,
    Union,
}

/// Looks the sets up: recency is renewed, hits and misses are counted.
fn look_up(context: &mut Context<'_>, keys: Args<'_>) -> Result<(), CommandError> {
    keys.iter().try_for_each(|key| context.read_set(key).map(|_| ()))
}

/// The sets at the keys, whose types were checked; `None` where there is none.
fn sets<'a>(context: &'a Context<'_>, keys: Args<'_>) -> Vec<Option<SetRef<'a>>> {
    let set = |key| match context.keyspace.peek(key, context.now).map(|item| item.value) {
        Some(ValueRef::Set(set)) => Some(set),
        _ => None,
    };
    keys.iter().map(set).collect()
}

/// Shows the members of the intersection until `visit` says false.
fn intersect(sets: &[Option<SetRef<'_>>], visit: &mut dyn FnMut(&[u8]) -> bool) {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<_>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let mut text = Default::default();
    for member in sets[0].members() {
        let member = member.bytes(&mut text);
        if sets[1..].iter().all(|set| set.contains(member)) && !visit(member) {
            return;
        }
    }
}

/// Shows the members of the difference.
fn subtract(sets: &[Option<SetRef<'_>>], visit: &mut dyn FnMut(&[u8]) -> bool) {
    let others: Vec<_> = sets[1..].iter().flatten().collect();
    let mut text = Default::default();
    for member in sets[0].iter().flat_map(|set| set.members()) {
        let member = member.bytes(&mut text);
        if !others.iter().any(|other| other.contains(member)) {
            visit(member);
        }
    }
}

/// The result as a set of its own.
fn build(operation: Operation, context: &Context<'_>, sets: &[Option<SetRef<'_>>]) -> Built {
    context.build_set(|result| {
        let mut add = |member: &[u8]| {
            if result.read().len() == 0 {
                result.expect(member, 1);
            }
            result.add(member);
            true
        };
        match operation {
            Operation::Intersection => intersect(sets, &mut add),
            Operation::Difference => subtract(sets, &mut add),
            Operation::Union => {
                let mut text = Default::default();
                for member in sets.iter().flatten().flat_map(|set| set.members()) {
                    add(member.bytes(&mut text));
                }
            }
        }
    })
}

fn show(
    operation: Operation,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let keys = args.from(1);
    look_up(context, keys)?;
    let sets = sets(context, keys);
    let (mut shown, mut count) = (ReplyBuffer::new(reply.version()), 0);
    let mut write = |member: &[u8]| {
        shown.bulk(member);
        count += 1;
        true
    };
    match operation {
        Operation::Intersection => intersect(&sets, &mut write),
        Operation::Difference => subtract(&sets, &mut write),
        Operation::Union => {
            let union = build(operation, context, &sets);
            if let ValueRef::Set(set) = union.value() {
                let mut text = Default::default();
                for member in set.members() {
                    write(member.bytes(&mut text));
                }
            }
        }
    }
    reply.set_header(count);
    reply.raw(shown.as_slice());
    Ok(())
}

fn store(
    operation: Operation,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let keys = args.from(2);
    // What is stored to be read no more is no hit.
    keys.iter().try_for_each(|key| context.peek_set(key).map(|_| ()))?;
    let built = build(operation, context, &sets(context, keys));
    let length = match built.value() {
        ValueRef::Set(set) => set.len(),
        _ => 0,
    };
    context.store_built(&args[1], built);
    reply.integer(length as i64);
    Ok(())
}

fn sintercard(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let keys = number::key_count(&args[1], args.len() - 2)?;
    let mut limit = 0;
    let mut words = args.from(2 + keys).iter();
    while let Some(word) = words.next() {
        let value = words.next().filter(|_| word.eq_ignore_ascii_case(b"LIMIT")).ok_or(CommandError::Syntax)?;
        limit = number::not_negative(value, NEGATIVE_LIMIT)?;
    }
    let keys = args.between(2, 2 + keys);
    look_up(context, keys)?;
    let mut count = 0;
    intersect(&sets(context, keys), &mut |_| {
        count += 1;
        count != limit
    });
    reply.integer(count as i64);
    Ok(())
}

const NEGATIVE_LIMIT: CommandError = CommandError::text("ERR LIMIT can't be negative");

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn sets_are_combined() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SADD a 1 2 3 4", ":4|"),
            ("SADD b 3 4 x", ":3|"),
            ("SINTER a b", "*2|$1|3|$1|4|"),
            ("SINTER a b none", "*0|"),
            ("SUNION a b none", "*5|$1|1|$1|2|$1|3|$1|4|$1|x|"),
            ("SDIFF a b", "*2|$1|1|$1|2|"),
            ("SDIFF none a", "*0|"),
            ("SDIFF a a", "*0|"),
            ("SINTERSTORE c a b", ":2|"),
            ("SMEMBERS c", "*2|$1|3|$1|4|"),
            ("SUNIONSTORE c c b", ":3|"),
            ("SDIFFSTORE c none a", ":0|"),
            ("EXISTS c", ":0|"),
            ("SINTERCARD 2 a b", ":2|"),
            ("SINTERCARD 2 a b LIMIT 1", ":1|"),
            ("SINTERCARD 2 a b LIMIT 0", ":2|"),
            ("SINTERCARD 0 a", "-ERR numkeys should be greater than 0|"),
            ("SINTERCARD 3 a b", "-ERR Number of keys can't be greater than number of args|"),
            ("SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative|"),
            ("SET s v", "+OK|"),
            ("SINTER none s", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("SUNIONSTORE s a b", ":5|"),
            ("TYPE s", "+set|"),
        ]);
    }
}
