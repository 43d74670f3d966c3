//! MOVE: <https://redis.io/docs/latest/commands/move/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// MOVE key db
pub static MOVE: CommandSpec = CommandSpec {
    name: "move",
    id: 124,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Moves a key to another database.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[1];
    let database = context.database(&args[2])?;
    if database == context.keyspace.database() {
        return Err(CommandError::SameObject);
    }
    let moved = context.exists_for_write(key) && !context.in_database(database, |there| there.exists_for_write(key));
    if moved {
        context.move_item_to(key, database);
    }
    reply.integer(i64::from(moved));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::ids::DatabaseNo;

    #[test]
    fn a_key_goes_where_there_is_none() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SET a 1 PX 7", "+OK|"),
            ("RPUSH l 1 2", ":2|"),
            ("MOVE a 16", "-ERR DB index is out of range|"),
            ("MOVE a 0", "-ERR source and destination objects are the same|"),
            ("MOVE a x", "-ERR value is not an integer or out of range|"),
            ("MOVE x 1", ":0|"),
            ("MOVE a 1", ":1|"),
            ("MOVE l 1", ":1|"),
            ("DBSIZE", ":0|"),
            ("SET a 2", "+OK|"),
            ("MOVE a 1", ":0|"),
        ]);
        bench.database = DatabaseNo(1);
        bench.expect(&[("PTTL a", ":7|"), ("LRANGE l 0 -1", "*2|$1|1|$1|2|"), ("MOVE a 0", ":0|")]);
        bench.now += 7;
        bench.database = DatabaseNo(0);
        bench.expect(&[("MOVE a 1", ":1|"), ("GET a", "$-1|")]);
        bench.database = DatabaseNo(1);
        bench.expect(&[("GET a", "$1|2|"), ("TTL a", ":-1|")]);
        bench.keyspace.check_invariants();
    }
}
