//! INCRBYFLOAT: <https://redis.io/docs/latest/commands/incrbyfloat/>

use crate::commands::extended::Extended;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// INCRBYFLOAT key increment
pub static INCRBYFLOAT: CommandSpec = CommandSpec {
    name: "incrbyfloat",
    id: 19,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "2.6.0",
    complexity: "O(1)",
    summary: "Increment the floating point value of a key by a number. \
              Uses 0 as initial value if the key doesn't exist.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let old = context.string_for_write(&args[1], Extended::parse)?.unwrap_or(Some(Extended::ZERO));
    let (Some(old), Some(increment)) = (old, Extended::parse(&args[2])) else { return Err(CommandError::NotFloat) };
    let sum = old.checked_add(increment).ok_or(CommandError::NotFinite)?.to_text();
    context.keyspace.set_string(&args[1], &sum, Deadline::Keep, context.touch);
    reply.bulk(&sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn sums_are_printed_in_full() {
        Bench::new().expect(&[
            ("SET n 10.50", "+OK|"),
            ("EXPIRE n 9", ":1|"),
            ("INCRBYFLOAT n 0.1", "$4|10.6|"),
            ("INCRBYFLOAT n -5", "$3|5.6|"),
            ("TTL n", ":9|"),
            ("SET n 5.0e3", "+OK|"),
            ("INCRBYFLOAT n 2.0e2", "$4|5200|"),
            ("INCRBYFLOAT x 3.0", "$1|3|"),
            ("INCRBYFLOAT x abc", "-ERR value is not a valid float|"),
            ("INCRBYFLOAT x inf", "-ERR increment would produce NaN or Infinity|"),
            ("SET s abc", "+OK|"),
            ("INCRBYFLOAT s 1", "-ERR value is not a valid float|"),
        ]);
    }
}
