//! XRANGE, XREVRANGE and XLEN: <https://redis.io/docs/latest/commands/xrange/>

use super::ids;
use super::shapes::reply_entries;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XRANGE key start end [COUNT count]
pub static XRANGE: CommandSpec = CommandSpec {
    name: "xrange",
    id: 387,
    summary: "Returns the messages from a stream within a range of IDs.",
    handler: Handler::Read(|context, args, reply| range(false, context, args, reply)),
    ..RANGE
};

/// XREVRANGE key end start [COUNT count]
pub static XREVRANGE: CommandSpec = CommandSpec {
    name: "xrevrange",
    id: 388,
    summary: "Returns the messages from a stream within a range of IDs in reverse order.",
    handler: Handler::Read(|context, args, reply| range(true, context, args, reply)),
    ..RANGE
};

const RANGE: CommandSpec = CommandSpec {
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
    ..CommandSpec::CONNECTION
};

/// XLEN key
pub static XLEN: CommandSpec = CommandSpec {
    name: "xlen",
    id: 389,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "Return the number of messages in a stream.",
    handler: Handler::Read(length),
};

fn range(back: bool, context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (start, end) = if back { (3, 2) } else { (2, 3) };
    let (start, end) = (ids::start(&args[start])?, ids::end(&args[end])?);
    let mut count = None;
    let mut words = args.from(4).iter();
    while let Some(word) = words.next() {
        let value = words.next().filter(|_| word.eq_ignore_ascii_case(b"COUNT")).ok_or(CommandError::Syntax)?;
        count = Some(usize::try_from(number::integer(value)?).unwrap_or(0));
    }
    let Some(stream) = context.read_stream(&args[1])? else {
        reply.array_header(0);
        return Ok(());
    };
    match count {
        Some(0) => reply.null_array(),
        count => {
            let count = count.unwrap_or(usize::MAX);
            if back {
                reply_entries(reply, stream.range_back(start..=end).take(count));
            } else {
                reply_entries(reply, stream.range(start..=end).take(count));
            }
        }
    }
    Ok(())
}

fn length(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let stream = context.read_stream(&args[1])?;
    reply.integer(stream.map_or(0, |stream| stream.len()) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn ranges_have_ends() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("XADD s 1-1 a 1", "$3|1-1|"),
            ("XADD s 1-2 a 2 b 3", "$3|1-2|"),
            ("XADD s 2-0 a 3", "$3|2-0|"),
            ("XRANGE s (1-1 1", "*1|*2|$3|1-2|*4|$1|a|$1|2|$1|b|$1|3|"),
            ("XREVRANGE s + (1-1 COUNT 1", "*1|*2|$3|2-0|*2|$1|a|$1|3|"),
            ("XRANGE s + -", "*0|"),
            ("XRANGE s - + COUNT 0", "*-1|"),
            ("XRANGE s - + COUNT -4", "*-1|"),
            ("XRANGE none - + COUNT 0", "*0|"),
            ("XRANGE s - + COUNT", "-ERR syntax error|"),
            ("XRANGE s - + COUNT x", "-ERR value is not an integer or out of range|"),
            ("XRANGE s - (0-0", "-ERR invalid end ID for the interval|"),
            ("XRANGE s (- +", "-ERR Invalid stream ID specified as stream command argument|"),
            ("XLEN s", ":3|"),
            ("XLEN none", ":0|"),
        ]);
    }
}
