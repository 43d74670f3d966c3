//! REAP: expiry by TTL, as a mutation.

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Reaped;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// REAP key [key ...]
pub static REAP: CommandSpec = CommandSpec {
    name: "reap",
    id: 0xFF01,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE,
    keys: KeySpec::from(1, 1),
    family: Family::Generic,
    since: "internal",
    complexity: "O(N) where N is the number of keys.",
    summary: "Removes items, and fields of hashes, that are due.",
    handler: Handler::Write(apply),
};

/// Removes only what is due at the entry's clock: between the leader's look and this entry, another entry may have
/// stored the key anew. Answers how many items went, and how many fields of others.
fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (mut items, mut fields) = (0, 0);
    for key in args.iter().skip(1) {
        match context.keyspace.reap(key, context.now) {
            Reaped::Nothing => {}
            Reaped::Item => items += 1,
            Reaped::Fields(count) => fields += count as i64,
        }
    }
    reply.array_header(2);
    reply.integer(items);
    reply.integer(fields);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use crate::keyspace::Keyspace;

    #[test]
    fn only_what_is_due_goes() {
        let mut bench = Bench::new();
        bench.expect(&[("SET a 1 PX 10", "+OK|"), ("SET b 1 PX 20", "+OK|"), ("SET c 1", "+OK|")]);
        bench.now += 10;
        assert_eq!(bench.call(&REAP, "REAP a b c x"), "*2|:1|:0|");
        assert_eq!(bench.keyspace.len(), 2);
    }

    #[test]
    fn fields_go_in_slices_and_whole_hashes_at_once() {
        const FIELDS: usize = 2 * Keyspace::REAPED_FIELDS_MAX + 88;
        let mut bench = Bench::new();
        for number in 0..FIELDS {
            bench.run(&format!("HSETEX h PX 10 FIELDS 1 f{number} v"));
        }
        bench.expect(&[("COPY h all", ":1|"), ("HSET h stays v", ":1|")]);
        bench.now += 10;
        bench.expect(&[("HLEN h", ":1|"), ("EXISTS all", ":0|")]);
        assert_eq!(bench.keyspace.due(bench.now, 10).len(), 2);
        assert_eq!(bench.call(&REAP, "REAP h all"), "*2|:1|:256|");
        assert_eq!(bench.keyspace.due(bench.now, 10), [(crate::ids::DatabaseNo::FIRST, b"h".to_vec())]);
        let before = bench.keyspace.memory_bytes();
        assert_eq!(bench.call(&REAP, "REAP h"), "*2|:0|:256|");
        assert!(bench.keyspace.memory_bytes() < before);
        assert_eq!(bench.call(&REAP, "REAP h"), "*2|:0|:88|");
        assert_eq!(bench.keyspace.next_deadline(), None);
        bench.expect(&[("HGETALL h", "*2|$5|stays|$1|v|")]);
        bench.keyspace.check_invariants();
    }
}
