//! What is too big for a chunk: long values, large collections, and long keys with their values. A string lies in frames as
//! it was written; once its length changes it is the allocator's, with room to grow.
//!
//! Dense like the arena: freeing moves the last one into the hole, so each knows the chunk that owns it.

use super::arena::{CHUNK_BYTES_MAX, Ref};
use super::collections::{Large, allocated_bytes};
use super::frames::{FRAME_BYTES, Frame, Frames};

/// Entries a page, so that growing never moves what is there.
const PAGE: usize = 64;

/// Longest string that lies in frames. What is longer the allocator has from the system by itself.
const RUN_BYTES_MAX: usize = 1 << 20;
/// Shortest: of what is shorter, the rest of the last frame would be too much.
const RUN_BYTES_MIN: usize = CHUNK_BYTES_MAX / 2;

/// A value outside of its chunk.
pub(super) enum Body {
    /// A string as it was written.
    Run(Run),
    /// A string, or a small collection.
    Bytes(Vec<u8>),
    /// A large collection.
    Large(Box<Large>),
}

/// Bytes in frames of their own.
pub(super) struct Run {
    first: Frame,
    length: u32,
}

impl Run {
    fn frames_for(length: usize) -> u32 {
        length.div_ceil(FRAME_BYTES) as u32
    }

    fn frames(&self) -> u32 {
        Self::frames_for(self.len())
    }

    /// Length of the value.
    pub(super) fn len(&self) -> usize {
        self.length as usize
    }

    /// The value.
    pub(super) fn bytes<'a>(&self, frames: &'a Frames) -> &'a [u8] {
        frames.bytes(self.first, 0, self.len())
    }

    /// Writes another value, if it takes the same frames.
    pub(super) fn rewrite(&mut self, frames: &mut Frames, value: &[u8]) -> bool {
        let same = value.len() >= RUN_BYTES_MIN && Self::frames_for(value.len()) == self.frames();
        if same {
            self.length = value.len() as u32;
            frames.bytes_mut(self.first, 0, value.len()).copy_from_slice(value);
        }
        same
    }
}

impl Body {
    /// A string.
    pub(super) fn string(frames: &mut Frames, value: &[u8]) -> Self {
        if !(RUN_BYTES_MIN..=RUN_BYTES_MAX).contains(&value.len()) {
            return Self::Bytes(value.to_vec());
        }
        let count = Run::frames_for(value.len());
        let first = frames.take(count);
        frames.touch(first, count);
        frames.bytes_mut(first, 0, value.len()).copy_from_slice(value);
        Self::Run(Run { first, length: value.len() as u32 })
    }

    /// The bytes of a string or of a small collection, to be changed in length.
    pub(super) fn into_bytes(self, frames: &mut Frames) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Run(ref run) => {
                let bytes = run.bytes(frames).to_vec();
                self.free(frames);
                bytes
            }
            Self::Large(_) => Vec::new(),
        }
    }

    /// Frees it: soon and elsewhere, where that takes long.
    pub(super) fn free(self, frames: &mut Frames) {
        match self {
            Self::Run(run) => {
                frames.leave(run.first, run.frames());
                frames.give(run.first, run.frames());
            }
            Self::Bytes(_) => {}
            Self::Large(large) => large.drop_lazily(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Run(run) => run.frames() as usize * FRAME_BYTES,
            Self::Bytes(bytes) if bytes.capacity() == 0 => 0,
            Self::Bytes(bytes) => allocated_bytes(bytes.capacity()),
            Self::Large(large) => large.bytes(),
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

    pub(super) fn value_mut<'a>(&'a mut self, name: u32, frames: &'a mut Frames) -> &'a mut [u8] {
        match &mut self.pages[name as usize / PAGE][name as usize % PAGE].body {
            Body::Run(run) => frames.bytes_mut(run.first, 0, run.len()),
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

    /// Adds up the account anew; who owns each, and how many frames there are.
    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self) -> (usize, Vec<Ref>, usize) {
        let content: usize = self.pages.iter().flatten().map(Outside::bytes).sum();
        let pages = self.pages.iter().map(|page| page.capacity() * size_of::<Outside>()).sum::<usize>();
        let owners = self.pages.iter().flatten().map(|outside| outside.owner).collect();
        let frames = self.pages.iter().flatten().map(|outside| match &outside.body {
            Body::Run(run) => run.frames() as usize,
            _ => 0,
        });
        (content + pages + self.pages.capacity() * size_of::<Vec<Outside>>(), owners, frames.sum())
    }
}
