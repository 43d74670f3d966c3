//! Asking for memory before it is needed.
//!
//! Nearly all the time of a lookup among a million keys is waiting for memory: the bucket, then the chunk. Commands of a
//! batch are known before the first one runs, so that all of them can wait at once (`dispatch::ahead`). Loads will not do:
//! the atomic that takes a partition's lock waits for those before it, but not for prefetches.

/// Cache lines that are asked for at most: an item of 16 + 64 bytes, and some more.
const LINES_MAX: usize = 4;
const LINE_BYTES: usize = 64;

/// Asks for the cache lines of `bytes`, the first few of them. Changes nothing that can be observed but time.
#[inline]
pub(in crate::keyspace) fn prefetch(bytes: &[u8]) {
    for line in bytes.chunks(LINE_BYTES).take(LINES_MAX) {
        prefetch_line(&line[0]);
    }
    if let Some(last) = bytes.get(..LINES_MAX * LINE_BYTES).unwrap_or(bytes).last() {
        prefetch_line(last);
    }
}

/// Asks for the cache line that a value begins in.
#[inline]
pub(in crate::keyspace) fn prefetch_line<T>(value: &T) {
    prefetch_address(value);
}

/// Asks for the cache line of an address.
#[inline]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a prefetch reads nothing")]
pub(in crate::keyspace) fn prefetch_address<T>(address: *const T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is a hint that never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// Does nothing here: the twin of the hint, for machines whose prefetch has no stable name.
#[inline]
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::keyspace) fn prefetch_address<T>(_address: *const T) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_fine() {
        for length in [0, 1, 63, 64, 65, 255, 256, 257, 4096] {
            prefetch(&vec![7; length]);
        }
        prefetch_line(&());
    }
}
