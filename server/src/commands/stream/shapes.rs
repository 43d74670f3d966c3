//! Shapes of replies that several commands have, and their errors.

use super::ids::reply_id;
use crate::commands::CommandError;
use crate::keyspace::collections::listpack::Text;
use crate::keyspace::collections::stream::Entry;
use larder_protocol::ReplyBuffer;

/// An entry: its id, and its fields and values.
pub(super) fn reply_entry(reply: &mut ReplyBuffer, entry: &Entry<'_>) {
    let pairs = entry.pairs();
    reply.array_header(2);
    reply_id(reply, entry.id);
    reply.array_header(2 * pairs.len());
    let mut room = Text::default();
    for (field, value) in pairs {
        reply.bulk(field.bytes(&mut room));
        reply.bulk(value.bytes(&mut room));
    }
}

/// An array of which the length shows at its end: `write` says it.
pub(super) fn reply_array(reply: &mut ReplyBuffer, write: impl FnOnce(&mut ReplyBuffer) -> usize) {
    let mut elements = ReplyBuffer::new(reply.version());
    let length = write(&mut elements);
    reply.array_header(length);
    reply.raw(elements.as_slice());
}

/// An array of entries.
pub(super) fn reply_entries<'a>(reply: &mut ReplyBuffer, entries: impl Iterator<Item = Entry<'a>>) {
    reply_array(reply, |reply| entries.map(|entry| reply_entry(reply, &entry)).count());
}

/// `0` means all.
pub(super) fn limit(count: i64) -> usize {
    if count == 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) }
}

/// An argument as errors repeat it: up to the first zero byte, where C ends it.
pub(super) fn text(argument: &[u8]) -> &[u8] {
    argument.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// There is no such key, or it has no such group.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8], in_what: &str) -> CommandError {
    let (key, group) = (text(key), text(group));
    let rest = [b"'", in_what.as_bytes()].concat();
    CommandError::repeating(&[b"NOGROUP No such key '", key, b"' or consumer group '", group, &rest])
}

/// The key has no such group.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (text(key), text(group));
    CommandError::repeating(&[b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"])
}

/// A subcommand's arguments are not what it takes.
pub(super) fn bad_subcommand(container: &str, subcommand: &[u8]) -> CommandError {
    let subcommand = text(&subcommand[..subcommand.len().min(128)]);
    let help = format!("'. Try {container} HELP.");
    let problem = b"ERR unknown subcommand or wrong number of arguments for '";
    CommandError::repeating(&[problem, subcommand, help.as_bytes()])
}
