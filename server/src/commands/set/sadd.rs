//! SADD and SREM: <https://redis.io/docs/latest/commands/sadd/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SADD key member [member ...]
pub static SADD: CommandSpec = CommandSpec {
    name: "sadd",
    id: 192,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    summary: "Adds one or more members to a set. Creates the key if it doesn't exist.",
    handler: Handler::Write(sadd),
};

/// SREM key member [member ...]
pub static SREM: CommandSpec = CommandSpec {
    name: "srem",
    id: 193,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(N) where N is the number of members to be removed.",
    summary: "Removes one or more members from a set. Deletes the set if the last member was removed.",
    handler: Handler::Write(srem),
};

fn sadd(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let added = context.edit_set(&args[1], OrCreate::Yes, |set| {
        set.expect(&args[2], args.len() - 2);
        Ok(args.iter().skip(2).filter(|member| set.add(member)).count())
    })?;
    reply.integer(added.unwrap_or(0) as i64);
    Ok(())
}

fn srem(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let removed = context
        .edit_set(&args[1], OrCreate::No, |set| Ok(args.iter().skip(2).filter(|member| set.remove(member)).count()))?;
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::generic::object::ENCODING;
    use crate::commands::testing::Bench;

    #[test]
    fn members_are_counted_once() {
        Bench::new().expect(&[
            ("SADD s a b a", ":2|"),
            ("SADD s b c", ":1|"),
            ("SREM s a x a", ":1|"),
            ("SREM s b c", ":2|"),
            ("EXISTS s", ":0|"),
            ("SREM s a", ":0|"),
        ]);
    }

    #[test]
    fn encodings_follow_redis() {
        let mut bench = Bench::new();
        let mut encoding = |lines: &[String]| {
            bench.run("DEL s");
            lines.iter().for_each(|line| drop(bench.run(line)));
            bench.call(&ENCODING, "OBJECT ENCODING s")
        };
        let numbers = |count: usize| (0..count).map(|n| format!(" {n}")).collect::<String>();
        let words = |count: usize| (0..count).map(|n| format!(" m{n}")).collect::<String>();
        let line = |members: String| format!("SADD s{members}");
        assert_eq!(encoding(&[line(numbers(512))]), "$6|intset|");
        assert_eq!(encoding(&[line(numbers(512)), line(" 512".into())]), "$9|hashtable|");
        assert_eq!(encoding(&[line(numbers(513))]), "$9|hashtable|");
        assert_eq!(encoding(&[line(words(128))]), "$8|listpack|");
        assert_eq!(encoding(&[line(words(129))]), "$9|hashtable|");
        assert_eq!(encoding(&[line(numbers(127)), line(" x".into())]), "$8|listpack|");
        assert_eq!(encoding(&[line(numbers(128)), line(" x".into())]), "$9|hashtable|");
        assert_eq!(encoding(&[line(format!(" {}", "x".repeat(65)))]), "$9|hashtable|");
    }
}
