//! PFMERGE: <https://redis.io/docs/latest/commands/pfmerge/>

use super::pfcount::union_of;
use super::value::{Encoding, HyperLogLog};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// PFMERGE destkey [sourcekey [sourcekey ...]]
pub static PFMERGE: CommandSpec = CommandSpec {
    name: "pfmerge",
    id: 50,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::from(1, 1),
    family: Family::HyperLogLog,
    since: "2.8.9",
    complexity: "O(N) to merge N HyperLogLogs, but with high constant times.",
    summary: "Merges one or more HyperLogLog values into a single key.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let destination = &args[1];
    let mut dense = false;
    let union = union_of(context, args.from(1), |value| dense |= Encoding::of(value) == Ok(Encoding::Dense))?;
    let sparse_bytes = context.keyspace.limits().sparse_bytes;
    let old = context.string_for_write(destination, |value| HyperLogLog::copy_of(value, sparse_bytes))?.transpose()?;
    let mut merged = old.unwrap_or_else(|| HyperLogLog::new(sparse_bytes));
    if dense {
        merged.make_dense()?;
    }
    merged.raise_all(&union)?;
    context.keyspace.set_string(destination, &merged.to_value(true), Deadline::Keep, context.touch);
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn the_destination_is_part_of_the_union() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("PFADD a 1 2 3", ":1|"),
            ("PFADD b 3 4", ":1|"),
            ("PEXPIRE b 9", ":1|"),
            ("PFMERGE b a x", "+OK|"),
            ("PTTL b", ":9|"),
            ("PFCOUNT b", ":4|"),
            ("PFDEBUG ENCODING b", "+sparse|"),
            ("PFDEBUG TODENSE a", ":1|"),
            ("PFMERGE b a", "+OK|"),
            ("PFDEBUG ENCODING b", "+dense|"),
            ("PFCOUNT b", ":4|"),
            ("PFMERGE new", "+OK|"),
            ("STRLEN new", ":18|"),
        ]);
    }
}
