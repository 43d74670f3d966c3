//! PERSIST: <https://redis.io/docs/latest/commands/persist/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// PERSIST key
pub static PERSIST: CommandSpec = CommandSpec {
    name: "persist",
    id: 77,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Generic,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Removes the expiration time of a key.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let cleared = context.clear_deadline(&args[1]);
    reply.integer(i64::from(cleared));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn only_a_deadline_can_be_taken() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("PERSIST k", ":0|"),
            ("SET k v PX 5", "+OK|"),
            ("PERSIST k", ":1|"),
            ("PERSIST k", ":0|"),
            ("TTL k", ":-1|"),
            ("PEXPIRE k 5", ":1|"),
        ]);
        bench.now += 5;
        bench.expect(&[("PERSIST k", ":0|")]);
    }
}
