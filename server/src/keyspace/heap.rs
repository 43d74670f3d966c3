//! The bytes of items: their chunks, and what lies outside of them.

use super::arena::{Arena, Ref};
use super::chunk::{self, Parts, Shape};
use super::outside::{Outside, Outsides};
use super::{HashSeed, ItemRef, ValueRef};
use crate::clock::{Tick, UnixMs};
use siphasher::sip::SipHasher13;

/// Chunks and what lies outside of them: enough to read items.
pub(super) struct Heap {
    pub(super) arena: Arena,
    pub(super) outsides: Outsides,
    hasher: SipHasher13,
}

impl Heap {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { arena: Arena::new(), outsides: Outsides::default(), hasher: SipHasher13::new_with_key(&seed.0) }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    pub(super) fn hash_at(&self, at: Ref) -> u64 {
        self.hash(self.key(at))
    }

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

    pub(super) fn value_mut(&mut self, at: Ref) -> &mut [u8] {
        let parts = Parts::of(self.arena.chunk(at));
        if parts.is_outside() {
            self.outsides.value_mut(parts.outside(self.arena.chunk(at)))
        } else {
            parts.value_mut(self.arena.chunk_mut(at))
        }
    }

    pub(super) fn shape(&self, at: Ref) -> Shape {
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
    pub(super) fn create(
        &mut self,
        shape: &Shape,
        key: &[u8],
        deadline: Option<UnixMs>,
        value: impl FnOnce() -> Vec<u8>,
    ) -> Ref {
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
