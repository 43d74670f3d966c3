//! MIGRATED: the end of MIGRATE, as a mutation.

use crate::commands::generic::dump;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// MIGRATED key fingerprint deadline
pub static MIGRATED: CommandSpec = CommandSpec {
    name: "migrated",
    id: 0xFF02,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: KeySpec::at(1),
    family: Family::Generic,
    since: "internal",
    complexity: "O(N) where N is the size of the value.",
    summary: "Removes a key that another server has, if it is still what was sent.",
    handler: Handler::Write(apply),
};

/// Answers 1 where the key is gone now, 0 where it was changed or deleted since it was read. One that is due was due at
/// the other server, too.
fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[1];
    let deadline = u64::try_from(number::integer(&args[3])?).ok();
    let (now, seed) = (context.now, context.keyspace.seed());
    let is_the_same = context.item_for_write(key, |item| {
        item.deadline == deadline && dump::fingerprint(seed, &dump::payload(item.value)) == args[2]
    });
    let gone = match is_the_same {
        None => deadline.is_some_and(|deadline| deadline <= now),
        Some(same) => same && context.keyspace.remove(key),
    };
    reply.integer(i64::from(gone));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    fn migrated(bench: &mut Bench, key: &str, sent: &[u8], deadline: i64) -> String {
        let fingerprint = dump::fingerprint(bench.keyspace.seed(), sent);
        bench.call_args(&MIGRATED, &[b"MIGRATED", key.as_bytes(), &fingerprint, deadline.to_string().as_bytes()])
    }

    #[test]
    fn only_what_was_sent_goes() {
        let mut bench = Bench::new();
        bench.expect(&[("SET s 1", "+OK|"), ("RPUSH l a b", ":2|"), ("SET t 1 PX 50", "+OK|")]);
        let payload = |bench: &mut Bench, key: &str| {
            let now = bench.now;
            dump::payload(bench.keyspace.get(key.as_bytes(), now, None).unwrap().value)
        };
        let (string, list) = (payload(&mut bench, "s"), payload(&mut bench, "l"));
        let deadline = bench.now as i64 + 50;
        bench.expect(&[("RPUSH l c", ":3|")]);
        assert_eq!(migrated(&mut bench, "l", &list, -1), ":0|");
        assert_eq!(migrated(&mut bench, "t", &string, -1), ":0|");
        assert_eq!(migrated(&mut bench, "s", &list, -1), ":0|");
        bench.expect(&[("RPOP l", "$1|c|"), ("EXISTS l s t", ":3|")]);
        assert_eq!(migrated(&mut bench, "l", &list, -1), ":1|");
        assert_eq!(migrated(&mut bench, "s", &string, -1), ":1|");
        assert_eq!(migrated(&mut bench, "s", &string, -1), ":0|");
        bench.now += 50;
        assert_eq!(migrated(&mut bench, "t", &string, deadline), ":1|");
        assert!(bench.keyspace.is_empty());
    }
}
