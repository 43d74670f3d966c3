//! STRLEN: <https://redis.io/docs/latest/commands/strlen/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// STRLEN key
pub static STRLEN: CommandSpec = CommandSpec {
    name: "strlen",
    id: 13,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Returns the length of a string value.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let length = context.read_string(&args[1])?.map_or(0, <[u8]>::len);
    reply.integer(length as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn absent_is_empty() {
        Bench::new().expect(&[("STRLEN k", ":0|"), ("SET k abc", "+OK|"), ("STRLEN k", ":3|")]);
    }
}
