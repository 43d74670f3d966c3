//! What other layers are shown of the directory's state: whom to link with, and the cluster as clients see it.

use super::directory::DirectoryState;
use crate::ids::{NodeNo, PartitionId};
use crate::topology::{HostPort, NodeInfo, NodeState, Owners, Topology};

/// The nodes to be linked with.
pub(super) fn members(state: &DirectoryState) -> Vec<(NodeNo, HostPort)> {
    let linked = state.nodes.values().filter(|node| node.state != NodeState::Down);
    linked.map(|node| (node.no, node.peer.clone())).collect()
}

/// How messages name a node: by the beginning of its id, which `larder status` shows, and its client address.
pub(super) fn label(state: &DirectoryState, no: NodeNo) -> String {
    match state.nodes.get(&no) {
        Some(node) => format!("{:.8} ({})", node.name.to_string(), node.client),
        None => no.to_string(),
    }
}

/// The picture that clients are given.
pub fn topology(
    state: &DirectoryState,
    me: NodeNo,
    leader: &dyn Fn(PartitionId) -> Option<NodeNo>,
    connected: &dyn Fn(NodeNo) -> bool,
) -> Topology {
    let nodes = state.nodes.values().filter(|node| node.state != NodeState::Left || node.no == me);
    let nodes: Vec<NodeInfo> = nodes
        .map(|node| NodeInfo {
            no: node.no,
            name: node.name,
            incarnation: node.incarnation,
            client: node.client.clone(),
            cluster: node.cluster.clone(),
            peer: node.peer.clone(),
            state: node.state,
            zone: node.zone.clone(),
            connected: node.no == me || connected(node.no),
        })
        .collect();
    let owners = state.partitions.iter().enumerate().map(|(index, record)| {
        let mut copies: Vec<NodeNo> = record.voters.iter().map(|copy| copy.node).collect();
        copies.retain(|no| nodes.iter().any(|node| node.no == *no));
        if copies.is_empty() {
            copies.extend(record.target.first());
        }
        Owners { leader: leader(PartitionId(index as u16)), copies }
    });
    let owners = owners.collect();
    Topology { epoch: state.epoch, me, nodes, owners }
}
