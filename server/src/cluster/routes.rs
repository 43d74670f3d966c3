//! The way from a key to the copy that serves it.

use crate::ids::{NodeNo, PartitionId};
use crate::raft::{Partition, Refusal, ShareOutcome};
use crate::topology::Topology;
use bytes::Bytes;
use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A request to another node's copy of a partition.
#[derive(Debug)]
pub struct Forward {
    /// The partition, whose leader the other node is thought to be.
    pub partition: PartitionId,
    /// What is asked.
    pub kind: ForwardKind,
    /// The commands.
    pub block: Bytes,
    /// How many.
    pub count: u32,
}

/// What a [`Forward`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardKind {
    /// Run the commands, in order, together.
    Run,
    /// Watch the keys that are the arguments of the block's one command, for the connection `session` of this node.
    Watch {
        /// Unique among the connections of the asking node.
        session: u64,
    },
    /// Forget what `session` watches.
    Unwatch {
        /// As in `Watch`.
        session: u64,
    },
    /// Run the commands if nothing that `session` watches has changed; forget what it watches.
    Exec {
        /// As in `Watch`.
        session: u64,
    },
}

/// Partitions of this node, the topology, and the links to other nodes.
pub struct Routes {
    partitions: Vec<Arc<Partition>>,
    topology: RwLock<Arc<Topology>>,
}

impl Routes {
    /// Routes of a node with these partitions, in order.
    pub fn new(partitions: Vec<Arc<Partition>>, topology: Topology) -> Self {
        assert_eq!(partitions.len(), topology.owners.len(), "one partition an owner");
        Self { partitions, topology: RwLock::new(Arc::new(topology)) }
    }

    /// All partitions, in order.
    pub fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    /// The partition of a slot.
    pub fn partition_of(&self, slot: u16) -> &Arc<Partition> {
        &self.partitions[PartitionId::of_slot(slot, self.partitions.len() as u16).index()]
    }

    /// The picture in force.
    pub fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.read())
    }

    /// Sends commands to the node that leads their partition. The outcome comes through the receiver; a receiver whose
    /// sender is gone means [`ShareOutcome::Uncertain`].
    pub fn forward(&self, _to: NodeNo, _request: Forward) -> oneshot::Receiver<ShareOutcome> {
        let (done, outcome) = oneshot::channel();
        let _ = done.send(ShareOutcome::Refused(Refusal::Unreachable));
        outcome
    }
}
