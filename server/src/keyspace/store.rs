//! The keyspace: items, watches, a view, and the policy that orders victims.

use super::arena::{Mark, Ref};
use super::collections::limits::Limits;
use super::databases::Others;
use super::deadlines::Deadlines;
use super::frequency::{self, SAMPLES};
use super::heap::Heap;
use super::items::{Content, Items};
use super::order::Walk;
use super::recency::Kept;
use super::table::Table;
use super::view::View;
use super::watch::Watches;
use super::{Deadline, EvictionOrder, EvictionPolicy, HashSeed, ItemRef, LfuParameters, ValueRef, Victim, WatchToken};
use crate::clock::{Tick, UnixMs};
use crate::ids::DatabaseNo;
use crate::planted::{Bug, planted};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use std::hash::Hasher;
use std::sync::Arc;

/// One partition's items, by database. Unless they say otherwise, methods work on the database that is selected.
pub struct Keyspace {
    seed: HashSeed,
    /// The items of the selected database, and so on.
    pub(super) items: Items,
    pub(super) watches: Watches,
    pub(super) view: Option<Box<View>>,
    pub(super) database: DatabaseNo,
    pub(super) others: Others,
    /// Whether a view is open.
    pub(super) is_viewed: bool,
    pub(super) policy: EvictionPolicy,
    /// The tick of the last use.
    pub(super) tick: Tick,
    /// Up to which sizes collections are small.
    pub(super) limits: Limits,
}

impl Keyspace {
    /// An empty keyspace whose keys are hashed under `seed`.
    pub fn new(seed: HashSeed) -> Self {
        Self {
            seed,
            items: Items::new(seed),
            watches: Watches::default(),
            view: None,
            database: DatabaseNo::FIRST,
            others: Others::default(),
            is_viewed: false,
            policy: EvictionPolicy::NoEviction,
            tick: 0,
            limits: Limits::DEFAULT,
        }
    }

