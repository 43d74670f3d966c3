//! HRANDFIELD: <https://redis.io/docs/latest/commands/hrandfield/>

use crate::commands::dice::{self, Dice, Sample};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::ProtocolVersion;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HRANDFIELD key [count [WITHVALUES]]
pub static HRANDFIELD: CommandSpec = CommandSpec {
    name: "hrandfield",
    id: 142,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "6.2.0",
    complexity: "O(N) where N is the number of fields returned",
    summary: "Returns one or more random fields from a hash.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut dice = Dice::new(context);
    if args.len() == 2 {
        match context.read_hash(&args[1])? {
            Some(hash) => reply.bulk(hash.at(dice.below(hash.len())).0.bytes(&mut Default::default())),
            None => reply.null(),
        }
        return Ok(());
    }
    let count = dice::count(&args[2])?;
    let with_values = match args.get(3) {
        Some(word) if args.len() == 4 && word.eq_ignore_ascii_case(b"WITHVALUES") => true,
        Some(_) => return Err(CommandError::Syntax),
        None => false,
    };
    if with_values && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(CommandError::OutOfRange);
    }
    let Some(hash) = context.read_hash(&args[1])?.filter(|_| count != 0) else {
        reply.array_header(0);
        return Ok(());
    };
    let sample = Sample::new(&mut dice, count, hash.len())?;
    let length = match &sample {
        Sample::All => hash.len(),
        Sample::Places(places) => places.len(),
    };
    let nested = with_values && reply.version() == ProtocolVersion::Resp3;
    reply.array_header(if with_values && !nested { 2 * length } else { length });
    let mut text = Default::default();
    let mut show = |(field, value): (crate::keyspace::collections::listpack::Element<'_>, _)| {
        let value: crate::keyspace::collections::listpack::Element<'_> = value;
        if nested {
            reply.array_header(2);
        }
        reply.bulk(field.bytes(&mut text));
        if with_values {
            reply.bulk(value.bytes(&mut text));
        }
    };
    match sample {
        Sample::All => hash.pairs().for_each(show),
        Sample::Places(places) if hash.is_indexed() || places.len() < 8 => {
            places.into_iter().for_each(|place| show(hash.at(place)));
        }
        Sample::Places(places) => {
            let pairs: Vec<_> = hash.pairs().collect();
            places.into_iter().for_each(|place| show(pairs[place]));
        }
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
            ("HRANDFIELD h", "$-1|"),
            ("HRANDFIELD h 5", "*0|"),
            ("HSET h a 1", ":1|"),
            ("HRANDFIELD h", "$1|a|"),
            ("HRANDFIELD h 5", "*1|$1|a|"),
            ("HRANDFIELD h 0", "*0|"),
            ("HRANDFIELD h -3", "*3|$1|a|$1|a|$1|a|"),
            ("HRANDFIELD h 5 WITHVALUES", "*2|$1|a|$1|1|"),
            ("HRANDFIELD h 5 WITH", "-ERR syntax error|"),
            ("HRANDFIELD h 5 WITHVALUES x", "-ERR syntax error|"),
            ("HRANDFIELD h x", "-ERR value is not an integer or out of range|"),
            ("HRANDFIELD h -9223372036854775807 WITHVALUES", "-ERR value is out of range|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("HRANDFIELD h 5 withvalues", "*1|*2|$1|a|$1|1|"), ("HRANDFIELD h 5", "*1|$1|a|")]);
    }
}
