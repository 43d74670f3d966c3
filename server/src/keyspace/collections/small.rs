//! Owned bytes in 16 bytes: short ones in place, longer ones in an allocation.

use crate::keyspace::memory::prefetch::prefetch_address;
use triomphe::ThinArc;

/// Bytes held in place.
const INLINE_BYTES_MAX: usize = 14;
/// Bytes of an allocation before those that it is for: a count of owners and a length.
const HEAD_BYTES: usize = 16;

/// Owned bytes.
#[derive(Clone)]
pub(super) enum Small {
    /// In place.
    Inline {
        /// How many.
        length: u8,
        /// They come first.
        bytes: [u8; INLINE_BYTES_MAX],
    },
    /// Elsewhere, in one allocation. A thin pointer, so that the whole takes 16 bytes.
    Heap(ThinArc<(), u8>),
}

impl Small {
    pub(super) fn new(from: &[u8]) -> Self {
        if from.len() <= INLINE_BYTES_MAX {
            let mut bytes = [0; INLINE_BYTES_MAX];
            bytes[..from.len()].copy_from_slice(from);
            Self::Inline { length: from.len() as u8, bytes }
        } else {
            Self::Heap(ThinArc::from_header_and_slice((), from))
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Self::Heap(bytes) => &bytes.slice,
        }
    }

    /// Asks for the allocation, without looking at it.
    #[inline]
    pub(super) fn ask(&self) {
        if let Self::Heap(bytes) = self {
            prefetch_address(bytes.as_ptr());
        }
    }

    /// Bytes of the allocations.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Heap(bytes) => allocated_bytes(HEAD_BYTES + bytes.slice.len()),
        }
    }
}

/// What an allocator gives for `bytes`: size classes are two words apart at first, then four to each doubling, and the
/// largest have pages of their own.
pub(in crate::keyspace) fn allocated_bytes(bytes: usize) -> usize {
    const CLASS_BYTES_MAX: usize = 512 * 1024;
    const PAGE_BYTES: usize = 4096;
    if bytes > CLASS_BYTES_MAX {
        return bytes.next_multiple_of(PAGE_BYTES);
    }
    let words = bytes.div_ceil(8).max(1);
    let words = match words {
        1 => 1,
        2..=8 => words.next_multiple_of(2),
        _ => {
            let step = 1 << ((words - 1).ilog2() - 2);
            words.next_multiple_of(step)
        }
    };
    words * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_two_words_and_keeps_its_bytes() {
        assert_eq!(size_of::<Small>(), 16);
        for length in 0..100 {
            let bytes: Vec<u8> = (0..length).collect();
            let small = Small::new(&bytes);
            assert_eq!(small.bytes(), bytes);
            assert_eq!(small.heap_bytes() > 0, length > 14);
        }
        assert_eq!([1, 8, 9, 33, 65, 81, 129].map(allocated_bytes), [8, 8, 16, 48, 80, 96, 160]);
        assert_eq!([1025, 10_000, 524_288, 524_289].map(allocated_bytes), [1280, 10_240, 524_288, 528_384]);
    }
}
