//! ROLE: <https://redis.io/docs/latest/commands/role/>

use super::SERVER;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};

/// ROLE
pub static ROLE: CommandSpec = CommandSpec {
    name: "role",
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST),
    since: "2.8.12",
    summary: "Returns the replication role.",
    handler: Handler::Connection(role),
    ..SERVER
};

/// Every node takes writes, so every node is a master. Copies are kept by partition, not by node, and through Raft: there
/// is no replication offset and no replica that a client could read from, so the offset is 0 and the list empty.
fn role(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.array_header(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array_header(0);
    Ok(Flow::Done)
}
