//! HTTL, HPTTL, HEXPIRETIME and HPEXPIRETIME: <https://redis.io/docs/latest/commands/httl/>

use super::field_deadlines::{self, NOT_POSITIVE};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

macro_rules! spec {
    ($(#[$doc:meta])* $static:ident, $name:literal, $id:literal, $show:expr, $summary:literal) => {
        $(#[$doc])*
        pub static $static: CommandSpec = CommandSpec {
            name: $name,
            id: $id,
            arity: Arity::AtLeast(5),
            flags: Flags::READONLY.union(Flags::FAST),
            keys: KeySpec::at(1),
            family: Family::Hash,
            since: "7.4.0",
            complexity: "O(N) where N is the number of specified fields",
            summary: $summary,
            handler: Handler::Read(|context, args, reply| read(context, args, reply, $show)),
        };
    };
}

spec!(
    /// HTTL key FIELDS numfields field [field ...]
    HTTL, "httl", 148, |at, now| in_seconds(at - now), "Returns the TTL in seconds of a hash field."
);
spec!(
    /// HPTTL key FIELDS numfields field [field ...]
    HPTTL, "hpttl", 149, |at, now| at - now, "Returns the TTL in milliseconds of a hash field."
);
spec!(
    /// HEXPIRETIME key FIELDS numfields field [field ...]
    HEXPIRETIME, "hexpiretime", 150, |at, _| in_seconds(at),
    "Returns the expiration time of a hash field as a Unix timestamp, in seconds."
);
spec!(
    /// HPEXPIRETIME key FIELDS numfields field [field ...]
    HPEXPIRETIME, "hpexpiretime", 151, |at, _| at,
    "Returns the expiration time of a hash field as a Unix timestamp, in msec."
);

/// Redis rounds up, unlike for keys.
fn in_seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

fn read(
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
    show: fn(u64, u64) -> u64,
) -> Result<(), CommandError> {
    let now = context.now;
    let hash = context.read_hash(&args[1])?;
    let fields = field_deadlines::fields(args, 2, NOT_POSITIVE)?;
    reply.array_header(fields.len());
    for field in fields.iter() {
        reply.integer(match hash.and_then(|hash| hash.get_timed(field)) {
            None => -2,
            Some((_, None)) => -1,
            Some((_, Some(at))) => i64::try_from(show(at, now)).unwrap_or(i64::MAX),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn seconds_are_rounded_up() {
        Bench::new().expect(&[
            ("HSET h a 1 b 2", ":2|"),
            ("HPEXPIRE h 1001 FIELDS 1 a", "*1|:1|"),
            ("HTTL h FIELDS 3 a b c", "*3|:2|:-1|:-2|"),
            ("HPTTL h FIELDS 1 a", "*1|:1001|"),
            ("HEXPIRETIME h FIELDS 1 a", "*1|:1700000002|"),
            ("HPEXPIRETIME h FIELDS 1 a", "*1|:1700000001001|"),
            ("HTTL x FIELDS 2 a b", "*2|:-2|:-2|"),
            ("HTTL h FIELDS 0 a", "-ERR Number of fields must be a positive integer|"),
            ("HTTL h FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments|"),
            ("HTTL h FIELD 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position|"),
        ]);
    }
}
