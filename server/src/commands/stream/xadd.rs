//! XADD: <https://redis.io/docs/latest/commands/xadd/>

use super::ids::{NewId, reply_id};
use super::trim_options::{Of, Options};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::collections::stream::{ENTRY_BYTES_MAX, StreamId};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use smallvec::SmallVec;

/// XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]
pub static XADD: CommandSpec = CommandSpec {
    name: "xadd",
    id: 384,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
    summary: "Appends a new message to a stream. Creates the key if it doesn't exist.",
    handler: Handler::Write(apply),
};

const ZERO: CommandError = CommandError::text("ERR The ID specified in XADD must be greater than 0-0");
const EXHAUSTED: CommandError =
    CommandError::text("ERR The stream has exhausted the last possible ID, unable to add more items");
const NOT_ABOVE: CommandError =
    CommandError::text("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const TOO_LARGE: CommandError = CommandError::text("ERR Elements are too large to be stored");

/// The id of an entry that comes after `last`. The clock is that of the command, which never goes backwards; an id never
/// does, whatever the clock says.
fn id_after(last: StreamId, wanted: NewId, now_ms: u64) -> Result<StreamId, CommandError> {
    let id = match wanted {
        NewId::Given(id) => id,
        NewId::Next if now_ms > last.ms => StreamId::new(now_ms, 0),
        NewId::Next => last.next().ok_or(EXHAUSTED)?,
        NewId::NextOf(ms) if ms == last.ms => StreamId::new(ms, last.sequence.checked_add(1).ok_or(NOT_ABOVE)?),
        NewId::NextOf(ms) => StreamId::new(ms, 0),
    };
    if id > last { Ok(id) } else { Err(NOT_ABOVE) }
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let options = Options::parse(args, Of::Add, context.keyspace.limits())?;
    let words = args.from((options.id_at + 1).min(args.len()));
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(CommandError::Arity("xadd".into()));
    }
    if options.id == NewId::Given(StreamId::MIN) {
        return Err(ZERO);
    }
    let mut pairs = SmallVec::<[(&[u8], &[u8]); 8]>::new();
    let mut words = words.iter();
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        pairs.push((field, value));
    }
    let now = context.now;
    let create = if options.only_if_exists { OrCreate::No } else { OrCreate::Yes };
    let added = context.edit_stream(&args[1], create, |stream| {
        let last = stream.read().last_id();
        if last == StreamId::MAX {
            return Err(EXHAUSTED);
        }
        let id = id_after(last, options.id, now)?;
        if pairs.iter().map(|(field, value)| field.len() + value.len()).sum::<usize>() > ENTRY_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        stream.push(id, &pairs);
        if let Some(trim) = &options.trim {
            stream.trim(trim);
        }
        Ok(id)
    })?;
    match added {
        Some(id) => reply_id(reply, id),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn ids_ascend() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("XADD s NOMKSTREAM * a 1", "$-1|"),
            ("XADD s 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0|"),
            ("EXISTS s", ":0|"),
            ("XADD s 0-* a 1", "$3|0-1|"),
            ("XADD s 0-1 a 1", "-ERR The ID specified in XADD is equal or smaller than the target stream top item|"),
            ("XADD s * a 1", "$15|1700000000000-0|"),
            ("XADD s * a 1", "$15|1700000000000-1|"),
            ("XADD s 1700000000000-* a 1", "$15|1700000000000-2|"),
        ]);
        // A clock that went back does not matter.
        bench.now -= 5;
        bench.expect(&[
            ("XADD s * a 1", "$15|1700000000000-3|"),
            ("XADD s 1700000000000-18446744073709551615 a 1", "$34|1700000000000-18446744073709551615|"),
            (
                "XADD s 1700000000000-* a 1",
                "-ERR The ID specified in XADD is equal or smaller than the target stream top item|",
            ),
            ("XADD s * a 1", "$15|1700000000001-0|"),
            ("XADD s 18446744073709551615-18446744073709551615 a 1", "$41|18446744073709551615-18446744073709551615|"),
            ("XADD s * a 1", "-ERR The stream has exhausted the last possible ID, unable to add more items|"),
            ("XLEN s", ":8|"),
            ("SET t v", "+OK|"),
            ("XADD t * a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("XADD s * a 1 b", "-ERR wrong number of arguments for 'xadd' command|"),
            ("XADD s MAXLEN 5 *", "-ERR wrong number of arguments for 'xadd' command|"),
        ]);
    }
}
