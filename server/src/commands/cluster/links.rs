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
        let direction = if link.inbound { "from" } else { "to" };
        let waiting = link.waiting_bytes.filter(|_| !link.inbound);
        let numbers =
            [("create-time", link.created_ms), ("send-buffer-allocated", waiting), ("send-buffer-used", waiting)];
        let numbers: Vec<_> = numbers.into_iter().filter_map(|(name, number)| Some((name, number?))).collect();
        reply.map_header(3 + numbers.len());
        for (name, value) in [
            ("direction", direction),
            ("node", &link.node.to_string()),
            ("events", if waiting.is_some_and(|bytes| bytes > 0) { "rw" } else { "r" }),
        ] {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
        for (name, number) in numbers {
            reply.bulk(name.as_bytes());
            reply.integer(number as i64);
        }
    }
    Ok(Flow::Done)
}
