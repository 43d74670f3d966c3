//! CLUSTER KEYSLOT, COUNTKEYSINSLOT and GETKEYSINSLOT.

use super::{CLUSTER_ROW, QUERY};
use crate::commands::connection::arguments::integer;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use futures::FutureExt;
use larder_protocol::{Args, Arity, ReplyBuffer, SLOTS, slot_of};

/// CLUSTER KEYSLOT key
pub(super) static KEYSLOT: CommandSpec = CommandSpec {
    name: "keyslot",
    arity: Arity::Exactly(3),
    flags: QUERY,
    complexity: "O(N) where N is the number of bytes in the key",
    summary: "Returns the hash slot for a key.",
    handler: Handler::Connection(key_slot),
    ..CLUSTER_ROW
};

/// CLUSTER COUNTKEYSINSLOT slot
pub(super) static COUNTKEYSINSLOT: CommandSpec = CommandSpec {
    name: "countkeysinslot",
    arity: Arity::Exactly(3),
    complexity: "O(N) where N is the number of keys in the slot's partition",
    summary: "Returns the number of keys in a hash slot.",
    handler: Handler::Connection(count_keys),
    ..CLUSTER_ROW
};

/// CLUSTER GETKEYSINSLOT slot count
pub(super) static GETKEYSINSLOT: CommandSpec = CommandSpec {
    name: "getkeysinslot",
    arity: Arity::Exactly(4),
    complexity: "O(N) where N is the number of keys in the slot's partition",
    summary: "Returns the key names in a hash slot.",
    handler: Handler::Connection(get_keys),
    ..CLUSTER_ROW
};

fn slot(argument: &[u8]) -> Result<Option<u16>, CommandError> {
    Ok(u16::try_from(integer(argument)?).ok().filter(|slot| *slot < SLOTS))
}

fn key_slot(_: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.integer(i64::from(slot_of(&args[2])));
    Ok(Flow::Done)
}

fn count_keys(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let slot = slot(&args[2])?.ok_or(CommandError::text("ERR Invalid slot"))?;
    let version = reply.version();
    let counted = context.node.slot_keys(context.session.database, slot, None).map(move |found| {
        let mut reply = ReplyBuffer::new(version);
        reply.integer(found.count as i64);
        reply.take()
    });
    Ok(Flow::Wait(counted.boxed()))
}

fn get_keys(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let (slot, limit) = (slot(&args[2])?, usize::try_from(integer(&args[3])?).ok());
    let (Some(slot), Some(limit)) = (slot, limit) else {
        return Err(CommandError::text("ERR Invalid slot or number of keys"));
    };
    let version = reply.version();
    let gathered = context.node.slot_keys(context.session.database, slot, Some(limit)).map(move |found| {
        let mut reply = ReplyBuffer::new(version);
        reply.array_header(found.keys.len());
        found.keys.iter().for_each(|key| reply.bulk(key));
        reply.take()
    });
    Ok(Flow::Wait(gathered.boxed()))
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn keys_of_slots_are_counted_and_listed() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Cluster);
        assert_eq!(node.run(&mut session, "CLUSTER KEYSLOT foo"), ":12182\r\n");
        assert_eq!(node.run(&mut session, "CLUSTER COUNTKEYSINSLOT 5"), ":2\r\n");
        assert_eq!(node.run(&mut session, "CLUSTER GETKEYSINSLOT 5 1"), "*1\r\n$4\r\nkey5\r\n");
        for (line, error) in [
            ("CLUSTER COUNTKEYSINSLOT 16384", "Invalid slot"),
            ("CLUSTER COUNTKEYSINSLOT x", "value is not an integer or out of range"),
            ("CLUSTER GETKEYSINSLOT 1 -1", "Invalid slot or number of keys"),
        ] {
            assert_eq!(node.run(&mut session, line), format!("-ERR {error}\r\n"));
        }
    }
}
