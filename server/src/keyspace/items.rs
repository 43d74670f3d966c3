//! The structures together: every change of an item keeps chunk, table, recency and deadlines in step.
//!
//! An item is named by its chunk. Changing its size, or freeing another chunk of the same size, moves it; so a name is
//! only good until the next change.

use super::HashSeed;
#[cfg(any(test, fuzzing))]
use super::arena::NIL;
use super::arena::{Arena, CHUNK_BYTES_MAX, Ref};
use super::chunk::{self, Parts, Shape, Window};
use super::collections::Large;
use super::deadlines::Deadlines;
use super::frequency::{Counts, LfuParameters};
use super::heap::Heap;
use super::item_deadlines::ItemDeadlines;
use super::outside::{Body, Outsides};
use super::prefetch::prefetch;
use super::recency::{Kept, Recency, age};
use super::store::mix;
use super::table::{Place, Table};
use crate::clock::{Tick, UnixMs};

/// What a write stores.
pub(super) enum Content<'a> {
    /// This string.
    Value(&'a [u8]),
    /// This small collection.
    Compact(&'a [u8]),
    /// This large one.
    Large(Box<Large>),
    /// The string that is there, made this long: cut, or padded with zeros.
    Resized(usize),
    /// What is there, of whatever type.
    Kept,
}

impl Content<'_> {
    /// The shape of an item with this content, a key of this length, and `deadline` bytes of a deadline. The content is not [`Content::Kept`].
    fn shape(&self, key: usize, deadline: usize) -> Shape {
        match self {
            Self::Value(value) => Shape::new(key, value.len(), deadline),
            Self::Compact(bytes) => Shape::new(key, bytes.len(), deadline).collection(true),
            Self::Resized(length) => Shape::new(key, *length, deadline),
            Self::Large(_) | Self::Kept => Shape::large(key, deadline),
        }
    }
}

/// All items.
pub(super) struct Items {
    pub(super) heap: Heap,
    pub(super) table: Table,
    pub(super) recency: Recency,
    pub(super) deadlines: ItemDeadlines,
    /// How LFU counts, where uses are counted.
    pub(super) lfu: LfuParameters,
    dice: u64,
    /// The soonest deadlines of fields, of hashes that have some.
    pub(super) field_deadlines: Deadlines,
    /// Where a short value waits while its item moves to a chunk of another size.
    pub(super) scratch: Vec<u8>,
}

impl Items {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self {
            heap: Heap::new(seed),
            table: Table::new(),
            recency: Recency::new(false),
            deadlines: ItemDeadlines::default(),
            lfu: LfuParameters::default(),
            dice: 0,
            field_deadlines: Deadlines::default(),
            scratch: Vec::new(),
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.heap.arena.bytes()
            + self.heap.outsides.bytes()
            + self.table.bytes()
            + self.deadlines.bytes()
            + self.field_deadlines.bytes()
            + self.recency.bytes()
            + self.scratch.capacity()
    }

    /// Asks for the bucket of a hash.
    #[inline]
    pub(super) fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    /// Asks for the chunk of a hash, once its bucket has arrived.
    #[inline]
    pub(super) fn prefetch_chunk(&self, hash: u64) {
        self.table.likely(hash, |at| prefetch(self.heap.arena.chunk(at)));
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<(Place, Ref)> {
        self.table.find(hash, |at| self.heap.key(at) == key)
    }

    /// Adds an item that is not there, as the most recent one.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], content: Content<'_>, deadline: Option<UnixMs>, tick: Tick) {
        self.move_window(deadline);
        let shape = content.shape(key.len(), self.heap.window.bytes_of(deadline));
        let at = self.create(&shape, key, content, deadline);
        chunk::write_last_access(self.heap.arena.chunk_mut(at), tick);
        self.recency.settle(&mut self.heap.arena);
        self.recency.push(&mut self.heap.arena, at, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.insert(deadline, at, |at| self.heap.deadline_of(at));
        }
        self.index_fields(at);
        let heap = &self.heap;
        self.table.insert(hash, at, heap);
    }

