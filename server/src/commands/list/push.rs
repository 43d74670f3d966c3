//! LPUSH, RPUSH, LPUSHX and RPUSHX: <https://redis.io/docs/latest/commands/lpush/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::collections::list::End;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// LPUSH key element [element ...]
pub static LPUSH: CommandSpec = CommandSpec {
    name: "lpush",
    id: 256,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    summary: "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
    handler: Handler::Write(|context, args, reply| push(End::Left, OrCreate::Yes, context, args, reply)),
};

/// RPUSH key element [element ...]
pub static RPUSH: CommandSpec = CommandSpec {
    name: "rpush",
    id: 257,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "1.0.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    summary: "Appends one or more elements to a list. Creates the key if it doesn't exist.",
    handler: Handler::Write(|context, args, reply| push(End::Right, OrCreate::Yes, context, args, reply)),
};

/// LPUSHX key element [element ...]
pub static LPUSHX: CommandSpec = CommandSpec {
    name: "lpushx",
    id: 258,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "2.2.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    summary: "Prepends one or more elements to a list only when the list exists.",
    handler: Handler::Write(|context, args, reply| push(End::Left, OrCreate::No, context, args, reply)),
};

/// RPUSHX key element [element ...]
pub static RPUSHX: CommandSpec = CommandSpec {
    name: "rpushx",
    id: 259,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::List,
    since: "2.2.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    summary: "Appends an element to a list only when the list exists.",
    handler: Handler::Write(|context, args, reply| push(End::Right, OrCreate::No, context, args, reply)),
};

fn push(
    end: End,
    create: OrCreate,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let length = context.edit_list(&args[1], create, |list| {
        let elements = args.from(2);
        list.expect(elements.len(), elements.iter().map(<[u8]>::len).sum());
        elements.iter().for_each(|element| list.push(end, element));
        Ok(list.read().len())
    })?;
    reply.integer(length.unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::generic::object::ENCODING;
    use crate::commands::testing::Bench;

    #[test]
    fn elements_come_at_their_end() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("LPUSHX l a", ":0|"),
            ("RPUSHX l a", ":0|"),
            ("LPUSH l a b", ":2|"),
            ("RPUSH l c 12", ":4|"),
            ("LPUSHX l x", ":5|"),
            ("RPUSHX l y", ":6|"),
            ("LRANGE l 0 -1", "*6|$1|x|$1|b|$1|a|$1|c|$2|12|$1|y|"),
        ]);
        assert_eq!(bench.call(&ENCODING, "OBJECT ENCODING l"), "$8|listpack|");
    }

    #[test]
    fn eight_kilobytes_are_the_limit_of_a_listpack() {
        let mut bench = Bench::new();
        let element = "x".repeat(100);
        // 7 bytes around, 103 an entry.
        for n in 1..=80 {
            bench.run(&format!("RPUSH l {element}"));
            let expected = if 7 + 103 * (n - 1) + 100 > 8192 { "$9|quicklist|" } else { "$8|listpack|" };
            assert_eq!(bench.call(&ENCODING, "OBJECT ENCODING l"), expected, "{n}");
        }
        bench.run("LTRIM l 0 38");
        assert_eq!(bench.call(&ENCODING, "OBJECT ENCODING l"), "$8|listpack|");
    }
}
