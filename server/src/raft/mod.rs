//! Partitions and their Raft groups.

mod partition;
mod share;

pub use partition::{Partition, PartitionGuard, Role};
pub use share::{Refusal, Replies, Share, ShareOutcome};
