//! The bytes of items: their chunks, and what lies outside of them.

use super::arena::{Arena, Ref};
use super::chunk::{self, Parts, Shape, Window};
use super::collections::Large;
use super::memory::prefetch::prefetch;
use super::outside::{Body, Outside, Outsides};
use super::recency::Uses;
use super::store::is_due;
use super::table::Hashes;
use super::{HashSeed, ItemRef, ValueRef, collections};
use crate::clock::{Tick, UnixMs};
use siphasher::sip::SipHasher13;

/// As much of a chunk as has the key, nearly always.
const CHUNK_HEAD_BYTES: usize = 64;

/// Chunks and what lies outside of them: enough to read items.
pub(super) struct Heap {
    pub(super) arena: Arena,
    pub(super) outsides: Outsides,
    /// The deadlines that are told in four bytes.
    pub(super) window: Window,
    /// How uses are told.
    pub(super) uses: Uses,
    hasher: SipHasher13,
}

impl Hashes for Heap {
    fn hash(&self, at: Ref) -> u64 {
        self.hash_at(at)
    }

    fn ask(&self, at: Ref) {
        let chunk = self.arena.chunk(at);
        prefetch(chunk.get(..CHUNK_HEAD_BYTES).unwrap_or(chunk));
    }
}

impl Heap {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self {
            arena: Arena::new(),
            outsides: Outsides::default(),
            window: Window::default(),
            uses: Uses::new(),
            hasher: SipHasher13::new_with_key(&seed.0),
        }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    pub(super) fn hash_at(&self, at: Ref) -> u64 {
        self.hash(self.key(at))
    }

    #[inline]
    pub(super) fn parts(&self, at: Ref) -> (&[u8], Parts) {
        let chunk = self.arena.chunk(at);
        (chunk, Parts::of(chunk))
    }

    pub(super) fn outside(&self, at: Ref) -> Option<&Outside> {
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
        parts.deadline(chunk, self.window)
    }

    /// When the first of an item's fields is due, if it is a hash of which some field has a deadline.
    #[inline]
    pub(super) fn field_deadline(&self, at: Ref) -> Option<UnixMs> {
        let (chunk, parts) = self.parts(at);
        if parts.is_collection() { self.collection_field_deadline(chunk, parts) } else { None }
    }

    #[inline(never)]
    fn collection_field_deadline(&self, chunk: &[u8], parts: Parts) -> Option<UnixMs> {
        if !parts.is_outside() {
            return collections::first_field_deadline(parts.value(chunk));
        }
        match &self.outsides.get(parts.outside(chunk)).body {
            Body::Run(_) => None,
            Body::Bytes(bytes) => collections::first_field_deadline(bytes),
            Body::Large(large) => match &**large {
                Large::Hash(hash) => hash.first_deadline(),
                _ => None,
            },
        }
    }

    /// Whether an item is not there at `now`: its deadline has passed, or those of all its fields.
    #[inline]
    pub(super) fn is_due(&self, at: Ref, now: UnixMs) -> bool {
        let (chunk, parts) = self.parts(at);
        is_due(parts.deadline(chunk, self.window), now) || (parts.is_collection() && self.is_spent(chunk, parts, now))
    }

    /// Whether an item is a hash whose fields are all due at `now`.
    #[inline(never)]
    fn is_spent(&self, chunk: &[u8], parts: Parts, now: UnixMs) -> bool {
        is_due(self.collection_field_deadline(chunk, parts), now)
            && matches!(self.uncommon(chunk, parts), ValueRef::Hash(hash) if hash.at_instant(now).is_empty())
    }

