//! Asking for the memory of items that are about to be looked up, step by step: each step looks at what the one before it
//! asked for. `dispatch::ahead` takes a step for all commands of a group before the next. Changes nothing.

use super::items::Items;
use super::memory::prefetch::{prefetch, prefetch_line};
use super::outside::{Body, Outside};
use super::store::Keyspace;

impl Keyspace {
    /// Asks for the memory where a lookup of this hash begins.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.items.table.prefetch(hash);
    }

    /// Asks for where the item's page is told, once the memory of [`Keyspace::prefetch_bucket`] has arrived.
    #[inline]
    pub fn prefetch_page(&self, hash: u64) {
        let Items { table, heap, .. } = &self.items;
        table.likely(hash, |at| heap.arena.prefetch_page(at));
    }

    /// Asks for the item, once the memory of [`Keyspace::prefetch_page`] has arrived.
    #[inline]
    pub fn prefetch_item(&self, hash: u64) {
        let Items { table, heap, .. } = &self.items;
        table.likely(hash, |at| prefetch(heap.arena.chunk(at)));
    }

    /// Asks for where a long value is told, once the memory of [`Keyspace::prefetch_item`] has arrived.
    #[inline]
    pub fn prefetch_outside(&self, hash: u64) {
        self.items.each_outside(hash, prefetch_line);
    }

    /// Asks for the beginning of a long value, once the memory of [`Keyspace::prefetch_outside`] has arrived.
    #[inline]
    pub fn prefetch_value(&self, hash: u64) {
        let frames = self.items.heap.arena.frames();
        self.items.each_outside(hash, |outside| match &outside.body {
            Body::Run(run) => prefetch(run.bytes(frames)),
            Body::Bytes(bytes) => prefetch(bytes),
            Body::Large(large) => prefetch_line(&**large),
        });
    }

    /// Asks for members, or fields, of the large collection with this hash, once the memory of
    /// [`Keyspace::prefetch_value`] has arrived.
    pub fn prefetch_members<'a>(&self, hash: u64, members: impl Iterator<Item = &'a [u8]> + Clone) {
        self.items.each_outside(hash, |outside| {
            if let Body::Large(large) = &outside.body {
                large.ask_all(members.clone());
            }
        });
    }
}

impl Items {
    /// Visits what the items that may have this hash have outside of their chunks.
    #[inline]
    fn each_outside(&self, hash: u64, visit: impl Fn(&Outside)) {
        self.table.likely(hash, |at| {
            if let Some(outside) = self.heap.outside(at) {
                visit(outside);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::collections::{CollectionKind, list::End, list::ListMut, set::SetMut};
    use crate::keyspace::{Deadline, HashSeed};

    #[test]
    fn whatever_is_there_stays_as_it_is() {
        let mut keyspace = Keyspace::new(HashSeed([7; 16]));
        let long_key = vec![b'k'; 3000];
        for (key, length) in [(&b"short"[..], 10), (b"long", 100_000), (b"empty", 0), (&long_key, 5)] {
            keyspace.set_string(key, &vec![b'v'; length], Deadline::Clear, None);
        }
        for (key, elements) in [(&b"set"[..], 1000), (b"small set", 2)] {
            let added = keyspace.edit_collection(key, 0, CollectionKind::Set, true, None, |edit| {
                for n in 0..elements {
                    SetMut(edit).add(format!("element {n}").as_bytes());
                }
            });
            assert!(added.is_ok());
        }
        for (key, elements) in [(&b"small"[..], 2), (b"large", 1000)] {
            let pushed = keyspace.edit_collection(key, 0, CollectionKind::List, true, None, |edit| {
                (0..elements).for_each(|_| ListMut(edit).push(End::Right, b"element"));
            });
            assert!(pushed.is_ok());
        }
        let bytes = keyspace.memory_bytes();
        for key in [&b"short"[..], b"long", b"empty", &long_key, b"small", b"large", b"set", b"small set", b"absent"] {
            let hash = keyspace.hash(key);
            keyspace.prefetch_bucket(hash);
            keyspace.prefetch_page(hash);
            keyspace.prefetch_item(hash);
            keyspace.prefetch_outside(hash);
            keyspace.prefetch_value(hash);
            keyspace.prefetch_members(hash, [&b"element"[..], b"", b"absent"].into_iter());
            assert_eq!(keyspace.peek(key, 0).is_some(), key != b"absent");
        }
        assert_eq!((keyspace.len(), keyspace.memory_bytes()), (8, bytes));
    }
}
