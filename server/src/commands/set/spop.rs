//! SPOP: <https://redis.io/docs/latest/commands/spop/>

use crate::commands::dice::Dice;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SPOP key [count]
pub static SPOP: CommandSpec = CommandSpec {
    name: "spop",
    id: 199,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
    summary: "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut dice = Dice::new(context);
    if args.len() == 2 {
        let popped = context.edit_set(&args[1], OrCreate::No, |set| {
            set.take(dice.below(set.read().len()), |member| reply.bulk(member));
            Ok(())
        })?;
        if popped.is_none() {
            reply.null();
        }
        return Ok(());
    }
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = number::not_negative(&args[2], CommandError::NotPositive)?;
    let popped = context.edit_set(&args[1], OrCreate::No, |set| {
        // One after another: where one was, the order moves another to.
        let mut popped = Vec::new();
        if count >= set.read().len() {
            popped.extend(set.read().members().map(|member| member.to_vec()));
            popped.iter().for_each(|member| {
                set.remove(member);
            });
            return Ok(popped);
        }
        for _ in 0..count {
            set.take(dice.below(set.read().len()), |member| popped.push(member.to_vec()));
        }
        Ok(popped)
    })?;
    let popped = popped.unwrap_or_default();
    reply.set_header(popped.len());
    popped.iter().for_each(|member| reply.bulk(member));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;
    use std::collections::HashSet;

    #[test]
    fn every_member_is_popped_once() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SPOP s", "$-1|"),
            ("SPOP s 3", "*0|"),
            ("SADD s a", ":1|"),
            ("SPOP s 0", "*0|"),
            ("SPOP s -1", "-ERR value is out of range, must be positive|"),
            ("SPOP s x", "-ERR value is out of range, must be positive|"),
            ("SPOP s 1 2", "-ERR syntax error|"),
            ("SPOP s", "$1|a|"),
            ("EXISTS s", ":0|"),
        ]);
        let mut seen = HashSet::new();
        (0..300).for_each(|n| drop(bench.run(&format!("SADD s m{n}"))));
        for count in [1, 150, 148] {
            let reply = bench.run(&format!("SPOP s {count}"));
            seen.extend(reply.split('|').filter(|part| part.starts_with('m')).map(str::to_string));
        }
        assert_eq!(seen.len(), 299);
        bench.expect(&[("SCARD s", ":1|")]);
        bench.version = ProtocolVersion::Resp3;
        assert!(bench.run("SPOP s 9").starts_with("~1|"));
        bench.expect(&[("SPOP s 9", "~0|"), ("SPOP s", "_|")]);
    }
}
