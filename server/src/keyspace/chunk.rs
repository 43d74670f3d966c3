//! How an item lies in its chunk.
//!
//! ```text
//! 0     6       7               8 or 9
//! use   flags   key length      deadline      outside   key   value    slack
//! 6 B   u8      u8, long: u16   0, 4, 6, 8 B  0 or 4 B                 0.. B
//! ```
//! The use says when the item was used last, or that coarsely and how often it was (see [`Use`]).
//! A deadline of four bytes is the lower half of one in the [`Window`] of the heap: seven weeks that move on with time.
//! The value's length is not stored: it is what the rest of the chunk leaves. The flags say how much of the chunk is
//! slack (0 to 2 bytes, or 3: the last two bytes say). A key and value of 16 and 10 bytes take 34 bytes in all.
//! What does not fit into the largest chunk lies outside (see `outside`): the value, or key and value. A flag marks
//! values that are collections: a small one has its bytes where a string has them, a large one is always outside.

use super::arena::CHUNK_BYTES_MAX;
use crate::clock::UnixMs;

/// Largest chunk of a collection: an edit copies it out of its chunk, and back.
const COLLECTION_CHUNK_BYTES_MAX: usize = 1024;

const FLAGS_AT: usize = 6;
const FIXED_BYTES: usize = 7;
const SLACK_MASK: u8 = 0b11;
const SLACK_AT_END: u8 = 0b11;
const DEADLINE_SHIFT: u32 = 2;
const DEADLINE_MASK: u8 = 0b11;
/// Bytes of a deadline by the two bits of the flags that are for it.
const DEADLINE_BYTES: [u8; 4] = [0, 4, 6, 8];
const LONG_KEY: u8 = 1 << 4;
const OUTSIDE: u8 = 1 << 5;
const COLLECTION: u8 = 1 << 6;

/// What a chunk must have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of the key in the chunk.
    key: usize,
    /// Bytes of the value in the chunk.
    value: usize,
    /// Bytes of the deadline: 0, 4, 6 or 8.
    deadline: usize,
    /// Whether the value lies outside.
    pub(super) outside: bool,
    /// Whether the key does too.
    pub(super) key_outside: bool,
    /// Whether the value is a collection.
    collection: bool,
}

/// The deadlines that four bytes tell: from `start` on, 2^32 milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: UnixMs,
}

impl Window {
    /// Bytes that a deadline takes.
    #[inline]
    pub(super) fn bytes_of(self, deadline: Option<UnixMs>) -> usize {
        match deadline {
            None => 0,
            Some(at) if at.wrapping_sub(self.start) >> 32 == 0 => 4,
            // Until the year 10889.
            Some(at) if at < 1 << 48 => 6,
            Some(_) => 8,
        }
    }

    /// The deadline in the window with this lower half.
    fn whole(self, half: u32) -> UnixMs {
        self.start.wrapping_add(u64::from(half.wrapping_sub(self.start as u32)))
    }
}

impl Shape {
    /// The shape of an item with a key and value of these lengths, and `deadline` bytes of a deadline.
    #[inline]
    pub(super) fn new(key: usize, value: usize, deadline: usize) -> Self {
        let inline = Self { key, value, deadline, outside: false, key_outside: false, collection: false };
        if inline.fits() {
            return inline;
        }
        let value_outside = Self { value: 0, outside: true, ..inline };
        if value_outside.fits() {
            return value_outside;
        }
        Self { key: 0, key_outside: true, ..value_outside }
    }

    /// The shape of an item whose value is a large collection.
    pub(super) fn large(key: usize, deadline: usize) -> Self {
        let shape = Self { outside: true, ..Self::new(0, 0, deadline) };
        let with_key = Self { key, ..shape };
        let shape = if with_key.fits() { with_key } else { Self { key_outside: true, ..shape } };
        shape.collection(true)
    }

    /// The same shape for a value that is, or is not, a collection.
    pub(super) fn collection(self, collection: bool) -> Self {
        if collection && !self.outside && self.bytes() > COLLECTION_CHUNK_BYTES_MAX {
            return Self { value: 0, outside: true, collection, ..self };
        }
        Self { collection, ..self }
    }

    /// Whether the value is a collection.
    pub(super) fn is_collection(&self) -> bool {
        self.collection
    }

    fn fits(&self) -> bool {
        // Each length by itself first: the sum must not overflow.
        self.key <= CHUNK_BYTES_MAX && self.value <= CHUNK_BYTES_MAX && self.bytes() <= CHUNK_BYTES_MAX
    }

