//! A naive keyspace with the same contract: what the real one is compared with.

use super::recency::{Kept, age};
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
    /// Greater is more recent.
    order: u64,
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
    order: u64,
    tick: Tick,
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

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub(super) fn get(&mut self, key: &[u8], now: UnixMs, touch: Option<Tick>) -> Option<ModelItem> {
        let item = self.items.get(&self.id(key)).filter(|item| item.deadline.is_none_or(|at| at > now))?.clone();
        if let Some(tick) = touch {
            self.renew(key, tick);
        }
        Some(item)
    }

    pub(super) fn set_string(&mut self, key: &[u8], value: &[u8], deadline: Deadline, touch: Option<Tick>) {
        self.signal(key);
        self.tick = touch.unwrap_or(self.tick);
        let id = self.id(key);
        let order = self.next_order();
        let old = self.items.get(&id);
        let deadline = match deadline {
            Deadline::Keep => old.and_then(|item| item.deadline),
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        let (last_access, order) = match (touch, old) {
            (None, Some(old)) if self.changes_lists(old.deadline, deadline) => (old.last_access, order),
            (None, Some(old)) => (old.last_access, old.order),
            _ => (self.tick, order),
        };
        self.items.insert(id, ModelItem { value: value.to_vec(), deadline, last_access, order });
    }

    fn changes_lists(&self, old: Option<UnixMs>, new: Option<UnixMs>) -> bool {
        self.policy == EvictionPolicy::VolatileLru && old.is_some() != new.is_some()
    }

    pub(super) fn edit_string(&mut self, key: &[u8], length: usize, touch: Option<Tick>, edit: impl FnOnce(&mut [u8])) {
        let mut value = self.items[&self.id(key)].value.clone();
        value.resize(length, 0);
        edit(&mut value);
        self.set_string(key, &value, Deadline::Keep, touch);
    }

    pub(super) fn set_deadline(&mut self, key: &[u8], deadline: Option<UnixMs>) -> bool {
        let id = self.id(key);
        let Some(old) = self.items.get(&id).map(|item| item.deadline) else { return false };
        let order = self.changes_lists(old, deadline).then(|| self.next_order());
        let item = self.items.get_mut(&id).expect("it was there");
        item.deadline = deadline;
        item.order = order.unwrap_or(item.order);
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

    pub(super) fn deadline(&self, key: &[u8]) -> Option<UnixMs> {
        self.items.get(&self.id(key))?.deadline
    }

    pub(super) fn set_policy(&mut self, policy: EvictionPolicy) {
        let was_split = self.policy == EvictionPolicy::VolatileLru;
        let before = std::mem::replace(&mut self.policy, policy);
        if before.kept() != Kept::Order && policy.kept() == Kept::Order {
            // By age, then by hash.
            let mut ids: Vec<_> = self.items.keys().cloned().collect();
            ids.sort_by_key(|id| (u32::MAX - age(self.tick, self.items[id].last_access), id.0));
            for id in ids {
                let order = self.next_order();
                self.items.get_mut(&id).expect("listed").order = order;
            }
        }
        if was_split && policy.kept() == Kept::Order && !policy.splits() {
            // Merges two lists by age, keeping the order within each.
            let mut lists = [self.ids_by_order(Some(false)), self.ids_by_order(Some(true))];
            lists.iter_mut().for_each(|list| list.reverse());
            loop {
                let ages: Vec<_> =
                    lists.iter().map(|list| list.last().map(|id| age(self.tick, self.items[id].last_access))).collect();
                let list = match (ages[0], ages[1]) {
                    (None, None) => return,
                    (Some(persistent), Some(volatile)) => usize::from(volatile > persistent),
                    (None, _) => 1,
                    (_, None) => 0,
                };
                let id = lists[list].pop().expect("it has a last one");
                let order = self.next_order();
                self.items.get_mut(&id).expect("listed").order = order;
            }
        }
    }

    fn ids_by_order(&self, volatile: Option<bool>) -> Vec<(u64, Vec<u8>)> {
        let chosen = self.items.iter().filter(|(_, item)| volatile.is_none_or(|v| item.deadline.is_some() == v));
        let mut ids: Vec<_> = chosen.map(|(id, item)| (item.order, id.clone())).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Keys with their last access, least recently used first; of the volatile ones or the others where asked for.
    pub(super) fn recency_order(&self, volatile: Option<bool>) -> Vec<(Vec<u8>, Tick)> {
        let ids = self.ids_by_order(volatile).into_iter();
        ids.map(|id| (id.1.clone(), self.items[&id].last_access)).collect()
    }

    pub(super) fn sort_recency(&mut self, now: Tick) {
        let mut ids = self.ids_by_order(None);
        ids.sort_by_key(|id| u32::MAX - age(now, self.items[id].last_access));
        for id in ids {
            let order = self.next_order();
            self.items.get_mut(&id).expect("listed").order = order;
        }
    }

    fn renew(&mut self, key: &[u8], tick: Tick) {
        let (id, order) = (self.id(key), self.next_order());
        if let Some(item) = self.items.get_mut(&id) {
            self.tick = tick;
            (item.last_access, item.order) = (tick, order);
        }
    }

    pub(super) fn touch(&mut self, key: &[u8], tick: Tick) {
        let old = self.items.get(&self.id(key)).map(|item| item.last_access);
        if old.is_some_and(|old| (tick.wrapping_sub(old) as i32) >= 0) {
            self.renew(key, tick);
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

/// The digest of some items.
pub(super) fn digest(items: &Contents) -> u64 {
    items.iter().fold(0, |sum, ((_, key), item)| sum.wrapping_add(item_digest(key, item.as_ref())))
}
