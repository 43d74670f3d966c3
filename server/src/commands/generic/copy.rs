//! COPY: <https://redis.io/docs/latest/commands/copy/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
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

const DATABASE_RANGE: CommandError =
    CommandError::text("ERR value is out of range, value must between -2147483648 and 2147483647");

/// Whether REPLACE was given. The only database is number 0.
fn parse(args: Args<'_>) -> Result<bool, CommandError> {
    let mut replace = false;
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"DB")
            && let Some(database) = words.next()
        {
            let database = i32::try_from(number::integer(database)?).map_err(|_| DATABASE_RANGE)?;
            if database != 0 {
                return Err(CommandError::DatabaseOutOfRange);
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(replace)
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (from, to) = (&args[1], &args[2]);
    let replace = parse(args.from(3))?;
    if from == to {
        return Err(CommandError::SameObject);
    }
    let copied = context.read(from).is_some() && (!context.exists_for_write(to) || replace);
    if copied {
        context.copy_item(from, to);
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
            ("COPY a b DB 1", "-ERR DB index is out of range|"),
            ("COPY a b DB x", "-ERR value is not an integer or out of range|"),
            ("COPY a b DB 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647|"),
            ("COPY a b DB", "-ERR syntax error|"),
            ("COPY a a FOO", "-ERR syntax error|"),
        ]);
    }
}