    fn deadline_at(&self) -> usize {
        FIXED_BYTES + if self.key > usize::from(u8::MAX) { 2 } else { 1 }
    }

    /// Bytes that it takes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.deadline_at() + self.deadline + if self.outside { 4 } else { 0 } + self.key + self.value
    }

    /// Whether an item of this shape can take the place of one of the shape `old` in the same chunk, with key, deadline
    /// and outside reference where they are.
    pub(super) fn same_but_value(&self, old: &Self) -> bool {
        Self { value: 0, ..*self } == Self { value: 0, ..*old }
    }
}

/// Writes everything but use, deadline and value.
pub(super) fn write(chunk: &mut [u8], shape: &Shape, key: &[u8], outside: u32) {
    let at = shape.deadline_at();
    if shape.key > usize::from(u8::MAX) {
        chunk[FIXED_BYTES..at].copy_from_slice(&(shape.key as u16).to_le_bytes());
    } else {
        chunk[FIXED_BYTES] = shape.key as u8;
    }
    write_flags(chunk, shape);
    let mut at = at + shape.deadline;
    if shape.outside {
        chunk[at..at + 4].copy_from_slice(&outside.to_le_bytes());
        at += 4;
    }
    if !shape.key_outside {
        chunk[at..at + shape.key].copy_from_slice(key);
    }
}

/// Writes the flags: with them, the length of the value.
#[inline]
pub(super) fn write_flags(chunk: &mut [u8], shape: &Shape) {
    let mut flags = match shape.deadline {
        0 => 0,
        4 => 1 << DEADLINE_SHIFT,
        6 => 2 << DEADLINE_SHIFT,
        _ => 3 << DEADLINE_SHIFT,
    };
    if shape.key > usize::from(u8::MAX) {
        flags |= LONG_KEY;
    }
    if shape.outside {
        flags |= OUTSIDE;
    }
    if shape.collection {
        flags |= COLLECTION;
    }
    let slack = chunk.len() - shape.bytes();
    if slack < usize::from(SLACK_AT_END) {
        flags |= slack as u8;
    } else {
        flags |= SLACK_AT_END;
        let end = chunk.len();
        chunk[end - 2..].copy_from_slice(&(slack as u16).to_le_bytes());
    }
    chunk[FLAGS_AT] = flags;
}

/// Where the parts of a chunk lie.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    flags: u8,
    deadline_at: usize,
    outside_at: usize,
    key_at: usize,
    value_at: usize,
}

impl Parts {
    #[inline]
    pub(super) fn of(chunk: &[u8]) -> Self {
        let flags = chunk[FLAGS_AT];
        let (key, deadline_at) = if flags & LONG_KEY == 0 {
            (usize::from(chunk[FIXED_BYTES]), FIXED_BYTES + 1)
        } else {
            (usize::from(u16::from_le_bytes([chunk[FIXED_BYTES], chunk[FIXED_BYTES + 1]])), FIXED_BYTES + 2)
        };
        let outside_at = deadline_at + deadline_bytes(flags);
        let key_at = outside_at + 4 * usize::from(flags >> 5 & 1);
        Self { flags, deadline_at, outside_at, key_at, value_at: key_at + key }
    }

