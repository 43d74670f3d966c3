//! The status of a cluster as LARDER STATUS shows it, as a table and as JSON.

use crate::commands::port::{ClusterStatus, Move, state_word};
use crate::ids::PartitionId;
use crate::topology::Topology;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The cluster, as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the placement.
    pub epoch: u64,
    /// The id of the node that answers.
    pub me: String,
    /// Whether the node that answers is ready.
    pub ready: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// All nodes.
    pub nodes: Vec<NodeStatus>,
    /// All partitions.
    pub partitions: Vec<PartitionStatus>,
    /// Copies on their way.
    pub moves: Vec<Move>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its number.
    pub no: u32,
    /// Its 40-digit name.
    pub id: String,
    /// joining, up, draining, down or left.
    pub state: String,
    /// Its zone, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether the node that answers has a link to it.
    pub connected: bool,
    /// Client address.
    pub client: String,
    /// Cluster address.
    pub cluster: String,
    /// Peer address.
    pub peer: String,
    /// Partitions that it leads.
    pub leads: usize,
    /// Partitions of which it holds a copy.
    pub copies: usize,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: u16,
    /// First slot.
    pub first_slot: u16,
    /// Last slot.
    pub last_slot: u16,
    /// The number of the node that leads it.
    pub leader: Option<u32>,
    /// The numbers of the nodes that hold copies.
    pub copies: Vec<u32>,
    /// Whether it takes writes: its leader and most of its copies are reached.
    pub served: bool,
}

impl Status {
    /// The status of `topology`.
    pub fn new(topology: &Topology, cluster: ClusterStatus) -> Self {
        let count = topology.partitions();
        let partitions = topology.owners.iter().zip(0..).map(|(owners, partition)| PartitionStatus {
            partition,
            first_slot: PartitionId(partition).first_slot(count),
            last_slot: PartitionId(partition + 1).first_slot(count) - 1,
            leader: owners.leader.map(|no| no.0),
            copies: owners.copies.iter().map(|no| no.0).collect(),
            served: topology.is_served(owners),
        });
        let nodes = topology.nodes.iter().map(|node| NodeStatus {
            no: node.no.0,
            id: node.name.to_string(),
            state: state_word(node.state).to_string(),
            zone: node.zone.clone(),
            connected: node.connected,
            client: node.client.to_string(),
            cluster: node.cluster.to_string(),
            peer: node.peer.to_string(),
            leads: topology.owners.iter().filter(|owners| owners.leader == Some(node.no)).count(),
            copies: topology.owners.iter().filter(|owners| owners.copies.contains(&node.no)).count(),
        });
        Self {
            epoch: topology.epoch,
            me: topology.node(topology.me).map(|node| node.name.to_string()).unwrap_or_default(),
            ready: cluster.unready.is_none(),
            reason: cluster.unready,
            nodes: nodes.collect(),
            partitions: partitions.collect(),
            moves: cluster.moves,
        }
    }

    /// The node that `name` means: an id, a unique beginning of one, or a client address.
    ///
    /// # Errors
    /// Where that is none or more than one.
    pub fn find(&self, name: &str) -> Result<&NodeStatus, String> {
        if name.is_empty() {
            return Err(
                "no node is named: give an id, a beginning of one, or a client address; see larder status".into()
            );
        }
        let name = name.to_ascii_lowercase();
        if let Some(node) = self.nodes.iter().find(|node| node.client == name) {
            return Ok(node);
        }
        let found: Vec<&NodeStatus> = self.nodes.iter().filter(|node| node.id.starts_with(&name)).collect();
        match found[..] {
            [node] => Ok(node),
            [] => Err(format!("{name} is no node of this cluster; see larder status")),
            _ => Err(format!("{name} begins the ids of {} nodes: give more of it", found.len())),
        }
    }

    /// What wants an operator's attention.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.reason.iter().map(|reason| format!("this node is not ready: {reason}")));
        for node in self.nodes.iter().filter(|node| !node.connected && node.state != "left") {
            let id = node.id.get(..8).unwrap_or(&node.id);
            warnings.push(format!("node {id} ({}) cannot be reached at its peer address {}", node.client, node.peer));
        }
        let unserved: Vec<String> =
            self.partitions.iter().filter(|p| !p.served).map(|p| p.partition.to_string()).collect();
        if !unserved.is_empty() {
            let partitions = unserved.join(", ");
            warnings.push(format!("no writes: the leader or most copies cannot be reached of partition {partitions}"));
        }
        let members = self.nodes.iter().filter(|node| node.state == "up").count();
        if members == 2 {
            warnings.push("two nodes need each other for writes; add a third to survive the loss of one".into());
        }
        warnings
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = self.partitions.iter().filter(|partition| partition.served).count();
        writeln!(
            f,
            "epoch {}, {} nodes, {} partitions ({served} served)",
            self.epoch,
            self.nodes.len(),
            self.partitions.len()
        )?;
        writeln!(f)?;
        // Only where there are any.
        let zones = self.nodes.iter().any(|node| node.zone.is_some());
        let title = if zones { "  ZONE" } else { "" };
        writeln!(
            f,
            "{:>3} {:<10} {:<9} {:<22} {:<22} {:<22} {:>5} {:>6}{title}",
            "NO", "NODE", "STATE", "CLIENT", "CLUSTER", "PEER", "LEADS", "COPIES"
        )?;
        for node in &self.nodes {
            let state = if node.connected { node.state.clone() } else { format!("{}?", node.state) };
            // The number that the log shows; a node without a place has none.
            let no = if node.no == 0 { "-".to_owned() } else { node.no.to_string() };
            let me = if node.id == self.me { "*" } else { "" };
            let id = format!("{}{me}", node.id.get(..8).unwrap_or(&node.id));
            let zone = if zones { format!("  {}", node.zone.as_deref().unwrap_or("-")) } else { String::new() };
            writeln!(
                f,
                "{no:>3} {id:<10} {state:<9} {:<22} {:<22} {:<22} {:>5} {:>6}{zone}",
                node.client, node.cluster, node.peer, node.leads, node.copies
            )?;
        }
        for step in &self.moves {
            let number = |no: Option<u32>| no.map_or("-".to_string(), |no| no.to_string());
            writeln!(
                f,
                "moving partition {} from node {} to node {}",
                step.partition,
                number(step.from),
                number(step.to)
            )?;
        }
        self.warnings().iter().try_for_each(|warning| writeln!(f, "! {warning}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::port_stub::topology;

    #[test]
    fn who_is_meant_or_why_nobody_is() {
        let mut topology = topology(2, &[1, 2]);
        topology.nodes[1].name.0[1] = 7;
        topology.nodes[0].name.0[0] = 2;
        let status = Status::new(&topology, ClusterStatus::default());
        assert_eq!(status.find("127.0.0.1:6380").unwrap().no, 2);
        assert_eq!(status.find("0207").unwrap().no, 2);
        let error = |name: &str| status.find(name).unwrap_err();
        assert!(error("").starts_with("no node is named"));
        assert_eq!(error("zz"), "zz is no node of this cluster; see larder status");
        assert_eq!(error("02"), "02 begins the ids of 2 nodes: give more of it");
    }
}
