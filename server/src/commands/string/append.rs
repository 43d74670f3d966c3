//! APPEND: <https://redis.io/docs/latest/commands/append/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// APPEND key value
pub static APPEND: CommandSpec = CommandSpec {
    name: "append",
    id: 12,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "2.0.0",
    complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already \
                 present value is of any size, since the dynamic string library used by Redis will double the free \
                 space available on every reallocation.",
    summary: "Appends a string to the value of a key. Creates the key if it doesn't exist.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (key, value) = (&args[1], &args[2]);
    let most = context.keyspace.limits().string_bytes as usize;
    let length = match context.string_for_write(key, <[u8]>::len)? {
        Some(old) => {
            let length = old + value.len();
            if length > most {
                return Err(CommandError::StringTooLong);
            }
            context.keyspace.edit_string(key, length, context.touch, |bytes| bytes[old..].copy_from_slice(value));
            length
        }
        None => {
            context.keyspace.set_string(key, value, Deadline::Clear, context.touch);
            value.len()
        }
    };
    reply.integer(length as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::keyspace::collections::limits::Limits;

    #[test]
    fn values_grow_as_far_as_they_may() {
        let mut bench = Bench::new();
        let limits = Limits { string_bytes: 5, ..Limits::DEFAULT };
        bench.keyspace.set_limits(limits);
        let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|";
        bench.expect(&[
            ("APPEND k abc", ":3|"),
            ("APPEND k def", too_long),
            ("APPEND k de", ":5|"),
            ("SETRANGE k 4 xy", too_long),
            ("SETRANGE k 3 xy", ":5|"),
            ("SETRANGE n 5 x", too_long),
            ("EXISTS n", ":0|"),
            ("GET k", "$5|abcxy|"),
            ("SETBIT k 40 1", "-ERR bit offset is not an integer or out of range|"),
            ("SETBIT k 39 1", ":1|"),
            ("GETBIT k 40", "-ERR bit offset is not an integer or out of range|"),
            ("BITFIELD k GET u8 40", "-ERR bit offset is not an integer or out of range|"),
        ]);
    }

    #[test]
    fn values_grow_and_keep_their_deadline() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("APPEND k ab", ":2|"),
            ("PEXPIRE k 9", ":1|"),
            ("APPEND k cd", ":4|"),
            ("GET k", "$4|abcd|"),
            ("PTTL k", ":9|"),
        ]);
        bench.now += 9;
        bench.expect(&[("APPEND k x", ":1|"), ("PTTL k", ":-1|")]);
    }
}
