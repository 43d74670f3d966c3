//! BLMOVE and BRPOPLPUSH: <https://redis.io/docs/latest/commands/blmove/>

use super::lmove::shift;
use crate::commands::blocking::{self, Blocking, WaitFor};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::collections::list::End;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout
pub static BLMOVE: CommandSpec = CommandSpec {
    name: "blmove",
    id: 276,
    arity: Arity::Exactly(6),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::NOSCRIPT).union(Flags::BLOCKING),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::List,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was moved.",
    handler: Handler::Write(blmove),
};

/// BRPOPLPUSH source destination timeout
pub static BRPOPLPUSH: CommandSpec = CommandSpec {
    name: "brpoplpush",
    id: 277,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::NOSCRIPT).union(Flags::BLOCKING),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::List,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Pops an element from a list, pushes it to another list and returns it. Block until an element is available otherwise. Deletes the list if the last element was popped.",
    handler: Handler::Write(brpoplpush),
};

/// How BLMOVE waits: for its source.
pub static BLMOVE_WAITS: Blocking = Blocking {
    command: &BLMOVE,
    timeout: |args| Ok(read(args)?.2),
    keys: |_| (1, 2),
    worth: blocking::list_elements,
    settle: None,
};

/// How BRPOPLPUSH waits: for its source.
pub static BRPOPLPUSH_WAITS: Blocking = Blocking {
    command: &BRPOPLPUSH,
    timeout: |args| blocking::seconds(&args[3]),
    keys: |_| (1, 2),
    worth: blocking::list_elements,
    settle: None,
};

fn read(args: Args<'_>) -> Result<(End, End, WaitFor), CommandError> {
    let end = |at: usize| super::end_of(&args[at]).ok_or(CommandError::Syntax);
    Ok((end(3)?, end(4)?, blocking::seconds(&args[5])?))
}

fn blmove(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (from, to, _) = read(args)?;
    shift(from, to, context, args, reply)
}

fn brpoplpush(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    blocking::seconds(&args[3])?;
    shift(End::Right, End::Left, context, args, reply)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn an_element_moves_or_is_waited_for() {
        Bench::new().expect(&[
            ("BLMOVE a b LEFT RIGHT 0", "$-1|"),
            ("RPUSH a 1 2 3", ":3|"),
            ("BLMOVE a b RIGHT LEFT 0", "$1|3|"),
            ("BRPOPLPUSH a b 0.5", "$1|2|"),
            ("LRANGE b 0 -1", "*2|$1|2|$1|3|"),
            ("BLMOVE a b UP LEFT x", "-ERR syntax error|"),
            ("BLMOVE a b LEFT LEFT x", "-ERR timeout is not a float or out of range|"),
            ("BRPOPLPUSH a b -1", "-ERR timeout is negative|"),
            ("SET s v", "+OK|"),
            ("BRPOPLPUSH x s 0", "$-1|"),
            ("BRPOPLPUSH a s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("BRPOPLPUSH s a 0", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
        ]);
    }
}
