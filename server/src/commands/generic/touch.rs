//! TOUCH: <https://redis.io/docs/latest/commands/touch/>

use crate::clock;
use crate::commands::{CommandError, CommandSpec, Context, Family, Fanout, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// TOUCH key [key ...]
pub static TOUCH: CommandSpec = CommandSpec {
    name: "touch",
    id: 67,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::from(1, 1),
    family: Family::Generic,
    since: "3.2.1",
    complexity: "O(N) where N is the number of keys that will be touched.",
    summary: "Returns the number of existing keys out of those specified after updating the time they were last \
              accessed.",
    handler: Handler::ReadFanout(read, Fanout::Sum),
};

/// TOUCH alters recency even under CLIENT NO-TOUCH: it is what the client asks for.
fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    context.touch = Some(clock::tick_of(context.now));
    let found = args.iter().skip(1).filter(|key| context.read(key).is_some()).count();
    reply.integer(found as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::generic::object;
    use crate::commands::testing::Bench;

    #[test]
    fn recency_is_renewed() {
        let mut bench = Bench::new();
        bench.run("SET k v");
        bench.now += 5_000;
        assert_eq!(bench.call(&object::IDLETIME, "OBJECT IDLETIME k"), ":5|");
        bench.expect(&[("TOUCH k k x", ":2|")]);
        assert_eq!(bench.call(&object::IDLETIME, "OBJECT IDLETIME k"), ":0|");
    }
}
