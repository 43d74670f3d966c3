//! The structures together: every change of an item keeps chunk, table, recency and deadlines in step.
//!
//! An item is named by its chunk. Changing its size, or freeing another chunk of the same size, moves it; so a name is
//! only good until the next change.

#[cfg(test)]
use super::arena::NIL;
use super::arena::{Arena, CHUNK_BYTES_MAX, Ref};
use super::chunk::{self, Parts, Shape};
use super::deadlines::Deadlines;
use super::outside::{Outside, Outsides};
use super::recency::Recency;
use super::table::{Place, Table};
use super::{HashSeed, ItemRef, ValueRef};
use crate::clock::{Tick, UnixMs};
use siphasher::sip::SipHasher13;

/// What a write stores.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// This value.
    Value(&'a [u8]),
    /// What is there, made this long: cut, or padded with zeros.
    Resized(usize),
}

impl Content<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Value(value) => value.len(),
            Self::Resized(length) => *length,
        }
    }
}

/// Chunks and what lies outside of them: enough to read items.
pub(super) struct Store {
    pub(super) arena: Arena,
    outsides: Outsides,
    hasher: SipHasher13,
}

impl Store {
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    fn hash_at(&self, at: Ref) -> u64 {
        self.hash(self.key(at))
    }

    fn parts(&self, at: Ref) -> (&[u8], Parts) {
        let chunk = self.arena.chunk(at);
        (chunk, Parts::of(chunk))
    }

    fn outside(&self, at: Ref) -> Option<&Outside> {
        let (chunk, parts) = self.parts(at);
        parts.is_outside().then(|| self.outsides.get(parts.outside(chunk)))
    }

    #[inline]
    pub(super) fn key(&self, at: Ref) -> &[u8] {
        let (chunk, parts) = self.parts(at);
        if parts.is_outside()
            && let Some(key) = &self.outsides.get(parts.outside(chunk)).key
        {
            return key;
        }
        parts.key(chunk)
    }

    pub(super) fn deadline(&self, at: Ref) -> Option<UnixMs> {
        let (chunk, parts) = self.parts(at);
        parts.deadline(chunk)
    }

    pub(super) fn last_access(&self, at: Ref) -> Tick {
        chunk::last_access(self.arena.chunk(at))
    }

    #[inline]
    pub(super) fn item(&self, at: Ref) -> ItemRef<'_> {
        let (chunk, parts) = self.parts(at);
        let value =
            if parts.is_outside() { &self.outsides.get(parts.outside(chunk)).value } else { parts.value(chunk) };
        ItemRef {
            value: ValueRef::String(value),
            deadline: parts.deadline(chunk),
            last_access: chunk::last_access(chunk),
        }
    }

    fn value_mut(&mut self, at: Ref) -> &mut [u8] {
        let parts = Parts::of(self.arena.chunk(at));
        if parts.is_outside() {
            self.outsides.value_mut(parts.outside(self.arena.chunk(at)))
        } else {
            parts.value_mut(self.arena.chunk_mut(at))
        }
    }

    fn shape(&self, at: Ref) -> Shape {
        let ItemRef { value: ValueRef::String(value), deadline, .. } = self.item(at);
        Shape::new(self.key(at).len(), value.len(), deadline)
    }

    /// Bytes of an item's chunk and of what it has outside.
    pub(super) fn item_bytes(&self, at: Ref) -> usize {
        let outside = self.outside(at).map_or(0, |outside| {
            size_of::<Outside>() + outside.value.capacity() + outside.key.as_ref().map_or(0, |key| key.len())
        });
        self.arena.chunk(at).len() + outside
    }

    /// Allocates a chunk and fills in all but links and last access.
    fn create(&mut self, shape: &Shape, key: &[u8], deadline: Option<UnixMs>, value: impl FnOnce() -> Vec<u8>) -> Ref {
        let at = self.arena.allocate(shape.bytes());
        let outside = if shape.outside {
            let key = shape.key_outside.then(|| key.into());
            self.outsides.insert(Outside { owner: at, key, value: value() })
        } else {
            0
        };
        let chunk = self.arena.chunk_mut(at);
        chunk::write(chunk, shape, key, outside);
        Parts::of(chunk).write_deadline(chunk, deadline);
        at
    }

    /// Takes out what an item has outside, before its chunk is freed.
    fn take_outside(&mut self, at: Ref) -> Option<Outside> {
        let (chunk, parts) = self.parts(at);
        if !parts.is_outside() {
            return None;
        }
        let name = parts.outside(chunk);
        let (outside, moved) = self.outsides.remove(name);
        if let Some(owner) = moved {
            let chunk = self.arena.chunk_mut(owner);
            Parts::of(chunk).write_outside(chunk, name);
        }
        Some(outside)
    }
}

/// All items.
pub(super) struct Items {
    pub(super) store: Store,
    pub(super) table: Table,
    pub(super) recency: Recency,
    pub(super) deadlines: Deadlines,
    /// Where a short value waits while its item moves to a chunk of another size.
    scratch: Vec<u8>,
}

