//! Partitions and their Raft groups.

mod ahead;
pub mod codec;
mod early;
mod group;
mod held;
mod lease;
mod log;
pub mod machine;
mod network;
mod partition;
mod proposer;
mod rank;
mod ring;
mod room;
mod runtime;
mod share;
mod stream_append;
pub mod transport;
pub mod types;
pub mod upkeep;
mod waiters;
mod watch;

pub use group::{CopyProgress, Group, GroupHost, ReshapeError, Standing, Start, Timing, read_address, refusal};
pub use network::{GroupRpc, PeerUnreachable};
pub use partition::{Partition, PartitionGuard, Role};
pub use room::Room;
pub use runtime::BeatRuntime;
pub use share::{ANY_TERM, Refusal, Replies, Share, ShareOutcome};
pub use waiters::{Begun, Surroundings, Ticket, Wanted};

#[cfg(test)]
mod tests;
