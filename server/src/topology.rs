//! The cluster as clients may see it: one immutable picture per change, from which CLUSTER SLOTS, SHARDS, NODES, MOVED
//! and the dashboard are all made, so that they never disagree.

use crate::ids::{Incarnation, NodeName, NodeNo, PartitionId};
use std::fmt;

/// A host (name or address, without brackets) and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    /// As Redis writes it in redirections: `host:port` without brackets, for IPv6 too.
    pub fn unbracketed(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Where a node stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NodeState {
    /// Registered, holds nothing yet.
    Joining,
    /// A full member.
    Up,
    /// Being emptied; will leave.
    Draining,
    /// Declared dead by an operator.
    Down,
    /// Empty and gone, or about to stop.
    Left,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its number in this cluster.
    pub no: NodeNo,
    /// Its 40-digit name.
    pub name: NodeName,
    /// Its current incarnation.
    pub incarnation: Incarnation,
    /// Advertised client address.
    pub client: HostPort,
    /// Advertised cluster address.
    pub cluster: HostPort,
    /// Advertised peer address.
    pub peer: HostPort,
    /// Its state.
    pub state: NodeState,
    /// Its zone, if it says.
    pub zone: Option<String>,
    /// Whether this node has a link to it now (itself: always).
    pub connected: bool,
}

impl NodeInfo {
    /// Whether it is thought to work, as seen from here.
    pub fn is_well(&self) -> bool {
        self.connected && self.state != NodeState::Down
    }
}

/// Who holds a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners {
    /// The node that leads it, as last heard.
    pub leader: Option<NodeNo>,
    /// The nodes that hold voting copies, the leader among them.
    pub copies: Vec<NodeNo>,
}

/// The cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Grows with every change of placement or nodes.
    pub epoch: u64,
    /// This node.
    pub me: NodeNo,
    /// All nodes that have not left, by number.
    pub nodes: Vec<NodeInfo>,
    /// By partition.
    pub owners: Vec<Owners>,
}

impl Topology {
    /// How many partitions.
    pub fn partitions(&self) -> u16 {
        self.owners.len() as u16
    }

    /// The partition of a slot.
    pub fn partition_of(&self, slot: u16) -> PartitionId {
        PartitionId::of_slot(slot, self.partitions())
    }

    /// Whether a partition takes writes, as far as this node can see: a leader is known that works, and more than half of
    /// the copies do. A leader that has lost its majority goes on calling itself one, so the copies are counted.
    pub fn is_served(&self, owners: &Owners) -> bool {
        let works = |no: NodeNo| self.node(no).is_some_and(NodeInfo::is_well);
        let working = owners.copies.iter().filter(|no| works(**no)).count();
        owners.leader.is_some_and(works) && working * 2 > owners.copies.len()
    }

    /// The node numbered `no`.
    pub fn node(&self, no: NodeNo) -> Option<&NodeInfo> {
        self.nodes.iter().find(|node| node.no == no)
    }
}
