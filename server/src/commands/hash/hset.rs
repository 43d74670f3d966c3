//! HSET and HMSET: <https://redis.io/docs/latest/commands/hset/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HSET key field value [field value ...]
pub static HSET: CommandSpec = CommandSpec {
    name: "hset",
    id: 128,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
    summary: "Creates or modifies the value of a field in a hash.",
    handler: Handler::Write(hset),
};

/// HMSET key field value [field value ...]
pub static HMSET: CommandSpec = CommandSpec {
    name: "hmset",
    id: 129,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the number of fields being set.",
    summary: "Sets the values of multiple fields.",
    handler: Handler::Write(hmset),
};

fn hset(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let added = set_all(context, args, "hset")?;
    reply.integer(added);
    Ok(())
}

fn hmset(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    set_all(context, args, "hmset")?;
    reply.ok();
    Ok(())
}

/// Sets every pair and counts the fields that are new.
fn set_all(context: &mut Context<'_>, args: Args<'_>, name: &'static str) -> Result<i64, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name.into()));
    }
    let added = context.edit_hash(&args[1], OrCreate::Yes, |hash| {
        let mut words = args.from(2).iter();
        let mut added = 0;
        while let (Some(field), Some(value)) = (words.next(), words.next()) {
            added += i64::from(hash.set(field, value));
        }
        Ok(added)
    })?;
    Ok(added.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn new_fields_are_counted() {
        Bench::new().expect(&[
            ("HSET h a 1 b 2", ":2|"),
            ("HSET h a 3 c 4", ":1|"),
            ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command|"),
            ("HMSET h a 5 d 6", "+OK|"),
            ("HMSET h a 5 d", "-ERR wrong number of arguments for 'hmset' command|"),
            ("HGETALL h", "*8|$1|a|$1|5|$1|b|$1|2|$1|c|$1|4|$1|d|$1|6|"),
            ("SET s v", "+OK|"),
            ("HSET s a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("TYPE h", "+hash|"),
        ]);
    }

    #[test]
    fn a_deadline_stays() {
        let mut bench = Bench::new();
        bench.expect(&[("HSET h a 1", ":1|"), ("PEXPIRE h 5", ":1|"), ("HSET h a 2", ":0|"), ("PTTL h", ":5|")]);
        bench.now += 5;
        bench.expect(&[("HSET h b 1", ":1|"), ("HGETALL h", "*2|$1|b|$1|1|"), ("PTTL h", ":-1|")]);
    }
}
