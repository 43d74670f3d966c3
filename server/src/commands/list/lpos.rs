//! LPOS: <https://redis.io/docs/latest/commands/lpos/>

use crate::commands::dice;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::collections::listpack::{Element, Needle};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]
pub static LPOS: CommandSpec = CommandSpec {
    name: "lpos",
    id: 270,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::List,
    since: "6.0.6",
    complexity: "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.",
    summary: "Returns the index of matching elements in a list.",
    handler: Handler::Read(read),
};

const RANK_ZERO: CommandError = CommandError::text(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from \
     the end of the list",
);
const COUNT_NEGATIVE: CommandError = CommandError::text("ERR COUNT can't be negative");
const LENGTH_NEGATIVE: CommandError = CommandError::text("ERR MAXLEN can't be negative");

struct Options {
    rank: i64,
    count: Option<usize>,
    length_max: usize,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self { rank: 1, count: None, length_max: 0 };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or(CommandError::Syntax)?;
            if word.eq_ignore_ascii_case(b"RANK") {
                options.rank = dice::count(value)?;
                if options.rank == 0 {
                    return Err(RANK_ZERO);
                }
            } else if word.eq_ignore_ascii_case(b"COUNT") {
                options.count = Some(number::not_negative(value, COUNT_NEGATIVE)?);
            } else if word.eq_ignore_ascii_case(b"MAXLEN") {
                options.length_max = number::not_negative(value, LENGTH_NEGATIVE)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let Options { rank, count, length_max } = Options::parse(args.from(3))?;
    let Some(list) = context.read_list(&args[1])? else {
        match count {
            Some(_) => reply.array_header(0),
            None => reply.null(),
        }
        return Ok(());
    };
    let (needle, last) = (Needle::new(&args[2]), list.len() - 1);
    let looked_at = if length_max == 0 { usize::MAX } else { length_max };
    let skipped = rank.unsigned_abs() as usize - 1;
    let wanted = match count {
        None => 1,
        Some(0) => usize::MAX,
        Some(count) => count,
    };
    let is_match = |(index, element): (usize, Element<'_>)| needle.is(element).then_some(index);
    let found: Vec<usize> = if rank > 0 {
        let matches = list.from(0).enumerate().take(looked_at).filter_map(is_match);
        matches.skip(skipped).take(wanted).collect()
    } else {
        let matches = list.back_from(last).enumerate().take(looked_at).filter_map(is_match);
        matches.skip(skipped).take(wanted).map(|index| last - index).collect()
    };
    match count {
        None => match found.first() {
            Some(index) => reply.integer(*index as i64),
            None => reply.null(),
        },
        Some(_) => {
            reply.array_header(found.len());
            found.iter().for_each(|index| reply.integer(*index as i64));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn matches_are_counted_from_either_end() {
        Bench::new().expect(&[
            ("LPOS l c", "$-1|"),
            ("LPOS l c COUNT 1", "*0|"),
            ("RPUSH l a b c 1 2 3 c c", ":8|"),
            ("LPOS l c", ":2|"),
            ("LPOS l c RANK 2", ":6|"),
            ("LPOS l c RANK -1", ":7|"),
            ("LPOS l c COUNT 2", "*2|:2|:6|"),
            ("LPOS l c COUNT 0 RANK -2", "*2|:6|:2|"),
            ("LPOS l c COUNT 0 MAXLEN 7", "*2|:2|:6|"),
            ("LPOS l x COUNT 0", "*0|"),
            ("LPOS l x", "$-1|"),
            ("LPOS l c COUNT -1", "-ERR COUNT can't be negative|"),
            ("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative|"),
            ("LPOS l c FOO 1", "-ERR syntax error|"),
        ]);
        assert!(Bench::new().run("LPOS l c RANK 0").starts_with("-ERR RANK can't be zero"));
    }
}
