//! Room: how much memory a node and the copies of its partitions have left, and what is on its way to them.
//!
//! ```text
//! proposer --asks--> Room: limit - (items + logs + clients) - what is proposed and not applied yet
//!             |
//!             +----> Partition: the free room that each other copy told with its last acknowledgements
//!                               - what was proposed in the last moment, which they may not have counted yet
//! ```
//! An entry that may need memory is proposed only when the leader's node and every copy that has been heard from lately
//! have room for it. Otherwise it waits, while evictions (which need no room) go ahead of it.

use super::partition::Partition;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Log bytes of a group past which its log is cut, however large the partition is.
const LOG_BYTES_MAX: usize = 5 * 1024 * 1024;
/// The same of the smallest partition, where memory has no limit.
const LOG_BYTES_SMALL: usize = 512 * 1024;
/// The same with the tightest limit.
const LOG_BYTES_MIN: usize = 36 * 1024;
/// A log may take this part of what its partition holds: it saves a copy that lags a snapshot of that.
const LOG_PARTITION_SHARE: usize = 8;
/// Logs may take this part of a limit before they are cut.
const LOG_SHARE: usize = 16;
/// What an item costs beside its bytes, and an entry beside its blocks, about.
const FLAT_BYTES: usize = 160;
/// Memory that is resident beyond what is counted may be this part of the limit before it counts, too.
const SLACK_SHARE: usize = 64;
/// At least, so that a small node's odds and ends are no reason to evict.
const SLACK_BYTES_MIN: usize = 2 * 1024 * 1024;
/// It counts up to this part of the limit: beyond, evicting more frees nothing that anybody waits for.
const HELD_SHARE_MAX: usize = 4;
/// And by so much of the limit more, or less, at each look: what was freed is given back a moment later.
const HELD_SHARE_STEP: usize = 64;
/// Copies may count what was proposed only after so long: two windows.
const WINDOW_NS: u64 = 25_000_000;

/// The memory of a node that counts against its limit.
#[derive(Default)]
pub struct Room {
    partitions: Vec<Arc<Partition>>,
    limit_bytes: AtomicUsize,
    /// Memory that is neither items nor logs: buffers of clients.
    overhead_bytes: AtomicUsize,
    /// What the allocator holds of memory that was freed, as far as it makes the process too large.
    held_bytes: AtomicUsize,
    /// Cost of the entries that this node's leaders have proposed and not applied.
    in_flight_bytes: AtomicUsize,
    recent: Mutex<Recent>,
    /// Whether eviction may free some.
    evicts: AtomicBool,
    /// Wakes whoever evicts.
    pressed: Notify,
}

/// What was proposed in this window and the one before.
#[derive(Debug, Default)]
struct Recent {
    window: u64,
    this: usize,
    before: usize,
}

impl Recent {
    fn turn(&mut self, now_ns: u64) {
        let window = now_ns / WINDOW_NS;
        if window != self.window {
            self.before = if window == self.window + 1 { self.this } else { 0 };
            (self.this, self.window) = (0, window);
        }
    }
}

impl Room {
    /// Room of a node with these partitions, without a limit.
    pub fn new(partitions: &[Arc<Partition>]) -> Arc<Self> {
        Arc::new(Self { partitions: partitions.to_vec(), ..Self::default() })
    }

