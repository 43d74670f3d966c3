//! One partition on this node: its keyspace behind one mutex, its role, its lease.

use super::held::Held;
use super::proposer::Inbox;
use super::share::{Refusal, Share, ShareOutcome};
use super::types::{LogId, StoredMembership};
use super::waiters::{Surroundings, Waiters};
use crate::clock::{Tick, UnixMs};
use crate::commands::Context;
use crate::commands::block::CommandOptions;
use crate::ids::{NodeNo, PartitionId};
use crate::keyspace::{HashSeed, Keyspace};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// What a copy told of its room counts for so long: ten heartbeats. One that is not heard from holds up nobody.
const COPY_FRESH_NS: u64 = 1_000_000_000;
/// How long it says something that a leader was sought in vain.
const VAIN_NS: u64 = 2_000_000_000;

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

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Solo => f.write_str("solo"),
            Self::Leader => f.write_str("leader"),
            Self::Follower(None) => f.write_str("follower of nobody"),
            Self::Follower(Some(leader)) => write!(f, "follower of {leader}"),
        }
    }
}

/// A group, as far as it is asked for what followers hold.
pub(super) trait Followers: Send + Sync {
    /// See [`Partition::followers`].
    fn followers(&self) -> Option<(u64, Vec<u64>)>;
}

/// One partition on this node. Every node has one of these for every partition, with a copy of it or not.
pub struct Partition {
    id: PartitionId,
    seed: HashSeed,
    state: Mutex<PartitionState>,
    /// Boot time in nanoseconds until which this leader may answer reads alone.
    lease_until_ns: AtomicU64,
    /// Boot time at which somebody last gave up looking for the leader; 0 where it was found since.
    vain_ns: AtomicU64,
    /// The proposer of the group, where there is one.
    inbox: RwLock<Option<Arc<Inbox>>>,
    memory_bytes: AtomicUsize,
    /// Bytes of the log of its group, which counts them here.
    log_bytes: Arc<AtomicUsize>,
    /// Free room of the other copies' nodes, as told with their acknowledgements, and when (boot time).
    copies_free: Mutex<Vec<(NodeNo, u64, u64)>>,
    /// Whether there is anything in it.
    copies_told: AtomicBool,
    /// What its group knows of the other copies.
    copies: RwLock<Option<Weak<dyn Followers>>>,
    /// Whether a group is here.
    grouped: AtomicBool,
}

/// What the mutex guards.
pub struct PartitionState {
    /// The items.
    pub keyspace: Keyspace,
    /// This node's role. Read it under the lock that the command runs under.
    pub role: Role,
    /// The term of the group when that was last looked at; 0 without one.
    pub term: u64,
    /// The clock of the last entry; never goes backwards.
    pub clock: UnixMs,
    /// The last entry applied.
    pub(super) applied: Option<LogId>,
    /// The membership of the last entry applied that had one.
    pub(super) membership: StoredMembership,
    /// Where a view is open: the log index at which it was opened.
    pub(super) view_index: Option<u64>,
    /// Commands that wait until they can be served.
    pub(super) waiters: Waiters,
}

/// The locked state. Before it is let go of, those who wait are looked after; and the memory account is published.
pub struct PartitionGuard<'a> {
    partition: &'a Partition,
    state: MutexGuard<'a, PartitionState>,
    _held: Held,
}

impl Deref for PartitionGuard<'_> {
    type Target = PartitionState;

    fn deref(&self) -> &PartitionState {
        &self.state
    }
}

impl DerefMut for PartitionGuard<'_> {
    fn deref_mut(&mut self) -> &mut PartitionState {
        &mut self.state
    }
}

impl PartitionGuard<'_> {
    /// Publishes the memory account, which the others see when the lock is let go of.
    pub fn publish_memory(&self) {
        self.partition.memory_bytes.store(self.state.keyspace.memory_bytes(), Ordering::Relaxed);
    }
}

impl Drop for PartitionGuard<'_> {
    fn drop(&mut self) {
        self.state.look_after_waiters();
        self.publish_memory();
    }
}