    /// An item as it is at `now`.
    #[inline]
    pub(super) fn item_at(&self, at: Ref, now: UnixMs) -> ItemRef<'_> {
        let item = self.item(at);
        match item.value {
            ValueRef::Hash(hash) => ItemRef { value: ValueRef::Hash(hash.at_instant(now)), ..item },
            _ => item,
        }
    }

    /// Says when an item was used last, and how often, where that is counted.
    #[inline]
    pub(super) fn write_use(&mut self, at: Ref, tick: Tick, count: u16) {
        self.uses.write(self.arena.chunk_mut(at), tick, count);
    }

    pub(super) fn last_access(&self, at: Ref) -> Tick {
        self.uses.last_access(self.arena.chunk(at))
    }

    #[inline]
    pub(super) fn item(&self, at: Ref) -> ItemRef<'_> {
        let (chunk, parts) = self.parts(at);
        let value = if parts.is_plain() { ValueRef::String(parts.value(chunk)) } else { self.uncommon(chunk, parts) };
        ItemRef { value, deadline: parts.deadline(chunk, self.window), last_access: self.uses.last_access(chunk) }
    }

    /// A value that is outside, or a collection.
    #[inline(never)]
    fn uncommon<'a>(&'a self, chunk: &'a [u8], parts: Parts) -> ValueRef<'a> {
        let bytes = if parts.is_outside() {
            match &self.outsides.get(parts.outside(chunk)).body {
                Body::Run(run) => run.bytes(self.arena.frames()),
                Body::Bytes(bytes) => bytes,
                Body::Large(large) => return collections::large_ref(large),
            }
        } else {
            parts.value(chunk)
        };
        if parts.is_collection() { collections::compact_ref(bytes) } else { ValueRef::String(bytes) }
    }

    pub(super) fn value_mut(&mut self, at: Ref) -> &mut [u8] {
        let parts = Parts::of(self.arena.chunk(at));
        if parts.is_outside() {
            let name = parts.outside(self.arena.chunk(at));
            self.outsides.value_mut(name, self.arena.frames_mut())
        } else {
            parts.value_mut(self.arena.chunk_mut(at))
        }
    }

    /// Whether the key of the item in a chunk lies outside of it.
    #[inline]
    pub(super) fn is_key_outside(&self, chunk: &[u8], parts: Parts) -> bool {
        parts.is_outside() && self.outsides.get(parts.outside(chunk)).key.is_some()
    }

    /// The shape that an item should have, with this deadline, for the value that it has.
    pub(super) fn shape_wanted(&self, at: Ref, deadline: Option<UnixMs>) -> Shape {
        let (key, (chunk, parts)) = (self.key(at).len(), self.parts(at));
        let deadline = self.window.bytes_of(deadline);
        let value = match self.outside(at).map(|outside| &outside.body) {
            Some(Body::Large(_)) => return Shape::large(key, deadline),
            Some(Body::Run(run)) => run.len(),
            Some(Body::Bytes(bytes)) => bytes.len(),
            None => parts.value(chunk).len(),
        };
        Shape::new(key, value, deadline).collection(parts.is_collection())
    }

    /// Bytes of an item's chunk and of what it has outside.
    pub(super) fn item_bytes(&self, at: Ref) -> usize {
        let outside = self.outside(at).map_or(0, |outside| size_of::<Outside>() + outside.bytes());
        self.arena.chunk(at).len() + outside
    }

    /// Allocates a chunk and fills in all but its use.
    pub(super) fn create(
        &mut self,
        shape: &Shape,
        key: &[u8],
        deadline: Option<UnixMs>,
        body: impl FnOnce() -> Body,
    ) -> Ref {
        let at = self.arena.allocate(shape.bytes());
        let outside = if shape.outside {
            let key = shape.key_outside.then(|| key.into());
            self.outsides.insert(Outside { owner: at, key, body: body() })
        } else {
            0
        };
        let chunk = self.arena.chunk_mut(at);
        chunk::write(chunk, shape, key, outside);
        Parts::of(chunk).write_deadline(chunk, deadline);
        at
    }

    /// Takes out what an item has outside, before its chunk is freed.
    pub(super) fn take_outside(&mut self, at: Ref) -> Option<Outside> {
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
