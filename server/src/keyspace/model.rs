//! A naive keyspace with the same contract: what the real one is compared with.

use super::recency::COARSE;
use super::store::{item_digest, mix};
use super::{Deadline, EvictionPolicy, HashSeed, ItemRef, Keyspace, ValueRef, WatchToken};
use crate::clock::{Tick, UnixMs};
use siphasher::sip::SipHasher13;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelItem {
    pub(super) value: Vec<u8>,
    pub(super) deadline: Option<UnixMs>,
    pub(super) last_access: Tick,
}

impl ModelItem {
    fn as_ref(&self) -> ItemRef<'_> {
        ItemRef { value: ValueRef::String(&self.value), deadline: self.deadline, last_access: self.last_access }
    }
}

type Contents = BTreeMap<(u64, Vec<u8>), ModelItem>;

/// The model.
#[derive(Default)]
pub(super) struct Model {
    seed: HashSeed,
    pub(super) items: Contents,
    pub(super) tick: Tick,
    policy: EvictionPolicy,
    watches: HashMap<Vec<u8>, Vec<WatchToken>>,
    /// What was there when the view was opened.
    pub(super) view: Option<Contents>,
}

impl Model {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { seed, ..Self::default() }
    }

    fn id(&self, key: &[u8]) -> (u64, Vec<u8>) {
        let mut hasher = SipHasher13::new_with_key(&self.seed.0);
        hasher.write(key);
        (hasher.finish(), key.to_vec())
    }

    fn use_at(&mut self, touch: Option<Tick>) -> Tick {
        self.tick = (self.tick + 1).max(touch.unwrap_or(0));
        self.tick
    }

    /// What is told of a tick.
    fn told(&self, tick: Tick) -> Tick {
        if self.policy.kept().counts() { tick / COARSE * COARSE } else { tick }
    }

    pub(super) fn get(&mut self, key: &[u8], now: UnixMs, touch: Option<Tick>) -> Option<ModelItem> {
        let item = self.items.get(&self.id(key)).filter(|item| item.deadline.is_none_or(|at| at > now))?.clone();
        if touch.is_some() {
            let tick = self.use_at(touch);
            self.set_last_access(key, tick);
        }
        Some(item)
    }

    pub(super) fn set_string(&mut self, key: &[u8], value: &[u8], deadline: Deadline, touch: Option<Tick>) {
        self.signal(key);
        let tick = self.use_at(touch);
        self.store(key, value, deadline, touch.map(|_| tick));
    }

    fn store(&mut self, key: &[u8], value: &[u8], deadline: Deadline, touch: Option<Tick>) {
        let id = self.id(key);
        let old = self.items.get(&id);
        let deadline = match deadline {
            Deadline::Keep => old.and_then(|item| item.deadline),
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        let kept = old.filter(|_| touch.is_none()).map(|old| old.last_access);
        let last_access = kept.unwrap_or(self.told(self.tick));
        self.items.insert(id, ModelItem { value: value.to_vec(), deadline, last_access });
    }

    pub(super) fn edit_string(&mut self, key: &[u8], length: usize, touch: Option<Tick>, edit: impl FnOnce(&mut [u8])) {
        let mut value = self.items[&self.id(key)].value.clone();
        value.resize(length, 0);
        edit(&mut value);
        self.signal(key);
        let touch = touch.map(|tick| self.use_at(Some(tick)));
        self.store(key, &value, Deadline::Keep, touch);
    }

    pub(super) fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMs>) -> bool {
        let id = self.id(key);
        let Some(item) = self.items.get_mut(&id) else { return false };
        item.deadline = deadline;
        self.signal(key);
        true
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.items.remove(&self.id(key)).is_some();
        if removed {
            self.signal(key);
        }
        removed
    }

    pub(super) fn clear(&mut self) {
        let keys: Vec<_> = std::mem::take(&mut self.items).into_keys().collect();
        keys.iter().for_each(|(_, key)| self.signal(key));
    }

    pub(super) fn random_key(&self, seed: u64, now: UnixMs) -> Option<&[u8]> {
        let start = mix(seed);
        let (before, after): (Vec<_>, Vec<_>) = self.items.iter().partition(|((hash, _), _)| *hash < start);
        let window: Vec<_> = after
            .into_iter()
            .chain(before)
            .take(1024)
            .filter(|(_, item)| item.deadline.is_none_or(|deadline| deadline > now))
            .take(Keyspace::RANDOM_WINDOW)
            .collect();
        let chosen = mix(start ^ seed).checked_rem(window.len() as u64)?;
        Some(&window[chosen as usize].0.1)
    }

    pub(super) fn scan(&self, from: u64, count: usize, now: UnixMs, visit: &mut dyn FnMut(&[u8])) -> u64 {
        let shift = 64 - Keyspace::SCAN_BITS;
        let mut last = None;
        for (seen, ((hash, key), item)) in self.items.range((from << shift, Vec::new())..).enumerate() {
            let position = hash >> shift;
            if seen >= count.max(1) && last != Some(position) {
                return position;
            }
            last = Some(position);
            if item.deadline.is_none_or(|deadline| deadline > now) {
                visit(key);
            }
        }
        0
    }

    /// Deadlines, soonest first.
    pub(super) fn deadlines(&self) -> Vec<UnixMs> {
        let mut deadlines: Vec<_> = self.items.values().filter_map(|item| item.deadline).collect();
        deadlines.sort_unstable();
        deadlines
    }

    pub(super) fn last_access(&self, key: &[u8]) -> Option<Tick> {
        Some(self.items.get(&self.id(key))?.last_access)
    }

    pub(super) fn deadline(&self, key: &[u8]) -> Option<UnixMs> {
        self.items.get(&self.id(key))?.deadline
    }

    pub(super) fn set_policy(&mut self, policy: EvictionPolicy) {
        self.policy = policy;
        let all: Vec<_> = self.items.iter().map(|((_, key), item)| (key.clone(), item.last_access)).collect();
        all.iter().for_each(|(key, last_access)| self.set_last_access(key, *last_access));
    }

    /// Keys with their last access, least recently used first; of the volatile ones where asked for.
    pub(super) fn recency_order(&self, volatile: bool) -> Vec<(Vec<u8>, Tick)> {
        let chosen = self.items.iter().filter(|(_, item)| !volatile || item.deadline.is_some());
        let mut order: Vec<_> = chosen.map(|((_, key), item)| (key.clone(), item.last_access)).collect();
        sort_recency(&mut order);
        order
    }

    pub(super) fn set_last_access(&mut self, key: &[u8], tick: Tick) {
        let (id, told) = (self.id(key), self.told(tick.min(self.tick)));
        if let Some(item) = self.items.get_mut(&id) {
            item.last_access = told;
        }
    }

    pub(super) fn touch(&mut self, key: &[u8], tick: Tick) {
        if self.items.get(&self.id(key)).is_some_and(|item| item.last_access <= tick) {
            self.tick = self.tick.max(tick);
            self.set_last_access(key, tick);
        }
    }

    pub(super) fn watch(&mut self, key: &[u8], token: &WatchToken) {
        self.watches.entry(key.to_vec()).or_default().push(Arc::clone(token));
    }

    pub(super) fn unwatch(&mut self, key: &[u8], token: &WatchToken) {
        if let Some(tokens) = self.watches.get_mut(key) {
            tokens.retain(|other| !Arc::ptr_eq(other, token));
        }
    }

    fn signal(&mut self, key: &[u8]) {
        for token in self.watches.remove(key).unwrap_or_default() {
            token.store(true, Ordering::Release);
        }
    }

    pub(super) fn digest(&self) -> u64 {
        digest(&self.items)
    }

    pub(super) fn open_view(&mut self) {
        self.view = Some(self.items.clone());
    }
}

/// Sorts by last access; of those with the same, any order is as good: here by key.
pub(super) fn sort_recency(order: &mut [(Vec<u8>, Tick)]) {
    order.sort_by(|(key, tick), (other_key, other)| (tick, key).cmp(&(other, other_key)));
}

/// The digest of some items.
pub(super) fn digest(items: &Contents) -> u64 {
    items.iter().fold(0, |sum, ((_, key), item)| sum.wrapping_add(item_digest(key, item.as_ref())))
}
