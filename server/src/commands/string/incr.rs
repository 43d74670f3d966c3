//! INCR, INCRBY, DECR and DECRBY: <https://redis.io/docs/latest/commands/incr/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

const FLAGS: Flags = Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST);

/// INCR key
pub static INCR: CommandSpec = CommandSpec {
    name: "incr",
    id: 17,
    arity: Arity::Exactly(2),
    flags: FLAGS,
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
    handler: Handler::Write(|context, args, reply| add(context, &args[1], 1, reply)),
};

/// INCRBY key increment
pub static INCRBY: CommandSpec = CommandSpec {
    name: "incrby",
    id: 18,
    arity: Arity::Exactly(3),
    flags: FLAGS,
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
    handler: Handler::Write(|context, args, reply| add(context, &args[1], number::integer(&args[2])?, reply)),
};

/// DECR key
pub static DECR: CommandSpec = CommandSpec {
    name: "decr",
    id: 20,
    arity: Arity::Exactly(2),
    flags: FLAGS,
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
    handler: Handler::Write(|context, args, reply| add(context, &args[1], -1, reply)),
};

/// DECRBY key decrement
pub static DECRBY: CommandSpec = CommandSpec {
    name: "decrby",
    id: 21,
    arity: Arity::Exactly(3),
    flags: FLAGS,
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
    handler: Handler::Write(decrby),
};

fn decrby(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let decrement = number::integer(&args[2])?;
    let increment = decrement.checked_neg().ok_or(CommandError::text("ERR decrement would overflow"))?;
    add(context, &args[1], increment, reply)
}

fn add(context: &mut Context<'_>, key: &[u8], increment: i64, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let old = context.string_for_write(key, number::parse_i64)?;
    let old = old.map_or(Ok(0), |number| number.ok_or(CommandError::NotInteger))?;
    let sum = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    let mut digits = itoa::Buffer::new();
    context.keyspace.set_string(key, digits.format(sum).as_bytes(), Deadline::Keep, context.touch);
    reply.integer(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn numbers_count_within_64_bits() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("INCR n", ":1|"),
            ("PEXPIRE n 9", ":1|"),
            ("INCRBY n 41", ":42|"),
            ("PTTL n", ":9|"),
            ("DECR n", ":41|"),
            ("DECRBY n -1", ":42|"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow|"),
            ("INCRBY n 9223372036854775807", "-ERR increment or decrement would overflow|"),
            ("INCRBY n 1.0", "-ERR value is not an integer or out of range|"),
            ("GET n", "$2|42|"),
            ("SET s 01", "+OK|"),
            ("INCR s", "-ERR value is not an integer or out of range|"),
        ]);
        bench.now += 9;
        bench.expect(&[("DECR n", ":-1|"), ("PTTL n", ":-1|")]);
    }
}
