//! LCS: <https://redis.io/docs/latest/commands/lcs/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::ValueRef;
use crate::limits::BULK_BYTES_MAX;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]
pub static LCS: CommandSpec = CommandSpec {
    name: "lcs",
    id: 22,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::String,
    since: "7.0.0",
    complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
    summary: "Finds the longest common substring.",
    handler: Handler::Read(read),
};

const WRONG_TYPE: CommandError = CommandError::text("ERR The specified keys must contain string values");
const BOTH: CommandError = CommandError::text("ERR If you want both the length and indexes, please just use IDX.");
const TOO_LARGE: CommandError =
    CommandError::text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");

#[derive(Debug, Default, Clone, Copy)]
struct Options {
    length: bool,
    indexes: bool,
    match_lengths: bool,
    match_length_min: u64,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"IDX") {
                options.indexes = true;
            } else if word.eq_ignore_ascii_case(b"LEN") {
                options.length = true;
            } else if word.eq_ignore_ascii_case(b"WITHMATCHLEN") {
                options.match_lengths = true;
            } else if word.eq_ignore_ascii_case(b"MINMATCHLEN")
                && let Some(length) = words.next()
            {
                options.match_length_min = u64::try_from(number::integer(length)?).unwrap_or(0);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if options.indexes && options.length { Err(BOTH) } else { Ok(options) }
    }
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut length = |key| match context.read_string(key) {
        Ok(value) => Ok(value.map_or(0, <[u8]>::len)),
        Err(_) => Err(WRONG_TYPE),
    };
    let (a, b) = (length(&args[1])?, length(&args[2])?);
    let options = Options::parse(args.from(3))?;
    // Redis's limit, by the table of u32 that it would allocate; ours is a bit where theirs is four bytes.
    if (a as u64 + 1) * (b as u64 + 1) * 4 > BULK_BYTES_MAX as u64 {
        return Err(TOO_LARGE);
    }
    let a = look_again(context, &args[1]).to_vec();
    let b = look_again(context, &args[2]);
    if options.length {
        reply.integer(i64::from(Table::new(&a, b, false).length));
        return Ok(());
    }
    let table = Table::new(&a, b, true);
    let runs = table.runs(&a, b);
    if options.indexes {
        reply_indexes(&table, &runs, options, reply);
    } else {
        let common: Vec<u8> = runs.iter().rev().flat_map(|run| &a[run.a..run.a + run.length]).copied().collect();
        reply.bulk(&common);
    }
    Ok(())
}

/// The string at `key`, whose type and size were checked; this lookup is not counted again.
fn look_again<'a>(context: &'a mut Context<'_>, key: &[u8]) -> &'a [u8] {
    match context.keyspace.get(key, context.now, None).map(|item| item.value) {
        Some(ValueRef::String(bytes)) => bytes,
        _ => b"",
    }
}

fn reply_indexes(table: &Table, runs: &[Run], options: Options, reply: &mut ReplyBuffer) {
    let long_enough = |run: &&Run| run.length as u64 >= options.match_length_min;
    reply.map_header(2);
    reply.bulk(b"matches");
    reply.array_header(runs.iter().filter(long_enough).count());
    for run in runs.iter().filter(long_enough) {
        reply.array_header(if options.match_lengths { 3 } else { 2 });
        for start in [run.a, run.b] {
            reply.array_header(2);
            reply.integer(start as i64);
            reply.integer((start + run.length - 1) as i64);
        }
        if options.match_lengths {
            reply.integer(run.length as i64);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(table.length));
}

/// A stretch that both strings share: where it begins in each, and its length.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    a: usize,
    b: usize,
    length: usize,
}

/// The usual table of prefix lengths, of which only what the way back needs is kept: one bit a cell.
struct Table {
    /// Length of the longest common subsequence.
    length: u32,
    /// Whether the way back from a cell whose bytes differ goes up (to one byte less of `a`).
    up: Vec<u64>,
    columns: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8], keep: bool) -> Self {
        let columns = b.len();
        let mut up = vec![0u64; if keep { (a.len() * columns).div_ceil(64) } else { 0 }];
        // lengths[j]: for the prefix of `a` so far and the first j bytes of `b`.
        let mut lengths = vec![0u32; columns + 1];
        for (i, byte) in a.iter().enumerate() {
            let mut diagonal = 0;
            for (j, other) in b.iter().enumerate() {
                let (above, left) = (lengths[j + 1], lengths[j]);
                lengths[j + 1] = if byte == other {
                    diagonal + 1
                } else {
                    if keep && above > left {
                        let cell = i * columns + j;
                        up[cell / 64] |= 1 << (cell % 64);
                    }
                    above.max(left)
                };
                diagonal = above;
            }
        }
        Self { length: lengths[columns], up, columns }
    }

    /// The runs of the subsequence that Redis picks, last one first.
    fn runs(&self, a: &[u8], b: &[u8]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                i -= 1;
                j -= 1;
                match runs.last_mut() {
                    Some(run) if run.a == i + 1 && run.b == j + 1 => {
                        *run = Run { a: i, b: j, length: run.length + 1 };
                    }
                    _ => runs.push(Run { a: i, b: j, length: 1 }),
                }
            } else {
                let cell = (i - 1) * self.columns + j - 1;
                if self.up[cell / 64] >> (cell % 64) & 1 == 1 { i -= 1 } else { j -= 1 }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn the_example_of_the_documentation() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("MSET key1 ohmytext key2 mynewtext", "+OK|"),
            ("LCS key1 key2", "$6|mytext|"),
            ("LCS key1 key2 LEN", ":6|"),
            ("LCS key1 key2 IDX", "*4|$7|matches|*2|*2|*2|:4|:7|*2|:5|:8|*2|*2|:2|:3|*2|:0|:1|$3|len|:6|"),
            ("LCS key1 key2 IDX MINMATCHLEN 4 WITHMATCHLEN", "*4|$7|matches|*1|*3|*2|:4|:7|*2|:5|:8|:4|$3|len|:6|"),
            ("LCS key1 none", "$0||"),
            ("LCS none none LEN", ":0|"),
            ("LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX.|"),
            ("LCS a b MINMATCHLEN", "-ERR syntax error|"),
            ("LCS a b MINMATCHLEN x", "-ERR value is not an integer or out of range|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        assert_eq!(bench.run("LCS key1 none IDX"), "%2|$7|matches|*0|$3|len|:0|");
    }

    #[test]
    fn what_is_too_large_is_refused_at_once() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SETRANGE a 99999 x", ":100000|"),
            ("LCS a a", "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len|"),
        ]);
    }
}
