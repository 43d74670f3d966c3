//! SETTLE: what arguments of a command mean that mean the instant at which it came (XREAD's `$`).
//!
//! Whoever waits elsewhere asks before the wait begins, so that it means the same to every leader that the wait comes to.

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, blocking, number, table};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SETTLE id arg [arg ...]
pub static SETTLE: CommandSpec = CommandSpec {
    name: "settle",
    id: 0xFF03,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::None,
    family: Family::Generic,
    since: "internal",
    complexity: "O(N) where N is the number of keys.",
    summary: "Says what arguments of a command that waits mean at this instant.",
    handler: Handler::Read(read),
};

const NONE: CommandError = CommandError::text("ERR no command whose arguments are settled");

/// Answers positions among the command's arguments and what stands there, in turn.
fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let id = u16::try_from(number::integer(&args[1])?).map_err(|_| NONE)?;
    let settle = table::by_id(id).and_then(blocking::of).and_then(|blocking| blocking.settle).ok_or(NONE)?;
    // The id stands where the name would.
    let meant = settle(context, args.from(1));
    reply.array_header(2 * meant.len());
    for (at, text) in meant {
        reply.bulk(at.to_string().as_bytes());
        reply.bulk(&text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::stream::xread::XREAD;
    use crate::commands::testing::Bench;

    #[test]
    fn ids_are_those_of_the_instant() {
        let mut bench = Bench::new();
        bench.expect(&[("XADD a 5-1 f v", "$3|5-1|"), ("SET s v", "+OK|")]);
        let line = |rest: &str| format!("SETTLE {} {rest}", XREAD.id);
        let settled = bench.call(&SETTLE, &line("BLOCK 0 STREAMS a b s a $ $ $ 3"));
        assert_eq!(settled, "*4|$1|8|$3|5-1|$1|9|$3|0-0|");
        assert_eq!(bench.call(&SETTLE, &line("STREAMS a 7")), "*0|");
        assert_eq!(bench.call(&SETTLE, &line("STREAMS")), "*0|");
        for wrong in ["SETTLE 1 a", "SETTLE 99999 a", "SETTLE -1 a"] {
            assert_eq!(bench.call(&SETTLE, wrong), "-ERR no command whose arguments are settled|", "{wrong}");
        }
    }
}
