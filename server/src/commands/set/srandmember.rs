//! SRANDMEMBER: <https://redis.io/docs/latest/commands/srandmember/>

use crate::commands::dice::{self, Dice, Sample};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SRANDMEMBER key [count]
pub static SRANDMEMBER: CommandSpec = CommandSpec {
    name: "srandmember",
    id: 200,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
    summary: "Get one or multiple random members from a set",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut dice = Dice::new(context);
    let mut text = Default::default();
    if args.len() == 2 {
        match context.read_set(&args[1])? {
            Some(set) => reply.bulk(set.at(dice.below(set.len())).bytes(&mut text)),
            None => reply.null(),
        }
        return Ok(());
    }
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = dice::count(&args[2])?;
    let Some(set) = context.read_set(&args[1])?.filter(|_| count != 0) else {
        reply.array_header(0);
        return Ok(());
    };
    match Sample::new(&mut dice, count, set.len())? {
        Sample::All => {
            reply.array_header(set.len());
            set.members().for_each(|member| reply.bulk(member.bytes(&mut text)));
        }
        Sample::Places(places) => {
            reply.array_header(places.len());
            places.into_iter().for_each(|place| reply.bulk(set.at(place).bytes(&mut text)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn counts_say_how_many() {
        Bench::new().expect(&[
            ("SRANDMEMBER s", "$-1|"),
            ("SRANDMEMBER s 2", "*0|"),
            ("SADD s a", ":1|"),
            ("SRANDMEMBER s", "$1|a|"),
            ("SRANDMEMBER s 0", "*0|"),
            ("SRANDMEMBER s 9", "*1|$1|a|"),
            ("SRANDMEMBER s -2", "*2|$1|a|$1|a|"),
            ("SRANDMEMBER s 1 2", "-ERR syntax error|"),
            ("SCARD s", ":1|"),
        ]);
    }
}
