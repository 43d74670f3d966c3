//! HINCRBY: <https://redis.io/docs/latest/commands/hincrby/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HINCRBY key field increment
pub static HINCRBY: CommandSpec = CommandSpec {
    name: "hincrby",
    id: 140,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
    handler: Handler::Write(apply),
};

const NOT_INTEGER: CommandError = CommandError::text("ERR hash value is not an integer");

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let increment = number::integer(&args[3])?;
    let sum = context.edit_hash(&args[1], OrCreate::Yes, |hash| {
        let old = match hash.read().get(&args[2]) {
            Some(value) => number::parse_i64(value.bytes(&mut Default::default())).ok_or(NOT_INTEGER)?,
            None => 0,
        };
        let sum = old.checked_add(increment).ok_or(CommandError::Overflow)?;
        hash.set_keeping(&args[2], itoa::Buffer::new().format(sum).as_bytes());
        Ok(sum)
    })?;
    reply.integer(sum.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn fields_count_within_64_bits() {
        Bench::new().expect(&[
            ("HINCRBY h a 5", ":5|"),
            ("HINCRBY h a -7", ":-2|"),
            ("HINCRBY h a 9223372036854775807", ":9223372036854775805|"),
            ("HINCRBY h a 9", "-ERR increment or decrement would overflow|"),
            ("HINCRBY h a x", "-ERR value is not an integer or out of range|"),
            ("HSET h b x", ":1|"),
            ("HINCRBY h b 1", "-ERR hash value is not an integer|"),
            ("HINCRBY x b x", "-ERR value is not an integer or out of range|"),
            ("EXISTS x", ":0|"),
        ]);
    }
}
