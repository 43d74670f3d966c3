//! GETRANGE and its older name SUBSTR: <https://redis.io/docs/latest/commands/getrange/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use std::ops::Range;

/// GETRANGE key start end
pub static GETRANGE: CommandSpec = CommandSpec {
    name: "getrange",
    id: 14,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::String,
    since: "2.4.0",
    complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the \
                 returned length, but because creating a substring from an existing string is very cheap, it can be \
                 considered O(1) for small strings.",
    summary: "Returns a substring of the string stored at a key.",
    handler: Handler::Read(read),
};

/// SUBSTR key start end
pub static SUBSTR: CommandSpec = CommandSpec {
    name: "substr",
    id: 15,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the \
                 returned length, but because creating a substring from an existing string is very cheap, it can be \
                 considered O(1) for small strings.",
    summary: "Returns a substring from a string value.",
    handler: Handler::Read(read),
};

/// The bytes from `start` to `end`, both included, both from the end if negative, of a string of `length`.
fn range(length: usize, start: i64, end: i64) -> Range<usize> {
    if length == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let absolute = |at: i64| if at < 0 { at.saturating_add_unsigned(length as u64).max(0) } else { at } as usize;
    let (start, end) = (absolute(start), absolute(end).min(length - 1));
    if start > end { 0..0 } else { start..end + 1 }
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (start, end) = (number::integer(&args[2])?, number::integer(&args[3])?);
    let value = context.read_string(&args[1])?.unwrap_or_default();
    reply.bulk(&value[range(value.len(), start, end)]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn ranges_are_cut_to_the_string() {
        let mut bench = Bench::new();
        bench.run("SET k abcdef");
        for (start, end, bytes) in [
            (0, 2, "abc"),
            (-3, -1, "def"),
            (4, 100, "ef"),
            (6, 10, ""),
            (3, 2, ""),
            (-2, -3, ""),
            (-100, -200, ""),
            // Redis: an end before the beginning is the first byte.
            (0, -100, "a"),
            (i64::MIN, i64::MAX, "abcdef"),
        ] {
            let reply = format!("${}|{bytes}|", bytes.len());
            assert_eq!(bench.run(&format!("GETRANGE k {start} {end}")), reply, "{start} {end}");
        }
        bench.expect(&[
            ("SUBSTR k 1 1", "$1|b|"),
            ("GETRANGE x 0 -1", "$0||"),
            ("GETRANGE x a -1", "-ERR value is not an integer or out of range|"),
        ]);
    }
}
