//! What a node does to its partitions without being asked: due items are reaped, and memory is kept under its limit.
//!
//! Neither is ever a copy's own decision: a solo partition is changed under its lock, a replicated one by entries
//! (REAP, EVICT) that its leader proposes, so copies stay alike.

use super::held::Held;
use super::partition::{Partition, PartitionState, Role};
use super::rank::{InFlight, Rank, Survey, Turn, first_rank};
use super::room::Room;
use super::share::{Share, ShareOutcome};
use crate::clock::Clocks;
use crate::commands::block::{self, CommandOptions};
use crate::commands::maintenance;
use crate::commands::spec::CommandSpec;
use crate::ids::DatabaseNo;
use crate::keyspace::{EvictionOrder, EvictionPolicy, LfuParameters, Reaped, Victim};
use crate::planted::{Bug, planted};
use crate::raft::ANY_TERM;
use crate::telemetry::Stats;
use bytes::BytesMut;
use futures::future::BoxFuture;
use larder_protocol::Args;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;

/// Items handled under one hold of a partition's lock.
const SLICE_ITEMS: usize = 64;
/// Items that one entry evicts: a partition has one such entry in flight, so this many a round trip.
const ENTRY_EVICTIONS_MAX: usize = 256;

/// Bytes that are freed at least where some are wanted, so that not all partitions are looked at for every item.
const EVICTED_MIN_BYTES: usize = 2048;

/// How well the order of items is known between partitions that are evicted from by another node, or by an entry in flight.
/// (What another node's clients read comes with the hints, which leave every 100 ms.)
const ORDER_SLACK_MS: u64 = 100;

/// How long a partition that refused is left alone.
const REFUSED_REST_NS: u64 = 10_000_000;

/// Keeps a node's partitions in order.
pub struct Upkeep {
    partitions: Arc<[Arc<Partition>]>,
    /// Entries of ours in flight, by partition.
    in_flight: Vec<InFlight>,
    /// Boot time until which nothing is proposed to a partition, since it was refused; 0 where it was not.
    rest_until_ns: Vec<AtomicU64>,
    policy: RwLock<(EvictionPolicy, LfuParameters)>,
    /// What the keyspaces were told.
    kept: Mutex<(EvictionPolicy, LfuParameters)>,
    /// Which partitions are sampled.
    dice: AtomicU64,
    room: Arc<Room>,
    stats: Arc<Stats>,
    clocks: Clocks,
    spawn: Spawn,
    this: Weak<Self>,
}

/// Starts a task that runs by itself.
pub type Spawn = Box<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// Whether a write may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Room,
    /// There will be: the leader's evictions are on their way.
    Wait,
    /// There is none and nothing may be evicted.
    Refused,
}

impl Upkeep {
    /// Upkeep of these partitions, without a limit; what it removes is counted into `stats`, its tasks run on `runtime`.
    pub fn new(
        partitions: Arc<[Arc<Partition>]>,
        room: Arc<Room>,
        stats: Arc<Stats>,
        runtime: tokio::runtime::Handle,
    ) -> Arc<Self> {
        Self::with_clocks(partitions, room, stats, Clocks::default(), Box::new(move |task| drop(runtime.spawn(task))))
    }

