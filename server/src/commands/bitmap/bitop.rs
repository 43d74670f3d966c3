//! BITOP: <https://redis.io/docs/latest/commands/bitop/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// BITOP AND | OR | XOR | NOT destkey key [key ...]
pub static BITOP: CommandSpec = CommandSpec {
    name: "bitop",
    id: 44,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::from(2, 1),
    family: Family::Bitmap,
    since: "2.6.0",
    complexity: "O(N)",
    summary: "Performs bitwise operations on multiple strings, and stores the result.",
    handler: Handler::Write(apply),
};

const ONE_SOURCE: CommandError = CommandError::text("ERR BITOP NOT must be called with a single source key.");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let named: [(&[u8], Self); 4] =
            [(b"AND", Self::And), (b"OR", Self::Or), (b"XOR", Self::Xor), (b"NOT", Self::Not)];
        let found = named.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        found.map(|(_, operation)| *operation).ok_or(CommandError::Syntax)
    }
}

/// Changes `result` to what it makes with `source`; the shorter of both goes on with zeros.
fn combine(operation: Operation, result: &mut Vec<u8>, source: &[u8]) {
    if source.len() > result.len() {
        result.resize(source.len(), 0);
    }
    let (common, rest) = result.split_at_mut(source.len());
    // Plain loops over two slices of one length: they vectorize.
    match operation {
        Operation::And => {
            common.iter_mut().zip(source).for_each(|(byte, other)| *byte &= other);
            rest.fill(0);
        }
        Operation::Or => common.iter_mut().zip(source).for_each(|(byte, other)| *byte |= other),
        Operation::Xor => common.iter_mut().zip(source).for_each(|(byte, other)| *byte ^= other),
        Operation::Not => common.iter_mut().for_each(|byte| *byte = !*byte),
    }
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (operation, destination, sources) = (Operation::parse(&args[1])?, &args[2], args.from(3));
    if operation == Operation::Not && sources.len() != 1 {
        return Err(ONE_SOURCE);
    }
    let mut result = Vec::new();
    for (at, key) in sources.iter().enumerate() {
        let source = context.read_string(key)?.unwrap_or_default();
        if at == 0 {
            result.extend_from_slice(source);
        }
        if at > 0 || operation == Operation::Not {
            combine(operation, &mut result, source);
        }
    }
    if result.is_empty() {
        context.keyspace.remove(destination);
    } else {
        context.keyspace.set_string(destination, &result, Deadline::Clear, context.touch);
    }
    reply.integer(result.len() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn strings_of_any_length_are_combined() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("SET a abcd", "+OK|"),
            ("SET b aB", "+OK|"),
            ("SET d old PX 9", "+OK|"),
            ("BITOP AND d a b", ":4|"),
            ("GET d", "$4|aB\0\0|"),
            ("PTTL d", ":-1|"),
            ("BITOP or d a b x", ":4|"),
            ("GET d", "$4|abcd|"),
            ("BITOP XOR d b a", ":4|"),
            ("GET d", "$4|\0 cd|"),
            ("BITOP AND d a x b", ":4|"),
            ("GET d", "$4|\0\0\0\0|"),
            ("BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key.|"),
            ("BITOP NAND d a", "-ERR syntax error|"),
            ("BITOP NOT d x", ":0|"),
            ("EXISTS d", ":0|"),
            ("BITOP NOT d a", ":4|"),
            ("BITOP NOT d d", ":4|"),
            ("GET d", "$4|abcd|"),
        ]);
    }
}
