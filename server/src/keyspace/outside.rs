//! What is too big for a chunk: long values, large collections, and long keys with their values.
//!
//! Dense like the arena: freeing moves the last one into the hole, so each knows the chunk that owns it.

use super::arena::Ref;
use super::collections::{Large, allocated_bytes};

/// Entries a page, so that growing never moves what is there.
const PAGE: usize = 64;

/// A value outside of its chunk.
pub(super) enum Body {
    /// A string, or a small collection.
    Bytes(Vec<u8>),
    /// A large collection.
    Large(Box<Large>),
}

impl Body {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) if bytes.capacity() == 0 => 0,
            Self::Bytes(bytes) => allocated_bytes(bytes.capacity()),
            Self::Large(large) => large.bytes(),
        }
    }

    /// Drops it: soon and elsewhere, where that takes long.
    pub(super) fn drop_lazily(self) {
        if let Self::Large(large) = self {
            large.drop_lazily();
        }
    }
}

/// A value outside of its chunk, with what belongs to it.
pub(super) struct Outside {
    /// The chunk that refers to it.
    pub(super) owner: Ref,
    /// The key, where it is not in the chunk.
    pub(super) key: Option<Box<[u8]>>,
    /// The value.
    pub(super) body: Body,
}

impl Outside {
    /// Bytes of its allocations.
    pub(super) fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, |key| allocated_bytes(key.len())) + self.body.bytes()
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Outsides {
    pages: Vec<Vec<Outside>>,
    content_bytes: usize,
}

impl Outsides {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.content_bytes
            + self.pages.len() * PAGE * size_of::<Outside>()
            + self.pages.capacity() * size_of::<Vec<Outside>>()
    }

    pub(super) fn get(&self, name: u32) -> &Outside {
        &self.pages[name as usize / PAGE][name as usize % PAGE]
    }

    pub(super) fn set_owner(&mut self, name: u32, owner: Ref) {
        self.pages[name as usize / PAGE][name as usize % PAGE].owner = owner;
    }

    pub(super) fn value_mut(&mut self, name: u32) -> &mut [u8] {
        match &mut self.pages[name as usize / PAGE][name as usize % PAGE].body {
            Body::Bytes(bytes) => bytes,
            Body::Large(_) => &mut [],
        }
    }

    /// Changes the value, its length and capacity too.
    pub(super) fn change<R>(&mut self, name: u32, change: impl FnOnce(&mut Body) -> R) -> R {
        let outside = &mut self.pages[name as usize / PAGE][name as usize % PAGE];
        self.content_bytes -= outside.bytes();
        let result = change(&mut outside.body);
        self.content_bytes += outside.bytes();
        result
    }

    pub(super) fn insert(&mut self, outside: Outside) -> u32 {
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        self.content_bytes += outside.bytes();
        let page = self.pages.len() - 1;
        self.pages[page].push(outside);
        (page * PAGE + self.pages[page].len() - 1) as u32
    }

    /// Takes one out. Where another was moved into its place, that one's owner is returned, to be told its new name.
    pub(super) fn remove(&mut self, name: u32) -> (Outside, Option<Ref>) {
        let last_page = self.pages.last_mut().expect("it is there");
        let last = last_page.pop().expect("pages are not empty");
        if last_page.is_empty() {
            self.pages.pop();
            if self.pages.len() < self.pages.capacity() / 4 {
                self.pages.shrink_to(self.pages.len() * 2);
            }
        }
        let slot = self.pages.get_mut(name as usize / PAGE).and_then(|page| page.get_mut(name as usize % PAGE));
        let (removed, moved) = match slot {
            Some(slot) => {
                let owner = last.owner;
                (std::mem::replace(slot, last), Some(owner))
            }
            None => (last, None),
        };
        self.content_bytes -= removed.bytes();
        (removed, moved)
    }

    /// Makes `value` `length` bytes long, with room to grow as Redis leaves it: as much again, at most 1 MiB.
    pub(super) fn resize(value: &mut Vec<u8>, length: usize) {
        const ROOM_BYTES_MAX: usize = 1 << 20;
        if length > value.capacity() {
            value.reserve_exact(length + length.min(ROOM_BYTES_MAX) - value.len());
        }
        value.resize(length, 0);
        if value.capacity() / 4 > length {
            value.shrink_to_fit();
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self) -> (usize, Vec<Ref>) {
        let content: usize = self.pages.iter().flatten().map(Outside::bytes).sum();
        let pages = self.pages.iter().map(|page| page.capacity() * size_of::<Outside>()).sum::<usize>();
        let owners = self.pages.iter().flatten().map(|outside| outside.owner).collect();
        (content + pages + self.pages.capacity() * size_of::<Vec<Outside>>(), owners)
    }
}