    /// Sets the limit; 0: none.
    pub fn set_limit_bytes(&self, bytes: usize) {
        self.limit_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The limit; 0 where there is none.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    /// Tells how much memory counts besides items and logs.
    pub fn set_overhead_bytes(&self, bytes: usize) {
        self.overhead_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Tells how much memory of its own the process has resident, but for what it has with no item at all. What that is
    /// more than the limit allows for counts as used, so that evictions make up for what the allocator cannot give back:
    /// after the sizes of values have changed, pages of which one old value is left. True where so much is resident that what
    /// was freed is to be given back at once.
    pub fn hear_resident_bytes(&self, resident: usize) -> bool {
        let limit = self.limit_bytes();
        let held = self.held_bytes.load(Ordering::Relaxed);
        let slack = (limit / SLACK_SHARE).max(SLACK_BYTES_MIN);
        // Between the two nothing changes: evictions free pages only where they empty them, so what is resident answers late,
        // and not in proportion. With one bound for both, much was evicted for a little, over and over again.
        let (least, most) = (limit + slack / 2, limit + slack);
        let step = limit / HELD_SHARE_STEP;
        let held_now = if limit == 0 || !self.may_be_freed() {
            0
        } else if resident > most {
            (held + (resident - most).min(step)).min(limit / HELD_SHARE_MAX)
        } else {
            held.saturating_sub(least.saturating_sub(resident).min(step))
        };
        self.held_bytes.store(held_now, Ordering::Relaxed);
        if held_now > held {
            self.press();
        }
        limit != 0 && resident > least
    }

    /// Bytes that count against the limit.
    pub fn used_bytes(&self) -> usize {
        let partitions = self.partitions.iter().map(|partition| partition.memory_bytes() + partition.log_bytes());
        partitions.sum::<usize>()
            + self.overhead_bytes.load(Ordering::Relaxed)
            + self.held_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that are neither used nor promised; `u64::MAX` without a limit. Copies tell it with every acknowledgement.
    pub fn free_bytes(&self) -> u64 {
        let limit = self.limit_bytes();
        if limit == 0 {
            return u64::MAX;
        }
        limit.saturating_sub(self.used_bytes() + self.in_flight_bytes.load(Ordering::Relaxed)) as u64
    }

    /// Kept free below the limit: it hides the wait for evictions, and what copies have not counted yet. Where only other
    /// nodes have a limit, what is used here stands for theirs.
    pub fn reserve_bytes(&self) -> usize {
        let limit = match self.limit_bytes() {
            0 => self.used_bytes(),
            limit => limit,
        };
        if self.partitions.iter().all(|partition| partition.is_alone()) {
            return (limit / 256).min(1024 * 1024);
        }
        (limit / 32).min(8 * 1024 * 1024)
    }

    /// Bytes of a group's log past which it is cut, where its partition holds `partition_bytes`: logs are memory.
    pub fn log_bytes_max(&self, partition_bytes: usize) -> usize {
        let worthwhile = (partition_bytes / LOG_PARTITION_SHARE).clamp(LOG_BYTES_SMALL, LOG_BYTES_MAX);
        match self.limit_bytes() {
            0 => worthwhile,
            limit => (limit / LOG_SHARE / self.partitions.len().max(1)).clamp(LOG_BYTES_MIN, worthwhile),
        }
    }

    /// Says whether the policy lets anything be evicted.
    pub fn set_evicts(&self, evicts: bool) {
        self.evicts.store(evicts, Ordering::Relaxed);
    }

    /// Whether waiting for room makes sense.
    pub(super) fn may_be_freed(&self) -> bool {
        self.evicts.load(Ordering::Relaxed)
    }

    /// Asks for evictions.
    pub(super) fn press(&self) {
        self.pressed.notify_one();
    }

    /// Resolves when somebody asked for evictions.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// How far the room falls short of the reserve, here or at another copy of a partition that this node leads.
    pub(super) fn shortfall_bytes(&self, now_ns: u64) -> usize {
        if self.is_limited(now_ns) { self.short_of(self.reserve_bytes(), now_ns) } else { 0 }
    }

    /// The same of half the reserve: then whoever can evicts, in whatever order.
    pub(super) fn urgent_bytes(&self, now_ns: u64) -> usize {
        self.short_of(self.reserve_bytes() / 2, now_ns)
    }

    /// Whether this node has a limit, or one that holds a copy of what is led here.
    pub(super) fn is_limited(&self, now_ns: u64) -> bool {
        self.limit_bytes() != 0 || self.copies_free_bytes(now_ns).is_some()
    }

    fn copies_free_bytes(&self, now_ns: u64) -> Option<u64> {
        self.partitions.iter().filter_map(|partition| partition.copies_free_bytes(now_ns)).min()
    }

    fn short_of(&self, reserve: usize, now_ns: u64) -> usize {
        let here = match self.limit_bytes() {
            0 => 0,
            limit => (self.used_bytes() + reserve).saturating_sub(limit),
        };
        here.max(self.copies_free_bytes(now_ns).map_or(0, |free| reserve.saturating_sub(free as usize)))
    }

    /// What an entry of `bytes` in `commands` may cost each copy: in the log and among the items.
    pub(super) fn cost(bytes: usize, commands: u32) -> usize {
        2 * bytes + FLAT_BYTES * (1 + commands as usize)
    }

    /// Takes room for an entry of `partition` at `now_ns` boot time, if there is enough here and at the other copies.
    /// Whoever gets it gives it back when the entry is applied.
    pub(super) fn take(&self, partition: &Partition, cost: usize, now_ns: u64) -> bool {
        if self.free_bytes() < cost as u64 {
            return false;
        }
        if let Some(free) = partition.copies_free_bytes(now_ns) {
            let mut recent = self.recent.lock();
            recent.turn(now_ns);
            if free < (recent.this + recent.before + cost) as u64 {
                return false;
            }
            recent.this += cost;
        }
        self.take_anyway(cost);
        true
    }

    /// Counts an entry that is proposed whether there is room or not.
    pub(super) fn take_anyway(&self, cost: usize) {
        self.in_flight_bytes.fetch_add(cost, Ordering::Relaxed);
    }

    /// The entry is applied here, or will never be.
    pub(super) fn give_back(&self, cost: usize) {
        self.in_flight_bytes.fetch_sub(cost, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeNo, PartitionId};
    use crate::keyspace::HashSeed;
    use crate::raft::Role;

    #[test]
    fn what_is_in_flight_counts_against_the_smallest_room() {
        let partition = Arc::new(Partition::new(PartitionId(0), HashSeed([1; 16]), Role::Leader));
        let room = Room::new(&[Arc::clone(&partition)]);
        assert!(room.take(&partition, usize::MAX / 4, 0), "no limit");
        room.give_back(usize::MAX / 4);
        room.set_limit_bytes(room.used_bytes() + 1000);
        assert!(room.take(&partition, 600, 0));
        assert!(!room.take(&partition, 600, 0));
        room.give_back(600);
        assert!(room.take(&partition, 600, 0));
        room.give_back(600);
        // Another copy has less, and counts what it is sent only later.
        partition.hear_free_bytes(NodeNo(2), 900, WINDOW_NS);
        partition.hear_free_bytes(NodeNo(3), 300, WINDOW_NS);
        assert!(!room.take(&partition, 301, WINDOW_NS));
        assert!(room.take(&partition, 200, WINDOW_NS));
        room.give_back(200);
        assert!(!room.take(&partition, 200, 2 * WINDOW_NS));
        assert!(room.take(&partition, 200, 3 * WINDOW_NS));
        // One that is not heard from any more holds up nobody.
        assert!(room.take(&partition, 500, 1_000 * WINDOW_NS));
    }

    #[test]
    fn what_the_allocator_holds_counts_until_it_is_given_back() {
        let room = Room::new(&[]);
        let limit = 256 << 20;
        room.set_limit_bytes(limit);
        room.hear_resident_bytes(2 * limit);
        assert_eq!(room.used_bytes(), 0, "nothing may be evicted");
        room.set_evicts(true);
        room.hear_resident_bytes(limit + limit / SLACK_SHARE);
        assert_eq!(room.used_bytes(), 0, "that much is allowed");
        room.hear_resident_bytes(2 * limit);
        assert_eq!(room.used_bytes(), limit / HELD_SHARE_STEP);
        (0..100).for_each(|_| assert!(room.hear_resident_bytes(2 * limit)));
        assert_eq!(room.used_bytes(), limit / HELD_SHARE_MAX);
        (0..100).for_each(|_| assert!(!room.hear_resident_bytes(limit + limit / SLACK_SHARE / 2)));
        assert_eq!(
            room.used_bytes(),
            limit / HELD_SHARE_MAX,
            "nothing changes between half of what is allowed and all"
        );
        (0..100).for_each(|_| assert!(!room.hear_resident_bytes(limit)));
        assert_eq!(room.used_bytes(), 0);
    }

    #[test]
    fn logs_take_a_part_of_the_limit_and_of_their_partitions() {
        let partitions: Vec<_> =
            (0..4).map(|id| Arc::new(Partition::new(PartitionId(id), HashSeed([1; 16]), Role::Solo))).collect();
        let room = Room::new(&partitions);
        assert_eq!(room.log_bytes_max(0), LOG_BYTES_SMALL);
        assert_eq!(room.log_bytes_max(16 << 20), 2 << 20);
        assert_eq!(room.log_bytes_max(1 << 30), LOG_BYTES_MAX);
        room.set_limit_bytes(64 << 20);
        assert_eq!(room.log_bytes_max(0), LOG_BYTES_SMALL);
        assert_eq!(room.log_bytes_max(16 << 20), 1 << 20);
        room.set_limit_bytes(1);
        assert_eq!(room.log_bytes_max(1 << 30), LOG_BYTES_MIN);
    }
}
