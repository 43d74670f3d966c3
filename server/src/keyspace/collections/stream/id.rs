//! Ids of entries.

use std::fmt::{self, Display, Formatter};

/// The id of an entry: a time, and a number among the entries of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Unix time in milliseconds.
    pub ms: u64,
    /// The number.
    pub sequence: u64,
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: Self = Self { ms: 0, sequence: 0 };
    /// The last one that there is.
    pub const MAX: Self = Self { ms: u64::MAX, sequence: u64::MAX };

    /// The id `ms`-`sequence`.
    pub const fn new(ms: u64, sequence: u64) -> Self {
        Self { ms, sequence }
    }

    /// The id that follows; none after the last.
    pub fn next(self) -> Option<Self> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, sequence: 0 }),
        }
    }

    /// The id before it; none before `0-0`.
    pub fn previous(self) -> Option<Self> {
        match self.sequence.checked_sub(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, sequence: u64::MAX }),
        }
    }

    /// What is added to `self` to get `other`, as entries store it.
    pub(super) fn offset_of(self, other: Self) -> (i64, i64) {
        let offset = |from: u64, to: u64| to.wrapping_sub(from).cast_signed();
        (offset(self.ms, other.ms), offset(self.sequence, other.sequence))
    }

    /// `self` and an offset that [`StreamId::offset_of`] gave.
    pub(super) fn plus(self, (ms, sequence): (i64, i64)) -> Self {
        Self {
            ms: self.ms.wrapping_add(ms.cast_unsigned()),
            sequence: self.sequence.wrapping_add(sequence.cast_unsigned()),
        }
    }
}

impl Display for StreamId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.ms, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_over() {
        let last = StreamId::new(1, u64::MAX);
        assert_eq!(last.next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).previous(), Some(last));
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.previous()), (None, None));
        for other in [StreamId::MIN, StreamId::MAX, StreamId::new(7, u64::MAX)] {
            assert_eq!(last.plus(last.offset_of(other)), other);
        }
        assert_eq!(last.to_string(), "1-18446744073709551615");
    }
}
