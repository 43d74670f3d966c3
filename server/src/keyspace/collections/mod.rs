//! Values that are more than a string: hashes, lists, sets, sorted sets and streams.
//!
//! A small one is one buffer, held where a string would be (in the item's chunk, or outside where it is too long for
//! it), so it costs what its bytes cost. A large one is a structure of its own outside of the chunk, with the complexity
//! that Redis documents.
//!
//! ```text
//! small:  form (1 byte), number of entries (u16), listpack entries      or, for a set of integers, sorted integers
//! large:  hash, set: Dense       sorted set: Dense and Tree       list: nodes of listpack entries
//!         (a hash also has the deadlines of its fields, where some have one)
//!         stream (never small): blocks of listpack entries, groups
//! ```
//! Which of the two a collection is, and the order of its elements, follow from its history alone: copies that applied
//! the same entries agree on both, and snapshots carry both.

mod compact;
pub mod decoding;
pub mod dense;
pub mod encoding;
pub mod hash;
pub mod limits;
pub mod list;
pub mod listpack;
mod node;
pub mod set;
mod small;
pub mod sorted_set;
pub mod stream;
#[cfg(test)]
mod tests;
mod tree;

use super::HashSeed;
use crate::clock::UnixMs;
use hash::{HashRef, LargeHash};
use limits::Limits;
use list::{LargeList, ListRef};
use set::{LargeSet, SetRef};
use sorted_set::{LargeSortedSet, SortedSetRef};
use stream::{LargeStream, StreamRef};

pub(in crate::keyspace) use small::allocated_bytes;

/// What kind of collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectionKind {
    /// A hash.
    Hash,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
}

/// The first byte of a small collection, and of a large one where it is encoded.
pub(in crate::keyspace) mod form {
    pub(in crate::keyspace) const HASH: u8 = 1;
    pub(in crate::keyspace) const LIST: u8 = 2;
    pub(in crate::keyspace) const SET: u8 = 3;
    pub(in crate::keyspace) const INTEGERS: u8 = 4;
    pub(in crate::keyspace) const SORTED_SET: u8 = 5;
    /// A hash with room for deadlines of its fields; a large one that has some.
    pub(in crate::keyspace) const TIMED_HASH: u8 = 6;
    pub(in crate::keyspace) const STREAM: u8 = 7;
    /// Marks a large one.
    pub(in crate::keyspace) const LARGE: u8 = 0x10;
    /// Marks a list that Redis would still call a listpack.
    pub(in crate::keyspace) const LISTPACK: u8 = 0x20;
}

/// A collection, as it is held.
pub(in crate::keyspace) enum Stored {
    /// A small one.
    Compact(Vec<u8>),
    /// A large one.
    Large(Box<Large>),
}

/// A large collection.
pub(in crate::keyspace) enum Large {
    Hash(LargeHash),
    List(LargeList),
    Set(LargeSet),
    SortedSet(LargeSortedSet),
    Stream(Box<LargeStream>),
}

/// Elements from which on a collection is dropped on another thread (Redis: `LAZYFREE_THRESHOLD`).
const LAZY_ELEMENTS_MIN: usize = 64;

impl Large {
    /// Bytes of its allocations, its own included.
    pub(in crate::keyspace) fn bytes(&self) -> usize {
        let own = allocated_bytes(size_of::<Self>());
        own + match self {
            Self::Hash(hash) => hash.bytes(),
            Self::List(list) => list.bytes(),
            Self::Set(set) => set.bytes(),
            Self::SortedSet(set) => set.bytes(),
            Self::Stream(stream) => stream.bytes(),
        }
    }

    /// Whether it is to be removed. A stream stays without entries.
    pub(in crate::keyspace) fn is_empty(&self) -> bool {
        !matches!(self, Self::Stream(_)) && self.len() == 0
    }

