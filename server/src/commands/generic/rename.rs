//! RENAME and RENAMENX: <https://redis.io/docs/latest/commands/rename/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// RENAME key newkey
pub static RENAME: CommandSpec = CommandSpec {
    name: "rename",
    id: 78,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE,
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Renames a key and overwrites the destination.",
    handler: Handler::Write(rename),
};

/// RENAMENX key newkey
pub static RENAMENX: CommandSpec = CommandSpec {
    name: "renamenx",
    id: 79,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Renames a key only when the target key name doesn't exist.",
    handler: Handler::Write(renamenx),
};

fn rename(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (from, to) = (&args[1], &args[2]);
    if !context.exists_for_write(from) {
        return Err(CommandError::NoSuchKey);
    }
    if from != to {
        context.move_item(from, to);
    }
    reply.ok();
    Ok(())
}

fn renamenx(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (from, to) = (&args[1], &args[2]);
    if !context.exists_for_write(from) {
        return Err(CommandError::NoSuchKey);
    }
    let moved = !context.exists_for_write(to);
    if moved {
        context.move_item(from, to);
    }
    reply.integer(i64::from(moved));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn value_and_deadline_move() {
        Bench::new().expect(&[
            ("RENAME a b", "-ERR no such key|"),
            ("RENAMENX a a", "-ERR no such key|"),
            ("SET a 1 PX 7", "+OK|"),
            ("SET b 2", "+OK|"),
            ("RENAMENX a b", ":0|"),
            ("RENAME a b", "+OK|"),
            ("EXISTS a", ":0|"),
            ("GET b", "$1|1|"),
            ("PTTL b", ":7|"),
            ("RENAME b b", "+OK|"),
            ("RENAMENX b b", ":0|"),
            ("RENAMENX b a", ":1|"),
            ("PTTL a", ":7|"),
            ("SET c 3", "+OK|"),
            ("RENAME c a", "+OK|"),
            ("PTTL a", ":-1|"),
        ]);
    }
}