impl Partition {
    /// A partition with an empty keyspace.
    pub fn new(id: PartitionId, seed: HashSeed, role: Role) -> Self {
        Self::within(Surroundings::default(), id, seed, role)
    }

    /// One whose waiting commands are looked after by other clocks, timers and tasks than the process's.
    pub fn within(surroundings: Surroundings, id: PartitionId, seed: HashSeed, role: Role) -> Self {
        let state = PartitionState {
            keyspace: Keyspace::new(seed),
            role,
            term: 0,
            clock: 0,
            applied: None,
            membership: StoredMembership::default(),
            view_index: None,
            waiters: Waiters::within(surroundings),
        };
        Self {
            id,
            seed,
            state: Mutex::new(state),
            lease_until_ns: AtomicU64::new(0),
            vain_ns: AtomicU64::new(0),
            inbox: RwLock::new(None),
            memory_bytes: AtomicUsize::new(0),
            log_bytes: Arc::default(),
            copies_free: Mutex::default(),
            copies_told: AtomicBool::new(false),
            copies: RwLock::new(None),
            grouped: AtomicBool::new(false),
        }
    }

    /// Which one.
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// The seed of its key hash.
    pub fn seed(&self) -> HashSeed {
        self.seed
    }

    /// Locks the state. Held for microseconds: never across an await.
    pub fn lock(&self) -> PartitionGuard<'_> {
        let _held = Held::new(self);
        PartitionGuard { partition: self, state: self.state.lock(), _held }
    }

    /// Like [`Partition::lock`], or `None` where somebody holds it.
    pub fn try_lock(&self) -> Option<PartitionGuard<'_>> {
        self.state.try_lock().map(|state| PartitionGuard { partition: self, state, _held: Held::new(self) })
    }

    /// Lets `ask` ask for the memory of items that are about to be looked up; not where that would mean to wait for the lock.
    #[inline]
    pub fn prefetch(&self, ask: impl FnOnce(&Keyspace)) {
        if let Some(state) = self.state.try_lock() {
            ask(&state.keyspace);
        }
    }

    /// Bytes of the keyspace, as of the last time that the lock was let go.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the log of its group.
    pub fn log_bytes(&self) -> usize {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// Where a log counts its bytes.
    pub(super) fn log_account(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.log_bytes)
    }

    /// Whether this copy answers reads alone, as far as can be told without the lock: the only copy, or a leader whose lease
    /// holds at boot time `now_ns`.
    #[inline]
    pub fn may_answer_alone(&self, now_ns: u64) -> bool {
        self.is_alone() || self.lease_holds(now_ns)
    }

    /// Whether there is no group here.
    pub(super) fn is_alone(&self) -> bool {
        !self.grouped.load(Ordering::Relaxed)
    }

    /// Takes what another copy's node told of its free memory.
    pub(super) fn hear_free_bytes(&self, node: NodeNo, bytes: u64, now_ns: u64) {
        let mut all = self.copies_free.lock();
        match all.iter_mut().find(|(no, ..)| *no == node) {
            Some(one) => (one.1, one.2) = (bytes, now_ns),
            // One without a limit is not worth remembering.
            None if bytes == u64::MAX => {}
            None => {
                all.push((node, bytes, now_ns));
                self.copies_told.store(true, Ordering::Release);
            }
        }
    }

    /// The smallest free room of the other copies that have been heard from lately; `None` where none has a limit.
    pub(super) fn copies_free_bytes(&self, now_ns: u64) -> Option<u64> {
        if !self.copies_told.load(Ordering::Acquire) {
            return None;
        }
        let all = self.copies_free.lock();
        let fresh = all.iter().filter(|(_, _, at)| now_ns.saturating_sub(*at) < COPY_FRESH_NS);
        fresh.map(|(_, bytes, _)| *bytes).min().filter(|bytes| *bytes < u64::MAX)
    }

    /// Somebody looked for the leader until `now_ns` boot time, and found none.
    pub fn sought_in_vain(&self, now_ns: u64) {
        self.vain_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Whether that was just now.
    pub fn was_sought_in_vain(&self, now_ns: u64) -> bool {
        let vain_ns = self.vain_ns.load(Ordering::Relaxed);
        vain_ns != 0 && now_ns.saturating_sub(vain_ns) < VAIN_NS
    }

    /// Somebody looked for the leader and found it.
    pub fn found(&self) {
        if self.vain_ns.load(Ordering::Relaxed) != 0 {
            self.vain_ns.store(0, Ordering::Relaxed);
        }
    }

    /// Whether a leader may answer reads alone at boot time `now_ns`, which must have been read after the socket read
    /// that delivered the command (DESIGN.md, Leases).
    pub fn lease_holds(&self, now_ns: u64) -> bool {
        now_ns < self.lease_until_ns.load(Ordering::Acquire)
    }

    /// Sets the end of the lease; 0 ends it now.
    pub(super) fn set_lease(&self, until_ns: u64) {
        self.lease_until_ns.store(until_ns, Ordering::SeqCst);
    }

    /// Hands a share to the partition's proposer. The outcome comes through `share.done`.
    pub fn propose(&self, share: Share) {
        match &*self.inbox.read() {
            Some(inbox) => inbox.push(share),
            None => {
                let _ = share.done.send(ShareOutcome::Refused(Refusal::NoCopy));
            }
        }
    }

    /// Like [`Partition::propose`], ahead of what waits: for mutations that free memory.
    pub(super) fn propose_first(&self, share: Share) {
        match &*self.inbox.read() {
            Some(inbox) => inbox.push_first(share),
            None => {
                let _ = share.done.send(ShareOutcome::Refused(Refusal::NoCopy));
            }
        }
    }

    /// Index of the last entry of the log, and up to which each follower is known to hold it; `None` where this copy does not
    /// lead. A solo partition has no followers.
    pub fn followers(&self) -> Option<(u64, Vec<u64>)> {
        match self.lock().role {
            Role::Solo => Some((0, Vec::new())),
            Role::Leader => self.copies.read().as_ref()?.upgrade()?.followers(),
            Role::Follower(_) | Role::Absent => None,
        }
    }

    /// Connects a group that starts, for [`Partition::followers`].
    pub(super) fn set_followers(&self, copies: Weak<dyn Followers>) {
        *self.copies.write() = Some(copies);
    }

    /// Connects the proposer of a group that starts, or disconnects that of one that stops.
    pub(super) fn set_inbox(&self, inbox: Option<Arc<Inbox>>) {
        self.grouped.store(inbox.is_some(), Ordering::Relaxed);
        if let Some(old) = std::mem::replace(&mut *self.inbox.write(), inbox) {
            old.close();
        }
    }
}

