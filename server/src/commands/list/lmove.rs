//! LMOVE and RPOPLPUSH: <https://redis.io/docs/latest/commands/lmove/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::collections::list::End;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// LMOVE source destination LEFT | RIGHT LEFT | RIGHT
pub static LMOVE: CommandSpec = CommandSpec {
    name: "lmove",
    id: 271,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::List,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved.",
    handler: Handler::Write(lmove),
};

/// RPOPLPUSH source destination
pub static RPOPLPUSH: CommandSpec = CommandSpec {
    name: "rpoplpush",
    id: 272,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::List,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped.",
    handler: Handler::Write(|context, args, reply| shift(End::Right, End::Left, context, args, reply)),
};

fn lmove(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let end = |at: usize| super::end_of(&args[at]).ok_or(CommandError::Syntax);
    shift(end(3)?, end(4)?, context, args, reply)
}

pub(super) fn shift(
    from: End,
    to: End,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let (source, destination) = (&args[1], &args[2]);
    // Without a source the destination's type does not matter.
    if !context.exists_for_write(source) {
        reply.null();
        return Ok(());
    }
    context.peek_list(source)?;
    context.drop_due(destination);
    context.peek_list(destination)?;
    if source == destination {
        context.edit_list(source, OrCreate::No, |list| {
            let element = list.pop(from, |element| element.to_vec());
            list.expect(1, element.len());
            list.push(to, &element);
            list.shrunk();
            reply.bulk(&element);
            Ok(())
        })?;
        return Ok(());
    }
    let popped = context.edit_list(source, OrCreate::No, |list| {
        let element = list.pop(from, |element| element.to_vec());
        list.shrunk();
        Ok(element)
    })?;
    let element = popped.unwrap_or_default();
    context.edit_list(destination, OrCreate::Yes, |list| {
        list.expect(1, element.len());
        list.push(to, &element);
        Ok(())
    })?;
    reply.bulk(&element);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn an_element_moves() {
        Bench::new().expect(&[
            ("LMOVE a b LEFT RIGHT", "$-1|"),
            ("RPUSH a 1 2 3", ":3|"),
            ("LMOVE a a LEFT RIGHT", "$1|1|"),
            ("LRANGE a 0 -1", "*3|$1|2|$1|3|$1|1|"),
            ("RPOPLPUSH a b", "$1|1|"),
            ("LMOVE a b left left", "$1|2|"),
            ("LRANGE b 0 -1", "*2|$1|2|$1|1|"),
            ("LMOVE a a LEFT UP", "-ERR syntax error|"),
            ("SET s v", "+OK|"),
            ("LMOVE x s LEFT LEFT", "$-1|"),
            ("LMOVE b s LEFT LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("RPOPLPUSH a b", "$1|3|"),
            ("EXISTS a", ":0|"),
        ]);
    }
}
