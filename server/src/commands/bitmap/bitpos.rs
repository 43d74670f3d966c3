//! BITPOS: <https://redis.io/docs/latest/commands/bitpos/>

use super::bits::{self, BitRange, Unit};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// BITPOS key bit [start [end [BYTE | BIT]]]
pub static BITPOS: CommandSpec = CommandSpec {
    name: "bitpos",
    id: 43,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Bitmap,
    since: "2.8.7",
    complexity: "O(N)",
    summary: "Finds the first set (1) or clear (0) bit in a string.",
    handler: Handler::Read(read),
};

const NOT_A_BIT: CommandError = CommandError::text("ERR The bit argument must be 1 or 0.");

/// The range, and whether its end was given.
fn parse(args: Args<'_>) -> Result<(BitRange, bool), CommandError> {
    let start = if args.len() > 3 { number::integer(&args[3])? } else { 0 };
    // Redis looks at the unit before the end.
    let unit = if args.len() == 6 { Unit::parse(&args[5])? } else { Unit::Byte };
    let end = if args.len() > 4 { number::integer(&args[4])? } else { -1 };
    Ok((BitRange { start, end, unit }, args.len() > 4))
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = match number::integer(&args[2])? {
        0 => false,
        1 => true,
        _ => return Err(NOT_A_BIT),
    };
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let (range, end_given) = parse(args)?;
    let position = match context.read_string(&args[1])? {
        None => (!set).then_some(0),
        Some(value) => {
            let range = range.bits(value.len());
            let found = bits::find(value, range.clone(), set);
            // Without an end, a string goes on with zeros.
            found.or((!set && !end_given && !range.is_empty()).then_some(range.end))
        }
    };
    reply.integer(position.map_or(-1, |position| position as i64));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn the_first_bit_is_found() {
        let mut bench = Bench::new();
        bench.keyspace.set_string(b"k", b"\xff\xf0\0", crate::keyspace::Deadline::Clear, None);
        bench.keyspace.set_string(b"ones", b"\xff\xff", crate::keyspace::Deadline::Clear, None);
        bench.keyspace.set_string(b"empty", b"", crate::keyspace::Deadline::Clear, None);
        bench.expect(&[
            ("BITPOS k 0", ":12|"),
            ("BITPOS k 1", ":0|"),
            ("BITPOS k 1 2", ":-1|"),
            ("BITPOS k 0 0 0", ":-1|"),
            ("BITPOS k 0 2 -1 BYTE", ":16|"),
            ("BITPOS k 1 7 15 BIT", ":7|"),
            ("BITPOS k 0 7 11 BIT", ":-1|"),
            ("BITPOS ones 0", ":16|"),
            ("BITPOS ones 0 1", ":16|"),
            ("BITPOS ones 0 2", ":-1|"),
            ("BITPOS ones 0 0 -1", ":-1|"),
            ("BITPOS empty 0", ":-1|"),
            ("BITPOS x 0", ":0|"),
            ("BITPOS x 1", ":-1|"),
            ("BITPOS x 2", "-ERR The bit argument must be 1 or 0.|"),
            ("BITPOS x a", "-ERR value is not an integer or out of range|"),
            ("BITPOS k 0 0 a FOO", "-ERR syntax error|"),
            ("BITPOS k 0 0 1 BIT x", "-ERR syntax error|"),
        ]);
    }
}
