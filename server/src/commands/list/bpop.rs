//! BLPOP, BRPOP and BLMPOP: <https://redis.io/docs/latest/commands/blpop/>

use super::pop::pop_many;
use crate::commands::blocking::{self, Blocking};
use crate::commands::blocking_pop::{Many, take_first, waits, waits_for_many};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::collections::list::End;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// BLPOP key [key ...] timeout
pub static BLPOP: CommandSpec = CommandSpec {
    name: "blpop",
    id: 273,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::NOSCRIPT).union(Flags::BLOCKING),
    keys: KeySpec::Range { first: 1, last: -2, step: 1 },
    family: Family::List,
    since: "2.0.0",
    complexity: "O(N) where N is the number of provided keys.",
    summary: "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
    handler: Handler::Write(|context, args, reply| pop(End::Left, context, args, reply)),
};

/// BRPOP key [key ...] timeout
pub static BRPOP: CommandSpec = CommandSpec {
    name: "brpop",
    id: 274,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::NOSCRIPT).union(Flags::BLOCKING),
    keys: KeySpec::Range { first: 1, last: -2, step: 1 },
    family: Family::List,
    since: "2.0.0",
    complexity: "O(N) where N is the number of provided keys.",
    summary: "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
    handler: Handler::Write(|context, args, reply| pop(End::Right, context, args, reply)),
};

/// BLMPOP timeout numkeys key [key ...] LEFT | RIGHT [COUNT count]
pub static BLMPOP: CommandSpec = CommandSpec {
    name: "blmpop",
    id: 275,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 2 },
    family: Family::List,
    since: "7.0.0",
    complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    summary: "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
    handler: Handler::Write(many),
};

/// How BLPOP waits.
pub static BLPOP_WAITS: Blocking = waits(&BLPOP, blocking::list_elements);
/// How BRPOP waits.
pub static BRPOP_WAITS: Blocking = waits(&BRPOP, blocking::list_elements);
/// How BLMPOP waits.
pub static BLMPOP_WAITS: Blocking =
    waits_for_many(&BLMPOP, |args| Ok(Many::read(args, super::end_of)?.timeout), blocking::list_elements);

fn pop(end: End, context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    take_first(args, reply, |key, reply| {
        let popped = context.edit_list(key, OrCreate::No, |list| {
            reply.array_header(2);
            reply.bulk(key);
            list.pop(end, |element| reply.bulk(element.bytes(&mut Default::default())));
            list.shrunk();
            Ok(())
        })?;
        Ok(popped.is_some())
    })
}

fn many(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let many = Many::read(args, super::end_of)?;
    many.take_first(reply, |key, reply| {
        let head = |reply: &mut ReplyBuffer| {
            reply.array_header(2);
            reply.bulk(key);
        };
        Ok(pop_many(many.end, many.count, context, key, reply, head)?.is_some())
    })
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn the_first_list_that_is_there_gives() {
        Bench::new().expect(&[
            ("BLPOP a b 0", "*-1|"),
            ("RPUSH b 1 2 3 4", ":4|"),
            ("BLPOP a b 0", "*2|$1|b|$1|1|"),
            ("BRPOP a b 1.5", "*2|$1|b|$1|4|"),
            ("BLPOP b x", "-ERR timeout is not a float or out of range|"),
            ("BLPOP b -1", "-ERR timeout is negative|"),
            ("SET s v", "+OK|"),
            ("BLPOP s b 0", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("BLMPOP 0 2 a b LEFT COUNT 5", "*2|$1|b|*2|$1|2|$1|3|"),
            ("BLMPOP 0 2 a b LEFT COUNT 5", "*-1|"),
            ("BLMPOP x 0 a b LEFT", "-ERR numkeys should be greater than 0|"),
            ("BLMPOP x 2 a b UP", "-ERR syntax error|"),
            ("BLMPOP x 2 a b LEFT COUNT 0", "-ERR count should be greater than 0|"),
            ("BLMPOP x 2 a b LEFT", "-ERR timeout is not a float or out of range|"),
        ]);
    }
}
