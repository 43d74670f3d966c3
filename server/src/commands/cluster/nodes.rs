//! CLUSTER NODES, MYID, MYSHARDID and REPLICAS.

use super::CLUSTER_ROW;
use super::shape;
use super::slots::is_address;
use crate::commands::connection::arguments::text;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::{PortKind, Session};
use crate::commands::{CommandError, CommandSpec, Handler};
use crate::ids::NodeName;
use crate::topology::{NodeState, Topology};
use larder_protocol::{Args, Arity, ReplyBuffer};
use std::fmt::Write;

/// CLUSTER NODES
pub(super) static NODES: CommandSpec = CommandSpec {
    name: "nodes",
    arity: Arity::Exactly(2),
    complexity: "O(N) where N is the total number of Cluster nodes",
    summary: "Returns the cluster configuration for a node.",
    handler: Handler::Connection(nodes),
    ..CLUSTER_ROW
};

/// CLUSTER MYID
pub(super) static MYID: CommandSpec = CommandSpec {
    name: "myid",
    arity: Arity::Exactly(2),
    summary: "Returns the ID of a node.",
    handler: Handler::Connection(my_id),
    ..CLUSTER_ROW
};

/// CLUSTER MYSHARDID
pub(super) static MYSHARDID: CommandSpec = CommandSpec {
    name: "myshardid",
    arity: Arity::Exactly(2),
    since: "7.2.0",
    summary: "Returns the shard ID of a node.",
    // Each node is a shard of its own (see the module above), so the shard's id is the node's.
    handler: Handler::Connection(my_id),
    ..CLUSTER_ROW
};

/// CLUSTER REPLICAS node-id
pub(super) static REPLICAS: CommandSpec = CommandSpec {
    name: "replicas",
    arity: Arity::Exactly(3),
    flags: super::ADMIN,
    since: "5.0.0",
    complexity: "O(N) where N is the number of replicas.",
    summary: "Lists the replica nodes of a master node.",
    handler: Handler::Connection(replicas),
    ..CLUSTER_ROW
};

fn nodes(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    if context.session.port == PortKind::Client && is_stack_exchange(context.session) {
        return Err(CommandError::text("ERR This instance has cluster support disabled"));
    }
    reply.verbatim(lines(&context.node.topology()).as_bytes());
    Ok(Flow::Done)
}

/// StackExchange.Redis takes any bulk reply to CLUSTER NODES for a cluster, and then refuses commands over several slots,
/// which the client port serves. It gives its name by CLIENT SETINFO and in its default client name, `HOST(SE.Redis-v..)`.
fn is_stack_exchange(session: &Session) -> bool {
    let labels = session.client.labels.lock();
    let named = |label: &[u8]| label.windows(8).any(|part| part == b"SE.Redis");
    named(&labels.library_name) || named(&labels.name)
}

fn lines(topology: &Topology) -> String {
    let ranges = shape::ranges(topology);
    let mut lines = String::new();
    for node in &topology.nodes {
        let (host, port) = (&node.cluster.host, node.cluster.port);
        let hostname = if is_address(host) { String::new() } else { format!(",{host}") };
        let myself = if node.no == topology.me { "myself," } else { "" };
        let failing = match (node.state, node.connected) {
            (NodeState::Down, _) => ",fail",
            (_, false) => ",fail?",
            (_, true) => "",
        };
        let link = if node.connected { "connected" } else { "disconnected" };
        let _ = write!(
            lines,
            "{} {host}:{port}@{}{hostname} {myself}master{failing} - 0 0 {} {link}",
            node.name, node.peer.port, topology.epoch
        );
        for (first, last) in shape::ranges_of(&ranges, node.no) {
            let _ = match first == last {
                true => write!(lines, " {first}"),
                false => write!(lines, " {first}-{last}"),
            };
        }
        lines.push('\n');
    }
    lines
}

/// The name of the node that `topology` was made on.
pub(super) fn my_name(topology: &Topology) -> NodeName {
    topology.node(topology.me).map(|node| node.name).unwrap_or_default()
}

fn my_id(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.bulk(my_name(&context.node.topology()).to_string().as_bytes());
    Ok(Flow::Done)
}

fn replicas(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let topology = context.node.topology();
    let wanted = text(&args[2]);
    if !topology.nodes.iter().any(|node| node.name.to_string() == wanted) {
        return Err(CommandError::Other(format!("ERR Unknown node {wanted}").into()));
    }
    reply.array_header(0);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::port_stub::{StubNode, topology};
    use std::sync::Arc;

    #[test]
    fn lines_have_the_form_of_redis() {
        let mut topology = topology(3, &[1, 2, 1, 2]);
        topology.nodes[1].connected = false;
        topology.nodes[2].cluster.host = "cache-3.example".into();
        let lines = lines(&topology);
        let lines: Vec<&str> = lines.lines().collect();
        let id = |no: u8| NodeName([no; 20]);
        assert_eq!(
            lines[0],
            format!("{} 127.0.0.1:7379@16379 myself,master - 0 0 3 connected 0-4095 8192-12287", id(1))
        );
        assert!(lines[1].contains(" master,fail? - 0 0 3 disconnected 4096-8191 12288-16383"), "{}", lines[1]);
        assert!(
            lines[2].contains("cache-3.example:7381@16381,cache-3.example master - 0 0 3 connected"),
            "{}",
            lines[2]
        );
        assert!(lines[2].ends_with("connected"));
    }

    #[test]
    fn stack_exchange_is_told_that_the_client_port_is_no_cluster() {
        let node = StubNode::new();
        *node.topology.lock() = Arc::new(topology(1, &[1]));
        for labelled in ["CLIENT SETINFO LIB-NAME SE.Redis", "CLIENT SETNAME web1(SE.Redis-v2.8.0)"] {
            let mut session = node.connect(PortKind::Client);
            assert!(node.run(&mut session, "CLUSTER NODES").starts_with('$'));
            node.run(&mut session, labelled);
            let refused = "-ERR This instance has cluster support disabled\r\n";
            assert_eq!(node.run(&mut session, "CLUSTER NODES"), refused);
            session.port = PortKind::Cluster;
            assert!(node.run(&mut session, "CLUSTER NODES").starts_with('$'));
        }
        let mut session = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "CLUSTER MYID"), format!("$40\r\n{}\r\n", "01".repeat(20)));
        assert_eq!(node.run(&mut session, "CLUSTER REPLICAS x"), "-ERR Unknown node x\r\n");
        assert_eq!(node.run(&mut session, &format!("CLUSTER REPLICAS {}", "01".repeat(20))), "*0\r\n");
    }
}
