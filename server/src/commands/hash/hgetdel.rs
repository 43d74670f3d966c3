//! HGETDEL: <https://redis.io/docs/latest/commands/hgetdel/>

use super::field_deadlines::{self, NOT_POSITIVE};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HGETDEL key FIELDS numfields field [field ...]
pub static HGETDEL: CommandSpec = CommandSpec {
    name: "hgetdel",
    id: 153,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "8.0.0",
    complexity: "O(N) where N is the number of specified fields",
    summary: "Returns the value of a field and deletes it from the hash.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    context.peek_hash(&args[1])?;
    let fields = field_deadlines::fields(args, 2, NOT_POSITIVE)?;
    reply.array_header(fields.len());
    let mut text = Default::default();
    let taken = context.edit_hash(&args[1], OrCreate::No, |hash| {
        for field in fields.iter() {
            reply.bulk_or_null(hash.read().get(field).as_ref().map(|value| value.bytes(&mut text)));
            hash.remove(field);
        }
        Ok(())
    })?;
    if taken.is_none() {
        fields.iter().for_each(|_| reply.null());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn what_is_taken_is_gone() {
        Bench::new().expect(&[
            ("HSET h a 1 b 2", ":2|"),
            ("HGETDEL h FIELDS 3 a a x", "*3|$1|1|$-1|$-1|"),
            ("HGETDEL h FIELDS 1 b", "*1|$1|2|"),
            ("EXISTS h", ":0|"),
            ("HGETDEL h FIELDS 2 a b", "*2|$-1|$-1|"),
            ("HGETDEL h FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments|"),
            ("HGETDEL h FIELDS x a", "-ERR Number of fields must be a positive integer|"),
            ("HGETDEL h FELDS 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position|"),
        ]);
    }
}