    /// Moves the window of short deadlines on, if that lets it reach `deadline`: at most to the soonest deadline there is,
    /// so that those that were written while it began earlier still mean the same.
    fn move_window(&mut self, deadline: Option<UnixMs>) {
        /// How much earlier than the first deadline one may be.
        const BEFORE_MS: u64 = 1 << 30;
        let Some(deadline) = deadline.filter(|_| self.heap.window.bytes_of(deadline) != 4) else { return };
        let soonest = self.soonest_first().next();
        let start = match soonest {
            None => deadline.saturating_sub(BEFORE_MS),
            Some((soonest, _)) => soonest.min(deadline).max(self.heap.window.start),
        };
        self.heap.window = Window { start };
    }

    /// Puts the soonest deadline of an item's fields into the index, if they have one.
    #[inline]
    fn index_fields(&mut self, at: Ref) {
        if let Some(deadline) = self.heap.field_deadline(at) {
            self.field_deadlines.insert(deadline, at);
        }
    }

    /// Takes it out, before the item's content changes. Does nothing where it was taken out already.
    #[inline]
    pub(super) fn unindex_fields(&mut self, at: Ref) {
        if self.field_deadlines.len() > 0
            && let Some(deadline) = self.heap.field_deadline(at)
        {
            self.field_deadlines.remove_if_there(deadline, at);
        }
    }

    /// Allocates and fills a chunk for a content that comes with its bytes.
    fn create(&mut self, shape: &Shape, key: &[u8], content: Content<'_>, deadline: Option<UnixMs>) -> Ref {
        match content {
            Content::Value(value) | Content::Compact(value) => {
                let at = self.heap.create(shape, key, deadline, || Body::Bytes(value.to_vec()));
                if !shape.outside {
                    self.heap.value_mut(at).copy_from_slice(value);
                }
                at
            }
            Content::Large(large) => self.heap.create(shape, key, deadline, || Body::Large(large)),
            Content::Resized(_) | Content::Kept => unreachable!("these change what is there"),
        }
    }

    /// Makes an item the most recent one.
    #[inline]
    pub(super) fn touch(&mut self, at: Ref, tick: Tick) {
        match self.recency.kept() {
            Kept::Counts => return self.count_use(at, tick),
            Kept::Order => self.recency.touch(&mut self.heap.arena, at),
            Kept::Nothing => {}
        }
        chunk::write_last_access(self.heap.arena.chunk_mut(at), tick);
    }

    fn count_use(&mut self, at: Ref, tick: Tick) {
        let dice = self.roll();
        let chunk = self.heap.arena.chunk_mut(at);
        let idle = age(tick, chunk::last_access(chunk));
        Counts::of(chunk).used(idle, self.lfu, dice).write(chunk);
        chunk::write_last_access(chunk, tick);
    }

