//! The structures together: every change of an item keeps chunk, table, recency and deadlines in step.
//!
//! An item is named by its chunk. Changing its size, or freeing another chunk of the same size, moves it; so a name is
//! only good until the next change.

use super::HashSeed;
use super::arena::{Arena, Mark, Ref};
use super::chunk::{self, Parts, Shape, Window};
use super::collections::Large;
use super::deadlines::Deadlines;
use super::frequency::{self, LfuParameters};
use super::heap::Heap;
use super::item_deadlines::ItemDeadlines;
use super::order::{Ranked, Walk};
use super::outside::{Body, Outsides};
use super::recency::{Kept, Recency};
use super::store::mix;
use super::table::{Place, Table};
use crate::clock::{Tick, UnixMs};

/// Room for a short value that is kept while it is not needed.
pub(super) const SCRATCH_BYTES_MAX: usize = 4096;

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
            recency: Recency::new(),
            deadlines: ItemDeadlines::new(),
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

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<(Place, Ref)> {
        self.table.find(hash, |at| self.heap.key(at) == key)
    }

    /// Adds an item that is not there, as the most recent one.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], content: Content<'_>, deadline: Option<UnixMs>, tick: Tick) {
        self.move_window(deadline);
        let shape = content.shape(key.len(), self.heap.window.bytes_of(deadline));
        let at = self.create(&shape, key, content, deadline);
        self.heap.write_use(at, tick, frequency::new_count(self.heap.uses.kept()));
        self.deadlines.change(None, deadline);
        self.note(at, deadline);
        self.index_fields(at);
        let heap = &self.heap;
        self.table.insert(hash, at, heap);
    }

    /// Tells the orders of an item that is new where it is, or whose deadline changed: this is it.
    #[inline]
    fn note(&mut self, at: Ref, deadline: Option<UnixMs>) {
        self.recency.note(&mut self.heap.arena, &self.heap.uses, at);
        if let Some(deadline) = deadline {
            self.deadlines.note(&mut self.heap.arena, at, deadline);
        }
    }

    /// Moves the window of short deadlines on, if that lets it reach `deadline`: at most to the soonest deadline there is,
    /// so that those that were written while it began earlier still mean the same.
    fn move_window(&mut self, deadline: Option<UnixMs>) {
        /// How much earlier than the first deadline one may be.
        const BEFORE_MS: u64 = 1 << 30;
        let Some(deadline) = deadline.filter(|_| self.heap.window.bytes_of(deadline) != 4) else { return };
        let start = match self.soonest() {
            None => deadline.saturating_sub(BEFORE_MS),
            Some(soonest) => soonest.min(deadline).max(self.heap.window.start),
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
            Content::Value(value) if shape.outside => {
                let body = Body::string(self.heap.arena.frames_mut(), value);
                self.heap.create(shape, key, deadline, || body)
            }
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

    /// Counts a use at `tick`.
    #[inline]
    pub(super) fn touch(&mut self, at: Ref, tick: Tick) {
        let kept = self.heap.uses.kept();
        if kept.counts() {
            return self.count_use(at, tick);
        }
        self.heap.write_use(at, tick, 0);
        if kept == Kept::Order {
            self.recency.note(&mut self.heap.arena, &self.heap.uses, at);
        }
    }

    fn count_use(&mut self, at: Ref, tick: Tick) {
        let dice = self.roll();
        let chunk = self.heap.arena.chunk(at);
        let idle = tick.saturating_sub(self.heap.uses.last_access(chunk));
        let uses = &self.heap.uses;
        let count = frequency::used(uses.kept(), uses.count(chunk), idle, self.lfu, dice);
        self.heap.write_use(at, tick, count);
    }

    /// Says when an item was used last; not a use.
    pub(super) fn set_last_access(&mut self, at: Ref, tick: Tick) {
        let count = self.heap.uses.count(self.heap.arena.chunk(at));
        self.heap.write_use(at, tick, count);
        self.recency.note(&mut self.heap.arena, &self.heap.uses, at);
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

    /// Keeps the order of recency, of all items or of those with a deadline, counts of use, or neither. A change visits every
    /// item.
    pub(super) fn keep(&mut self, kept: Kept, volatile: bool) {
        let count = frequency::new_count(kept);
        self.recency.keep(&mut self.heap.arena, &mut self.heap.uses, kept, volatile, count);
    }

    /// Changes value and deadline of an item; then lets `edit` change the value's bytes, and touches the item.
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
        let (chunk, parts) = self.heap.parts(at);
        let old_shape = parts.shape(chunk, self.heap.is_key_outside(chunk, parts));
        let old_deadline = parts.deadline(chunk, self.heap.window);
        let room = chunk.len();
        self.deadlines.change(old_deadline, deadline);
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
        if old_deadline != deadline {
            self.note(at, deadline);
        }
    }

    /// Ends a change of a large collection, which is put back: it is used, and its fields have the deadlines that they have.
    pub(super) fn end_edit(&mut self, at: Ref, touch: Option<Tick>) {
        self.index_fields(at);
        if let Some(tick) = touch {
            self.touch(at, tick);
        }
    }

    fn write_in_place(&mut self, at: Ref, shape: &Shape, content: Content<'_>, deadline: Option<UnixMs>) {
        let Heap { arena, outsides, .. } = &mut self.heap;
        let chunk = arena.chunk_mut(at);
        let parts = Parts::of(chunk);
        parts.write_deadline(chunk, deadline);
        if shape.outside {
            let name = parts.outside(chunk);
            let frames = arena.frames_mut();
            let new = match content {
                Content::Large(large) => Body::Large(large),
                Content::Kept => return,
                Content::Resized(length) => {
                    outsides.change(name, |body| {
                        if let Body::Run(_) = body {
                            let run = std::mem::replace(body, Body::Bytes(Vec::new()));
                            *body = Body::Bytes(run.into_bytes(frames));
                        }
                        if let Body::Bytes(old) = body {
                            Outsides::resize(old, length);
                        }
                    });
                    return;
                }
                Content::Value(value) | Content::Compact(value) => {
                    let reused = outsides.change(name, |body| match body {
                        Body::Run(old) => old.rewrite(frames, value),
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
                    if shape.is_collection() { Body::Bytes(value.to_vec()) } else { Body::string(frames, value) }
                }
            };
            outsides.change(name, |body| std::mem::replace(body, new)).free(frames);
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
        let old_outside = self.heap.take_outside(at);
        let resized = match content {
            Content::Resized(length) => Some(length),
            Content::Kept => None,
            content => {
                let new = self.create(shape, key, content, deadline);
                if let Some(old) = old_outside {
                    old.body.free(self.heap.arena.frames_mut());
                }
                return self.take_place((place, at), new, deadline);
            }
        };
        let new = match old_outside.map(|outside| outside.body) {
            Some(body @ Body::Large(_)) => self.heap.create(shape, key, deadline, || body),
            Some(body @ Body::Run(_)) if shape.outside && resized.is_none() => {
                self.heap.create(shape, key, deadline, || body)
            }
            body => {
                let mut value = match body {
                    Some(body) => body.into_bytes(self.heap.arena.frames_mut()),
                    None => {
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
                    if value.capacity() <= SCRATCH_BYTES_MAX {
                        self.scratch = value;
                    }
                    new
                }
            }
        };
        self.take_place((place, at), new, deadline)
    }

    /// Lets the chunk `new` take the place of the chunk `at`, which is freed; returns where the item is afterwards.
    fn take_place(&mut self, (place, at): (Place, Ref), new: Ref, deadline: Option<UnixMs>) -> Ref {
        let used = chunk::use_of(self.heap.arena.chunk(at));
        chunk::write_use(self.heap.arena.chunk_mut(new), used);
        self.note(new, deadline);
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
        self.note(at, deadline);
        // An item that is being written is not in the index.
        if self.field_deadlines.len() > 0
            && let Some(deadline) = self.heap.field_deadline(at)
            && self.field_deadlines.remove_if_there(deadline, moved)
        {
            self.field_deadlines.insert(deadline, at);
        }
        Some(moved)
    }

    /// The soonest deadline of an item.
    pub(super) fn soonest(&mut self) -> Option<UnixMs> {
        let first = self.deadlines.first(&mut self.heap.arena, self.heap.window)?;
        self.heap.deadline(first)
    }

    /// The next item of a walk in an order: from the soonest deadline on, or from what was used least recently on. Ends with
    /// [`Items::end`].
    pub(super) fn next(&mut self, by: Mark, walk: &mut Walk) -> Option<Ranked> {
        let Heap { arena, window, uses, .. } = &mut self.heap;
        match by {
            Mark::Deadline => self.deadlines.next(walk, UnixMs::MAX, arena, *window),
            Mark::Use => self.recency.next(walk, arena, uses),
        }
    }

    /// Visits the items that are due at `now`, soonest first, until `visit` answers false or none is left.
    pub(super) fn walk_due(&mut self, now: UnixMs, mut visit: impl FnMut(&Heap, Ranked) -> bool) {
        let mut walk = Walk::default();
        loop {
            let Heap { arena, window, .. } = &mut self.heap;
            let Some(item) = self.deadlines.next(&mut walk, now, arena, *window) else { break };
            if !visit(&self.heap, item) {
                break;
            }
        }
        self.deadlines.end(walk);
    }

    /// Ends a walk.
    pub(super) fn end(&mut self, by: Mark, walk: Walk) {
        match by {
            Mark::Deadline => self.deadlines.end(walk),
            Mark::Use => self.recency.end(walk),
        }
    }

    /// An item with a deadline that `random` chooses; none where it has no luck.
    pub(super) fn sample_volatile(&self, random: u64) -> Option<Ref> {
        let any = self.table.sample(random).filter(|at| self.heap.deadline(*at).is_some());
        any.or_else(|| self.deadlines.sample(&self.heap.arena, mix(random)))
    }

    /// Ends a walk whose items are going to be removed, but for this one.
    pub(super) fn put_back(&mut self, by: Mark, item: Ranked) {
        self.end(by, Walk::of(item));
    }

    /// Visits items in an order until `visit` answers false or none is left.
    pub(super) fn walk(&mut self, by: Mark, mut visit: impl FnMut(&Heap, Ranked) -> bool) {
        let mut walk = Walk::default();
        while let Some(item) = self.next(by, &mut walk)
            && visit(&self.heap, item)
        {}
        self.end(by, walk);
    }

    /// Removes an item.
    pub(super) fn remove(&mut self, hash: u64, (place, at): (Place, Ref)) {
        self.unindex_fields(at);
        self.deadlines.change(self.heap.deadline(at), None);
        let heap = &self.heap;
        self.table.remove(hash, place, heap);
        if let Some(outside) = self.heap.take_outside(at) {
            outside.body.free(self.heap.arena.frames_mut());
        }
        self.free_chunk(at);
        self.recency.tidy(&self.heap.arena);
        self.deadlines.tidy(&self.heap.arena);
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
        let table = self.table.check(|at| self.heap.hash_at(at));
        let (outsides, owners, frames) = self.heap.outsides.recount();
        let (arena, chunks) = self.heap.arena.recount(frames);
        assert_eq!(chunks, self.table.len());
        self.deadlines.check(&self.heap.arena, self.heap.window);
        self.recency.check(&self.heap.arena, &self.heap.uses);
        for (name, owner) in owners.iter().enumerate() {
            let (chunk, parts) = self.heap.parts(*owner);
            assert!(parts.is_outside() && parts.outside(chunk) as usize == name);
        }
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
