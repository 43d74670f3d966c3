//! GETEX: <https://redis.io/docs/latest/commands/getex/>

use super::expiry::Expiry;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]
pub static GETEX: CommandSpec = CommandSpec {
    name: "getex",
    id: 8,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Returns the string value of a key after setting its expiration time.",
    handler: Handler::Write(apply),
};

/// The expiry asked for, and whether PERSIST was.
fn parse(args: Args<'_>) -> Result<(Option<Expiry<'_>>, bool), CommandError> {
    let (mut expiry, mut persist) = (None, false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"PERSIST") && expiry.is_none() {
            persist = true;
        } else if persist {
            return Err(CommandError::Syntax);
        } else {
            expiry = Some(Expiry::parse(word, words.next(), expiry)?);
        }
    }
    Ok((expiry, persist))
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[1];
    let (expiry, persist) = parse(args.from(2))?;
    let now = context.now;
    let Some(value) = context.read_string(key)? else {
        // Redis looks at the expire time only where there is a key to give it to.
        reply.null();
        return Ok(());
    };
    let deadline = expiry.map(|expiry| expiry.deadline(now, "getex")).transpose()?;
    reply.bulk(value);
    match deadline {
        Some(at) => context.store_deadline(key, at),
        None if persist => {
            context.clear_deadline(key);
        }
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn reads_and_sets_the_deadline() {
        Bench::new().expect(&[
            ("GETEX k EX 0", "$-1|"),
            ("SET k v", "+OK|"),
            ("GETEX k EX 10", "$1|v|"),
            ("PTTL k", ":10000|"),
            ("GETEX k", "$1|v|"),
            ("PTTL k", ":10000|"),
            ("GETEX k PXAT 1700000000007", "$1|v|"),
            ("PTTL k", ":7|"),
            ("GETEX k persist", "$1|v|"),
            ("PTTL k", ":-1|"),
            ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command|"),
            ("GETEX k EX a", "-ERR value is not an integer or out of range|"),
            ("GETEX k EX 1 PERSIST", "-ERR syntax error|"),
            ("GETEX k PERSIST EX 1", "-ERR syntax error|"),
            ("GETEX k KEEPTTL", "-ERR syntax error|"),
            ("GETEX k NX", "-ERR syntax error|"),
            ("GETEX k EXAT 1", "$1|v|"),
            ("EXISTS k", ":0|"),
        ]);
    }
}
