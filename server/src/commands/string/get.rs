//! GET: <https://redis.io/docs/latest/commands/get/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GET key
pub static GET: CommandSpec = CommandSpec {
    name: "get",
    id: 1,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Returns the string value of a key.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let value = context.read_string(&args[1])?;
    reply.bulk_or_null(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn what_is_due_is_absent() {
        let mut bench = Bench::new();
        bench.expect(&[("GET k", "$-1|"), ("SET k v PX 5", "+OK|"), ("GET k", "$1|v|")]);
        bench.now += 5;
        bench.expect(&[("GET k", "$-1|")]);
    }
}
