//! Memory of a log: chunks that are used again.
//!
//! A log takes and gives back memory as fast as writes come, and its entries live for seconds. Left to the allocator, what a
//! cut frees goes back to the system before the log has grown by as much again, and every page of the log is faulted in
//! anew: that was a seventh of a cluster's CPU under pipelined writes. So a log copies short blocks, once, into chunks of
//! its own, and takes the oldest chunk again when no entry uses it any more.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 32 * 1024;
/// A longer block keeps the memory that it came with.
const COPIED_BYTES_MAX: usize = CHUNK_BYTES / 8;

/// The chunks of one log, the one used last at the back: of each the free end, which keeps the whole of it.
#[derive(Debug, Default)]
pub(super) struct Ring {
    chunks: VecDeque<BytesMut>,
}

impl Ring {
    /// Moves `block` into the ring, unless it is long.
    pub fn keep(&mut self, block: &mut Bytes) {
        if block.len() > COPIED_BYTES_MAX {
            return;
        }
        let chunk = match self.chunks.back_mut() {
            Some(chunk) if chunk.capacity() >= block.len() => chunk,
            _ => self.next_chunk(),
        };
        chunk.extend_from_slice(block);
        *block = chunk.split().freeze();
    }

    fn next_chunk(&mut self) -> &mut BytesMut {
        let oldest = self.chunks.pop_front_if(|oldest| oldest.try_reclaim(CHUNK_BYTES));
        let next = oldest.unwrap_or_else(|| BytesMut::with_capacity(CHUNK_BYTES));
        self.chunks.push_back_mut(next)
    }

    /// Frees chunks that no entry uses, the oldest first, while there are more than `bytes` in all.
    pub fn shrink(&mut self, bytes: usize) {
        while self.chunks.len() * CHUNK_BYTES > bytes
            && self.chunks.pop_front_if(|oldest| oldest.try_reclaim(CHUNK_BYTES)).is_some()
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(ring: &mut Ring, text: &[u8]) -> Bytes {
        let mut block = Bytes::copy_from_slice(text);
        ring.keep(&mut block);
        assert_eq!(block, text);
        block
    }

    #[test]
    fn what_is_let_go_in_order_is_used_again() {
        let mut ring = Ring::default();
        let mut log = VecDeque::new();
        for number in 0..100_000u32 {
            let text = number.to_le_bytes().repeat(1 + number as usize % 200);
            log.push_back((keep(&mut ring, &text), text));
            if log.len() > 300 {
                let (kept, text) = log.pop_front().unwrap();
                assert_eq!(kept, text);
            }
        }
        let live: usize = log.iter().map(|(kept, _)| kept.len()).sum();
        assert!(ring.chunks.len() * CHUNK_BYTES <= live + 3 * CHUNK_BYTES, "{} chunks", ring.chunks.len());
        assert!(log.iter().all(|(kept, text)| kept == text));
        ring.shrink(0);
        let most = live / CHUNK_BYTES + 2;
        assert!((1..=most).contains(&ring.chunks.len()));
        log.clear();
        ring.shrink(2 * CHUNK_BYTES);
        assert_eq!(ring.chunks.len(), 2);
        ring.shrink(0);
        assert_eq!(ring.chunks.len(), 0);
    }

    #[test]
    fn a_chunk_in_use_is_not_written_over() {
        let mut ring = Ring::default();
        let first = keep(&mut ring, b"first");
        let more: Vec<_> = (0..200).map(|_| keep(&mut ring, &[1; COPIED_BYTES_MAX])).collect();
        drop(more);
        for _ in 0..200 {
            keep(&mut ring, &[2; COPIED_BYTES_MAX]);
        }
        assert_eq!(first, &b"first"[..]);
    }

    #[test]
    fn long_blocks_stay_where_they_are() {
        let mut ring = Ring::default();
        let long = vec![1; COPIED_BYTES_MAX + 1];
        let mut block = Bytes::from(long);
        let place = block.as_ptr();
        ring.keep(&mut block);
        assert_eq!((block.as_ptr(), ring.chunks.len()), (place, 0));
        keep(&mut ring, b"");
    }
}
