//! CLUSTER INFO.

use super::CLUSTER_ROW;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use crate::ids::PartitionId;
use crate::topology::Topology;
use larder_protocol::{Args, Arity, ReplyBuffer};

/// CLUSTER INFO
pub(super) static INFO: CommandSpec = CommandSpec {
    name: "info",
    arity: Arity::Exactly(2),
    summary: "Returns information about the state of a node.",
    handler: Handler::Connection(info),
    ..CLUSTER_ROW
};

fn info(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let (sent, received) = context.node.peer_messages();
    let messages = format!("cluster_stats_messages_sent:{sent}\r\ncluster_stats_messages_received:{received}\r\n");
    reply.verbatim((fields(&context.node.topology()) + &messages).as_bytes());
    Ok(Flow::Done)
}

/// Redis's fields: slots are ok while their partition takes writes, failed where no leader of it is known.
fn fields(topology: &Topology) -> String {
    let partitions = topology.partitions();
    let (mut ok, mut suspect, mut failed) = (0u32, 0u32, 0u32);
    for (index, owners) in topology.owners.iter().enumerate() {
        let [first, end] = [index, index + 1].map(|at| PartitionId(at as u16).first_slot(partitions));
        let slots = u32::from(end - first);
        match owners.leader {
            _ if topology.is_served(owners) => ok += slots,
            Some(_) => suspect += slots,
            None => failed += slots,
        }
    }
    let masters = topology.nodes.iter().filter(|node| topology.owners.iter().any(|o| o.leader == Some(node.no)));
    // A node that has no place in a cluster yet knows of no slots.
    let state = if failed + suspect == 0 && ok > 0 { "ok" } else { "fail" };
    [
        format!("cluster_state:{state}"),
        format!("cluster_slots_assigned:{}", ok + suspect + failed),
        format!("cluster_slots_ok:{ok}"),
        format!("cluster_slots_pfail:{suspect}"),
        format!("cluster_slots_fail:{failed}"),
        format!("cluster_known_nodes:{}", topology.nodes.len()),
        format!("cluster_size:{}", masters.count()),
        format!("cluster_current_epoch:{}", topology.epoch),
        format!("cluster_my_epoch:{}", topology.epoch),
        String::new(),
    ]
    .join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::port_stub::{StubNode, topology};
    use crate::commands::session::PortKind;

    #[test]
    fn messages_of_nodes_are_told() {
        let node = StubNode::new();
        let info = node.run(&mut node.connect(PortKind::Cluster), "CLUSTER INFO");
        let end = "cluster_stats_messages_sent:7\r\ncluster_stats_messages_received:5\r\n\r\n";
        assert!(info.ends_with(end), "{info}");
    }

    #[test]
    fn slots_are_counted_by_the_state_of_their_leaders() {
        let mut topology = topology(3, &[1, 2, 1, 2]);
        let text = fields(&topology);
        assert!(
            text.starts_with("cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"),
            "{text}"
        );
        assert!(text.contains("cluster_known_nodes:3\r\ncluster_size:2\r\n"), "{text}");
        topology.nodes[1].connected = false;
        topology.owners[0].leader = None;
        let text = fields(&topology);
        assert!(text.contains("state:fail") && text.contains("_pfail:8192") && text.contains("_fail:4096"), "{text}");
        // Two of three copies out of reach: the leader is there, and no slot takes writes.
        topology.nodes[2].connected = false;
        let copies: Vec<_> = topology.nodes.iter().map(|node| node.no).collect();
        for owners in &mut topology.owners {
            (owners.leader, owners.copies) = (Some(topology.me), copies.clone());
        }
        let text = fields(&topology);
        assert!(text.contains("state:fail") && text.contains("slots_ok:0\r\n"), "{text}");
    }
}
