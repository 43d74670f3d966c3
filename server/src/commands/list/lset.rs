//! LSET, LINSERT, LREM and LTRIM: <https://redis.io/docs/latest/commands/lset/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use crate::keyspace::collections::list::End;
use crate::keyspace::collections::listpack::Needle;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// LSET key index element
pub static LSET: CommandSpec = CommandSpec {
    name: "lset",
    id: 266,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).",
    summary: "Sets the value of an element in a list by its index.",
    handler: Handler::Write(lset),
};

/// LINSERT key BEFORE | AFTER pivot element
pub static LINSERT: CommandSpec = CommandSpec {
    name: "linsert",
    id: 267,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "2.2.0",
    complexity: "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
    summary: "Inserts an element before or after another element in a list.",
    handler: Handler::Write(linsert),
};

/// LREM key count element
pub static LREM: CommandSpec = CommandSpec {
    name: "lrem",
    id: 268,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
    summary: "Removes elements from a list. Deletes the list if the last element was removed.",
    handler: Handler::Write(lrem),
};

/// LTRIM key start stop
pub static LTRIM: CommandSpec = CommandSpec {
    name: "ltrim",
    id: 269,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements to be removed by the operation.",
    summary: "Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
    handler: Handler::Write(ltrim),
};

const INDEX_RANGE: CommandError = CommandError::text("ERR index out of range");

fn lset(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.edit_list(&args[1], OrCreate::No, |list| {
        let index = number::place(number::integer(&args[2])?, list.read().len()).ok_or(INDEX_RANGE)?;
        list.expect(1, args[3].len());
        list.set(index, &args[3]);
        list.shrunk();
        Ok(())
    })?;
    set.ok_or(CommandError::NoSuchKey)?;
    reply.ok();
    Ok(())
}

fn linsert(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let after = if args[2].eq_ignore_ascii_case(b"AFTER") {
        1
    } else if args[2].eq_ignore_ascii_case(b"BEFORE") {
        0
    } else {
        return Err(CommandError::Syntax);
    };
    let length = context.edit_list(&args[1], OrCreate::No, |list| {
        let pivot = Needle::new(&args[3]);
        let Some(index) = list.read().from(0).position(|element| pivot.is(element)) else { return Ok(-1) };
        list.expect(1, args[4].len());
        list.insert(index + after, &args[4]);
        Ok(list.read().len() as i64)
    })?;
    reply.integer(length.unwrap_or(0));
    Ok(())
}

fn lrem(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let count = number::integer(&args[2])?;
    let removed = context.edit_list(&args[1], OrCreate::No, |list| {
        let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
        let from = if count < 0 { End::Right } else { End::Left };
        let removed = list.remove_equal(&Needle::new(&args[3]), limit, from);
        if removed > 0 {
            list.shrunk();
        }
        Ok(removed)
    })?;
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

fn ltrim(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (start, stop) = (number::integer(&args[2])?, number::integer(&args[3])?);
    context.edit_list(&args[1], OrCreate::No, |list| {
        let length = list.read().len();
        let kept = number::range(start, stop, length);
        if kept.is_empty() {
            list.remove(0, length);
        } else {
            list.remove(kept.end, length - kept.end);
            list.remove(0, kept.start);
        }
        list.shrunk();
        Ok(())
    })?;
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn elements_change_in_place() {
        Bench::new().expect(&[
            ("LSET l 0 x", "-ERR no such key|"),
            ("RPUSH l a b a c a", ":5|"),
            ("LSET l 1 B", "+OK|"),
            ("LSET l -1 z", "+OK|"),
            ("LSET l 9 z", "-ERR index out of range|"),
            ("LINSERT l BEFORE c 1", ":6|"),
            ("LINSERT l after c 2", ":7|"),
            ("LINSERT l AFTER none 2", ":-1|"),
            ("LINSERT x AFTER none 2", ":0|"),
            ("LINSERT l FOO c 2", "-ERR syntax error|"),
            ("LRANGE l 0 -1", "*7|$1|a|$1|B|$1|a|$1|1|$1|c|$1|2|$1|z|"),
            ("LREM l -1 a", ":1|"),
            ("LREM l 0 none", ":0|"),
            ("LRANGE l 0 2", "*3|$1|a|$1|B|$1|1|"),
            ("LTRIM l 1 -2", "+OK|"),
            ("LRANGE l 0 -1", "*4|$1|B|$1|1|$1|c|$1|2|"),
            ("LTRIM l 5 9", "+OK|"),
            ("EXISTS l", ":0|"),
            ("LTRIM l 0 0", "+OK|"),
        ]);
    }
}
