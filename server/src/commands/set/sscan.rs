//! SSCAN: <https://redis.io/docs/latest/commands/sscan/>

use crate::commands::collection_scan::{ScanOptions, reply_nothing, reply_step};
use crate::commands::generic::scan::parse_cursor;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SSCAN key cursor [MATCH pattern] [COUNT count]
pub static SSCAN: CommandSpec = CommandSpec {
    name: "sscan",
    id: 201,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
    summary: "Iterates over members of a set.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let from = parse_cursor(&args[2])?;
    let Some(set) = context.read_set(&args[1])? else {
        reply_nothing(reply);
        return Ok(());
    };
    let options = ScanOptions::parse(args.from(3), false)?;
    reply_step(reply, |reply| {
        let (mut shown, mut text) = (0, Default::default());
        let next = set.scan(from, options.count, &mut |member| {
            let member = member.bytes(&mut text);
            if options.filter.allows(member) {
                reply.bulk(member);
                shown += 1;
            }
        });
        (next, shown)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn a_small_set_is_one_step() {
        Bench::new().expect(&[
            ("SADD s a b", ":2|"),
            ("SSCAN s 0", "*2|$1|0|*2|$1|a|$1|b|"),
            ("SSCAN s 0 MATCH b*", "*2|$1|0|*1|$1|b|"),
            ("SSCAN s 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN|"),
            ("SSCAN x 0", "*2|$1|0|*0|"),
        ]);
    }
}
