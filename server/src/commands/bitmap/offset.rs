//! Positions of bits, as clients write them.

use crate::commands::{CommandError, number};

const OUT_OF_RANGE: CommandError = CommandError::text("ERR bit offset is not an integer or out of range");

/// The position of a bit: within the longest string that may be made, of `most` bytes, so below 2^32.
///
/// # Errors
/// `ERR bit offset is not an integer or out of range`
pub(super) fn bit_offset(text: &[u8], most: u32) -> Result<u64, CommandError> {
    in_range(number::parse_i64(text), most)
}

/// The position of a field of `width` bits: a bit's, or `#n` for the n-th field of that width.
///
/// # Errors
/// As [`bit_offset`].
pub(super) fn field_offset(text: &[u8], width: u32, most: u32) -> Result<u64, CommandError> {
    match text.strip_prefix(b"#") {
        // A product that leaves 64 bits wraps in Redis, and may so hit a wrong field.
        Some(index) => in_range(number::parse_i64(index).and_then(|index| index.checked_mul(i64::from(width))), most),
        None => bit_offset(text, most),
    }
}

fn in_range(offset: Option<i64>, most: u32) -> Result<u64, CommandError> {
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| offset >> 3 < u64::from(most)).ok_or(OUT_OF_RANGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::collections::limits::Limits;

    const MOST: u32 = Limits::DEFAULT.string_bytes;

    #[test]
    fn offsets_end_where_strings_do() {
        assert_eq!(bit_offset(b"0", MOST), Ok(0));
        assert_eq!(bit_offset(b"4294967295", MOST), Ok(u64::from(u32::MAX)));
        for text in ["4294967296", "-1", "", "x", "1.0", "#1", "9223372036854775808"] {
            assert_eq!(bit_offset(text.as_bytes(), MOST), Err(OUT_OF_RANGE), "{text}");
        }
        assert_eq!(field_offset(b"7", 5, MOST), Ok(7));
        assert_eq!(field_offset(b"#7", 5, MOST), Ok(35));
        for text in ["#", "#-1", "#858993460", "#2305843009213693952", "##1"] {
            assert_eq!(field_offset(text.as_bytes(), 8, MOST), Err(OUT_OF_RANGE), "{text}");
        }
    }
}
