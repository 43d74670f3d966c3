//! CLUSTER LINKS.

use super::CLUSTER_ROW;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, ReplyBuffer};

/// CLUSTER LINKS
pub(super) static LINKS: CommandSpec = CommandSpec {
    name: "links",
    arity: Arity::Exactly(2),
    since: "7.0.0",
    complexity: "O(N) where N is the total number of Cluster nodes",
    summary: "Returns a list of all TCP links to and from peer nodes.",
    handler: Handler::Connection(links),
    ..CLUSTER_ROW
};

fn links(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let links = context.node.links();
    reply.array_header(links.len());
    for link in links {
        reply.map_header(6);
        let (direction, events) = match (link.inbound, link.waiting_bytes) {
            (true, _) => ("from", "r"),
            (false, 0) => ("to", "r"),
            (false, _) => ("to", "rw"),
        };
        reply.bulk(b"direction");
        reply.bulk(direction.as_bytes());
        reply.bulk(b"node");
        reply.bulk(link.node.to_string().as_bytes());
        reply.bulk(b"create-time");
        reply.integer(link.created_ms as i64);
        reply.bulk(b"events");
        reply.bulk(events.as_bytes());
        reply.bulk(b"send-buffer-allocated");
        reply.integer(link.waiting_bytes as i64);
        reply.bulk(b"send-buffer-used");
        reply.integer(link.waiting_bytes as i64);
    }
    Ok(Flow::Done)
}
