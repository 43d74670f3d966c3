//! Integers of any width at any bit of a string.

use crate::commands::{CommandError, number};

const INVALID: CommandError = CommandError::text(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

/// The type of a field: `i1` to `i64`, `u1` to `u63`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldType {
    signed: bool,
    /// Bits.
    pub(super) width: u32,
}

/// What happens to a number that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    /// Its lower bits are kept.
    Wrap,
    /// It becomes the nearest one that fits.
    Saturate,
    /// Nothing is stored.
    Fail,
}

impl Overflow {
    /// WRAP, SAT or FAIL.
    ///
    /// # Errors
    /// `ERR Invalid OVERFLOW type specified`
    pub(super) fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let named: [(&[u8], Self); 3] = [(b"WRAP", Self::Wrap), (b"SAT", Self::Saturate), (b"FAIL", Self::Fail)];
        let found = named.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        found.map(|(_, overflow)| *overflow).ok_or(CommandError::text("ERR Invalid OVERFLOW type specified"))
    }
}

impl FieldType {
    /// A letter and a width.
    ///
    /// # Errors
    /// `ERR Invalid bitfield type...`
    pub(super) fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let (signed, width) = match word.split_first() {
            Some((b'i', width)) => (true, width),
            Some((b'u', width)) => (false, width),
            _ => return Err(INVALID),
        };
        let width = number::parse_i64(width).and_then(|width| u32::try_from(width).ok());
        let width_max = if signed { 64 } else { 63 };
        let width = width.filter(|width| (1..=width_max).contains(width)).ok_or(INVALID)?;
        Ok(Self { signed, width })
    }

    fn min(self) -> i128 {
        if self.signed { -(1 << (self.width - 1)) } else { 0 }
    }

    fn max(self) -> i128 {
        let bits = if self.signed { self.width - 1 } else { self.width };
        (1 << bits) - 1
    }

    /// The number that a client gave to SET, as this type sees it: to an unsigned type a negative one is huge. So is one
    /// to a signed type whose distance from the greatest number leaves 64 bits, since it wraps in Redis: SAT makes it the
    /// greatest.
    pub(super) fn given(self, number: i64) -> i128 {
        let (number, bits) = (i128::from(number), i128::from(number.cast_unsigned()));
        let wraps = self.width < 64 && self.max() - number > i128::from(i64::MAX);
        if self.signed && !wraps { number } else { bits }
    }

    /// `number` where it fits, else what `overflow` makes of it.
    pub(super) fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let fitting = number.clamp(self.min(), self.max());
        let fitting = match overflow {
            _ if fitting == number => number,
            Overflow::Wrap => self.spelled_by(number as u64),
            Overflow::Saturate => fitting,
            Overflow::Fail => return None,
        };
        Some(fitting as i64)
    }

    /// The number that the lower bits spell.
    fn spelled_by(self, bits: u64) -> i128 {
        let unused = 64 - self.width;
        if self.signed {
            i128::from((bits << unused).cast_signed() >> unused)
        } else {
            i128::from(bits << unused >> unused)
        }
    }

    /// The number at the bit `offset` of `bytes`, which go on with zeros.
    pub(super) fn read(self, bytes: &[u8], offset: u64) -> i64 {
        let at = (offset / 8) as usize;
        let mut window = [0; 16];
        let there = bytes.get(at..).unwrap_or_default();
        let there = &there[..there.len().min(WINDOW_BYTES)];
        window[..there.len()].copy_from_slice(there);
        let shift = 128 - (offset % 8) as u32 - self.width;
        self.spelled_by((u128::from_be_bytes(window) >> shift) as u64) as i64
    }

    /// Writes a number that fits at the bit `offset` of `bytes`, where there is room for it.
    pub(super) fn write(self, bytes: &mut [u8], offset: u64, number: i64) {
        let at = (offset / 8) as usize;
        let end = (at + WINDOW_BYTES).min(bytes.len());
        let mut window = [0; 16];
        window[..end - at].copy_from_slice(&bytes[at..end]);
        let shift = 128 - (offset % 8) as u32 - self.width;
        let mask = (u128::MAX >> (128 - self.width)) << shift;
        let number = (number.cast_unsigned() as u128) << shift & mask;
        window = (u128::from_be_bytes(window) & !mask | number).to_be_bytes();
        bytes[at..end].copy_from_slice(&window[..end - at]);
    }
}

/// Bytes that a field may touch: 64 bits that begin within a byte.
const WINDOW_BYTES: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn types_have_their_limits() {
        for text in ["u0", "u64", "i0", "i65", "u-1", "x8", "8", "", "u", "U8", "i08", "u8 "] {
            assert_eq!(FieldType::parse(text.as_bytes()), Err(INVALID), "{text}");
        }
        let i64_ = FieldType::parse(b"i64").unwrap();
        assert_eq!((i64_.min(), i64_.max()), (i128::from(i64::MIN), i128::from(i64::MAX)));
        let u8_ = FieldType::parse(b"u8").unwrap();
        assert_eq!(u8_.fit(u8_.given(-1), Overflow::Saturate), Some(255));
        assert_eq!(u8_.fit(-1, Overflow::Saturate), Some(0));
        assert_eq!(u8_.fit(257, Overflow::Wrap), Some(1));
        assert_eq!(u8_.fit(256, Overflow::Fail), None);
        let i5 = FieldType::parse(b"i5").unwrap();
        assert_eq!(i5.fit(16, Overflow::Wrap), Some(-16));
        assert_eq!(i5.fit(-17, Overflow::Saturate), Some(-16));
        assert_eq!(i5.fit(i5.given(i64::MIN), Overflow::Saturate), Some(15));
        assert_eq!(i5.fit(i5.given(i64::MIN), Overflow::Wrap), Some(0));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else_changes(
            signed: bool, width in 1u32..=64, offset in 0u64..100, number: i64,
            before in prop::collection::vec(any::<u8>(), 21),
        ) {
            let width = if signed { width } else { width.min(63) };
            let field = FieldType { signed, width };
            let number = field.fit(field.given(number), Overflow::Wrap).unwrap();
            let mut bytes = before.clone();
            field.write(&mut bytes, offset, number);
            prop_assert_eq!(field.read(&bytes, offset), number);
            let bit = |bytes: &[u8], at: u64| bytes[at as usize / 8] >> (7 - at % 8) & 1;
            for at in (0..168).filter(|at| !(offset..offset + u64::from(width)).contains(at)) {
                prop_assert_eq!(bit(&bytes, at), bit(&before, at));
            }
        }
    }
}