    /// A random number. Copies may differ in it: what it decides, which item is looked at, is the leader's alone.
    pub(super) fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(1);
        mix(self.dice)
    }

    /// A random number below `end`, which is not 0.
    pub(super) fn dice_below(&mut self, end: usize) -> usize {
        ((u128::from(self.roll()) * end as u128) >> 64) as usize
    }

    /// Keeps lists, split or not, counts of use, or neither. A change to lists or counts visits every item; lists that were
    /// not kept until now go by the last access, then by hash.
    pub(super) fn set_order(&mut self, kept: Kept, split: bool, now: Tick) {
        match (self.recency.kept(), kept) {
            (Kept::Order, Kept::Order) => self.split_recency(split, now),
            (before, after) if before == after => {}
            (_, Kept::Order) => {
                let age = |at: Ref| age(now, self.heap.last_access(at));
                let mut items: Vec<_> =
                    self.table.items().map(|at| (u32::MAX - age(at), self.heap.hash_at(at), at)).collect();
                items.sort_unstable();
                let order: Vec<_> = items.into_iter().map(|(.., at)| (at, self.heap.deadline(at).is_some())).collect();
                self.recency.list_anew(&mut self.heap.arena, split, order.into_iter());
            }
            (_, Kept::Counts) => {
                self.recency.give_up_order(kept);
                for at in self.table.items() {
                    Counts::NEW.write(self.heap.arena.chunk_mut(at));
                }
            }
            (_, Kept::Nothing) => self.recency.give_up_order(kept),
        }
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
        self.move_window(deadline);
        let shape = match content {
            Content::Kept => self.heap.shape_wanted(at, deadline),
            _ => content.shape(key.len(), self.heap.window.bytes_of(deadline)),
        };
        self.unindex_fields(at);
        let old_shape = self.heap.shape(at);
        let old_deadline = self.heap.deadline(at);
        if old_deadline != deadline {
            self.change_deadline(at, old_deadline, deadline);
        }
        let room = self.heap.arena.chunk(at).len();
        let at = if shape.same_but_value(&old_shape) && Arena::rounded(shape.bytes()) == room {
            self.write_in_place(at, &shape, content, deadline);
            at
        } else {
            self.write_anew((place, at), key, &shape, content, deadline)
        };
        edit(self.heap.value_mut(at));
        self.index_fields(at);
        if let Some(tick) = touch {
            self.touch(at, tick);
        }
    }

    /// Brings index and lists up to date; the chunk is not written.
    fn change_deadline(&mut self, at: Ref, old: Option<UnixMs>, new: Option<UnixMs>) {
        if let Some(old) = old {
            self.deadlines.remove(old, at, |at| self.heap.deadline_of(at));
        }
        if let Some(new) = new {
            self.deadlines.insert(new, at, |at| self.heap.deadline_of(at));
        }
        if self.recency.is_split() && old.is_some() != new.is_some() {
            self.recency.settle(&mut self.heap.arena);
            self.recency.unlink(&mut self.heap.arena, at, old.is_some());
            self.recency.push(&mut self.heap.arena, at, new.is_some());
        }
    }

    fn write_in_place(&mut self, at: Ref, shape: &Shape, content: Content<'_>, deadline: Option<UnixMs>) {
        let chunk = self.heap.arena.chunk_mut(at);
        let parts = Parts::of(chunk);
        parts.write_deadline(chunk, deadline);
        if shape.outside {
            let name = parts.outside(chunk);
            let new = match content {
                Content::Large(large) => Body::Large(large),
                Content::Kept => return,
                Content::Resized(length) => {
                    self.heap.outsides.change(name, |body| {
                        if let Body::Bytes(old) = body {
                            Outsides::resize(old, length);
                        }
                    });
                    return;
                }
                Content::Value(value) | Content::Compact(value) => {
                    let reused = self.heap.outsides.change(name, |body| match body {
                        Body::Bytes(old) if value.len() <= old.capacity() && old.capacity() / 2 <= value.len() => {
                            old.clear();
                            old.extend_from_slice(value);
                            true
                        }
                        _ => false,
                    });
                    if reused {
                        return;
                    }
                    Body::Bytes(value.to_vec())
                }
            };
            self.heap.outsides.change(name, |body| std::mem::replace(body, new)).drop_lazily();
            return;
        }
        let old_length = parts.value(chunk).len();
        chunk::write_flags(chunk, shape);
        let value = Parts::of(chunk).value_mut(chunk);
        match content {
            Content::Value(new) | Content::Compact(new) => value.copy_from_slice(new),
            Content::Resized(length) if length > old_length => value[old_length..].fill(0),
            Content::Resized(_) | Content::Kept | Content::Large(_) => {}
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
        self.recency.settle(&mut self.heap.arena);
        let links = chunk::links(self.heap.arena.chunk(at));
        let last_access = self.heap.last_access(at);
        let old_outside = self.heap.take_outside(at);
        let resized = match content {
            Content::Resized(length) => Some(length),
            Content::Kept => None,
            content => {
                let new = self.create(shape, key, content, deadline);
                if let Some(old) = old_outside {
                    old.body.drop_lazily();
                }
                return self.take_place((place, at), new, links, last_access, deadline);
            }
        };
        let new = match old_outside.map(|outside| outside.body) {
            Some(body @ Body::Large(_)) => self.heap.create(shape, key, deadline, || body),
            body => {
                let mut value = match body {
                    Some(Body::Bytes(value)) => value,
                    _ => {
                        let mut value = std::mem::take(&mut self.scratch);
                        let (chunk, parts) = self.heap.parts(at);
                        value.clear();
                        value.extend_from_slice(parts.value(chunk));
                        value
                    }
                };
                let length = resized.unwrap_or(value.len());
                if shape.outside {
                    Outsides::resize(&mut value, length);
                    self.heap.create(shape, key, deadline, || Body::Bytes(value))
                } else {
                    value.resize(length, 0);
                    let new = self.heap.create(shape, key, deadline, || Body::Bytes(Vec::new()));
                    self.heap.value_mut(new).copy_from_slice(&value);
                    if value.capacity() <= 2 * CHUNK_BYTES_MAX {
                        self.scratch = value;
                    }
                    new
                }
            }
        };
        self.take_place((place, at), new, links, last_access, deadline)
    }

    /// Lets the chunk `new` take the place of the chunk `at`, which is freed; returns where the item is afterwards.
    fn take_place(
        &mut self,
        (place, at): (Place, Ref),
        new: Ref,
        links: chunk::Links,
        last_access: Tick,
        deadline: Option<UnixMs>,
    ) -> Ref {
        let chunk = self.heap.arena.chunk_mut(new);
        chunk::write_newer(chunk, links.newer);
        chunk::write_older(chunk, links.older);
        chunk::write_last_access(chunk, last_access);
        self.recency.moved(&mut self.heap.arena, at, new, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.moved(deadline, at, new, |at| self.heap.deadline_of(at));
        }
        self.table.replace(place, new);
        // Freeing may move the very chunk that was just filled.
        if self.free_chunk(at) == Some(new) { at } else { new }
    }

    /// Frees a chunk to which nothing refers any more, and mends what refers to the one that takes its place; returns
    /// the name that that one had.
    fn free_chunk(&mut self, at: Ref) -> Option<Ref> {
        let moved = self.heap.arena.free(at)?;
        let (chunk, parts) = self.heap.parts(at);
        let deadline = parts.deadline(chunk, self.heap.window);
        let outside = parts.is_outside().then(|| parts.outside(chunk));
        if let Some(name) = outside {
            self.heap.outsides.set_owner(name, at);
        }
        let (place, _) =
            self.table.find(self.heap.hash_at(at), |other| other == moved).expect("items are in the table");
        self.table.replace(place, at);
        self.recency.moved(&mut self.heap.arena, moved, at, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.moved(deadline, moved, at, |at| self.heap.deadline_of(at));
        }
        // An item that is being written is not in the index.
        if self.field_deadlines.len() > 0
            && let Some(deadline) = self.heap.field_deadline(at)
            && self.field_deadlines.remove_if_there(deadline, moved)
        {
            self.field_deadlines.insert(deadline, at);
        }
        Some(moved)
    }

    /// Items that have a deadline, soonest first.
    pub(super) fn soonest_first(&self) -> impl Iterator<Item = (UnixMs, Ref)> {
        self.deadlines.soonest_first(|at| self.heap.deadline_of(at))
    }

    /// Removes an item.
    pub(super) fn remove(&mut self, hash: u64, (place, at): (Place, Ref)) {
        self.recency.settle(&mut self.heap.arena);
        self.unindex_fields(at);
        let deadline = self.heap.deadline(at);
        let heap = &self.heap;
        self.table.remove(hash, place, heap);
        self.recency.unlink(&mut self.heap.arena, at, deadline.is_some());
        if let Some(deadline) = deadline {
            self.deadlines.remove(deadline, at, |at| self.heap.deadline_of(at));
        }
        if let Some(outside) = self.heap.take_outside(at) {
            outside.body.drop_lazily();
        }
        self.free_chunk(at);
    }

    /// Splits or merges the lists of recency.
    fn split_recency(&mut self, split: bool, now: Tick) {
        let volatile = |arena: &Arena, at: Ref| {
            let chunk = arena.chunk(at);
            Parts::of(chunk).has_deadline()
        };
        self.recency.set_split(&mut self.heap.arena, now, split, volatile);
    }

    /// The items of a range of hashes that begins at `from`, in the order of hashes (and of keys, where those are
    /// equal): the same on every copy that holds the same items. Returns where the range ends; the end depends on the
    /// layout.
    pub(super) fn collect(&self, from: u64, out: &mut Vec<(u64, Ref)>) -> Option<u64> {
        let begin = out.len();
        let end = self.table.collect(from, |at| self.heap.hash_at(at), out);
        out[begin..].sort_unstable_by(|(hash, at), (other_hash, other)| {
            hash.cmp(other_hash).then_with(|| self.heap.key(*at).cmp(self.heap.key(*other)))
        });
        end
    }
}

