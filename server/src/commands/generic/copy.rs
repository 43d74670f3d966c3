//! COPY: <https://redis.io/docs/latest/commands/copy/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::ids::DatabaseNo;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// COPY source destination [DB destination-db] [REPLACE]
pub static COPY: CommandSpec = CommandSpec {
    name: "copy",
    id: 80,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::Generic,
    since: "6.2.0",
    complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
    summary: "Copies the value of a key to a new key.",
    handler: Handler::Write(apply),
};

/// The database to copy to, and whether REPLACE was given.
fn parse(context: &Context<'_>, args: Args<'_>) -> Result<(DatabaseNo, bool), CommandError> {
    let (mut database, mut replace) = (context.keyspace.database(), false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"DB")
            && let Some(number) = words.next()
        {
            database = context.database(number)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok((database, replace))
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (from, to) = (&args[1], &args[2]);
    let (database, replace) = parse(context, args.from(3))?;
    let same = database == context.keyspace.database();
    if same && from == to {
        return Err(CommandError::SameObject);
    }
    let is_free = |there: &mut Context<'_>| !there.exists_for_write(to) || replace;
    let copied = context.read(from).is_some() && context.in_database(database, is_free);
    if copied && same {
        context.copy_item(from, to);
    } else if copied {
        context.copy_item_to(from, database, to);
    }
    reply.integer(i64::from(copied));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn value_and_deadline_are_copied() {
        Bench::new().expect(&[
            ("COPY a b", ":0|"),
            ("SET a 1 PX 7", "+OK|"),
            ("COPY a b", ":1|"),
            ("PTTL b", ":7|"),
            ("COPY a b DB 0", ":0|"),
            ("COPY a b db 0 replace", ":1|"),
            ("COPY a a", "-ERR source and destination objects are the same|"),
            ("COPY a b DB 16", "-ERR DB index is out of range|"),
            ("COPY a b DB -1 FOO", "-ERR DB index is out of range|"),
            ("COPY a b DB x", "-ERR value is not an integer or out of range|"),
            ("COPY a b DB 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647|"),
            ("COPY a b DB", "-ERR syntax error|"),
            ("COPY a a FOO", "-ERR syntax error|"),
        ]);
    }

    #[test]
    fn a_key_is_copied_to_another_database() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SET a 1 PX 7", "+OK|"),
            ("RPUSH l 1 2", ":2|"),
            ("COPY a a DB 3", ":1|"),
            ("COPY a a DB 3", ":0|"),
            ("COPY l a DB 3 REPLACE", ":1|"),
            ("COPY a b DB 3", ":1|"),
            ("DBSIZE", ":2|"),
        ]);
        bench.database = crate::ids::DatabaseNo(3);
        bench.expect(&[("LRANGE a 0 -1", "*2|$1|1|$1|2|"), ("PTTL b", ":7|"), ("DBSIZE", ":2|")]);
        bench.keyspace.check_invariants();
    }
}
