//! APPEND: <https://redis.io/docs/latest/commands/append/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use crate::limits::BULK_BYTES_MAX;
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
    let length = match context.string_for_write(key, <[u8]>::len)? {
        Some(old) => {
            let length = old + value.len();
            if length > BULK_BYTES_MAX {
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
