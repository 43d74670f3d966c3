//! What the directory's leader orders of the leader of a partition.

use super::directory::MembershipId;
use crate::ids::{CopyId, NodeNo, PartitionId};
use crate::raft::Standing;
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
    /// Make these copies the voters; the leader that carries it out is among them.
    Reshape {
        /// The membership that the change starts from, as the directory has it settled.
        expected: MembershipId,
        /// All of them.
        target: Vec<CopyId>,
        /// Also where they are the voters already: the membership gets a new log id, so that whatever an earlier order
        /// began fails.
        anew: bool,
    },
    /// Say how the copy stands: asked of every living copy before a generation is begun anew.
    Report,
    /// Take part in this generation no more, then say how the copy stands: what it says is final, so a generation may begin
    /// from the copy that is furthest although some that hold the group's majority live.
    Seal,
    /// Hand leadership to this voter.
    Transfer {
        /// Which.
        to: CopyId,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderReply {
    /// It is so now; or it was refused since the group has another membership than the order expects. Either way this is
    /// what the group has committed, with no change under way.
    Settled {
        /// The log id of the membership.
        membership: MembershipId,
        /// The voters.
        voters: Vec<CopyId>,
    },
    /// How the copy stands.
    Report(Standing),
    /// This node does not lead the partition; who does, if known.
    NotLeader(Option<NodeNo>),
    /// Under way, or failed in the middle: give it again.
    Again(String),
    /// Refused for good.
    Refused(String),
}
