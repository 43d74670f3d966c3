//! What the directory knows: the cluster, its nodes, and who is to hold what.

use crate::ids::{CopyId, Incarnation, NodeName, NodeNo, PartitionId};
use crate::topology::{HostPort, NodeState};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;

/// The name of a cluster: random, once.
pub type ClusterId = [u8; 20];

/// The replicated state of the directory. Changed by [`DirectoryCommand`](super::DirectoryCommand)s alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DirectoryState {
    /// Set once, by the first command.
    pub cluster: Option<Cluster>,
    /// By number. A node that has left stays here until it is forgotten or returns under a new number.
    pub nodes: BTreeMap<NodeNo, NodeRecord>,
    /// The highest incarnations of nodes that are in `nodes` no more: their data directories may come back.
    #[serde(with = "departed")]
    pub departed: BTreeMap<NodeName, Incarnation>,
    /// By partition.
    pub partitions: Vec<PartitionRecord>,
    /// Grows with every change that a client or another node can see.
    pub epoch: u64,
    /// Grows with every new target.
    pub target_epoch: u64,
    /// The node that may stop, until it is back.
    pub stop_permit: Option<CopyId>,
    /// The last number given to a node.
    pub last_node: NodeNo,
}

/// What is fixed, or rarely changed, for the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub id: ClusterId,
    /// Its settings.
    pub settings: Settings,
}

/// Settings of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Number of partitions.
    pub partitions: u16,
    /// Copies of each partition.
    pub replicas: u8,
    /// Secret seed of the order in which SCAN visits keys.
    pub hash_seed: [u8; 16],
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its number in this cluster.
    pub no: NodeNo,
    /// Its name.
    pub name: NodeName,
    /// Its latest incarnation; copies of earlier ones are dead.
    pub incarnation: Incarnation,
    /// Chosen at random by the process that registered: tells a repeated registration from a second process with the same
    /// data directory.
    pub token: u64,
    /// Where it stands.
    pub state: NodeState,
    /// Advertised client address.
    pub client: HostPort,
    /// Advertised cluster address.
    pub cluster: HostPort,
    /// Advertised peer address.
    pub peer: HostPort,
    /// Its share of the data: bytes of memory.
    pub weight: u64,
    /// Where it stands in the world, if it says.
    pub zone: Option<String>,
    /// Version of its program.
    pub version: String,
}

/// The log id of a membership within a partition's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct MembershipId {
    /// Term of the entry.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// The life of its group; frames of an earlier one are refused.
    pub generation: u32,
    /// The voters of the last membership that was reported as committed with no change under way; empty in a generation
    /// that has not begun.
    pub voters: Vec<CopyId>,
    /// The log id of that membership.
    pub membership: MembershipId,
    /// Voters that the group may have moved to since: written before the group is told to.
    pub planned: Option<Vec<CopyId>>,
    /// The nodes that are to hold its copies.
    pub target: Vec<NodeNo>,
    /// How often a generation was started from a copy that may have missed answered writes.
    pub losses: u32,
}

impl PartitionRecord {
    pub(super) fn new() -> Self {
        Self {
            generation: 1,
            voters: Vec::new(),
            membership: MembershipId::default(),
            planned: None,
            target: Vec::new(),
            losses: 0,
        }
    }

    /// All copies that may vote in this generation.
    pub fn copies(&self) -> impl Iterator<Item = CopyId> {
        self.voters.iter().chain(self.planned.iter().flatten()).copied()
    }
}

impl DirectoryState {
    /// The record of a partition.
    pub fn partition(&self, partition: PartitionId) -> Option<&PartitionRecord> {
        self.partitions.get(partition.index())
    }

    /// The latest record under a name.
    pub fn node_named(&self, name: NodeName) -> Option<&NodeRecord> {
        self.nodes.values().rev().find(|node| node.name == name)
    }

    /// Whether a copy can never act again: a later incarnation of its node is registered, or the node was declared dead.
    /// Being out of reach proves nothing.
    pub fn is_dead(&self, copy: CopyId) -> bool {
        match self.nodes.get(&copy.node) {
            // Only nodes without copies leave or are forgotten.
            None => true,
            Some(node) => {
                node.incarnation > copy.incarnation || matches!(node.state, NodeState::Down | NodeState::Left)
            }
        }
    }

    /// Whether too many of `voters` are dead for the others to decide anything ever again.
    pub fn has_lost_quorum(&self, voters: &[CopyId]) -> bool {
        let living = voters.iter().filter(|copy| !self.is_dead(**copy)).count();
        living < quorum(voters)
    }

    /// Whether a partition's group may be unable to decide anything ever again: its voters have lost their majority, or
    /// those have that it was to move to, whose majority counts as soon as the change has begun.
    pub fn may_be_stuck(&self, record: &PartitionRecord) -> bool {
        self.has_lost_quorum(&record.voters)
            || record.planned.as_ref().is_some_and(|planned| self.has_lost_quorum(planned))
    }

    /// Whether the node votes, or may come to vote, or is to hold a copy.
    pub fn holds_copies(&self, no: NodeNo) -> bool {
        let holds = |p: &PartitionRecord| p.target.contains(&no) || p.copies().any(|copy| copy.node == no);
        self.partitions.iter().any(holds)
    }

    /// Whether the node's current incarnation votes in every partition that it is to hold and no other copy of it is left.
    pub fn is_settled(&self, no: NodeNo) -> bool {
        let Some(node) = self.nodes.get(&no) else { return true };
        let current = CopyId { node: no, incarnation: node.incarnation };
        self.partitions.iter().all(|p| {
            (!p.target.contains(&no) || p.voters.contains(&current))
                && p.copies().all(|copy| copy.node != no || copy == current)
        })
    }

    /// A number that equal states share and, as far as hashing can tell, others do not.
    pub fn digest(&self) -> u64 {
        SipHasher13::new().hash(&self.encode())
    }

    /// The state as bytes: a version, then JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![STATE_VERSION];
        serde_json::to_writer(&mut bytes, self).expect("a state is maps, numbers and texts, which JSON can write");
        bytes
    }

    /// The inverse of [`DirectoryState::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&STATE_VERSION, json)) => serde_json::from_slice(json).map_err(|error| error.to_string()),
            Some((version, _)) => {
                Err(format!("directory state of format {version}, this program reads {STATE_VERSION}"))
            }
            None => Err("empty directory state".to_owned()),
        }
    }
}

const STATE_VERSION: u8 = 1;

/// How many of `voters` decide.
pub(super) fn quorum(voters: &[CopyId]) -> usize {
    voters.len() / 2 + 1
}

/// JSON wants texts as keys, names are bytes: written as pairs.
mod departed {
    use super::*;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<NodeName, Incarnation>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<NodeName, Incarnation>, D::Error> {
        Ok(Vec::<(NodeName, Incarnation)>::deserialize(d)?.into_iter().collect())
    }
}
