//! GETDEL: <https://redis.io/docs/latest/commands/getdel/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GETDEL key
pub static GETDEL: CommandSpec = CommandSpec {
    name: "getdel",
    id: 7,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "6.2.0",
    complexity: "O(1)",
    summary: "Returns the string value of a key after deleting the key.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let old = context.read_string(&args[1])?;
    reply.bulk_or_null(old);
    // Also where the item was only due: it goes unseen.
    context.keyspace.remove(&args[1]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn the_value_comes_back_once() {
        Bench::new().expect(&[("SET k a", "+OK|"), ("GETDEL k", "$1|a|"), ("GETDEL k", "$-1|"), ("EXISTS k", ":0|")]);
    }
}
