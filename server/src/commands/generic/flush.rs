//! FLUSHALL and FLUSHDB: <https://redis.io/docs/latest/commands/flushall/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use crate::keyspace::reclaim;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// FLUSHALL [ASYNC | SYNC]
pub static FLUSHALL: CommandSpec = CommandSpec {
    name: "flushall",
    id: 85,
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    keys: KeySpec::None,
    family: Family::Server,
    since: "1.0.0",
    complexity: "O(N) where N is the total number of keys in all databases",
    summary: "Removes all keys from all databases.",
    handler: Handler::WriteAll(flush_all, Fanout::AllOk),
};

/// FLUSHDB [ASYNC | SYNC]
pub static FLUSHDB: CommandSpec = CommandSpec {
    name: "flushdb",
    id: 86,
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    keys: KeySpec::None,
    family: Family::Server,
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys in the selected database",
    summary: "Remove all keys from the current database.",
    handler: Handler::WriteAll(flush_selected, Fanout::AllOk),
};

/// The keys are gone at once either way. Their memory is always freed in the background: a lock is not held for it.
fn check_mode(args: Args<'_>) -> Result<(), CommandError> {
    let known = |mode: &[u8]| mode.eq_ignore_ascii_case(b"ASYNC") || mode.eq_ignore_ascii_case(b"SYNC");
    if args.len() > 2 || args.get(1).is_some_and(|mode| !known(mode)) { Err(CommandError::Syntax) } else { Ok(()) }
}

fn flush_all(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    check_mode(args)?;
    reclaim::later(context.keyspace.clear_all());
    reply.ok();
    Ok(())
}

fn flush_selected(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    check_mode(args)?;
    reclaim::later(context.keyspace.clear());
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::ids::DatabaseNo;

    #[test]
    fn nothing_is_left() {
        Bench::new().expect(&[
            ("MSET a 1 b 2", "+OK|"),
            ("FLUSHALL FOO", "-ERR syntax error|"),
            ("FLUSHALL SYNC ASYNC", "-ERR syntax error|"),
            ("DBSIZE", ":2|"),
            ("FLUSHALL async", "+OK|"),
            ("DBSIZE", ":0|"),
            ("SET a 1", "+OK|"),
            ("FLUSHDB", "+OK|"),
            ("GET a", "$-1|"),
        ]);
    }

    #[test]
    fn one_database_or_all() {
        let mut bench = Bench::new();
        let mut run = |database, line: &str| {
            bench.database = DatabaseNo(database);
            let reply = bench.run(line);
            bench.keyspace.check_invariants();
            reply
        };
        for database in 0..4 {
            assert_eq!(run(database, "MSET a 1 b 2"), "+OK|");
        }
        assert_eq!(
            (run(2, "FLUSHDB"), run(2, "DBSIZE"), run(3, "DBSIZE")),
            ("+OK|".into(), ":0|".into(), ":2|".into())
        );
        assert_eq!(
            (run(0, "FLUSHDB"), run(0, "DBSIZE"), run(1, "DBSIZE")),
            ("+OK|".into(), ":0|".into(), ":2|".into())
        );
        assert_eq!(
            (run(0, "FLUSHALL"), run(1, "DBSIZE"), run(3, "DBSIZE")),
            ("+OK|".into(), ":0|".into(), ":0|".into())
        );
    }
}