    pub(in crate::keyspace) fn len(&self) -> usize {
        match self {
            Self::Stream(stream) => stream.len(),
            Self::Hash(hash) => hash.len(),
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    pub(in crate::keyspace) fn kind(&self) -> CollectionKind {
        match self {
            Self::Hash(_) => CollectionKind::Hash,
            Self::List(_) => CollectionKind::List,
            Self::Set(_) => CollectionKind::Set,
            Self::SortedSet(_) => CollectionKind::SortedSet,
            Self::Stream(_) => CollectionKind::Stream,
        }
    }

    /// Asks for what lookups of these members, or fields, will wait for.
    pub(in crate::keyspace) fn ask_all<'a>(&self, names: impl Iterator<Item = &'a [u8]>) {
        match self {
            Self::Hash(hash) => hash.ask_all(names),
            Self::Set(set) => set.ask_all(names),
            Self::SortedSet(set) => set.ask_all(names),
            Self::List(_) | Self::Stream(_) => {}
        }
    }

    /// Drops it: soon and elsewhere, where that takes long.
    pub(in crate::keyspace) fn drop_lazily(self: Box<Self>) {
        let elements = if let Self::Stream(stream) = &*self { stream.weight() } else { self.len() };
        if elements > LAZY_ELEMENTS_MIN {
            super::reclaim::later(self);
        }
    }
}

impl Stored {
    /// An empty one, small.
    pub(in crate::keyspace) fn empty(kind: CollectionKind) -> Self {
        Self::Compact(compact::new(match kind {
            CollectionKind::Hash => form::HASH,
            CollectionKind::List => form::LIST,
            CollectionKind::Set => form::INTEGERS,
            CollectionKind::SortedSet => form::SORTED_SET,
            // What stands for a stream that nothing was done to yet, and is not kept.
            CollectionKind::Stream => form::STREAM,
        }))
    }

    pub(in crate::keyspace) fn is_empty(&self) -> bool {
        match self {
            Self::Compact(bytes) => compact::count(bytes) == 0,
            Self::Large(large) => large.is_empty(),
        }
    }

    /// Whether nothing is left of it at `now`: a hash whose fields are all due.
    pub(in crate::keyspace) fn is_spent(&self, now: UnixMs) -> bool {
        match self {
            Self::Compact(bytes) if bytes[0] == form::TIMED_HASH => HashRef::compact(bytes).at_instant(now).is_empty(),
            Self::Large(large) => match &**large {
                Large::Hash(hash) => HashRef::large(hash).at_instant(now).is_empty(),
                _ => large.is_empty(),
            },
            Self::Compact(_) => self.is_empty(),
        }
    }
}

/// The soonest deadline of a field of a small collection; bytes that were taken out have none.
pub(in crate::keyspace) fn first_field_deadline(bytes: &[u8]) -> Option<UnixMs> {
    if bytes.first() == Some(&form::TIMED_HASH) { HashRef::compact(bytes).first_deadline() } else { None }
}

/// The kind of a small collection.
#[inline]
pub(in crate::keyspace) fn kind_of(bytes: &[u8]) -> CollectionKind {
    match bytes[0] {
        form::HASH | form::TIMED_HASH => CollectionKind::Hash,
        form::LIST => CollectionKind::List,
        form::SORTED_SET => CollectionKind::SortedSet,
        form::STREAM => CollectionKind::Stream,
        _ => CollectionKind::Set,
    }
}

/// A small collection as commands see it.
pub(in crate::keyspace) fn compact_ref(bytes: &[u8]) -> super::ValueRef<'_> {
    use super::ValueRef;
    match kind_of(bytes) {
        CollectionKind::Hash => ValueRef::Hash(HashRef::compact(bytes)),
        CollectionKind::List => ValueRef::List(ListRef::Compact(bytes)),
        CollectionKind::Set => ValueRef::Set(SetRef::Compact(bytes)),
        CollectionKind::SortedSet => ValueRef::SortedSet(SortedSetRef::Compact(bytes)),
        CollectionKind::Stream => unreachable!("streams are never small"),
    }
}

/// A large collection as commands see it.
pub(in crate::keyspace) fn large_ref(large: &Large) -> super::ValueRef<'_> {
    use super::ValueRef;
    match large {
        Large::Hash(hash) => ValueRef::Hash(HashRef::large(hash)),
        Large::List(list) => ValueRef::List(ListRef::Large(list)),
        Large::Set(set) => ValueRef::Set(SetRef::Large(set)),
        Large::SortedSet(set) => ValueRef::SortedSet(SortedSetRef::Large(set)),
        Large::Stream(stream) => ValueRef::Stream(StreamRef(stream)),
    }
}

/// A collection that a command changes.
pub struct Edit<'a> {
    pub(in crate::keyspace) stored: &'a mut Stored,
    pub(in crate::keyspace) seed: HashSeed,
    /// Up to which sizes it is small.
    pub(in crate::keyspace) limits: &'a Limits,
    /// What is due by then is not there.
    pub(in crate::keyspace) now: UnixMs,
    pub(in crate::keyspace) changed: bool,
}

impl Edit<'_> {
    /// Bytes of the entries while it is small.
    fn small_bytes(&self) -> usize {
        match &*self.stored {
            Stored::Compact(bytes) => bytes.len(),
            Stored::Large(_) => 0,
        }
    }
}
