//! A node of a list: listpack entries with room at both ends.

use super::limits::NodeLimit;
use super::listpack::{self, Elements, FRAME_BYTES};

/// Capacity that a node grows to by doubling.
const DOUBLED_BYTES_MAX: usize = 8192;

/// Entries, of which the first begins at `start`: what was popped in front leaves room for what is pushed there.
#[derive(Default, Clone)]
pub(super) struct Node {
    buffer: Vec<u8>,
    start: usize,
    count: usize,
}

/// The end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where LPUSH adds: the head.
    Left,
    /// Where RPUSH adds: the tail.
    Right,
}

impl Node {
    /// A node of entries.
    pub(super) fn of(entries: &[u8], count: usize) -> Self {
        Self { buffer: entries.to_vec(), start: 0, count }
    }

    pub(super) fn entries(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(super) fn elements(&self) -> Elements<'_> {
        Elements::new(&self.buffer, self.start)
    }

    /// How many entries.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the allocation.
    pub(super) fn bytes(&self) -> usize {
        if self.buffer.capacity() == 0 { 0 } else { super::allocated_bytes(self.buffer.capacity()) }
    }

    /// Whether an element of this length may be added (Redis: `_quicklistNodeAllowInsert`).
    pub(super) fn has_room(&self, length: usize, limit: NodeLimit) -> bool {
        const ESTIMATE: usize = 8;
        let bytes = FRAME_BYTES + self.entries().len() + length + ESTIMATE;
        self.count == 0 || !limit.is_exceeded(bytes, self.count + 1)
    }

    /// Capacity for `needed` bytes: as much again while the node is short.
    fn capacity_for(needed: usize) -> usize {
        needed.max((needed * 2).min(DOUBLED_BYTES_MAX))
    }

    pub(super) fn push(&mut self, end: End, entry: &[u8]) {
        match end {
            End::Right => {
                let needed = self.buffer.len() + entry.len();
                if needed > self.buffer.capacity() {
                    if self.start > self.entries().len() {
                        self.buffer.drain(..self.start);
                        self.start = 0;
                    }
                    let wanted = Self::capacity_for(self.buffer.len() + entry.len());
                    self.buffer.reserve_exact(wanted - self.buffer.len());
                }
                self.buffer.extend_from_slice(entry);
            }
            End::Left => {
                if self.start < entry.len() {
                    let length = self.entries().len();
                    let room = Self::capacity_for(length + entry.len());
                    let mut buffer = vec![0; room];
                    buffer[room - length..].copy_from_slice(self.entries());
                    (self.buffer, self.start) = (buffer, room - length);
                }
                self.start -= entry.len();
                self.buffer[self.start..self.start + entry.len()].copy_from_slice(entry);
            }
        }
        self.count += 1;
    }

    /// Removes the element at an end. The node has one.
    pub(super) fn pop(&mut self, end: End) {
        match end {
            End::Left => self.start = listpack::skip(&self.buffer, self.start),
            End::Right => self.buffer.truncate(listpack::previous(&self.buffer, self.buffer.len())),
        }
        self.count -= 1;
        if self.buffer.capacity() > 128 && self.buffer.capacity() / 4 > self.entries().len() {
            self.seal();
        }
    }

    /// Gives back the room at the ends.
    pub(super) fn seal(&mut self) {
        if self.buffer.capacity() - self.entries().len() > self.buffer.capacity() / 8 {
            self.buffer = self.entries().to_vec();
            self.start = 0;
        }
    }

    /// Where in the buffer the entry number `index` begins; its end, where `index` is the count.
    pub(super) fn offset(&self, index: usize) -> usize {
        if index <= self.count / 2 {
            return listpack::nth(&self.buffer, self.start, index);
        }
        (index..self.count).fold(self.buffer.len(), |at, _| listpack::previous(&self.buffer, at))
    }

    pub(super) fn at(&self, index: usize) -> listpack::Element<'_> {
        listpack::read(&self.buffer, self.offset(index)).0
    }

    pub(super) fn insert(&mut self, index: usize, entry: &[u8]) {
        let at = self.offset(index);
        self.buffer.reserve_exact(entry.len());
        listpack::insert(&mut self.buffer, at, entry);
        self.count += 1;
    }

    pub(super) fn replace(&mut self, index: usize, entry: &[u8]) {
        let at = self.offset(index);
        let end = listpack::skip(&self.buffer, at);
        listpack::replace(&mut self.buffer, at, end, entry);
    }

    /// Removes `count` entries from number `index` on.
    pub(super) fn remove(&mut self, index: usize, count: usize) {
        let (from, to) = (self.offset(index), self.offset(index + count));
        listpack::remove(&mut self.buffer, from, to);
        self.count -= count;
        if self.buffer.capacity() > 128 && self.buffer.capacity() / 4 > self.entries().len() {
            self.seal();
        }
    }

    /// Cuts the entries from number `index` on off, as a node of their own.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let at = self.offset(index);
        let rest = Self::of(&self.buffer[at..], self.count - index);
        self.buffer.truncate(at);
        self.count = index;
        self.seal();
        rest
    }

    /// Keeps the entries for whose numbers `keep` says so.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut kept = Vec::with_capacity(self.entries().len());
        let (mut at, mut count) = (self.start, 0);
        for index in 0..self.count {
            let end = listpack::skip(&self.buffer, at);
            if keep(index) {
                kept.extend_from_slice(&self.buffer[at..end]);
                count += 1;
            }
            at = end;
        }
        kept.shrink_to_fit();
        *self = Self { buffer: kept, start: 0, count };
    }

    /// The buffer, with the room in front: for offsets.
    pub(super) fn whole(&self) -> &[u8] {
        &self.buffer
    }
}