    /// The hash of `key`: SipHash-1-3 under the seed; SCAN's order.
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.items.heap.hash(key)
    }

    /// The seed of the key hash.
    pub fn seed(&self) -> HashSeed {
        self.seed
    }

    /// How many items the database has, those that are due and not yet reaped included.
    pub fn len(&self) -> usize {
        self.items.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items have a deadline.
    pub fn expires(&self) -> usize {
        self.items.deadlines.len()
    }

    /// How many hashes have fields with deadlines, for INFO's `subexpiry`.
    pub fn subexpiry(&self) -> usize {
        self.items.field_deadlines.len()
    }

    /// Mean of (deadline - now) of the items with a deadline, for INFO's `avg_ttl`.
    pub fn average_ttl_ms(&self, now: UnixMs) -> u64 {
        let mean = self.items.deadlines.sum().checked_div(self.expires() as u128);
        mean.map_or(0, |mean| (mean as u64).saturating_sub(now))
    }

    /// Bytes that this keyspace holds, all databases together: pages, table, index, views; exact to the size classes.
    pub fn memory_bytes(&self) -> usize {
        let view = self.view.as_ref().map_or(0, |view| size_of::<View>() + view.bytes());
        size_of::<Self>() + self.items.bytes() + view + self.others.bytes()
    }

    /// Bytes of one item, its share of the table included (MEMORY USAGE); `None` where there is no such item.
    pub fn item_bytes(&self, key: &[u8]) -> Option<usize> {
        let (_, at) = self.items.find(self.hash(key), key)?;
        Some(self.bytes_at(at))
    }

    fn bytes_at(&self, at: Ref) -> usize {
        let heap = &self.items.heap;
        let fields = if heap.field_deadline(at).is_some() { Deadlines::ENTRY_BYTES } else { 0 };
        heap.item_bytes(at) + Table::ITEM_BYTES + fields
    }

    /// Looks `key` up. An item that is due at `now` is not there, and neither is a field of a hash that is. `touch` renews
    /// its recency.
    #[inline]
    pub fn get(&mut self, key: &[u8], now: UnixMs, touch: Option<Tick>) -> Option<ItemRef<'_>> {
        self.get_hashed(self.hash(key), key, now, touch)
    }

    /// [`Keyspace::get`] with the key's hash, where that is known already.
    #[inline]
    pub fn get_hashed(&mut self, hash: u64, key: &[u8], now: UnixMs, touch: Option<Tick>) -> Option<ItemRef<'_>> {
        let (_, at) = self.items.find(hash, key)?;
        if self.items.heap.is_due(at, now) && !planted(Bug::DueIsShown) {
            return None;
        }
        let last_access = self.items.heap.last_access(at);
        if let Some(tick) = touch
            && !planted(Bug::ReadDoesNotTouch)
        {
            let tick = self.use_at(Some(tick));
            self.items.recency.read(hash, last_access);
            self.items.touch(at, tick);
        }
        Some(ItemRef { last_access, ..self.items.heap.item_at(at, now) })
    }

    /// The tick of a use that comes next, at `touch` by the clock: so that uses are in the order of their ticks even where
    /// several come within one, or the clock was set back.
    #[inline]
    pub(super) fn use_at(&mut self, touch: Option<Tick>) -> Tick {
        self.tick = (self.tick + 1).max(touch.unwrap_or(0));
        self.tick
    }

    /// Whether an item that is due at `now` (and so hidden) is stored at `key`.
    pub fn is_due(&self, key: &[u8], now: UnixMs) -> bool {
        self.items.find(self.hash(key), key).is_some_and(|(_, at)| self.items.heap.is_due(at, now))
    }

    /// Stores a string, whatever was there. The caller has dealt with an item that was due: with [`Deadline::Keep`] the
    /// deadline that is stored stays, even a past one. `touch: None` keeps the recency of an item that exists; a new
    /// one becomes the most recent.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], deadline: Deadline, touch: Option<Tick>) {
        self.set_string_hashed(self.hash(key), key, value, deadline, touch);
    }

    /// [`Keyspace::set_string`] with the key's hash, where that is known already.
    pub fn set_string_hashed(&mut self, hash: u64, key: &[u8], value: &[u8], deadline: Deadline, touch: Option<Tick>) {
        self.watches.signal(key);
        let tick = self.use_at(touch);
        let Some((place, at)) = self.items.find(hash, key) else {
            let deadline = if let Deadline::At(at) = deadline { Some(at) } else { None };
            if let Some(view) = &mut self.view {
                view.added(hash, key);
            }
            self.items.insert(hash, key, Content::Value(value), deadline, tick);
            return;
        };
        self.preserve(hash, at);
        let deadline = match deadline {
            Deadline::Keep => self.items.heap.deadline(at),
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        self.items.write((place, at), key, Content::Value(value), deadline, touch.map(|_| tick), |_| {});
    }

    /// Changes the string at `key` in place: makes it `length` bytes long (cut, or padded with zeros), then hands it to
    /// `edit`. Deadline kept. The key must exist and hold a string.
    ///
    /// # Panics
    /// If the key is absent: callers look it up first.
    pub fn edit_string(&mut self, key: &[u8], length: usize, touch: Option<Tick>, edit: impl FnOnce(&mut [u8])) {
        let hash = self.hash(key);
        let (place, at) = self.items.find(hash, key).expect("the caller has looked the key up");
        self.watches.signal(key);
        let touch = touch.map(|tick| self.use_at(Some(tick)));
        self.preserve(hash, at);
        let deadline = self.items.heap.deadline(at);
        self.items.write((place, at), key, Content::Resized(length), deadline, touch, edit);
    }

    /// Sets or removes the deadline of an item; false where there is no such item. Recency stays.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMs>) -> bool {
        let hash = self.hash(key);
        let Some((place, at)) = self.items.find(hash, key) else { return false };
        self.watches.signal(key);
        self.preserve(hash, at);
        self.items.write((place, at), key, Content::Kept, deadline, None, |_| {});
        true
    }

    /// Says when an item was used last, no later than now (RESTORE's IDLETIME).
    pub fn set_last_access(&mut self, key: &[u8], tick: Tick) {
        if let Some((_, at)) = self.items.find(self.hash(key), key) {
            self.items.set_last_access(at, tick.min(self.tick));
        }
    }

    /// Removes an item, due or not; false where there is none.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let Some((place, at)) = self.items.find(hash, key) else { return false };
        self.watches.signal(key);
        self.preserve(hash, at);
        self.items.remove(hash, (place, at));
        true
    }

    /// Empties the database in O(1) and returns what it held, to be dropped off the lock. Every watched key that
    /// existed has changed.
    pub fn clear(&mut self) -> impl Send + use<> {
        let empty = self.empty_items();
        let old = std::mem::replace(&mut self.items, empty);
        self.watches.signal_all(|key| old.find(old.heap.hash(key), key).is_some());
        match &mut self.view {
            Some(view) => view.keep(old),
            None => Some(old),
        }
    }

    /// Writes an item that is about to change to the view.
    #[inline]
    pub(super) fn preserve(&mut self, hash: u64, at: Ref) {
        if let Some(view) = &mut self.view
            && !planted(Bug::SnapshotMissesPreImage)
        {
            view.before_change(hash, &self.items, at);
        }
    }

    /// A key picked by `seed` among those not due at `now`; `None` if there is none, or none among the many that were
    /// looked at. Near uniform (exactly, among no more than [`Keyspace::RANDOM_WINDOW`]), and the same key on every copy that
    /// holds the same items: one of the next few, in the order of hashes, after a point that the seed chooses.
    pub fn random_key(&self, seed: u64, now: UnixMs) -> Option<&[u8]> {
        const LOOKED_AT_MAX: usize = 1024;
        let start = mix(seed);
        let mut window: SmallVec<[Ref; Self::RANDOM_WINDOW]> = SmallVec::new();
        let mut looked_at = 0;
        let mut look = |at: Ref| {
            looked_at += 1;
            if !self.items.heap.is_due(at, now) {
                window.push(at);
            }
            window.len() < Self::RANDOM_WINDOW && looked_at < LOOKED_AT_MAX
        };
        if self.in_order(start, |_, at| look(at)) {
            // Went to the end: on from the beginning, to where it started.
            self.in_order(0, |hash, at| hash < start && look(at));
        }
        let chosen = mix(start ^ seed).checked_rem(window.len() as u64)?;
        Some(self.items.heap.key(window[chosen as usize]))
    }

    /// Items among which [`Keyspace::random_key`] chooses evenly.
    pub const RANDOM_WINDOW: usize = 32;

    /// Visits items in the order of their hashes, from the hash `from`, until `visit` says false; true at the end.
    fn in_order(&self, from: u64, mut visit: impl FnMut(u64, Ref) -> bool) -> bool {
        let mut range = Vec::with_capacity(32);
        let mut next = Some(from);
        while let Some(from) = next {
            range.clear();
            next = self.items.collect(from, &mut range);
            for (hash, at) in &range {
                if !visit(*hash, *at) {
                    return false;
                }
            }
        }
        true
    }

    /// Visits items in the order of their hashes, from scan position `from`: at least `count` of them (and one) unless the
    /// end comes first, and all that share a position. Those due at `now` count but are not shown. Returns the position to
    /// go on from, or 0 at the end.
    ///
    /// A position is the upper [`Keyspace::SCAN_BITS`] bits of a key's hash; beyond the last there is nothing. What is
    /// there from the first step to the last is visited at least once.
    pub fn scan(&self, from: u64, count: usize, now: UnixMs, visit: &mut dyn FnMut(&[u8], ItemRef<'_>)) -> u64 {
        const SHIFT: u32 = 64 - Keyspace::SCAN_BITS;
        if from >> Self::SCAN_BITS != 0 {
            return 0;
        }
        let mut seen = 0;
        let mut last = None;
        let mut next = 0;
        self.in_order(from << SHIFT, |hash, at| {
            let position = hash >> SHIFT;
            if seen >= count.max(1) && last != Some(position) {
                next = position;
                return false;
            }
            last = Some(position);
            seen += 1;
            if !self.items.heap.is_due(at, now) {
                visit(self.items.heap.key(at), self.items.heap.item_at(at, now));
            }
            true
        });
        next
    }

    /// Bits of a scan position.
    pub const SCAN_BITS: u32 = 49;

    /// Selects what [`Keyspace::victims`] offers. Switching to a policy that goes by recency, or counts uses, or between
    /// the two that go by recency visits every item once. Exact afterwards, as far as the policy is.
    pub fn set_policy(&mut self, policy: EvictionPolicy) {
        self.policy = policy;
        self.each_database(|keyspace| keyspace.items.keep(policy.kept(), policy.is_volatile()));
    }

    /// Items of a database that has none.
    pub(super) fn empty_items(&self) -> Items {
        let mut items = Items::new(self.seed);
        items.keep(self.policy.kept(), self.policy.is_volatile());
        items.lfu = self.items.lfu;
        items
    }

    /// Takes over policy and parameters of the keyspace in whose place this one comes.
    pub fn succeed(&mut self, other: &Self) {
        self.set_policy(other.policy);
        self.set_lfu(other.items.lfu);
        self.limits = other.limits;
    }

    /// Up to which sizes collections are small.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sets up to which sizes collections that change from now on are small; what was in force. Copies that apply an entry
    /// apply it under the same.
    pub fn set_limits(&mut self, limits: Limits) -> Limits {
        std::mem::replace(&mut self.limits, limits)
    }

    /// Sets how LFU counts.
    pub fn set_lfu(&mut self, lfu: LfuParameters) {
        self.each_database(|keyspace| keyspace.items.lfu = lfu);
    }

    /// Sets LFU's counter of an item, where uses are counted (RESTORE's FREQ).
    pub fn set_frequency(&mut self, key: &[u8], counter: u8) {
        if self.items.heap.uses.kept() == Kept::Counter
            && let Some((_, at)) = self.items.find(self.hash(key), key)
        {
            let last_access = self.items.heap.last_access(at);
            self.items.heap.write_use(at, last_access, u16::from(counter));
        }
    }

    /// LFU's counter of an item as it is at `now`, where the policy goes by it. Does not count as a use.
    pub fn frequency(&self, key: &[u8], now: Tick) -> Option<u8> {
        let (_, at) = self.items.find(self.hash(key), key)?;
        let Heap { arena, uses, .. } = &self.items.heap;
        let chunk = arena.chunk(at);
        let idle = now.saturating_sub(uses.last_access(chunk));
        (uses.kept() == Kept::Counter).then(|| self.items.lfu.counter(uses.count(chunk), idle))
    }

    /// The policy in force.
    pub fn policy(&self) -> EvictionPolicy {
        self.policy
    }

    /// Offers victims, of all databases, in the order in which the policy evicts them, until `take` answers false or none
    /// is left.
    pub fn victims(&mut self, take: &mut dyn FnMut(Victim<'_>) -> bool) {
        let Some(order) = self.policy.order() else { return };
        let volatile = self.policy.is_volatile();
        if !self.others.is_empty() {
            self.victims_of_all(order, volatile, take);
            return;
        }
        let database = self.database;
        if matches!(order, EvictionOrder::Random | EvictionOrder::Frequency | EvictionOrder::SizeAndFrequency) {
            let mut offered = SmallVec::<[Ref; 64]>::new();
            while let Some(at) = self.worst_of_a_sample(order, volatile, &offered) {
                offered.push(at);
                if !take(victim(database, &self.items.heap, at)) {
                    return;
                }
            }
            return;
        }
        self.items.walk(mark_of(order), |heap, (_, at)| take(victim(database, heap, at)));
    }

    /// Removes the victims that [`Keyspace::victims`] offers and `take` takes; how many.
    pub fn remove_victims(&mut self, take: &mut dyn FnMut(Victim<'_>) -> bool) -> usize {
        let mut keys: Vec<(DatabaseNo, Vec<u8>)> = Vec::new();
        let mut note = |victim: Victim<'_>| {
            let key = (victim.database, victim.key.to_vec());
            let taken = take(victim);
            keys.extend(taken.then_some(key));
            taken
        };
        match self.policy.order() {
            Some(order @ (EvictionOrder::Recency | EvictionOrder::Deadline)) if self.others.is_empty() => {
                let (mark, database) = (mark_of(order), self.database);
                let mut walk = Walk::default();
                while let Some(item) = self.items.next(mark, &mut walk) {
                    if !note(victim(database, &self.items.heap, item.1)) {
                        // The others need not be found again.
                        self.items.put_back(mark, item);
                        break;
                    }
                }
            }
            _ => self.victims(&mut note),
        }
        for (database, key) in &keys {
            self.select(*database);
            self.remove(key);
        }
        keys.len()
    }

    /// The item of a sample that is to be evicted first, and is not among those `offered`. Of few items all are looked at.
    pub(super) fn worst_of_a_sample(&mut self, order: EvictionOrder, volatile: bool, offered: &[Ref]) -> Option<Ref> {
        let wanted = if order == EvictionOrder::Random { 1 } else { SAMPLES };
        let mut sample = SmallVec::<[Ref; SAMPLES]>::new();
        let population = if volatile { self.expires() } else { self.len() };
        if population > 2 * (offered.len() + wanted) {
            /// Tries for each item, where few have a deadline.
            const TRIES: usize = 16;
            for _ in 0..TRIES * wanted {
                let random = self.items.roll();
                let at = if volatile { self.items.sample_volatile(random) } else { self.items.table.sample(random) };
                sample.extend(at.filter(|at| !offered.contains(at) && !sample.contains(at)));
                if sample.len() == wanted {
                    break;
                }
            }
        }
        if sample.is_empty() && volatile {
            self.items.walk(Mark::Deadline, |_, (_, at)| {
                sample.extend(Some(at).filter(|at| !offered.contains(at)));
                population <= 2 * (offered.len() + wanted) || sample.len() < wanted
            });
        } else if sample.is_empty() {
            sample.extend(self.items.table.items().filter(|at| !offered.contains(at)));
        }
        let items = &self.items;
        let badness = |at: Ref| {
            let Heap { arena, uses, .. } = &items.heap;
            let (last_access, count) = (uses.last_access(arena.chunk(at)), uses.count(arena.chunk(at)));
            let idle = self.tick.saturating_sub(last_access);
            match order {
                EvictionOrder::Frequency => items.lfu.badness(count, idle),
                EvictionOrder::SizeAndFrequency => frequency::gdsf(count, idle, self.bytes_at(at)),
                _ => 0.0,
            }
        };
        if order == EvictionOrder::Random && sample.len() > 1 {
            let chosen = self.items.dice_below(sample.len());
            return Some(sample[chosen]);
        }
        sample.into_iter().max_by(|left, right| badness(*left).total_cmp(&badness(*right)))
    }

    /// Gives recency to `key` of a database without a lookup (hints from a leader), unless it has more already.
    pub fn touch(&mut self, database: DatabaseNo, key: &[u8], tick: Tick) {
        self.select(database);
        if let Some((_, at)) = self.items.find(self.hash(key), key)
            && tick >= self.items.heap.last_access(at)
        {
            self.tick = self.tick.max(tick);
            self.items.touch(at, tick);
        }
    }

    /// Takes the order of victims as it is now for one that the followers know; [`Keyspace::untold`] begins there.
    pub fn tell_from_here(&mut self) {
        self.each_database(|keyspace| keyspace.items.recency.tell_from_here(&keyspace.items.heap.uses));
    }

    /// Offers the items that were read since they were last told of, with their last access, for
    /// [`Keyspace::touch`] on a follower; what is written its followers know, but not that it was read soon after. Ends where `take` answers false, and begins with
    /// that item the next time. Nothing is noted before the first call. Of more than some ten thousand items that are read
    /// between two calls, the rest is not told of.
    pub fn untold(&mut self, mut take: impl FnMut(DatabaseNo, &[u8], Tick) -> bool) {
        self.each_database(|keyspace| {
            let database = keyspace.database;
            let Items { heap, recency, table, .. } = &mut keyspace.items;
            recency.tell(&heap.uses, |hash| {
                let found = table.find(hash, |at| heap.hash_at(at) == hash);
                found.is_none_or(|(_, at)| take(database, heap.key(at), heap.last_access(at)))
            });
        });
    }

    /// Sets `token` when `key` is next changed, removed, evicted or reaped.
    pub fn watch(&mut self, key: &[u8], token: &WatchToken) {
        self.watches.add(key, token);
    }

    /// Forgets `token` at `key`.
    pub fn unwatch(&mut self, key: &[u8], token: &WatchToken) {
        self.watches.remove(key, token);
    }

    /// Notes from now on when `key` is touched, since somebody waits for it.
    pub fn expect(&mut self, key: &Arc<[u8]>) {
        self.watches.expect(key);
    }

    /// Nobody waits for `key` any more.
    pub fn unexpect(&mut self, key: &[u8]) {
        self.watches.unexpect(key);
    }

    /// Counts every watched key as changed: this keyspace is about to be replaced by another.
    pub fn abandon_watches(&mut self) {
        self.each_database(|keyspace| keyspace.watches.signal_all(|_| true));
    }
}

/// The order of items in which a policy that has one evicts.
pub(super) fn mark_of(order: EvictionOrder) -> Mark {
    if order == EvictionOrder::Deadline { Mark::Deadline } else { Mark::Use }
}

pub(super) fn victim(database: DatabaseNo, heap: &Heap, at: Ref) -> Victim<'_> {
    let ItemRef { deadline, last_access, .. } = heap.item(at);
    Victim { database, key: heap.key(at), last_access, deadline }
}