#[cfg(any(test, fuzzing))]
impl Items {
    /// Checks that all structures agree, and returns the bytes that they hold, added up anew.
    pub(super) fn check(&mut self) -> usize {
        self.recency.settle(&mut self.heap.arena);
        let table = self.table.check(|at| self.heap.hash_at(at));
        let (arena, chunks) = self.heap.arena.recount();
        assert_eq!(chunks, self.table.len());
        self.deadlines.check(|at| self.heap.deadline_of(at));
        let (outsides, owners) = self.heap.outsides.recount();
        for (name, owner) in owners.iter().enumerate() {
            let (chunk, parts) = self.heap.parts(*owner);
            assert!(parts.is_outside() && parts.outside(chunk) as usize == name);
        }
        let mut listed = std::collections::HashSet::new();
        if self.recency.kept() != Kept::Order {
            listed.extend(self.table.items());
        }
        for volatile in [false, true] {
            let mut newer = Vec::new();
            for at in self.recency.oldest_first(&self.heap.arena, volatile) {
                assert!(listed.insert(at), "a list has a loop");
                assert!(!self.recency.is_split() || self.heap.deadline(at).is_some() == volatile);
                assert!(newer.last().is_none_or(|older| chunk::links(self.heap.arena.chunk(at)).older == *older));
                newer.push(at);
            }
            assert!(newer.first().is_none_or(|oldest| chunk::links(self.heap.arena.chunk(*oldest)).older == NIL));
        }
        assert!(self.table.items().all(|at| listed.contains(&at)));
        assert_eq!(listed.len(), self.table.len());
        let mut expected: Vec<_> =
            self.table.items().filter_map(|at| self.heap.deadline(at).map(|deadline| (deadline, at))).collect();
        expected.sort_unstable();
        assert!(self.soonest_first().eq(expected));
        self.field_deadlines.check();
        let mut expected: Vec<_> =
            self.table.items().filter_map(|at| self.heap.field_deadline(at).map(|deadline| (deadline, at))).collect();
        expected.sort_unstable();
        assert!(self.field_deadlines.soonest_first().eq(expected));
        self.table.items().for_each(|at| self.heap.item(at).value.check());
        let outside = self.table.items().filter(|at| self.heap.outside(*at).is_some()).count();
        assert_eq!(outside, owners.len());
        let deadlines = self.deadlines.bytes() + self.field_deadlines.bytes();
        arena + outsides + table + deadlines + self.recency.bytes() + self.scratch.capacity()
    }
}