impl Items {
    pub(super) fn new(seed: HashSeed, split_recency: bool) -> Self {
        let store =
            Store { arena: Arena::new(), outsides: Outsides::default(), hasher: SipHasher13::new_with_key(&seed.0) };
        Self {
            store,
            table: Table::new(),
            recency: Recency::new(split_recency),
            deadlines: Deadlines::default(),
            scratch: Vec::new(),
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.store.arena.bytes()
            + self.store.outsides.bytes()
            + self.table.bytes()
            + self.deadlines.bytes()
            + self.scratch.capacity()
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<(Place, Ref)> {
        self.table.find(hash, |at| self.store.key(at) == key)
    }

    /// Adds an item that is not there, as the most recent one.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], value: &[u8], deadline: Option<UnixMs>, tick: Tick) {
        let shape = Shape::new(key.len(), value.len(), deadline);
        let at = self.store.create(&shape, key, deadline, || value.to_vec());
        if !shape.outside {
            self.store.value_mut(at).copy_from_slice(value);
        }
        chunk::write_last_access(self.store.arena.chunk_mut(at), tick);
        self.recency.push(&mut self.store.arena, at, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.insert(deadline, at);
        }
        let store = &self.store;
        self.table.insert(hash, at, |at| store.hash_at(at));
    }

    /// Makes an item the most recent one.
    #[inline]
    pub(super) fn touch(&mut self, at: Ref, volatile: bool, tick: Tick) {
        chunk::write_last_access(self.store.arena.chunk_mut(at), tick);
        self.recency.touch(&mut self.store.arena, at, volatile);
    }

    /// Changes value and deadline of an item; then lets `edit` change the value's bytes, and touches the item. One that
    /// changes lists, because it gained or lost its deadline, becomes the most recent of its new list.
    pub(super) fn write(
        &mut self,
        (place, at): (Place, Ref),
        key: &[u8],
        content: Content<'_>,
        deadline: Option<UnixMs>,
        touch: Option<Tick>,
        edit: impl FnOnce(&mut [u8]),
    ) {
        let shape = Shape::new(key.len(), content.len(), deadline);
        let old_shape = self.store.shape(at);
        let old_deadline = self.store.deadline(at);
        let volatile = deadline.is_some();
        if old_deadline != deadline {
            self.change_deadline(at, old_deadline, deadline);
        }
        let room = self.store.arena.chunk(at).len();
        let at = if shape.same_but_value(&old_shape) && Arena::rounded(shape.bytes()) == room {
            self.write_in_place(at, &shape, content, deadline);
            at
        } else {
            self.write_anew((place, at), key, &shape, content, deadline)
        };
        edit(self.store.value_mut(at));
        if let Some(tick) = touch {
            self.touch(at, volatile, tick);
        }
    }

    /// Brings index and lists up to date; the chunk is not written.
    fn change_deadline(&mut self, at: Ref, old: Option<UnixMs>, new: Option<UnixMs>) {
        if let Some(old) = old {
            self.deadlines.remove(old, at);
        }
        if let Some(new) = new {
            self.deadlines.insert(new, at);
        }
        if self.recency.is_split() && old.is_some() != new.is_some() {
            self.recency.unlink(&mut self.store.arena, at, old.is_some());
            self.recency.push(&mut self.store.arena, at, new.is_some());
        }
    }

    fn write_in_place(&mut self, at: Ref, shape: &Shape, content: Content<'_>, deadline: Option<UnixMs>) {
        let chunk = self.store.arena.chunk_mut(at);
        let parts = Parts::of(chunk);
        parts.write_deadline(chunk, deadline);
        if shape.outside {
            self.store.outsides.change(parts.outside(chunk), |old| match content {
                Content::Value(value) if value.len() <= old.capacity() && old.capacity() / 2 <= value.len() => {
                    old.clear();
                    old.extend_from_slice(value);
                }
                Content::Value(value) => *old = value.to_vec(),
                Content::Resized(length) => Outsides::resize(old, length),
            });
            return;
        }
        let old_length = parts.value(chunk).len();
        chunk::write_flags(chunk, shape);
        let value = Parts::of(chunk).value_mut(chunk);
        match content {
            Content::Value(new) => value.copy_from_slice(new),
            Content::Resized(length) if length > old_length => value[old_length..].fill(0),
            Content::Resized(_) => {}
        }
    }

    /// Moves an item to a new chunk of another shape, and returns where it is afterwards.
    fn write_anew(
        &mut self,
        (place, at): (Place, Ref),
        key: &[u8],
        shape: &Shape,
        content: Content<'_>,
        deadline: Option<UnixMs>,
    ) -> Ref {
        let links = chunk::links(self.store.arena.chunk(at));
        let last_access = self.store.last_access(at);
        let old_outside = self.store.take_outside(at);
        let new = match content {
            Content::Value(value) => {
                let new = self.store.create(shape, key, deadline, || value.to_vec());
                if !shape.outside {
                    self.store.value_mut(new).copy_from_slice(value);
                }
                new
            }
            Content::Resized(length) => {
                let mut value = match old_outside {
                    Some(outside) => outside.value,
                    None => {
                        let mut value = std::mem::take(&mut self.scratch);
                        let (chunk, parts) = self.store.parts(at);
                        value.clear();
                        value.extend_from_slice(parts.value(chunk));
                        value
                    }
                };
                if shape.outside {
                    Outsides::resize(&mut value, length);
                    self.store.create(shape, key, deadline, || value)
                } else {
                    value.resize(length, 0);
                    let new = self.store.create(shape, key, deadline, Vec::new);
                    self.store.value_mut(new).copy_from_slice(&value);
                    if value.capacity() <= 2 * CHUNK_BYTES_MAX {
                        self.scratch = value;
                    }
                    new
                }
            }
        };
        let chunk = self.store.arena.chunk_mut(new);
        chunk::write_newer(chunk, links.newer);
        chunk::write_older(chunk, links.older);
        chunk::write_last_access(chunk, last_access);
        self.recency.moved(&mut self.store.arena, new, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.moved(deadline, at, new);
        }
        self.table.replace(place, new);
        // Freeing may move the very chunk that was just filled.
        if self.free_chunk(at) == Some(new) { at } else { new }
    }

    /// Frees a chunk to which nothing refers any more, and mends what refers to the one that takes its place; returns
    /// the name that that one had.
    fn free_chunk(&mut self, at: Ref) -> Option<Ref> {
        let moved = self.store.arena.free(at)?;
        let (chunk, parts) = self.store.parts(at);
        let deadline = parts.deadline(chunk);
        let outside = parts.is_outside().then(|| parts.outside(chunk));
        if let Some(name) = outside {
            self.store.outsides.set_owner(name, at);
        }
        let (place, _) =
            self.table.find(self.store.hash_at(at), |other| other == moved).expect("items are in the table");
        self.table.replace(place, at);
        self.recency.moved(&mut self.store.arena, at, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.moved(deadline, moved, at);
        }
        Some(moved)
    }

    /// Removes an item.
    pub(super) fn remove(&mut self, hash: u64, (place, at): (Place, Ref)) {
        let deadline = self.store.deadline(at);
        let store = &self.store;
        self.table.remove(hash, place, |at| store.hash_at(at));
        self.recency.unlink(&mut self.store.arena, at, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.remove(deadline, at);
        }
        drop(self.store.take_outside(at));
        self.free_chunk(at);
    }

    /// Splits or merges the lists of recency.
    pub(super) fn split_recency(&mut self, split: bool, now: Tick) {
        let volatile = |arena: &Arena, at: Ref| {
            let chunk = arena.chunk(at);
            Parts::of(chunk).deadline(chunk).is_some()
        };
        self.recency.set_split(&mut self.store.arena, now, split, volatile);
    }

    /// The items of a range of hashes that begins at `from`, in the order of hashes (and of keys, where those are
    /// equal): the same on every copy that holds the same items. Returns where the range ends; the end depends on the
    /// layout.
    pub(super) fn collect(&self, from: u64, out: &mut Vec<(u64, Ref)>) -> Option<u64> {
        let begin = out.len();
        let end = self.table.collect(from, |at| self.store.hash_at(at), out);
        out[begin..].sort_unstable_by(|(hash, at), (other_hash, other)| {
            hash.cmp(other_hash).then_with(|| self.store.key(*at).cmp(self.store.key(*other)))
        });
        end
    }
}

#[cfg(test)]
impl Items {
    /// Checks that all structures agree, and returns the bytes that they hold, added up anew.
    pub(super) fn check(&self) -> usize {
        let table = self.table.check(|at| self.store.hash_at(at));
        let (arena, chunks) = self.store.arena.recount();
        assert_eq!(chunks, self.table.len());
        self.deadlines.check();
        let (outsides, owners) = self.store.outsides.recount();
        for (name, owner) in owners.iter().enumerate() {
            let (chunk, parts) = self.store.parts(*owner);
            assert!(parts.is_outside() && parts.outside(chunk) as usize == name);
        }
        let mut listed = std::collections::HashSet::new();
        for volatile in [false, true] {
            let mut newer = Vec::new();
            for at in self.recency.oldest_first(&self.store.arena, volatile) {
                assert!(listed.insert(at), "a list has a loop");
                assert!(!self.recency.is_split() || self.store.deadline(at).is_some() == volatile);
                assert!(newer.last().is_none_or(|older| chunk::links(self.store.arena.chunk(at)).older == *older));
                newer.push(at);
            }
            assert!(newer.first().is_none_or(|oldest| chunk::links(self.store.arena.chunk(*oldest)).older == NIL));
        }
        assert!(self.table.items().all(|at| listed.contains(&at)));
        assert_eq!(listed.len(), self.table.len());
        let mut expected: Vec<_> =
            self.table.items().filter_map(|at| self.store.deadline(at).map(|deadline| (deadline, at))).collect();
        expected.sort_unstable();
        assert!(self.deadlines.soonest_first().eq(expected));
        let outside = self.table.items().filter(|at| self.store.outside(*at).is_some()).count();
        assert_eq!(outside, owners.len());
        arena + outsides + table + self.deadlines.bytes() + self.scratch.capacity()
    }
}
