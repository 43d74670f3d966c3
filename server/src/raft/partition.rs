//! One partition on this node: its keyspace behind one mutex, its role, its lease.

use super::share::{Refusal, Share, ShareOutcome};
use crate::clock::{self, UnixMs};
use crate::commands::Context;
use crate::ids::{NodeNo, PartitionId};
use crate::keyspace::{HashSeed, Keyspace};
use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, Ordering};

/// What this node is to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// No copy is here.
    Absent,
    /// The only copy is here and there is no Raft group: reads and writes are applied at once, under the lock.
    Solo,
    /// This copy leads: reads are answered here under the lease, writes are proposed.
    Leader,
    /// Another copy leads, or none does; the leader's node if known.
    Follower(Option<NodeNo>),
}

/// One partition on this node. Every node has one of these for every partition, with a copy of it or not.
pub struct Partition {
    id: PartitionId,
    state: Mutex<PartitionState>,
    /// Boot time in nanoseconds until which this leader may answer reads alone.
    lease_until_ns: AtomicU64,
}

/// What the mutex guards.
pub struct PartitionState {
    /// The items.
    pub keyspace: Keyspace,
    /// This node's role. Read it under the lock that the command runs under.
    pub role: Role,
    /// The clock of the last entry; never goes backwards.
    pub clock: UnixMs,
}

/// The locked state.
pub type PartitionGuard<'a> = MutexGuard<'a, PartitionState>;

impl Partition {
    /// A partition with an empty keyspace.
    pub fn new(id: PartitionId, seed: HashSeed, role: Role) -> Self {
        let state = PartitionState { keyspace: Keyspace::new(seed), role, clock: 0 };
        Self { id, state: Mutex::new(state), lease_until_ns: AtomicU64::new(0) }
    }

    /// Which one.
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// Locks the state. Held for microseconds: never across an await.
    pub fn lock(&self) -> PartitionGuard<'_> {
        self.state.lock()
    }

    /// Whether a leader may answer reads alone at boot time `now_ns`, which must have been read after the socket read
    /// that delivered the command (DESIGN.md, Leases).
    pub fn lease_holds(&self, now_ns: u64) -> bool {
        now_ns < self.lease_until_ns.load(Ordering::Acquire)
    }

    /// Hands a share to the partition's proposer. The outcome comes through `share.done`.
    pub fn propose(&self, share: Share) {
        // Until Raft groups are here, no partition is led through one.
        let _ = share.done.send(ShareOutcome::Refused(Refusal::NotLeader(None)));
    }
}

impl PartitionState {
    /// A context for a read, or for a write of a solo partition, at wall-clock `now`. `touch` is false under CLIENT
    /// NO-TOUCH.
    pub fn context(&mut self, now: UnixMs, touch: bool, seed: u64) -> Context<'_> {
        let now = now.max(self.clock);
        Context {
            keyspace: &mut self.keyspace,
            now,
            touch: touch.then(|| clock::tick_of(now)),
            seed,
            hits: 0,
            misses: 0,
        }
    }
}
