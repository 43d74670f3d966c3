//! Questions that may be asked before one is a member: to join, and who is there.

use super::directory::{ClusterId, Generation, Registration, Settings};
use crate::ids::NodeNo;
use serde::{Deserialize, Serialize};

/// A request of the control service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlRequest {
    /// Take this node in, or in again.
    Register(Registration),
    /// Does the node hold data, and of which cluster is it?
    Describe,
    /// Join the cluster of the node at this peer address: the other half of CLUSTER MEET.
    Join(crate::topology::HostPort),
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlReply {
    /// The node is a member.
    Registered {
        /// Of this cluster.
        cluster: ClusterId,
        /// Under this number.
        no: NodeNo,
        /// With these settings.
        settings: Settings,
    },
    /// What the node is.
    Description {
        /// Its cluster.
        cluster: ClusterId,
        /// How many nodes that has.
        nodes: usize,
        /// Whether it holds any item.
        has_data: bool,
        /// The generation of the directory that it follows.
        #[serde(default)]
        generation: Generation,
        /// Term and index of its last entry of the directory's log.
        #[serde(default)]
        last_log: (u64, u64),
    },
    /// It is being done.
    Accepted,
    /// For good: asking again is of no use.
    Refused(String),
    /// For now.
    Later(String),
}