pub(super) fn is_due(deadline: Option<UnixMs>, now: UnixMs) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

/// An item's part of [`Keyspace::digest`].
pub(super) fn item_digest(key: &[u8], item: ItemRef<'_>) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write_u64(key.len() as u64);
    hasher.write(key);
    match item.value {
        ValueRef::String(value) => hasher.write(value),
        collection => {
            hasher.write_u8(1);
            hasher.write(&collection.encoded());
        }
    }
    hasher.write_u64(item.deadline.unwrap_or(u64::MAX));
    hasher.finish()
}

/// Spreads the bits of a seed (the finalizer of SplitMix64).
pub(super) fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(any(test, fuzzing))]
impl Keyspace {
    /// Checks that every structure agrees with the others, and that the account is what adding up gives.
    pub(crate) fn check_invariants(&mut self) {
        let mut bytes = 0;
        self.each_database(|keyspace| {
            let view = keyspace.view.as_mut().map_or(0, |view| size_of::<View>() + view.check());
            bytes += keyspace.items.check() + view;
        });
        assert_eq!(self.memory_bytes(), size_of::<Self>() + bytes + self.others.own_bytes());
    }

    /// Keys with their last access, least recently used first, of items that may be evicted; none where the policy does not
    /// go by that.
    #[cfg(test)]
    pub(super) fn recency_order(&mut self) -> Vec<(Vec<u8>, Tick)> {
        let mut order = Vec::new();
        self.items.walk(Mark::Use, |heap, (_, at)| {
            order.push((heap.key(at).to_vec(), heap.last_access(at)));
            true
        });
        order
    }
}
