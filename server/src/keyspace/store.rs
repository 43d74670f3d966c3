//! A first, naive keyspace: the contract that the real one keeps.

use super::{Deadline, EvictionPolicy, HashSeed, ItemRef, ValueRef, Victim, WatchToken};
use crate::clock::{Tick, UnixMs};
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

struct Item {
    value: Vec<u8>,
    deadline: Option<UnixMs>,
    last_access: Tick,
    order: u64,
}

/// One partition's items.
pub struct Keyspace {
    seed: HashSeed,
    items: BTreeMap<(u64, Vec<u8>), Item>,
    order: u64,
    policy: EvictionPolicy,
    watches: HashMap<Vec<u8>, Vec<WatchToken>>,
}

impl Keyspace {
    /// An empty keyspace whose keys are hashed under `seed`.
    pub fn new(seed: HashSeed) -> Self {
        Self { seed, items: BTreeMap::new(), order: 0, policy: EvictionPolicy::NoEviction, watches: HashMap::new() }
    }

    /// The hash of `key`: SipHash-1-3 under the seed; SCAN's order.
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.seed.0);
        hasher.write(key);
        hasher.finish()
    }

    /// The seed of the key hash.
    pub fn seed(&self) -> HashSeed {
        self.seed
    }

    fn id(&self, key: &[u8]) -> (u64, Vec<u8>) {
        (self.hash(key), key.to_vec())
    }

    /// How many items, those that are due and not yet reaped included.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many items have a deadline.
    pub fn expires(&self) -> usize {
        self.items.values().filter(|item| item.deadline.is_some()).count()
    }

    /// Sum of (deadline - now) of the items with a deadline divided by their number, for INFO's `avg_ttl`; estimated.
    pub fn average_ttl_ms(&self, now: UnixMs) -> u64 {
        let ttls: Vec<u64> = self.items.values().filter_map(|i| i.deadline).map(|d| d.saturating_sub(now)).collect();
        if ttls.is_empty() { 0 } else { ttls.iter().sum::<u64>() / ttls.len() as u64 }
    }

    /// Bytes that this keyspace holds: pages, table, index, views; exact to the size classes.
    pub fn memory_bytes(&self) -> usize {
        self.items.iter().map(|((_, key), item)| key.len() + item.value.len() + 48).sum()
    }

    /// Bytes of one item, its share of the table included (MEMORY USAGE); `None` where there is no such item.
    pub fn item_bytes(&self, key: &[u8]) -> Option<usize> {
        self.items.get(&self.id(key)).map(|item| key.len() + item.value.len() + 48)
    }

    /// Looks `key` up. An item that is due at `now` is not there. `touch` renews its recency.
    pub fn get(&mut self, key: &[u8], now: UnixMs, touch: Option<Tick>) -> Option<ItemRef<'_>> {
        let id = self.id(key);
        let item = self.items.get_mut(&id)?;
        if item.deadline.is_some_and(|deadline| deadline <= now) {
            return None;
        }
        let last_access = item.last_access;
        if let Some(tick) = touch {
            self.order += 1;
            item.order = self.order;
            item.last_access = tick;
        }
        Some(ItemRef { value: ValueRef::String(&item.value), deadline: item.deadline, last_access })
    }

    /// Whether an item that is due at `now` (and so hidden) is stored at `key`.
    pub fn is_due(&self, key: &[u8], now: UnixMs) -> bool {
        self.items.get(&self.id(key)).is_some_and(|item| item.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// Stores a string, whatever was there. The caller has dealt with an item that was due: with [`Deadline::Keep`] the
    /// deadline that is stored stays, even a past one. `touch: None` keeps the recency of an item that exists; a new
    /// one becomes the most recent with the tick of the one before it.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], deadline: Deadline, touch: Option<Tick>) {
        self.signal(key);
        let id = self.id(key);
        self.order += 1;
        let old = self.items.get(&id);
        let deadline = match deadline {
            Deadline::Keep => old.and_then(|item| item.deadline),
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        let (last_access, order) = match (touch, old) {
            (Some(tick), _) => (tick, self.order),
            (None, Some(old)) => (old.last_access, old.order),
            (None, None) => (0, self.order),
        };
        self.items.insert(id, Item { value: value.to_vec(), deadline, last_access, order });
    }

    /// Changes the string at `key` in place: makes it `length` bytes long (cut, or padded with zeros), then hands it to
    /// `edit`. Deadline kept. The key must exist and hold a string.
    ///
    /// # Panics
    /// If the key is absent: callers look it up first.
    pub fn edit_string(&mut self, key: &[u8], length: usize, touch: Option<Tick>, edit: impl FnOnce(&mut [u8])) {
        let id = self.id(key);
        let mut value = self.items[&id].value.clone();
        value.resize(length, 0);
        edit(&mut value);
        self.set_string(key, &value, Deadline::Keep, touch);
    }

    /// Sets or removes the deadline of an item; false where there is no such item.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMs>) -> bool {
        let id = self.id(key);
        let Some(item) = self.items.get_mut(&id) else { return false };
        item.deadline = deadline;
        self.signal(key);
        true
    }

    /// Removes an item, due or not; false where there is none.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.items.remove(&self.id(key)).is_some();
        if removed {
            self.signal(key);
        }
        removed
    }

    /// Empties the keyspace in O(1) and returns what it held, to be dropped off the lock. Every watched key that
    /// existed has changed.
    pub fn clear(&mut self) -> impl Send + 'static {
        let keys: Vec<Vec<u8>> = self.items.keys().map(|(_, key)| key.clone()).collect();
        keys.iter().for_each(|key| self.signal(key));
        std::mem::take(&mut self.items)
    }

    /// A key picked uniformly by `seed` among those not due at `now`; `None` if there is none (or none is found in a
    /// bounded number of tries).
    pub fn random_key(&self, seed: u64, now: UnixMs) -> Option<&[u8]> {
        let alive: Vec<_> = self.items.iter().filter(|(_, i)| i.deadline.is_none_or(|d| d > now)).collect();
        if alive.is_empty() { None } else { Some(&alive[(seed % alive.len() as u64) as usize].0.1) }
    }

    /// Visits items in the order of their hashes, from scan position `from`: at least `count` of them unless the end
    /// comes first, and all that share a position. Those due at `now` count but are not shown. Returns the position to
    /// go on from, or 0 at the end.
    ///
    /// A position is the upper [`Keyspace::SCAN_BITS`] bits of a key's hash. What is there from the first step to the
    /// last is visited at least once.
    pub fn scan(&self, from: u64, count: usize, now: UnixMs, visit: &mut dyn FnMut(&[u8], ItemRef<'_>)) -> u64 {
        let shift = 64 - Self::SCAN_BITS;
        let mut seen = 0;
        let mut last = None;
        for ((hash, key), item) in self.items.range((from << shift, Vec::new())..) {
            let position = hash >> shift;
            if seen >= count && last != Some(position) {
                return position;
            }
            last = Some(position);
            seen += 1;
            if item.deadline.is_none_or(|deadline| deadline > now) {
                let value = ValueRef::String(&item.value);
                visit(key, ItemRef { value, deadline: item.deadline, last_access: item.last_access });
            }
        }
        0
    }

    /// Bits of a scan position.
    pub const SCAN_BITS: u32 = 49;

    /// Keys whose deadline is at or before `now`, at most `limit`, soonest first.
    pub fn due(&self, now: UnixMs, limit: usize) -> Vec<Vec<u8>> {
        let mut due: Vec<_> = self.items.iter().filter_map(|((_, key), i)| Some((i.deadline?, key.clone()))).collect();
        due.retain(|(deadline, _)| *deadline <= now);
        due.sort();
        due.into_iter().take(limit).map(|(_, key)| key).collect()
    }

    /// The soonest deadline of all.
    pub fn next_deadline(&self) -> Option<UnixMs> {
        self.items.values().filter_map(|item| item.deadline).min()
    }

    /// Selects what [`Keyspace::victims`] offers. Switching re-sorts once; exact afterwards.
    pub fn set_policy(&mut self, policy: EvictionPolicy) {
        self.policy = policy;
    }

    /// The policy in force.
    pub fn policy(&self) -> EvictionPolicy {
        self.policy
    }

    /// Offers victims in the order in which the policy evicts them, until `take` answers false or none is left.
    pub fn victims(&self, take: &mut dyn FnMut(Victim<'_>) -> bool) {
        let mut items: Vec<_> = self.items.iter().collect();
        match self.policy {
            EvictionPolicy::NoEviction => return,
            EvictionPolicy::AllKeysLru => {}
            EvictionPolicy::VolatileLru | EvictionPolicy::VolatileTtl => items.retain(|(_, i)| i.deadline.is_some()),
        }
        match self.policy {
            EvictionPolicy::VolatileTtl => items.sort_by_key(|(_, item)| item.deadline),
            _ => items.sort_by_key(|(_, item)| item.order),
        }
        for ((_, key), item) in items {
            if !take(Victim { key, last_access: item.last_access, deadline: item.deadline }) {
                return;
            }
        }
    }

    /// Gives recency to `key` without a lookup (hints from a leader).
    pub fn touch(&mut self, key: &[u8], tick: Tick) {
        self.get(key, 0, Some(tick));
    }

    /// Sets `token` when `key` is next changed, removed, evicted or reaped.
    pub fn watch(&mut self, key: &[u8], token: &WatchToken) {
        self.watches.entry(key.to_vec()).or_default().push(Arc::clone(token));
    }

    /// Forgets `token` at `key`.
    pub fn unwatch(&mut self, key: &[u8], token: &WatchToken) {
        if let Some(tokens) = self.watches.get_mut(key) {
            tokens.retain(|other| !Arc::ptr_eq(other, token));
            if tokens.is_empty() {
                self.watches.remove(key);
            }
        }
    }

    fn signal(&mut self, key: &[u8]) {
        for token in self.watches.remove(key).unwrap_or_default() {
            token.store(true, Ordering::Release);
        }
    }

    /// A digest of all items (keys, values, deadlines), whatever the order in which they came. Equal on copies that
    /// applied the same entries.
    pub fn digest(&self) -> u64 {
        let mut sum = 0u64;
        for ((_, key), item) in &self.items {
            let mut hasher = SipHasher13::new();
            hasher.write_u64(key.len() as u64);
            hasher.write(key);
            hasher.write(&item.value);
            hasher.write_u64(item.deadline.map_or(u64::MAX, |deadline| deadline));
            sum = sum.wrapping_add(hasher.finish());
        }
        sum
    }
}

/// Views: the items as they were at one instant, read out in pieces while the keyspace goes on changing.
///
/// At most one view is open at a time. An item that changes before it was read out is written to the view first
/// (its pre-image), so the pieces together are exactly the items of the instant at which the view was opened, in no
/// particular order. Costs nothing but memory for what changed ([`Keyspace::view_backlog_bytes`]).
impl Keyspace {
    /// Opens a view of this instant.
    ///
    /// # Panics
    /// If one is open.
    pub fn open_view(&mut self) {
        unimplemented!("views come with the real keyspace")
    }

    /// Appends encoded items of the view to `out`, about `bytes` of them, and says whether more follow.
    pub fn read_view(&mut self, _bytes: usize, _out: &mut bytes::BytesMut) -> bool {
        unimplemented!("views come with the real keyspace")
    }

    /// Bytes of pre-images that wait to be read out.
    pub fn view_backlog_bytes(&self) -> usize {
        0
    }

    /// Closes the view, read to its end or not. Does nothing where none is open.
    pub fn close_view(&mut self) {}

    /// Stores the items of one piece of a view that another keyspace (of the same seed) wrote.
    ///
    /// # Errors
    /// Where the bytes are not such a piece. Never panics, whatever they are; never takes more memory than a small
    /// multiple of their length.
    pub fn load_piece(&mut self, _piece: &[u8], _tick: Tick) -> Result<(), MalformedPiece> {
        Err(MalformedPiece)
    }
}

/// A piece of a view that does not decode.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed snapshot piece")]
pub struct MalformedPiece;
