//! GETBIT: <https://redis.io/docs/latest/commands/getbit/>

use super::offset::bit_offset;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GETBIT key offset
pub static GETBIT: CommandSpec = CommandSpec {
    name: "getbit",
    id: 41,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Bitmap,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Returns a bit value by offset.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let offset = bit_offset(&args[2], context.keyspace.limits().string_bytes)?;
    let value = context.read_string(&args[1])?.unwrap_or_default();
    let byte = value.get((offset / 8) as usize).copied().unwrap_or(0);
    reply.integer(i64::from(byte >> (7 - offset % 8) & 1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn beyond_the_end_are_zeros() {
        Bench::new().expect(&[
            ("SET k a", "+OK|"),
            ("GETBIT k 0", ":0|"),
            ("GETBIT k 1", ":1|"),
            ("GETBIT k 7", ":1|"),
            ("GETBIT k 8", ":0|"),
            ("GETBIT k 4294967295", ":0|"),
            ("GETBIT x 0", ":0|"),
            ("GETBIT k 4294967296", "-ERR bit offset is not an integer or out of range|"),
        ]);
    }
}
