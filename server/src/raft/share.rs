//! A connection's share of a log entry, and what becomes of it.

use crate::ids::NodeNo;
use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::oneshot;

/// Commands of one connection for one partition, in the order sent. They enter the log in one entry, next to each
/// other, so they are applied together and nothing comes between them: a transaction is a share.
#[derive(Debug)]
pub struct Share {
    /// The commands, as [`block`](crate::commands::block) encodes them; reads may be among them.
    pub block: Bytes,
    /// How many commands `block` holds.
    pub count: u32,
    /// Whether one of them may need memory: then the share waits until the copies have room for it.
    pub grows: bool,
    /// Set for EXEC under WATCH: the share is refused as [`ShareOutcome::Dirty`] if any has been set when it would be
    /// applied.
    pub watch: Option<crate::keyspace::WatchToken>,
    /// The last term in which it may be appended: another node's connection may have gone on without it since then.
    /// [`ANY_TERM`] where whoever asked waits as long as it takes.
    pub term_max: u64,
    /// Gets the outcome, exactly once.
    pub done: oneshot::Sender<ShareOutcome>,
}

/// See [`Share::term_max`].
pub const ANY_TERM: u64 = u64::MAX;

/// What became of a share.
#[derive(Debug)]
pub enum ShareOutcome {
    /// Committed and applied here; one reply a command.
    Applied(Replies),
    /// Certainly not appended to the log.
    Refused(Refusal),
    /// A watched key had changed; nothing was done. EXEC answers nil.
    Dirty,
    /// Appended, fate unknown. Answered `-UNCERTAIN`, never sent again.
    Uncertain,
}

/// Why a share was refused before it was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This copy does not lead; who does, if known.
    NotLeader(Option<NodeNo>),
    /// Memory is over the limit and nothing can be evicted.
    OutOfMemory,
    /// The node holds no copy of the partition.
    NoCopy,
    /// The peer could not be reached; nothing was sent.
    Unreachable,
}

/// Encoded replies, one after another.
#[derive(Debug, Clone, Default)]
pub struct Replies {
    /// The bytes of all.
    pub bytes: Bytes,
    /// Where each ends.
    pub ends: SmallVec<[u32; 4]>,
}

impl Replies {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The reply at `index`.
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }
}
