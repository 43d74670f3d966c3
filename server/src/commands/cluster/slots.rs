//! CLUSTER SLOTS and CLUSTER SHARDS.

use super::CLUSTER_ROW;
use super::shape::{self, SlotRange};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use crate::topology::NodeInfo;
use larder_protocol::{Args, Arity, ReplyBuffer};

/// CLUSTER SLOTS
pub(super) static SLOTS: CommandSpec = CommandSpec {
    name: "slots",
    arity: Arity::Exactly(2),
    complexity: "O(N) where N is the total number of Cluster nodes",
    summary: "Returns the mapping of cluster slots to nodes.",
    handler: Handler::Connection(slots),
    ..CLUSTER_ROW
};

/// CLUSTER SHARDS
pub(super) static SHARDS: CommandSpec = CommandSpec {
    name: "shards",
    arity: Arity::Exactly(2),
    since: "7.0.0",
    complexity: "O(N) where N is the total number of cluster nodes",
    summary: "Returns the mapping of cluster slots to shards.",
    handler: Handler::Connection(shards),
    ..CLUSTER_ROW
};

fn slots(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let topology = context.node.topology();
    let ranges = shape::ranges(&topology);
    reply.array_header(ranges.len());
    for SlotRange { first, last, node } in ranges {
        reply.array_header(3);
        reply.integer(i64::from(first));
        reply.integer(i64::from(last));
        reply.array_header(4);
        reply.bulk(node.cluster.host.as_bytes());
        reply.integer(i64::from(node.cluster.port));
        reply.bulk(node.name.to_string().as_bytes());
        // Further addresses of the node: it has none.
        reply.map_header(0);
    }
    Ok(Flow::Done)
}

fn shards(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let topology = context.node.topology();
    let ranges = shape::ranges(&topology);
    reply.array_header(topology.nodes.len());
    for node in &topology.nodes {
        let own: Vec<_> = shape::ranges_of(&ranges, node.no).collect();
        reply.map_header(2);
        reply.bulk(b"slots");
        reply.array_header(own.len() * 2);
        for (first, last) in own {
            reply.integer(i64::from(first));
            reply.integer(i64::from(last));
        }
        reply.bulk(b"nodes");
        reply.array_header(1);
        describe(node, reply);
    }
    Ok(Flow::Done)
}

fn describe(node: &NodeInfo, reply: &mut ReplyBuffer) {
    let named = !is_address(&node.cluster.host);
    reply.map_header(7 + usize::from(named));
    let name = node.name.to_string();
    let host = node.cluster.host.as_str();
    let texts = |reply: &mut ReplyBuffer, field: &str, value: &str| {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    };
    texts(reply, "id", &name);
    reply.bulk(b"port");
    reply.integer(i64::from(node.cluster.port));
    texts(reply, "ip", host);
    texts(reply, "endpoint", host);
    if named {
        texts(reply, "hostname", host);
    }
    texts(reply, "role", "master");
    reply.bulk(b"replication-offset");
    reply.integer(0);
    texts(reply, "health", if node.is_well() { "online" } else { "fail" });
}

/// Whether a host is an address rather than a name.
pub(super) fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::{StubNode, topology};
    use crate::commands::session::PortKind;
    use std::sync::Arc;

    #[test]
    fn slots_and_shards_show_the_cluster_port() {
        let node = StubNode::new();
        *node.topology.lock() = Arc::new(topology(3, &[1, 2, 1, 2]));
        let mut session = node.connect(PortKind::Client);
        let slots = node.run(&mut session, "CLUSTER SLOTS");
        let first = format!(
            "*4\r\n*3\r\n:0\r\n:4095\r\n*4\r\n$9\r\n127.0.0.1\r\n:7379\r\n$40\r\n{}\r\n*0\r\n",
            "01".repeat(20)
        );
        assert!(slots.starts_with(&first), "{slots}");
        let shards = node.run(&mut session, "CLUSTER SHARDS");
        assert!(
            shards.starts_with(
                "*3\r\n*4\r\n$5\r\nslots\r\n*4\r\n:0\r\n:4095\r\n:8192\r\n:12287\r\n$5\r\nnodes\r\n*1\r\n*14\r\n"
            ),
            "{shards}"
        );
        assert!(shards.contains("slots\r\n*0\r\n"), "node 3 leads nothing");
    }
}
