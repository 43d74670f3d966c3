//! SETEX and PSETEX: <https://redis.io/docs/latest/commands/setex/>

use super::expiry::Expiry;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SETEX key seconds value
pub static SETEX: CommandSpec = CommandSpec {
    name: "setex",
    id: 4,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
    handler: Handler::Write(|context, args, reply| apply(context, args, reply, Expiry::Seconds, "setex")),
};

/// PSETEX key milliseconds value
pub static PSETEX: CommandSpec = CommandSpec {
    name: "psetex",
    id: 5,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Sets both string value and expiration time in milliseconds of a key. \
              The key is created if it doesn't exist.",
    handler: Handler::Write(|context, args, reply| apply(context, args, reply, Expiry::Milliseconds, "psetex")),
};

fn apply<'a>(
    context: &mut Context<'_>,
    args: Args<'a>,
    reply: &mut ReplyBuffer,
    unit: fn(&'a [u8]) -> Expiry<'a>,
    command: &'static str,
) -> Result<(), CommandError> {
    let ttl = args.get(2).unwrap_or_default();
    let deadline = unit(ttl).deadline(context.now, command)?;
    context.store_string(&args[1], &args[3], Deadline::At(deadline));
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn value_and_deadline_together() {
        Bench::new().expect(&[
            ("SETEX k 10 v", "+OK|"),
            ("PTTL k", ":10000|"),
            ("PSETEX k 10 w", "+OK|"),
            ("PTTL k", ":10|"),
            ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command|"),
            ("PSETEX k -1 v", "-ERR invalid expire time in 'psetex' command|"),
            ("SETEX k x v", "-ERR value is not an integer or out of range|"),
            ("GET k", "$1|w|"),
        ]);
    }
}
