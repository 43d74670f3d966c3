//! XSETID: <https://redis.io/docs/latest/commands/xsetid/>

use super::ids;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use crate::keyspace::collections::stream::StreamId;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]
pub static XSETID: CommandSpec = CommandSpec {
    name: "xsetid",
    id: 390,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(1)",
    summary: "An internal command for replicating stream values.",
    handler: Handler::Write(apply),
};

const NEGATIVE_ADDED: CommandError = CommandError::text("ERR entries_added must be positive");
const BELOW_GIVEN: CommandError =
    CommandError::text("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
const BELOW_DELETED: CommandError =
    CommandError::text("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
const BELOW_TOP: CommandError =
    CommandError::text("ERR The ID specified in XSETID is smaller than the target stream top item");
const TOO_FEW: CommandError =
    CommandError::text("ERR The entries_added specified in XSETID is smaller than the target stream length");

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let last_id = ids::strict(&args[2], 0)?;
    let (mut added, mut deleted) = (None, StreamId::MIN);
    let mut words = args.from(3).iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(CommandError::Syntax)?;
        if word.eq_ignore_ascii_case(b"ENTRIESADDED") {
            added = Some(u64::try_from(number::integer(value)?).map_err(|_| NEGATIVE_ADDED)?);
        } else if word.eq_ignore_ascii_case(b"MAXDELETEDID") {
            deleted = ids::strict(value, 0)?;
            if last_id < deleted {
                return Err(BELOW_GIVEN);
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let set = context.edit_stream(&args[1], OrCreate::No, |stream| {
        let now = stream.read();
        if last_id < now.max_deleted_id() {
            return Err(BELOW_DELETED);
        }
        if now.last_entry_id().is_some_and(|top| last_id < top) {
            return Err(BELOW_TOP);
        }
        if now.len() > 0 && added.is_some_and(|added| added < now.len() as u64) {
            return Err(TOO_FEW);
        }
        stream.set_ids(last_id, added, (deleted != StreamId::MIN).then_some(deleted));
        Ok(())
    })?;
    set.ok_or(CommandError::NoSuchKey)?;
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn ids_do_not_go_back() {
        Bench::new().expect(&[
            ("XSETID s 5", "-ERR no such key|"),
            ("XADD s 5 a 1", "$3|5-0|"),
            ("XADD s 6 a 1", "$3|6-0|"),
            ("XSETID s 5-9", "-ERR The ID specified in XSETID is smaller than the target stream top item|"),
            (
                "XSETID s 7 ENTRIESADDED 1",
                "-ERR The entries_added specified in XSETID is smaller than the target stream length|",
            ),
            ("XSETID s 7 ENTRIESADDED -1", "-ERR entries_added must be positive|"),
            (
                "XSETID s 7 MAXDELETEDID 8",
                "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id|",
            ),
            ("XSETID s 7 ENTRIESADDED", "-ERR syntax error|"),
            ("XSETID s 9 ENTRIESADDED 7 MAXDELETEDID 8", "+OK|"),
            ("XSETID s 7", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id|"),
            ("XADD s 9 a 1", "-ERR The ID specified in XADD is equal or smaller than the target stream top item|"),
        ]);
    }
}
