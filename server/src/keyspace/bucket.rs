//! One cache line of the table: twelve references with a tag each.

use super::arena::{NIL, Ref};

/// References in a bucket.
pub(super) const SLOTS: usize = 12;

const TAGS_MASK: u128 = (1 << (8 * SLOTS)) - 1;
const LOW_BITS: u128 = u128::from_ne_bytes([0x01; 16]);
const HIGH_BITS: u128 = u128::from_ne_bytes([0x80; 16]);

/// The part of a hash that is kept beside the reference, so that items of other keys are hardly ever looked at. Never
/// 0, which marks an empty slot. From the lowest bits: the upper ones chose the bucket.
#[inline]
pub(super) fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

/// Tags, then how many items passed this bucket by because it was full, then references.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Bucket {
    control: [u8; 16],
    refs: [Ref; SLOTS],
}

/// Slots that may hold what was looked for.
pub(super) struct Candidates(u128);

impl Iterator for Candidates {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize / 8;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// Marks the bytes that are zero; a byte after one that is zero may be marked wrongly.
#[inline]
fn zero_bytes(bytes: u128) -> u128 {
    bytes.wrapping_sub(LOW_BITS) & !bytes & HIGH_BITS & TAGS_MASK
}

impl Bucket {
    pub(super) const EMPTY: Self = Self { control: [0; 16], refs: [NIL; SLOTS] };

    /// The slots with this tag, and perhaps a few others: the caller compares keys anyway.
    #[inline]
    pub(super) fn candidates(&self, tag: u8) -> Candidates {
        Candidates(zero_bytes(u128::from_le_bytes(self.control) ^ (u128::from(tag) * LOW_BITS)))
    }

    /// The first empty slot.
    pub(super) fn vacant(&self) -> Option<usize> {
        Candidates(zero_bytes(u128::from_le_bytes(self.control))).next()
    }

    #[inline]
    pub(super) fn at(&self, slot: usize) -> Ref {
        self.refs[slot]
    }

    pub(super) fn put(&mut self, slot: usize, tag: u8, at: Ref) {
        self.control[slot] = tag;
        self.refs[slot] = at;
    }

    pub(super) fn replace(&mut self, slot: usize, at: Ref) {
        self.refs[slot] = at;
    }

    pub(super) fn clear(&mut self, slot: usize) {
        self.put(slot, 0, NIL);
    }

    /// Its items.
    pub(super) fn items(&self) -> impl Iterator<Item = Ref> + '_ {
        self.refs.iter().zip(&self.control).filter(|(_, tag)| **tag != 0).map(|(at, _)| *at)
    }

    /// How many items were put into a later bucket because this one was full.
    #[inline]
    pub(super) fn passed_by(&self) -> u32 {
        u32::from_le_bytes([self.control[12], self.control[13], self.control[14], self.control[15]])
    }

    pub(super) fn set_passed_by(&mut self, count: u32) {
        self.control[12..].copy_from_slice(&count.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn a_tag_is_found_wherever_it_is() {
        for wanted in 1..=255u8 {
            for other in [1, 2, 127, 128, 254, 255] {
                let mut bucket = Bucket::EMPTY;
                for slot in 0..SLOTS {
                    assert_eq!(bucket.vacant(), Some(slot));
                    bucket.put(slot, other, slot as u32);
                }
                assert_eq!(bucket.vacant(), None);
                bucket.set_passed_by(u32::from(wanted) * 0x0101_0101);
                for slot in 0..SLOTS {
                    bucket.put(slot, wanted, 99);
                    assert!(bucket.candidates(wanted).any(|found| found == slot));
                    assert!(bucket.candidates(wanted).all(|found| found < SLOTS));
                    bucket.put(slot, other, slot as u32);
                }
            }
        }
    }
}