    /// The same by other clocks, and with tasks that `spawn` starts.
    pub fn with_clocks(
        partitions: Arc<[Arc<Partition>]>,
        room: Arc<Room>,
        stats: Arc<Stats>,
        clocks: Clocks,
        spawn: Spawn,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            in_flight: partitions.iter().map(|_| InFlight::default()).collect(),
            rest_until_ns: partitions.iter().map(|_| AtomicU64::new(0)).collect(),
            partitions,
            policy: RwLock::default(),
            kept: Mutex::default(),
            dice: AtomicU64::new(0),
            room,
            stats,
            clocks,
            spawn,
            this: Weak::clone(this),
        })
    }

    /// Sets limit (0: none), policy and how LFU counts.
    pub fn configure(&self, limit_bytes: usize, policy: EvictionPolicy, lfu: LfuParameters) {
        self.room.set_limit_bytes(limit_bytes);
        self.room.set_evicts(policy != EvictionPolicy::NoEviction);
        *self.policy.write() = (policy, lfu);
        self.keep(self.room.is_limited((self.clocks.boot_ns)()));
        self.room.press();
    }

    /// Lets the keyspaces keep what the policy goes by; without a limit they need not keep the order of recency, which costs
    /// a node under load about a tenth of its time.
    fn keep(&self, limited: bool) {
        let (policy, lfu) = *self.policy.read();
        let idle = !limited && policy.order() == Some(EvictionOrder::Recency);
        let wanted = (if idle { EvictionPolicy::NoEviction } else { policy }, lfu);
        let mut kept = self.kept.lock();
        if *kept != wanted {
            *kept = wanted;
            for partition in self.partitions.iter() {
                let mut state = partition.lock();
                state.keyspace.set_policy(wanted.0);
                state.keyspace.set_lfu(lfu);
            }
        }
    }

    /// The limit; 0 where there is none.
    pub fn limit_bytes(&self) -> usize {
        self.room.limit_bytes()
    }

    /// The policy.
    pub fn policy(&self) -> EvictionPolicy {
        self.policy.read().0
    }

    /// Bytes in use that count against the limit.
    pub fn used_bytes(&self) -> usize {
        self.room.used_bytes()
    }

    /// Decides on a write that may need memory; evicts from solo partitions at once. Call it without a lock held.
    pub fn admit(&self) -> Admission {
        Held::assert_none();
        let limit = self.limit_bytes();
        if limit == 0 {
            return Admission::Room;
        }
        if self.room.shortfall_bytes((self.clocks.boot_ns)()) == 0 {
            return Admission::Room;
        }
        let pending = self.evict();
        let used = self.used_bytes();
        if used <= limit {
            Admission::Room
        } else if pending {
            Admission::Wait
        } else {
            Admission::Refused
        }
    }

    /// Whether there is room as things are. Evicts nothing, and takes no partition's lock: who asks may hold one.
    pub fn has_room(&self) -> bool {
        self.limit_bytes() == 0 || self.room.shortfall_bytes((self.clocks.boot_ns)()) == 0
    }

    /// Evicts from the partitions that this node may evict from until the reserve is free again. Returns whether evictions
    /// are in flight that will free more.
    fn evict(&self) -> bool {
        let policy = self.policy();
        match policy.order() {
            None => false,
            Some(EvictionOrder::Recency | EvictionOrder::Deadline) => self.evict_in_order(policy),
            Some(_) => self.evict_samples(policy),
        }
    }

    /// Evicts from partitions by chance, the larger the likelier: items are spread over them by their hash, so the worst
    /// of a sample of one is as good as that of all. What falls to partitions that are led elsewhere is left to their leaders,
    /// unless it has become urgent.
    fn evict_samples(&self, policy: EvictionPolicy) -> bool {
        let mut pending = (0..self.partitions.len()).any(|index| self.is_busy(index));
        // What is on its way, and what others will free.
        let mut expected = 0;
        let mut weights: Vec<usize> = self.partitions.iter().map(|partition| partition.memory_bytes()).collect();
        loop {
            let now_ns = (self.clocks.boot_ns)();
            let short = self.room.shortfall_bytes(now_ns).saturating_sub(expected);
            let total: usize = weights.iter().sum();
            if short == 0 || total == 0 {
                return pending;
            }
            let urgent = self.room.urgent_bytes(now_ns) > expected;
            let mut chosen = random_below(total, self.dice.fetch_add(1, Ordering::Relaxed));
            let index = weights.iter().position(|weight| {
                let here = chosen < *weight;
                chosen = chosen.saturating_sub(*weight);
                here
            });
            let Some(index) = index else { return pending };
            if self.is_busy(index) {
                weights[index] = 0;
                continue;
            }
            let elsewhere = {
                let state = self.partitions[index].lock();
                (!evicts_here(state.role)).then_some(average_bytes(&state).max(1) * SLICE_ITEMS)
            };
            match elsewhere {
                Some(slice) if !urgent => {
                    pending = true;
                    expected += slice.min(short);
                }
                Some(_) => weights[index] = 0,
                None => {
                    let Evicted { keys, in_flight } = self.evict_from(index, policy, (usize::MAX, short), None);
                    pending |= in_flight > 0;
                    expected += in_flight;
                    if keys == 0 {
                        weights[index] = 0;
                    }
                }
            }
        }
    }

    /// Evicts what is first in order over all copies of this node. Of those led elsewhere their leaders evict, who know by
    /// the acknowledgements how much room is left here, unless it has become urgent.
    fn evict_in_order(&self, policy: EvictionPolicy) -> bool {
        // What is proposed frees memory only when it is applied.
        let (mut proposed, mut pending) = (0, false);
        loop {
            let now_ns = (self.clocks.boot_ns)();
            let short = self.room.shortfall_bytes(now_ns).saturating_sub(proposed);
            if short == 0 {
                return pending;
            }
            let urgent = self.room.urgent_bytes(now_ns) > proposed;
            let wanted = short.max(EVICTED_MIN_BYTES);
            // Of what is wanted, a partition's part and as much again: those of more are looked at once more.
            let part = (2 * wanted / self.partitions.len().max(1)).max(1);
            let mut survey = Survey::default();
            for (index, partition) in self.partitions.iter().enumerate() {
                if self.is_busy(index) {
                    pending = true;
                    survey.elsewhere(self.in_flight[index].next(now_ns));
                    continue;
                }
                let mut state = partition.lock();
                if evicts_here(state.role) {
                    look_at(&mut survey, index, &mut state, policy, part);
                } else if !urgent {
                    survey.elsewhere(first_rank(&mut state, policy));
                }
            }
            let Some(turns) = survey.turns(wanted, ORDER_SLACK_MS) else { return true };
            if turns.is_empty() {
                return pending;
            }
            for Turn { index, keys, until } in turns {
                let Evicted { in_flight, .. } = self.evict_from(index, policy, (keys, usize::MAX), Some(until));
                pending |= in_flight > 0;
                proposed += in_flight;
            }
        }
    }

    /// Evicts from one partition up to so many keys, until so many bytes are free, while its items are not after `until`.
    fn evict_from(
        &self,
        index: usize,
        policy: EvictionPolicy,
        (keys_max, bytes_max): (usize, usize),
        until: Option<Rank>,
    ) -> Evicted {
        let partition = &self.partitions[index];
        let mut state = partition.lock();
        if !evicts_here(state.role) {
            return Evicted::default();
        }
        let mut keys: Vec<(DatabaseNo, Vec<u8>)> = Vec::new();
        let (mut count, mut bytes, mut next) = (0, 0, None);
        // A follower only where that fault is planted.
        let at_once = matches!(state.role, Role::Solo | Role::Follower(_));
        let keys_max = keys_max.min(slice_items(state.role));
        let average = average_bytes(&state);
        let mut take = |victim: Victim<'_>| {
            let rank = Rank::of(policy, victim.last_access, victim.deadline);
            if count >= keys_max || bytes >= bytes_max || until.is_some_and(|until| until < rank) {
                next = Some(rank);
                return false;
            }
            (count, bytes) = (count + 1, bytes + average.max(victim.key.len() + 32));
            if !at_once {
                keys.push((victim.database, victim.key.to_vec()));
            }
            true
        };
        if at_once {
            let removed = state.keyspace.remove_victims(&mut take);
            self.stats.evicted_keys.fetch_add(removed as u64, Ordering::Relaxed);
            return Evicted { keys: removed, in_flight: 0 };
        }
        state.keyspace.victims(&mut take);
        drop(state);
        if keys.is_empty() {
            return Evicted::default();
        }
        let evicted = Evicted { keys: keys.len(), in_flight: bytes };
        self.propose(index, &maintenance::evict::EVICT, keys, next);
        evicted
    }

    /// Whether something is on its way to a partition, or will be after a rest.
    fn is_busy(&self, index: usize) -> bool {
        let rest_until_ns = &self.rest_until_ns[index];
        let rests = |until_ns| (self.clocks.boot_ns)() < until_ns;
        match rest_until_ns.load(Ordering::Acquire) {
            0 => {}
            until_ns if rests(until_ns) => return true,
            _ => rest_until_ns.store(0, Ordering::Release),
        }
        self.in_flight[index].is_any()
    }

    /// Proposes internal mutations on `keys`, one a database; the partition counts as busy until their fate is known. `next`:
    /// what it evicts first after them.
    fn propose(
        &self,
        index: usize,
        spec: &'static CommandSpec,
        mut keys: Vec<(DatabaseNo, Vec<u8>)>,
        next: Option<Rank>,
    ) {
        keys.sort_by_key(|(database, _)| *database);
        let (mut out, mut count) = (BytesMut::new(), 0);
        for keys in keys.chunk_by(|(one, _), (other, _)| one == other) {
            let mut buffer = Vec::new();
            let mut ranges = vec![(0, 0)];
            for (_, key) in keys {
                let start = buffer.len() as u32;
                buffer.extend_from_slice(key);
                ranges.push((start, buffer.len() as u32));
            }
            let options = CommandOptions { database: keys[0].0, ..CommandOptions::default() };
            block::encode(&mut out, spec, options, Args::new(&buffer, &ranges));
            count += 1;
        }
        let (done, outcome) = oneshot::channel();
        self.in_flight[index].begin((self.clocks.boot_ns)(), next);
        self.partitions[index].propose_first(Share {
            block: out.freeze(),
            count,
            grows: false,
            watch: None,
            term_max: ANY_TERM,
            done,
        });
        let Some(this) = self.this.upgrade() else { return };
        (self.spawn)(Box::pin(async move {
            let outcome = outcome.await;
            let applied = matches!(outcome, Ok(ShareOutcome::Applied(_)));
            if let Ok(ShareOutcome::Applied(replies)) = outcome {
                for reply in 0..replies.len() {
                    // Integers: how many items were removed, and, by REAP, how many fields of others.
                    let mut removed = integers(replies.get(reply));
                    let mut count = |counter: &AtomicU64| {
                        counter.fetch_add(removed.next().unwrap_or(0), Ordering::Relaxed);
                    };
                    if spec.id == maintenance::evict::EVICT.id {
                        count(&this.stats.evicted_keys);
                    } else {
                        count(&this.stats.expired_keys);
                        count(&this.stats.expired_fields);
                    }
                }
            }
            if !applied && !planted(Bug::RefusedIsRetriedAtOnce) {
                // A leader that is cut off, or hands over, refuses at once: it would be proposed again and again.
                this.rest_until_ns[index].store((this.clocks.boot_ns)() + REFUSED_REST_NS, Ordering::Release);
            }
            this.in_flight[index].end();
            this.room.press();
        }));
    }

    /// Reaps what is due, and evicts what a lowered limit asks for, until dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            let more = self.look();
            // Ten times a second; with a backlog, again after the connections had their turn.
            let pause = if more { Duration::from_millis(1) } else { Duration::from_millis(100) };
            let _ = tokio::time::timeout(pause, self.room.pressed()).await;
        }
    }

    /// Reaps and evicts once; true where there is more to do.
    pub fn look(&self) -> bool {
        let mut more = self.reap();
        let now_ns = (self.clocks.boot_ns)();
        if self.limit_bytes() > 0 {
            more |= self.admit() == Admission::Wait;
        } else if self.room.is_limited(now_ns) {
            // Copies of what is led here are at nodes that do have a limit. Kept until the settings change: such a node
            // that is not heard of for a moment comes back.
            self.keep(true);
            if self.room.shortfall_bytes(now_ns) > 0 {
                more |= self.evict();
            }
        }
        more
    }

    /// Reaps a slice of every partition; true where more is due.
    fn reap(&self) -> bool {
        let now = self.clocks.unix_ms();
        let mut more = false;
        for (index, partition) in self.partitions.iter().enumerate() {
            if self.is_busy(index) {
                continue;
            }
            let mut state = partition.lock();
            if !matches!(state.role, Role::Solo | Role::Leader) {
                continue;
            }
            let due = state.keyspace.due(now, SLICE_ITEMS);
            if due.is_empty() {
                continue;
            }
            more |= due.len() == SLICE_ITEMS;
            if state.role == Role::Solo {
                for (database, key) in &due {
                    state.keyspace.select(*database);
                    let (counter, count) = match state.keyspace.reap(key, now) {
                        Reaped::Nothing => continue,
                        Reaped::Item => (&self.stats.expired_keys, 1),
                        Reaped::Fields(count) => (&self.stats.expired_fields, count as u64),
                    };
                    counter.fetch_add(count, Ordering::Relaxed);
                }
                // Of a large hash some fields may be left.
                more |= !state.keyspace.due(now, 1).is_empty();
            } else {
                drop(state);
                self.propose(index, &maintenance::reap::REAP, due, None);
            }
        }
        more
    }
}

