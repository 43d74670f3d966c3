//! SMOVE: <https://redis.io/docs/latest/commands/smove/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SMOVE source destination member
pub static SMOVE: CommandSpec = CommandSpec {
    name: "smove",
    id: 198,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::Set,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Moves a member from one set to another.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (from, to, member) = (&args[1], &args[2], &args[3]);
    // Without a source the destination's type does not matter.
    if !context.exists_for_write(from) {
        reply.integer(0);
        return Ok(());
    }
    context.peek_set(from)?;
    context.drop_due(to);
    context.peek_set(to)?;
    if from == to {
        let found = context.peek_set(from)?.is_some_and(|set| set.contains(member));
        reply.integer(i64::from(found));
        return Ok(());
    }
    let removed = context.edit_set(from, OrCreate::No, |set| Ok(set.remove(member)))? == Some(true);
    if removed {
        context.edit_set(to, OrCreate::Yes, |set| {
            set.expect(member, 1);
            Ok(set.add(member))
        })?;
    }
    reply.integer(i64::from(removed));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn a_member_moves() {
        Bench::new().expect(&[
            ("SMOVE a b x", ":0|"),
            ("SADD a x y", ":2|"),
            ("SMOVE a b x", ":1|"),
            ("SMOVE a b x", ":0|"),
            ("SMOVE a a y", ":1|"),
            ("SMOVE a a z", ":0|"),
            ("SMOVE a b y", ":1|"),
            ("EXISTS a", ":0|"),
            ("SCARD b", ":2|"),
            ("SET s v", "+OK|"),
            ("SMOVE a s y", ":0|"),
            ("SMOVE b s y", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
        ]);
    }
}
