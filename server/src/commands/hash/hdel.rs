//! HDEL: <https://redis.io/docs/latest/commands/hdel/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HDEL key field [field ...]
pub static HDEL: CommandSpec = CommandSpec {
    name: "hdel",
    id: 136,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.0.0",
    complexity: "O(N) where N is the number of fields to be removed.",
    summary: "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let removed = context
        .edit_hash(&args[1], OrCreate::No, |hash| Ok(args.iter().skip(2).filter(|field| hash.remove(field)).count()))?;
    reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn an_empty_hash_is_gone() {
        Bench::new().expect(&[
            ("HSET h a 1 b 2 c 3", ":3|"),
            ("HDEL h a x a", ":1|"),
            ("HDEL h b c d", ":2|"),
            ("EXISTS h", ":0|"),
            ("HDEL h a", ":0|"),
        ]);
    }
}
