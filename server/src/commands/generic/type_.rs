//! TYPE: <https://redis.io/docs/latest/commands/type/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::ValueRef;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// TYPE key
pub static TYPE: CommandSpec = CommandSpec {
    name: "type",
    id: 68,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Generic,
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Determines the type of value stored at a key.",
    handler: Handler::Read(read),
};

/// The name of a value's type, as TYPE and SCAN know it.
pub fn type_name(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::String(_) => "string",
        ValueRef::Hash(_) => "hash",
        ValueRef::List(_) => "list",
        ValueRef::Set(_) => "set",
        ValueRef::SortedSet(_) => "zset",
        ValueRef::Stream(_) => "stream",
    }
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    reply.simple(context.peek(&args[1]).map_or("none", |item| type_name(item.value)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn absent_has_no_type() {
        Bench::new().expect(&[("TYPE k", "+none|"), ("SET k v", "+OK|"), ("TYPE k", "+string|")]);
    }
}
