//! SWAPDB: <https://redis.io/docs/latest/commands/swapdb/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SWAPDB index1 index2
pub static SWAPDB: CommandSpec = CommandSpec {
    name: "swapdb",
    id: 125,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::None,
    family: Family::Server,
    since: "4.0.0",
    complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
    summary: "Swaps two Redis databases.",
    handler: Handler::WriteAll(apply, Fanout::AllOk),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    number::narrow(&args[1]).map_err(|_| CommandError::text("ERR invalid first DB index"))?;
    number::narrow(&args[2]).map_err(|_| CommandError::text("ERR invalid second DB index"))?;
    let (one, other) = (context.database(&args[1])?, context.database(&args[2])?);
    context.keyspace.swap_databases(one, other);
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::ids::DatabaseNo;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn keys_change_places_and_watchers_notice() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SET a 0", "+OK|"),
            ("SWAPDB x 1", "-ERR invalid first DB index|"),
            ("SWAPDB 1 x", "-ERR invalid second DB index|"),
            ("SWAPDB 1 16", "-ERR DB index is out of range|"),
            ("SWAPDB -1 1", "-ERR DB index is out of range|"),
            ("SWAPDB 1 1", "+OK|"),
        ]);
        let tokens: [Arc<AtomicBool>; 4] = Default::default();
        for (number, token) in tokens.iter().enumerate() {
            bench.keyspace.select(DatabaseNo(number as u16 / 2));
            bench.keyspace.watch([&b"a"[..], b"b"][number % 2], token);
        }
        bench.database = DatabaseNo(5);
        bench.expect(&[("SWAPDB 0 1", "+OK|"), ("DBSIZE", ":0|")]);
        assert_eq!(tokens.map(|token| token.load(Ordering::Relaxed)), [true, false, true, false]);
        bench.database = DatabaseNo(1);
        bench.expect(&[("GET a", "$1|0|"), ("SWAPDB 1 0", "+OK|"), ("GET a", "$-1|")]);
        bench.keyspace.check_invariants();
    }
}
