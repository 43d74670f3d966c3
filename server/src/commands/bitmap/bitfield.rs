//! BITFIELD and BITFIELD_RO: <https://redis.io/docs/latest/commands/bitfield/>

use super::field::{FieldType, Overflow};
use super::offset::field_offset;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// BITFIELD key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value | INCRBY encoding offset
/// increment ...]
pub static BITFIELD: CommandSpec = CommandSpec {
    name: "bitfield",
    id: 45,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::Bitmap,
    since: "3.2.0",
    complexity: "O(1) for each subcommand specified",
    summary: "Performs arbitrary bitfield integer operations on strings.",
    handler: Handler::Write(apply),
};

/// BITFIELD_RO key [GET encoding offset ...]
pub static BITFIELD_RO: CommandSpec = CommandSpec {
    name: "bitfield_ro",
    id: 46,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Bitmap,
    since: "6.0.0",
    complexity: "O(1) for each subcommand specified",
    summary: "Performs arbitrary read-only bitfield integer operations on strings.",
    handler: Handler::Read(read),
};

const READ_ONLY: CommandError = CommandError::text("ERR BITFIELD_RO only supports the GET subcommand");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

#[derive(Debug, Clone, Copy)]
struct Operation {
    action: Action,
    field: FieldType,
    offset: u64,
    overflow: Overflow,
}

/// What an operation answers, and what it stores.
struct Outcome {
    /// `None`: it does not fit, and fails.
    answer: Option<i64>,
    /// Where it differs from what is there.
    change: Option<i64>,
}

impl Operation {
    fn outcome(&self, bytes: &[u8]) -> Outcome {
        let old = self.field.read(bytes, self.offset);
        let wanted = match self.action {
            Action::Get => return Outcome { answer: Some(old), change: None },
            Action::Set(value) => self.field.given(value),
            Action::Increment(increment) => i128::from(old) + i128::from(increment),
        };
        match self.field.fit(wanted, self.overflow) {
            None => Outcome { answer: None, change: None },
            Some(new) => {
                let answer = if let Action::Set(_) = self.action { old } else { new };
                Outcome { answer: Some(answer), change: (new != old).then_some(new) }
            }
        }
    }

    /// Bytes of a string that holds the field.
    fn end_bytes(&self) -> usize {
        ((self.offset + u64::from(self.field.width) - 1) / 8 + 1) as usize
    }
}

/// Operations on a string that may become as long as `most` bytes.
fn parse(args: Args<'_>, most: u32) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let (word, following) = (&args[at], args.len() - at - 1);
        let is = |name: &[u8], arguments| word.eq_ignore_ascii_case(name) && following >= arguments;
        if is(b"OVERFLOW", 1) {
            overflow = Overflow::parse(&args[at + 1])?;
            at += 2;
            continue;
        }
        let (get, set) = (is(b"GET", 2), is(b"SET", 3));
        if !get && !set && !is(b"INCRBY", 3) {
            return Err(CommandError::Syntax);
        }
        let field = FieldType::parse(&args[at + 1])?;
        let offset = field_offset(&args[at + 2], field.width, most)?;
        let action = if get {
            Action::Get
        } else {
            let value = number::integer(&args[at + 3])?;
            if set { Action::Set(value) } else { Action::Increment(value) }
        };
        at += if get { 3 } else { 4 };
        operations.push(Operation { action, field, offset, overflow });
    }
    Ok(operations)
}

