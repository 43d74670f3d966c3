//! LINDEX, LLEN and LRANGE: <https://redis.io/docs/latest/commands/lrange/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// LINDEX key index
pub static LINDEX: CommandSpec = CommandSpec {
    name: "lindex",
    id: 263,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).",
    summary: "Returns an element from a list by its index.",
    handler: Handler::Read(lindex),
};

/// LLEN key
pub static LLEN: CommandSpec = CommandSpec {
    name: "llen",
    id: 264,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Returns the length of a list.",
    handler: Handler::Read(llen),
};

/// LRANGE key start stop
pub static LRANGE: CommandSpec = CommandSpec {
    name: "lrange",
    id: 265,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.",
    summary: "Returns a range of elements from a list.",
    handler: Handler::Read(lrange),
};

fn lindex(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    // Redis reads the index only where there is a list.
    let Some(list) = context.read_list(&args[1])? else {
        reply.null();
        return Ok(());
    };
    let element = number::place(number::integer(&args[2])?, list.len()).and_then(|index| list.at(index));
    match element {
        Some(element) => reply.bulk(element.bytes(&mut Default::default())),
        None => reply.null(),
    }
    Ok(())
}

fn llen(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let length = context.read_list(&args[1])?.map_or(0, |list| list.len());
    reply.integer(length as i64);
    Ok(())
}

fn lrange(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (start, stop) = (number::integer(&args[2])?, number::integer(&args[3])?);
    let list = context.read_list(&args[1])?;
    let range = number::range(start, stop, list.map_or(0, |list| list.len()));
    reply.array_header(range.len());
    let mut text = Default::default();
    let elements = list.iter().flat_map(|list| list.from(range.start).take(range.len()));
    elements.for_each(|element| reply.bulk(element.bytes(&mut text)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn indexes_count_from_both_ends() {
        Bench::new().expect(&[
            ("LRANGE l 0 -1", "*0|"),
            ("LINDEX l x", "$-1|"),
            ("LLEN l", ":0|"),
            ("RPUSH l a b c", ":3|"),
            ("LINDEX l 0", "$1|a|"),
            ("LINDEX l -1", "$1|c|"),
            ("LINDEX l 3", "$-1|"),
            ("LINDEX l -4", "$-1|"),
            ("LINDEX l x", "-ERR value is not an integer or out of range|"),
            ("LRANGE l -100 1", "*2|$1|a|$1|b|"),
            ("LRANGE l 2 100", "*1|$1|c|"),
            ("LRANGE l 2 1", "*0|"),
            ("LRANGE l 5 9", "*0|"),
            ("LRANGE l -9223372036854775808 9223372036854775807", "*3|$1|a|$1|b|$1|c|"),
            ("LLEN l", ":3|"),
        ]);
    }
}
