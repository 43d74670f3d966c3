//! HSETNX: <https://redis.io/docs/latest/commands/hsetnx/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HSETNX key field value
pub static HSETNX: CommandSpec = CommandSpec {
    name: "hsetnx",
    id: 130,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(1)",
    summary: "Sets the value of a field in a hash only when the field doesn't exist.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.edit_hash(&args[1], OrCreate::Yes, |hash| {
        Ok(hash.read().get(&args[2]).is_none() && hash.set(&args[2], &args[3]))
    })?;
    reply.integer(i64::from(set == Some(true)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn what_is_there_stays() {
        Bench::new().expect(&[("HSETNX h a 1", ":1|"), ("HSETNX h a 2", ":0|"), ("HGET h a", "$1|1|")]);
    }
}