impl PartitionState {
    /// A context for a read, or for a write of a solo partition, at wall-clock `now`, for what is as recent as `tick` says:
    /// its database is selected.
    pub fn context(&mut self, now: UnixMs, tick: Tick, options: CommandOptions, seed: u64) -> Context<'_> {
        self.context_at(now.max(self.clock), tick, options, seed)
    }

    /// A context at `now` of the partition's clock, for what is as recent as `tick` says.
    pub(super) fn context_at(&mut self, now: UnixMs, tick: Tick, options: CommandOptions, seed: u64) -> Context<'_> {
        self.keyspace.select(options.database);
        Context {
            keyspace: &mut self.keyspace,
            now,
            touch: (!options.no_touch).then_some(tick),
            databases: options.databases,
            seed,
            key_hash: None,
            hits: 0,
            misses: 0,
        }
    }

    /// Forgets everything, as if no copy had ever been here, and returns the items, to be dropped off the lock.
    pub fn reset(&mut self) -> Keyspace {
        self.applied = None;
        self.membership = StoredMembership::default();
        self.clock = 0;
        self.keyspace.abandon_watches();
        let mut fresh = Keyspace::new(self.keyspace.seed());
        fresh.succeed(&self.keyspace);
        let old = std::mem::replace(&mut self.keyspace, fresh);
        self.expect_again();
        old
    }

    /// The last entry applied to this copy.
    pub fn applied(&self) -> Option<LogId> {
        self.applied
    }
}
