//! The directory: one small, durable Raft group that knows the nodes, the settings and who is to hold what.
//!
//! ```text
//! Directory (group)  propose, subscribe, add and remove nodes        answers other nodes: Directory::handle
//!   openraft         DirectoryTypes (types)
//!     network        requests and answers over a PeerRpc, which the peer links implement
//!     log, machine   the log and vote, the state in memory and its snapshots
//!       disk         directory.redb, one thread
//!         apply      DirectoryCommand x DirectoryState -> DirectoryResponse: pure, where all rules are
//! ```
//!
//! Up to five nodes vote, the others are learners, so every node has the whole state and hears of changes through
//! [`Directory::subscribe`]. The log and the vote are fsynced before they are acknowledged: unlike a partition's copy, a
//! member keeps its Raft id over restarts.

mod apply;
mod command;
mod disk;
#[cfg(test)]
mod disk_faults;
mod generation;
mod group;
#[cfg(test)]
mod group_tests;
mod log;
mod machine;
mod member;
mod network;
#[cfg(test)]
mod rules;
mod state;
#[cfg(test)]
mod storage_tests;
mod types;
mod voters;

pub use apply::{NODES_MAX, PARTITIONS_MAX, REPLICAS_MAX};
pub use command::{Applied, DirectoryCommand, DirectoryResponse, Refused, Registration};
pub use generation::Generation;
pub use group::{Directory, DirectoryError, DirectoryTiming};
pub use network::{PeerRpc, PeerUnreachable};
pub use state::{Cluster, ClusterId, DirectoryState, MembershipId, NodeRecord, PartitionRecord, Settings};
pub use types::{DirectoryTypes, EncodedCommand, Malformed};
