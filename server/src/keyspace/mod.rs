//! One partition's items: table, recency, deadlines, memory account, eviction, views.
//!
//! Knows nothing of the server. The caller brings clock and tick, holds the lock, and decides what is evicted or reaped;
//! nothing here happens by itself, so copies that apply the same mutations hold the same items.
//!
//! ```text
//! hash of the key --table--> chunk: last access, deadline, key, value    --> outside: what is too big for it,
//!                                                                            large collections
//!                            ^ recency, deadlines: orders of the pages that chunks lie on
//! ```
//! Each database has such structures of its own (`databases`); commands work on the one that is selected.
//! `store` is the interface; `items` keeps the structures in step; each of the others is one structure that knows
//! nothing of the rest. `model` is a naive keyspace with the same contract, which the tests compare with.

use crate::clock::{Tick, UnixMs};
use crate::ids::DatabaseNo;
use collections::hash::HashRef;
use collections::list::ListRef;
use collections::set::SetRef;
use collections::sorted_set::SortedSetRef;
use collections::stream::StreamRef;
use siphasher::sip::SipHasher13;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The cluster's secret seed of the key hash: the same on every copy, so that SCAN's order is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashSeed(pub [u8; 16]);

impl HashSeed {
    /// The hash of `key`: SipHash-1-3, so that nobody who does not know the seed can make keys that collide.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        SipHasher13::new_with_key(&self.0).hash(key)
    }
}

/// A value as a command sees it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// A string.
    String(&'a [u8]),
    /// A hash.
    Hash(HashRef<'a>),
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A sorted set.
    SortedSet(SortedSetRef<'a>),
    /// A stream.
    Stream(StreamRef<'a>),
}

impl ValueRef<'_> {
    fn encoded(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        collections::encoding::encode(self, &mut bytes);
        bytes
    }
}

impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        matches!(self, Self::String(_)) == matches!(other, Self::String(_)) && self.encoded() == other.encoded()
    }
}

impl Eq for ValueRef<'_> {}

impl std::fmt::Debug for ValueRef<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::String(_) => "String",
            Self::Hash(_) => "Hash",
            Self::List(_) => "List",
            Self::Set(_) => "Set",
            Self::SortedSet(_) => "SortedSet",
            Self::Stream(_) => "Stream",
        };
        write!(formatter, "{kind}({})", self.encoded().escape_ascii())
    }
}

/// What [`Keyspace::get`] finds.
#[derive(Debug, Clone, Copy)]
pub struct ItemRef<'a> {
    /// The value.
    pub value: ValueRef<'a>,
    /// When it is due, if ever.
    pub deadline: Option<UnixMs>,
    /// When it was last touched, before this lookup.
    pub last_access: Tick,
}

/// What a write does to the item's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Leaves it (KEEPTTL, APPEND, INCR). A new item has none.
    Keep,
    /// Removes it.
    Clear,
    /// Sets it.
    At(UnixMs),
}

/// Which items may be evicted, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvictionPolicy {
    /// None: writes that need memory are refused.
    #[default]
    NoEviction,
    /// Any, least recently used first, exactly.
    AllKeysLru,
    /// Those with a deadline, least recently used first, exactly.
    VolatileLru,
    /// Those with a deadline, the nearest deadline first.
    VolatileTtl,
    /// Any, at random.
    AllKeysRandom,
    /// Those with a deadline, at random.
    VolatileRandom,
    /// Any, the least frequently used of a sample first.
    AllKeysLfu,
    /// Those with a deadline, the least frequently used of a sample first.
    VolatileLfu,
    /// Any, that of a sample first whose bytes were used least.
    AllKeysGdsf,
    /// Those with a deadline, that of a sample first whose bytes were used least.
    VolatileGdsf,
}

/// What a policy goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvictionOrder {
    /// The last access, exactly.
    Recency,
    /// The deadline, exactly.
    Deadline,
    /// Nothing.
    Random,
    /// How often an item was used.
    Frequency,
    /// How often each of its bytes was.
    SizeAndFrequency,
}

impl EvictionPolicy {
    /// What it goes by; `None` where nothing is evicted.
    pub fn order(self) -> Option<EvictionOrder> {
        match self {
            Self::NoEviction => None,
            Self::AllKeysLru | Self::VolatileLru => Some(EvictionOrder::Recency),
            Self::VolatileTtl => Some(EvictionOrder::Deadline),
            Self::AllKeysRandom | Self::VolatileRandom => Some(EvictionOrder::Random),
            Self::AllKeysLfu | Self::VolatileLfu => Some(EvictionOrder::Frequency),
            Self::AllKeysGdsf | Self::VolatileGdsf => Some(EvictionOrder::SizeAndFrequency),
        }
    }

    /// Whether it goes by how often items were used.
    pub fn counts_uses(self) -> bool {
        matches!(self.order(), Some(EvictionOrder::Frequency | EvictionOrder::SizeAndFrequency))
    }

    /// What it needs to be kept of how items were used.
    fn kept(self) -> Kept {
        match self.order() {
            Some(EvictionOrder::Recency) => Kept::Order,
            Some(EvictionOrder::Frequency) => Kept::Counter,
            Some(EvictionOrder::SizeAndFrequency) => Kept::Hits,
            _ => Kept::Nothing,
        }
    }

    /// Whether it evicts only items with a deadline.
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileTtl | Self::VolatileRandom | Self::VolatileLfu | Self::VolatileGdsf
        )
    }
}

/// The next item to be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Victim<'a> {
    /// Its database.
    pub database: DatabaseNo,
    /// Its key.
    pub key: &'a [u8],
    /// Its last access; victims of several partitions are compared by it (LRU policies).
    pub last_access: Tick,
    /// Its deadline (volatile policies).
    pub deadline: Option<UnixMs>,
}

/// Set once a watched key has changed.
pub type WatchToken = Arc<AtomicBool>;

mod ahead;
mod arena;
mod arriving;
mod bucket;
#[cfg(test)]
mod cases;
mod chunk;
pub mod collections;
mod databases;
mod deadlines;
mod edits;
mod frames;
mod frequency;
mod heap;
mod item_deadlines;
mod items;
#[cfg(test)]
mod measure;
mod memory;
#[cfg(test)]
mod model;
mod order;
mod outside;
mod piece;
mod recency;
pub mod reclaim;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod view;
mod views;
mod watch;
pub use arriving::{Arriving, MalformedPiece};
pub use databases::DatabaseFigures;
pub use edits::{Built, Reaped, WrongKind};
pub use frequency::LfuParameters;
use recency::Kept;
pub use store::Keyspace;
