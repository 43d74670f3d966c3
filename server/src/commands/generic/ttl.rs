//! TTL, PTTL, EXPIRETIME and PEXPIRETIME: <https://redis.io/docs/latest/commands/ttl/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

macro_rules! spec {
    ($(#[$doc:meta])* $static:ident, $name:literal, $id:literal, $since:literal, $show:expr, $summary:literal) => {
        $(#[$doc])*
        pub static $static: CommandSpec = CommandSpec {
            name: $name,
            id: $id,
            arity: Arity::Exactly(2),
            flags: Flags::READONLY.union(Flags::FAST),
            keys: KeySpec::at(1),
            family: Family::Generic,
            since: $since,
            complexity: "O(1)",
            summary: $summary,
            handler: Handler::Read(|context, args, reply| read(context, args, reply, $show)),
        };
    };
}

spec!(
    /// TTL key
    TTL, "ttl", 73, "1.0.0", |at, now| in_seconds(at.saturating_sub(now)),
    "Returns the expiration time in seconds of a key."
);
spec!(
    /// PTTL key
    PTTL, "pttl", 74, "2.6.0", |at, now| at.saturating_sub(now),
    "Returns the expiration time in milliseconds of a key."
);
spec!(
    /// EXPIRETIME key
    EXPIRETIME, "expiretime", 75, "7.0.0", |at, _| in_seconds(at),
    "Returns the expiration time of a key as a Unix timestamp."
);
spec!(
    /// PEXPIRETIME key
    PEXPIRETIME, "pexpiretime", 76, "7.0.0", |at, _| at,
    "Returns the expiration time of a key as a Unix milliseconds timestamp."
);

/// Redis rounds to the nearest second.
fn in_seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

fn read(
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
    show: fn(u64, u64) -> u64,
) -> Result<(), CommandError> {
    let now = context.now;
    reply.integer(match context.peek(&args[1]).map(|item| item.deadline) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => i64::try_from(show(at, now)).unwrap_or(i64::MAX),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn seconds_are_rounded() {
        Bench::new().expect(&[
            ("TTL k", ":-2|"),
            ("SET k v", "+OK|"),
            ("EXPIRETIME k", ":-1|"),
            ("PEXPIRE k 1499", ":1|"),
            ("TTL k", ":1|"),
            ("PTTL k", ":1499|"),
            ("EXPIRETIME k", ":1700000001|"),
            ("PEXPIRETIME k", ":1700000001499|"),
            ("PEXPIRE k 1500", ":1|"),
            ("TTL k", ":2|"),
        ]);
    }
}