fn answer(reply: &mut ReplyBuffer, answer: Option<i64>) {
    match answer {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

/// Answers operations that only read.
fn answer_gets(
    context: &mut Context<'_>,
    key: &[u8],
    operations: &[Operation],
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let bytes = context.read_string(key)?.unwrap_or_default();
    reply.array_header(operations.len());
    operations.iter().for_each(|operation| answer(reply, operation.outcome(bytes).answer));
    Ok(())
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let operations = parse(args, context.keyspace.limits().string_bytes)?;
    if operations.iter().any(|operation| operation.action != Action::Get) {
        return Err(READ_ONLY);
    }
    answer_gets(context, &args[1], &operations, reply)
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[1];
    let operations = parse(args, context.keyspace.limits().string_bytes)?;
    let writes = operations.iter().filter(|operation| operation.action != Action::Get);
    let Some(needed) = writes.map(Operation::end_bytes).max() else {
        return answer_gets(context, key, &operations, reply);
    };
    // Operations up to the first that changes something are answered from what is there. If none does, and the string
    // need not grow, there is no change for those who watch the key.
    let mut unchanged = 0;
    let length = context.string_for_write(key, |bytes| {
        reply.array_header(operations.len());
        for operation in &operations {
            let outcome = operation.outcome(bytes);
            if outcome.change.is_some() {
                break;
            }
            answer(reply, outcome.answer);
            unchanged += 1;
        }
        bytes.len()
    })?;
    if length.is_none() {
        reply.array_header(operations.len());
        context.keyspace.set_string(key, b"", Deadline::Clear, context.touch);
    }
    let length = length.unwrap_or(0);
    if unchanged == operations.len() && length >= needed {
        context.keyspace.get(key, context.now, context.touch);
        return Ok(());
    }
    context.keyspace.edit_string(key, length.max(needed), context.touch, |bytes| {
        for operation in &operations[unchanged..] {
            let outcome = operation.outcome(bytes);
            answer(reply, outcome.answer);
            if let Some(number) = outcome.change {
                operation.field.write(bytes, operation.offset, number);
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::keyspace::WatchToken;
    use std::sync::atomic::Ordering;

    #[test]
    fn fields_are_read_set_and_counted() {
        Bench::new().expect(&[
            ("BITFIELD k", "*0|"),
            ("BITFIELD k GET u8 0", "*1|:0|"),
            ("EXISTS k", ":0|"),
            ("BITFIELD k INCRBY i5 100 1 GET u4 0", "*2|:1|:0|"),
            ("STRLEN k", ":14|"),
            ("BITFIELD k SET i8 #0 100 GET i8 #0 SET i8 0 -1", "*3|:0|:100|:100|"),
            ("BITFIELD k GET u8 0", "*1|:255|"),
            ("BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "*2|:1|:1|"),
            ("BITFIELD k overflow fail set u8 0 256 set u8 0 1 incrby u8 0 255", "*3|$-1|:255|$-1|"),
            ("BITFIELD k OVERFLOW FAIL SET u8 0 300", "*1|$-1|"),
            ("BITFIELD i SET i64 0 9223372036854775807 INCRBY i64 0 1", "*2|:0|:-9223372036854775808|"),
            ("BITFIELD i OVERFLOW SAT INCRBY i64 0 -1 INCRBY i64 3 1", "*2|:-9223372036854775808|:1|"),
            ("BITFIELD f OVERFLOW FAIL SET u8 0 256", "*1|$-1|"),
            ("STRLEN f", ":1|"),
            ("BITFIELD_RO k GET u8 0 OVERFLOW SAT GET u63 999999", "*2|:1|:0|"),
            ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand|"),
            ("BITFIELD k GET u8", "-ERR syntax error|"),
            ("BITFIELD k OVERFLOW x", "-ERR Invalid OVERFLOW type specified|"),
            ("BITFIELD k SET u8 0 x", "-ERR value is not an integer or out of range|"),
            ("BITFIELD k GET u8 #536870912", "-ERR bit offset is not an integer or out of range|"),
            (
                "BITFIELD k GET u64 0",
                "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.|",
            ),
        ]);
    }

    #[test]
    fn numbers_that_stay_are_no_change() {
        let mut bench = Bench::new();
        bench.run("BITFIELD k SET u8 0 7");
        let token = WatchToken::default();
        bench.keyspace.watch(b"k", &token);
        bench.expect(&[("BITFIELD k SET u8 0 7 INCRBY u8 0 256 OVERFLOW FAIL INCRBY u8 0 999", "*3|:7|:7|$-1|")]);
        assert!(!token.load(Ordering::Relaxed));
        bench.expect(&[("BITFIELD k SET u8 0 7 SET u8 0 8 SET u8 0 7", "*3|:7|:7|:8|")]);
        assert!(token.load(Ordering::Relaxed));
    }
}
