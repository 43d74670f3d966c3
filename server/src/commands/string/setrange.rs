//! SETRANGE: <https://redis.io/docs/latest/commands/setrange/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// SETRANGE key offset value
pub static SETRANGE: CommandSpec = CommandSpec {
    name: "setrange",
    id: 16,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::String,
    since: "2.2.0",
    complexity: "O(1), not counting the time taken to copy the new string in place. Usually, this string is very \
                 small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of \
                 the value argument.",
    summary: "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (key, value) = (&args[1], &args[3]);
    let offset = usize::try_from(number::integer(&args[2])?).map_err(|_| CommandError::OffsetOutOfRange)?;
    let old = context.string_for_write(key, <[u8]>::len)?;
    if value.is_empty() {
        reply.integer(old.unwrap_or(0) as i64);
        return Ok(());
    }
    let most = context.keyspace.limits().string_bytes as usize;
    let end = offset.checked_add(value.len()).filter(|end| *end <= most);
    let end = end.ok_or(CommandError::StringTooLong)?;
    if old.is_none() {
        context.keyspace.set_string(key, b"", Deadline::Clear, context.touch);
    }
    let length = end.max(old.unwrap_or(0));
    context.keyspace.edit_string(key, length, context.touch, |bytes| bytes[offset..end].copy_from_slice(value));
    reply.integer(length as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn gaps_are_zeros() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SETRANGE k 5 ", ":0|"),
            ("EXISTS k", ":0|"),
            ("SETRANGE k 2 ab", ":4|"),
            ("GET k", "$4|\0\0ab|"),
            ("SETRANGE k 1 x", ":4|"),
            ("SETRANGE k 9 ", ":4|"),
            ("GET k", "$4|\0xab|"),
            ("SETRANGE k -1 x", "-ERR offset is out of range|"),
            ("SETRANGE k a x", "-ERR value is not an integer or out of range|"),
            ("SETRANGE k 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|"),
            ("SETRANGE n 9223372036854775807 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|"),
            ("EXISTS n", ":0|"),
        ]);
    }
}