/// Whether this node evicts from a copy in that role.
fn evicts_here(role: Role) -> bool {
    matches!(role, Role::Solo | Role::Leader) || planted(Bug::FollowerEvicts) && matches!(role, Role::Follower(_))
}

/// Items of a partition that are evicted at once.
fn slice_items(role: Role) -> usize {
    if role == Role::Leader { ENTRY_EVICTIONS_MAX } else { SLICE_ITEMS }
}

/// Bytes of an item, on average: a victim's own size is not looked up.
fn average_bytes(state: &PartitionState) -> usize {
    state.keyspace.memory_bytes() / state.keyspace.total_len().max(1)
}

/// Notes what a partition evicts first, as much as frees `wanted` bytes or goes at once.
fn look_at(survey: &mut Survey, index: usize, state: &mut PartitionState, policy: EvictionPolicy, wanted: usize) {
    let (average, items_max) = (average_bytes(state), slice_items(state.role));
    let (mut items, mut bytes) = (0, 0);
    state.keyspace.victims(&mut |victim| {
        let rank = Rank::of(policy, victim.last_access, victim.deadline);
        if items >= items_max || bytes >= wanted {
            survey.rest(rank);
            return false;
        }
        let frees = average.max(victim.key.len() + 32);
        survey.candidate(index, rank, frees);
        (items, bytes) = (items + 1, bytes + frees);
        true
    });
}

/// What one look at a partition led to.
#[derive(Debug, Clone, Copy, Default)]
struct Evicted {
    /// Items that are gone or will be.
    keys: usize,
    /// Bytes, about, of those that are still on their way.
    in_flight: usize,
}

/// A number below `end` that `seed` chooses.
fn random_below(end: usize, seed: u64) -> usize {
    // Fibonacci hashing, twice: consecutive seeds lie far apart.
    let spread = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let spread = (spread ^ spread >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((u128::from(spread) * end as u128) >> 64) as usize
}

/// The integers in a reply, whether it is one or an array of them.
fn integers(reply: &[u8]) -> impl Iterator<Item = u64> {
    let lines = reply.split(|byte| *byte == b'\n');
    lines.filter_map(|line| std::str::from_utf8(line.strip_prefix(b":")?).ok()?.trim_end().parse().ok())
}
