//! Counting and finding bits, eight bytes at a time.

use crate::commands::{CommandError, number};
use std::ops::Range;

/// Unit of the numbers of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes.
    Byte,
    /// Bits.
    Bit,
}

impl Unit {
    /// BYTE or BIT.
    ///
    /// # Errors
    /// `ERR syntax error`
    pub(super) fn parse(word: &[u8]) -> Result<Self, CommandError> {
        if word.eq_ignore_ascii_case(b"BIT") {
            Ok(Self::Bit)
        } else if word.eq_ignore_ascii_case(b"BYTE") {
            Ok(Self::Byte)
        } else {
            Err(CommandError::Syntax)
        }
    }
}

/// A range as a client gives it: both ends included, each from the end of the string if negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitRange {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) unit: Unit,
}

impl BitRange {
    /// Start and end, in bytes unless `unit` says otherwise.
    ///
    /// # Errors
    /// As for [`number::integer`] and [`Unit::parse`], in the order in which Redis looks.
    pub(super) fn parse(start: &[u8], end: &[u8], unit: Option<&[u8]>) -> Result<Self, CommandError> {
        let (start, end) = (number::integer(start)?, number::integer(end)?);
        Ok(Self { start, end, unit: unit.map_or(Ok(Unit::Byte), Unit::parse)? })
    }

    /// The bits that it means in a string of `length` bytes.
    pub(super) fn bits(self, length: usize) -> Range<u64> {
        let bytes = length as u64;
        let (total, bits) = match self.unit {
            Unit::Byte => (bytes, 8),
            Unit::Bit => (bytes * 8, 1),
        };
        let absolute = |at: i64| if at < 0 { total.saturating_sub(at.unsigned_abs()) } else { at.unsigned_abs() };
        if total == 0 {
            return 0..0;
        }
        let (start, end) = (absolute(self.start), absolute(self.end).min(total - 1));
        if start > end { 0..0 } else { start * bits..(end + 1) * bits }
    }
}

/// How many bits of `bytes` are set.
fn count_all(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // Inner sums fit 32 bits, which vectorizes.
    let words: u64 = words
        .chunks(1 << 20)
        .map(|words| u64::from(words.iter().map(|word| u64::from_ne_bytes(*word).count_ones()).sum::<u32>()))
        .sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// How many of the bits in `range`, which lies within `bytes`, are set.
pub(super) fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let mut count = count_all(&bytes[first..=last]);
    // What the first and the last byte have outside of the range.
    count -= u64::from((bytes[first] & !(0xFF >> (range.start % 8))).count_ones());
    let spare = (8 - range.end % 8) % 8;
    count -= u64::from((bytes[last] & !(0xFFu16 << spare) as u8).count_ones());
    count
}

/// The first bit in `range`, which lies within `bytes`, that is `set` or not.
pub(super) fn find(bytes: &[u8], range: Range<u64>, set: bool) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    // With `flip` the bit looked for is always a one.
    let flip = if set { 0 } else { u64::MAX };
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let head = (bytes[first] ^ flip as u8) & (0xFF >> (range.start % 8));
    let found = if head != 0 {
        first as u64 * 8 + u64::from(head.leading_zeros())
    } else {
        let from = first + 1;
        let rest = bytes.get(from..=last)?;
        let (words, tail) = rest.as_chunks::<8>();
        let word = words.iter().position(|word| u64::from_ne_bytes(*word) != flip);
        let at = from + 8 * word.unwrap_or(words.len());
        let in_tail = if word.is_some() { &rest[at - from..at - from + 8] } else { tail };
        let byte = in_tail.iter().position(|byte| *byte != flip as u8)?;
        (at + byte) as u64 * 8 + u64::from((in_tail[byte] ^ flip as u8).leading_zeros())
    };
    (found < range.end).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes[at as usize / 8] >> (7 - at % 8) & 1 == 1
    }

    proptest! {
        #[test]
        fn words_and_bits_agree(
            bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 3 => Just(255u8), 1 => any::<u8>()], 0..80),
            ends in (any::<u16>(), any::<u16>()),
        ) {
            let bits = bytes.len() as u64 * 8;
            let (start, end) = (u64::from(ends.0) % (bits + 1), u64::from(ends.1) % (bits + 1));
            let range = start.min(end)..start.max(end);
            let ones = range.clone().filter(|at| bit(&bytes, *at)).count();
            prop_assert_eq!(count(&bytes, range.clone()), ones as u64);
            for set in [false, true] {
                prop_assert_eq!(find(&bytes, range.clone(), set), range.clone().find(|at| bit(&bytes, *at) == set));
            }
        }
    }

    #[test]
    fn ranges_are_cut_to_the_string() {
        let bits = |start, end, unit| BitRange { start, end, unit }.bits(2);
        assert_eq!(bits(0, -1, Unit::Byte), 0..16);
        assert_eq!(bits(-1, 100, Unit::Byte), 8..16);
        assert_eq!(bits(5, -2, Unit::Bit), 5..15);
        assert_eq!(bits(i64::MIN, i64::MAX, Unit::Bit), 0..16);
        assert_eq!(bits(0, -100, Unit::Bit), 0..1);
        assert!(bits(2, 1, Unit::Byte).is_empty() && bits(2, 5, Unit::Byte).is_empty());
        assert!(BitRange { start: 0, end: -1, unit: Unit::Byte }.bits(0).is_empty());
    }
}
