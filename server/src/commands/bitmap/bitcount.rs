//! BITCOUNT: <https://redis.io/docs/latest/commands/bitcount/>

use super::bits::{self, BitRange, Unit};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// BITCOUNT key [start end [BYTE | BIT]]
pub static BITCOUNT: CommandSpec = CommandSpec {
    name: "bitcount",
    id: 42,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Bitmap,
    since: "2.6.0",
    complexity: "O(N)",
    summary: "Counts the number of set bits (population counting) in a string.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let range = match args.len() {
        2 => BitRange { start: 0, end: -1, unit: Unit::Byte },
        4 | 5 => BitRange::parse(&args[2], &args[3], (args.len() == 5).then(|| &args[4]))?,
        _ => return Err(CommandError::Syntax),
    };
    let value = context.read_string(&args[1])?.unwrap_or_default();
    let backwards = range.start < 0 && range.end < 0 && range.start > range.end;
    let count = if backwards { 0 } else { bits::count(value, range.bits(value.len())) };
    reply.integer(count as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn bits_are_counted_by_bytes_or_bits() {
        Bench::new().expect(&[
            ("SET k foobar", "+OK|"),
            ("BITCOUNT k", ":26|"),
            ("BITCOUNT k 0 0", ":4|"),
            ("BITCOUNT k 1 1", ":6|"),
            ("BITCOUNT k 1 1 byte", ":6|"),
            ("BITCOUNT k 5 30 BIT", ":17|"),
            ("BITCOUNT k -2 -1", ":7|"),
            ("BITCOUNT k 0 -100", ":4|"),
            ("BITCOUNT k -1 -2", ":0|"),
            ("BITCOUNT k -100 -200", ":0|"),
            ("BITCOUNT x 0 -1 BIT", ":0|"),
            ("BITCOUNT k 0", "-ERR syntax error|"),
            ("BITCOUNT k 0 1 HELLO", "-ERR syntax error|"),
            ("BITCOUNT x 0 a BIT", "-ERR value is not an integer or out of range|"),
        ]);
    }
}
