//! EXISTS: <https://redis.io/docs/latest/commands/exists/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// EXISTS key [key ...]
pub static EXISTS: CommandSpec = CommandSpec {
    name: "exists",
    id: 66,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::from(1, 1),
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(N) where N is the number of keys to check.",
    summary: "Determines whether one or more keys exist.",
    handler: Handler::ReadFanout(read, Fanout::Sum),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let found = args.iter().skip(1).filter(|key| context.peek(key).is_some()).count();
    reply.integer(found as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn a_key_given_twice_counts_twice() {
        Bench::new().expect(&[("MSET a 1 b 2", "+OK|"), ("EXISTS a b a x", ":3|")]);
    }
}
