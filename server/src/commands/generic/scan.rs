//! SCAN: <https://redis.io/docs/latest/commands/scan/>
//!
//! A cursor names a partition and a position within it; `dispatch` takes it apart and puts it together. What runs here
//! is one step within one partition: `SCAN position [options]`, answered with `[next position, [keys]]`, next being 0
//! at the partition's end.

use super::keys::KeyFilter;
use super::type_::type_name;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::Keyspace;
use crate::limits::SCAN_COUNT_MAX;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub static SCAN: CommandSpec = CommandSpec {
    name: "scan",
    id: 83,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::None,
    family: Family::Generic,
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to \
                 return back to 0. N is the number of elements inside the collection.",
    summary: "Iterates over the key names in the database.",
    handler: Handler::Scan(step),
};

/// Items visited in one step unless COUNT says otherwise.
pub const COUNT_DEFAULT: usize = 10;
const NOVALUES: CommandError = CommandError::text("ERR NOVALUES option can only be used in HSCAN");

/// Reads a cursor as Redis does: a number below 2^64.
///
/// # Errors
/// `ERR invalid cursor`
pub fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(CommandError::InvalidCursor)
}

struct Options<'a> {
    filter: KeyFilter<'a>,
    count: usize,
    kind: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self { filter: KeyFilter::all(), count: COUNT_DEFAULT, kind: None };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"NOVALUES") {
                return Err(NOVALUES);
            }
            let Some(value) = words.next() else { return Err(CommandError::Syntax) };
            if word.eq_ignore_ascii_case(b"COUNT") {
                let count = number::integer(value)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(CommandError::Syntax)?;
                options.count = count.min(SCAN_COUNT_MAX);
            } else if word.eq_ignore_ascii_case(b"MATCH") {
                options.filter = KeyFilter::new(value);
            } else if word.eq_ignore_ascii_case(b"TYPE") {
                options.kind = Some(value);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

fn step(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let position = parse_cursor(&args[1])?;
    let options = Options::parse(args.from(2))?;
    let mut keys = ReplyBuffer::new(reply.version());
    let mut found = 0;
    let mut next = 0;
    // No SCAN gives out a position beyond the last one; like Redis, take it as it comes.
    if position >> Keyspace::SCAN_BITS == 0 {
        next = context.keyspace.scan(position, options.count, context.now, &mut |key, item| {
            let kind_matches =
                options.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(type_name(item.value).as_bytes()));
            if kind_matches && options.filter.allows(key) {
                keys.bulk(key);
                found += 1;
            }
        });
    }
    reply.array_header(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array_header(found);
    reply.raw(keys.as_slice());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn every_key_is_met() {
        let mut bench = Bench::new();
        for key in 0..100 {
            bench.run(&format!("SET key{key} v"));
        }
        let (mut position, mut seen, mut steps) = (String::from("0"), Vec::new(), 0);
        loop {
            let reply = bench.run(&format!("SCAN {position} COUNT 7 MATCH key* TYPE STRING"));
            let parts: Vec<&str> = reply.split('|').collect();
            position = parts[2].into();
            seen.extend(parts[4..].iter().filter(|part| part.starts_with("key")).map(|key| key.to_string()));
            steps += 1;
            if position == "0" {
                break;
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), steps), (100, 15));
    }

    #[test]
    fn options_are_checked() {
        Bench::new().expect(&[
            ("SET k v", "+OK|"),
            ("SCAN 0", "*2|$1|0|*1|$1|k|"),
            ("SCAN 0 MATCH x*", "*2|$1|0|*0|"),
            ("SCAN 0 TYPE hash", "*2|$1|0|*0|"),
            ("SCAN 18446744073709551615", "*2|$1|0|*0|"),
            ("SCAN x", "-ERR invalid cursor|"),
            ("SCAN x COUNT x", "-ERR invalid cursor|"),
            ("SCAN 18446744073709551616", "-ERR invalid cursor|"),
            ("SCAN 0 COUNT 0", "-ERR syntax error|"),
            ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range|"),
            ("SCAN 0 COUNT", "-ERR syntax error|"),
            ("SCAN 0 FOO 1", "-ERR syntax error|"),
            ("SCAN 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN|"),
        ]);
        assert_eq!(parse_cursor(b"9223372036854775807"), Ok(u64::MAX / 2));
    }
}
