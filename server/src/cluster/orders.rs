//! What the directory's leader orders of the leader of a partition.

use crate::ids::{CopyId, NodeNo, PartitionId};
use serde::{Deserialize, Serialize};

/// An order. It names the directory's term, so that a deposed leader's orders are refused, and the generation of the
/// group that it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The partition.
    pub partition: PartitionId,
    /// Its generation.
    pub generation: u32,
    /// The term of the directory's leader.
    pub directory_term: u64,
    /// What to do.
    pub kind: OrderKind,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderKind {
    /// Make these copies the voters.
    Reshape {
        /// All of them.
        target: Vec<CopyId>,
    },
    /// Hand leadership to this voter.
    Transfer {
        /// Which.
        to: CopyId,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderReply {
    /// It is so now.
    Done,
    /// This node does not lead the partition; who does, if known.
    NotLeader(Option<NodeNo>),
    /// Under way, or failed in the middle: give it again.
    Again(String),
    /// Refused for good.
    Refused(String),
}
