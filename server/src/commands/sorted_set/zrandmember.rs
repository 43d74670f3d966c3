//! ZRANDMEMBER: <https://redis.io/docs/latest/commands/zrandmember/>

use crate::commands::dice::{self, Dice, Sample};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::collections::listpack::Element;
use larder_protocol::ProtocolVersion;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// ZRANDMEMBER key [count [WITHSCORES]]
pub static ZRANDMEMBER: CommandSpec = CommandSpec {
    name: "zrandmember",
    id: 343,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::SortedSet,
    since: "6.2.0",
    complexity: "O(N) where N is the number of members returned",
    summary: "Returns one or more random members from a sorted set.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut dice = Dice::new(context);
    if args.len() == 2 {
        match context.read_sorted_set(&args[1])? {
            Some(set) => reply.bulk(set.at(dice.below(set.len())).0.bytes(&mut Default::default())),
            None => reply.null(),
        }
        return Ok(());
    }
    let count = dice::count(&args[2])?;
    let with_scores = match args.get(3) {
        Some(word) if args.len() == 4 && word.eq_ignore_ascii_case(b"WITHSCORES") => true,
        Some(_) => return Err(CommandError::Syntax),
        None => false,
    };
    if with_scores && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(CommandError::OutOfRange);
    }
    let Some(set) = context.read_sorted_set(&args[1])?.filter(|_| count != 0) else {
        reply.array_header(0);
        return Ok(());
    };
    let sample = Sample::new(&mut dice, count, set.len())?;
    let length = match &sample {
        Sample::All => set.len(),
        Sample::Places(places) => places.len(),
    };
    let nested = with_scores && reply.version() == ProtocolVersion::Resp3;
    reply.array_header(if with_scores && !nested { 2 * length } else { length });
    let mut text = Default::default();
    let mut show = |member: Element<'_>, score| {
        if nested {
            reply.array_header(2);
        }
        reply.bulk(member.bytes(&mut text));
        if with_scores {
            reply.double(score);
        }
    };
    match sample {
        Sample::All => set.visit(0, set.len(), false, &mut show),
        Sample::Places(places) => places.into_iter().for_each(|place| {
            let (member, score) = set.at(place);
            show(member, score);
        }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn counts_say_how_many() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("ZRANDMEMBER z", "$-1|"),
            ("ZRANDMEMBER z 1", "*0|"),
            ("ZADD z 1 a", ":1|"),
            ("ZRANDMEMBER z", "$1|a|"),
            ("ZRANDMEMBER z 4 WITHSCORES", "*2|$1|a|$1|1|"),
            ("ZRANDMEMBER z -2", "*2|$1|a|$1|a|"),
            ("ZRANDMEMBER z 1 FOO", "-ERR syntax error|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("ZRANDMEMBER z 4 WITHSCORES", "*1|*2|$1|a|,1|")]);
    }
}