    /// The key, where it is not outside.
    #[inline]
    pub(super) fn key<'a>(&self, chunk: &'a [u8]) -> &'a [u8] {
        &chunk[self.key_at..self.value_at]
    }

    /// Whether the value is outside, and perhaps the key.
    #[inline]
    pub(super) fn is_outside(&self) -> bool {
        self.flags & OUTSIDE != 0
    }

    /// Whether the value is a collection.
    #[inline]
    pub(super) fn is_collection(&self) -> bool {
        self.flags & COLLECTION != 0
    }

    /// Whether the value is a string in the chunk.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.flags & (OUTSIDE | COLLECTION) == 0
    }

    /// The shape for which the chunk was written; the key lies outside where `key_outside` says so.
    pub(super) fn shape(&self, chunk: &[u8], key_outside: bool) -> Shape {
        let outside = self.is_outside();
        Shape {
            key: self.value_at - self.key_at,
            value: if outside { 0 } else { self.end(chunk) - self.value_at },
            deadline: self.outside_at - self.deadline_at,
            outside,
            key_outside,
            collection: self.is_collection(),
        }
    }

    /// The name of what is outside.
    pub(super) fn outside(&self, chunk: &[u8]) -> u32 {
        u32_at(chunk, self.outside_at)
    }

    /// Changes it.
    pub(super) fn write_outside(&self, chunk: &mut [u8], outside: u32) {
        chunk[self.outside_at..self.outside_at + 4].copy_from_slice(&outside.to_le_bytes());
    }

    fn end(&self, chunk: &[u8]) -> usize {
        let slack = self.flags & SLACK_MASK;
        let end = chunk.len();
        if slack < SLACK_AT_END {
            end - usize::from(slack)
        } else {
            end - usize::from(u16::from_le_bytes([chunk[end - 2], chunk[end - 1]]))
        }
    }

    /// The value, where it is not outside.
    #[inline]
    pub(super) fn value<'a>(&self, chunk: &'a [u8]) -> &'a [u8] {
        &chunk[self.value_at..self.end(chunk)]
    }

    /// The value, to be written.
    #[inline]
    pub(super) fn value_mut<'a>(&self, chunk: &'a mut [u8]) -> &'a mut [u8] {
        let end = self.end(chunk);
        &mut chunk[self.value_at..end]
    }

    /// Whether there is a deadline.
    #[inline]
    pub(super) fn has_deadline(&self) -> bool {
        deadline_bytes(self.flags) > 0
    }

    /// The deadline, which was written while `window` or an earlier one was in force.
    #[inline]
    pub(super) fn deadline(&self, chunk: &[u8], window: Window) -> Option<UnixMs> {
        let width = deadline_bytes(self.flags);
        match width {
            0 => None,
            4 => Some(window.whole(u32_at(chunk, self.deadline_at))),
            _ => {
                let mut bytes = [0; 8];
                bytes[..width].copy_from_slice(&chunk[self.deadline_at..self.deadline_at + width]);
                Some(UnixMs::from_le_bytes(bytes))
            }
        }
    }

    /// Writes the deadline, for which the shape left room.
    pub(super) fn write_deadline(&self, chunk: &mut [u8], deadline: Option<UnixMs>) {
        if let Some(deadline) = deadline {
            let width = deadline_bytes(self.flags);
            chunk[self.deadline_at..self.deadline_at + width].copy_from_slice(&deadline.to_le_bytes()[..width]);
        }
    }
}

/// Bytes of the deadline in a chunk with these flags.
#[inline]
fn deadline_bytes(flags: u8) -> usize {
    usize::from(DEADLINE_BYTES[usize::from(flags >> DEADLINE_SHIFT & DEADLINE_MASK)])
}

#[inline]
fn u32_at(chunk: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]])
}

/// What a chunk says of how its item was used: 48 bits that mean what [`Kept`](super::recency::Kept) says.
pub(super) type Use = u64;

/// Bits of a [`Use`].
pub(super) const USE_BITS: u32 = 48;

#[inline]
pub(super) fn use_of(chunk: &[u8]) -> Use {
    u64::from(u32_at(chunk, 0)) | u64::from(u16::from_le_bytes([chunk[4], chunk[5]])) << 32
}

#[inline]
pub(super) fn write_use(chunk: &mut [u8], new: Use) {
    chunk[..6].copy_from_slice(&new.to_le_bytes()[..6]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_reads_back() {
        for key_length in [0, 1, 16, 255, 256, 300, 990] {
            for value_length in [0, 1, 2, 3, 10, 700, 5000, 20_000] {
                let window = Window { start: (1 << 40) + 77 };
                let near = [window.start, window.start + 1000, window.start + u64::from(u32::MAX)].map(Some);
                let far = [None, Some(1), Some((1 << 48) - 1), Some(1 << 48), Some(u64::MAX)];
                for deadline in near.into_iter().chain(far) {
                    let bytes = window.bytes_of(deadline);
                    assert_eq!(bytes == 4, near.contains(&deadline));
                    let shape = Shape::new(key_length, value_length, bytes);
                    for slack in [0, 1, 2, 3, 4, 300] {
                        let key = vec![b'k'; key_length];
                        let mut chunk = vec![0xAA; shape.bytes() + slack];
                        write(&mut chunk, &shape, &key, 77);
                        let parts = Parts::of(&chunk);
                        parts.write_deadline(&mut chunk, deadline);
                        assert_eq!(parts.deadline(&chunk, window), deadline);
                        assert_eq!(parts.has_deadline(), deadline.is_some());
                        assert_eq!(parts.is_outside(), shape.outside);
                        assert!(shape.outside || parts.value(&chunk).len() == value_length);
                        assert!(!shape.outside || parts.outside(&chunk) == 77);
                        assert!(shape.key_outside || parts.key(&chunk) == key);
                    }
                }
            }
        }
        assert_eq!(Shape::new(16, 10, 0).bytes(), 34);
        assert!(Shape::new(17_000, 1, 0).key_outside);
    }
}
