//! SETBIT: <https://redis.io/docs/latest/commands/setbit/>

use super::offset::bit_offset;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SETBIT key offset value
pub static SETBIT: CommandSpec = CommandSpec {
    name: "setbit",
    id: 40,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::Bitmap,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
    handler: Handler::Write(apply),
};

const NOT_A_BIT: CommandError = CommandError::text("ERR bit is not an integer or out of range");

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[1];
    let offset = bit_offset(&args[2], context.keyspace.limits().string_bytes)?;
    let set = match &args[3] {
        b"0" => false,
        b"1" => true,
        _ => return Err(NOT_A_BIT),
    };
    let (at, mask) = ((offset / 8) as usize, 0x80 >> (offset % 8));
    let old =
        context.string_for_write(key, |bytes| (bytes.len(), bytes.get(at).is_some_and(|byte| byte & mask != 0)))?;
    if old.is_none() {
        context.keyspace.set_string(key, b"", Deadline::Clear, context.touch);
    }
    let (length, was_set) = old.unwrap_or((0, false));
    if at < length && was_set == set {
        // No change for those who watch the key, and nothing to write.
        context.keyspace.get(key, context.now, context.touch);
    } else {
        context.keyspace.edit_string(key, length.max(at + 1), context.touch, |bytes| {
            bytes[at] = if set { bytes[at] | mask } else { bytes[at] & !mask };
        });
    }
    reply.integer(i64::from(was_set));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::keyspace::WatchToken;
    use std::sync::atomic::Ordering;

    #[test]
    fn strings_grow_to_the_bit() {
        Bench::new().expect(&[
            ("SETBIT k 7 1", ":0|"),
            ("GET k", "$1|\u{1}|"),
            ("SETBIT k 7 1", ":1|"),
            ("SETBIT k 7 0", ":1|"),
            ("SETBIT k 23 0", ":0|"),
            ("STRLEN k", ":3|"),
            ("PEXPIRE k 9", ":1|"),
            ("SETBIT k 0 1", ":0|"),
            ("PTTL k", ":9|"),
            ("SETBIT k 4294967296 1", "-ERR bit offset is not an integer or out of range|"),
            ("SETBIT k -1 1", "-ERR bit offset is not an integer or out of range|"),
            ("SETBIT x 0 2", "-ERR bit is not an integer or out of range|"),
            ("SETBIT x 0 01", "-ERR bit is not an integer or out of range|"),
            ("EXISTS x", ":0|"),
        ]);
    }

    #[test]
    fn a_bit_that_stays_is_no_change() {
        let mut bench = Bench::new();
        bench.run("SETBIT k 7 1");
        let token = WatchToken::default();
        bench.keyspace.watch(b"k", &token);
        bench.expect(&[("SETBIT k 7 1", ":1|"), ("SETBIT k 6 0", ":0|")]);
        assert!(!token.load(Ordering::Relaxed));
        bench.run("SETBIT k 8 0");
        assert!(token.load(Ordering::Relaxed), "it grew");
    }
}
