//! LPOP, RPOP and LMPOP: <https://redis.io/docs/latest/commands/lpop/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use crate::keyspace::collections::list::End;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// LPOP key [count]
pub static LPOP: CommandSpec = CommandSpec {
    name: "lpop",
    id: 260,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements returned",
    summary: "Returns the first elements in a list after removing it. Deletes the list if the last element was popped.",
    handler: Handler::Write(|context, args, reply| pop(End::Left, "lpop", context, args, reply)),
};

/// RPOP key [count]
pub static RPOP: CommandSpec = CommandSpec {
    name: "rpop",
    id: 261,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements returned",
    summary: "Returns and removes the last elements of a list. Deletes the list if the last element was popped.",
    handler: Handler::Write(|context, args, reply| pop(End::Right, "rpop", context, args, reply)),
};

/// LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count]
pub static LMPOP: CommandSpec = CommandSpec {
    name: "lmpop",
    id: 262,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Counted { count: 1 },
    family: Family::List,
    since: "7.0.0",
    complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    summary: "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
    handler: Handler::Write(lmpop),
};

fn pop(
    end: End,
    name: &'static str,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Arity(name.into()));
    }
    let Some(count) = args.get(2) else {
        let popped = context.edit_list(&args[1], OrCreate::No, |list| {
            list.pop(end, |element| reply.bulk(element.bytes(&mut Default::default())));
            list.shrunk();
            Ok(())
        })?;
        if popped.is_none() {
            reply.null();
        }
        return Ok(());
    };
    let count = number::not_negative(count, CommandError::NotPositive)?;
    if pop_many(end, count, context, &args[1], reply, |_| {})?.is_none() {
        reply.null_array();
    }
    Ok(())
}

/// Pops up to `count` elements and answers with an array of them, after `before` was written. `None`, and nothing
/// written, where there is no list.
pub(super) fn pop_many(
    end: End,
    count: usize,
    context: &mut Context<'_>,
    key: &[u8],
    reply: &mut ReplyBuffer,
    before: impl FnOnce(&mut ReplyBuffer),
) -> Result<Option<()>, CommandError> {
    context.edit_list(key, OrCreate::No, |list| {
        before(reply);
        let count = count.min(list.read().len());
        reply.array_header(count);
        let mut text = Default::default();
        for _ in 0..count {
            list.pop(end, |element| reply.bulk(element.bytes(&mut text)));
        }
        if count > 0 {
            list.shrunk();
        }
        Ok(())
    })
}

fn lmpop(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let keys = number::key_count_or(&args[1], CommandError::text("ERR numkeys should be greater than 0"))?;
    let end = args.get(keys.saturating_add(2)).and_then(super::end_of).ok_or(CommandError::Syntax)?;
    let count = number::pop_count(args.from(3 + keys))?;
    for key in args.between(2, 2 + keys).iter() {
        let head = |reply: &mut ReplyBuffer| {
            reply.array_header(2);
            reply.bulk(key);
        };
        if pop_many(end, count, context, key, reply, head)?.is_some() {
            return Ok(());
        }
    }
    reply.null_array();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn an_empty_list_is_gone() {
        Bench::new().expect(&[
            ("LPOP l", "$-1|"),
            ("LPOP l 2", "*-1|"),
            ("RPUSH l a b c d", ":4|"),
            ("LPOP l", "$1|a|"),
            ("RPOP l", "$1|d|"),
            ("LPOP l 0", "*0|"),
            ("RPOP l 9", "*2|$1|c|$1|b|"),
            ("EXISTS l", ":0|"),
            ("LPOP l -1", "-ERR value is out of range, must be positive|"),
            ("LPOP l x", "-ERR value is out of range, must be positive|"),
            ("LPOP l 1 1", "-ERR wrong number of arguments for 'lpop' command|"),
        ]);
    }

    #[test]
    fn the_first_list_that_is_there_gives() {
        Bench::new().expect(&[
            ("LMPOP 2 a b LEFT", "*-1|"),
            ("RPUSH b 1 2 3", ":3|"),
            ("LMPOP 2 a b LEFT COUNT 2", "*2|$1|b|*2|$1|1|$1|2|"),
            ("LMPOP 2 a b RIGHT COUNT 0", "-ERR count should be greater than 0|"),
            ("LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0|"),
            ("LMPOP 3 a b LEFT", "-ERR syntax error|"),
            ("LMPOP 2 a b LEFT COUNT 1 COUNT 1", "-ERR syntax error|"),
            ("LMPOP 2 a b right", "*2|$1|b|*1|$1|3|"),
            ("EXISTS b", ":0|"),
        ]);
    }
}
