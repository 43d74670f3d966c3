//! Integers as Redis reads them.

use super::CommandError;
use crate::ids::DatabaseNo;

pub use crate::decimal::parse_i64;

/// [`parse_i64`], or Redis's error.
///
/// # Errors
/// `ERR value is not an integer or out of range`
pub fn integer(text: &[u8]) -> Result<i64, CommandError> {
    parse_i64(text).ok_or(CommandError::NotInteger)
}

/// Reads a number of 32 bits, as Redis's `getIntFromObjectOrReply`.
///
/// # Errors
/// Redis's.
pub fn narrow(text: &[u8]) -> Result<i32, CommandError> {
    const RANGE: CommandError =
        CommandError::text("ERR value is out of range, value must between -2147483648 and 2147483647");
    i32::try_from(integer(text)?).map_err(|_| RANGE)
}

/// Reads the number of one of so many databases.
///
/// # Errors
/// Redis's.
pub fn database(text: &[u8], databases: u16) -> Result<DatabaseNo, CommandError> {
    let number = u16::try_from(narrow(text)?).ok().filter(|number| *number < databases);
    number.map(DatabaseNo).ok_or(CommandError::DatabaseOutOfRange)
}

/// Reads a number that is not negative, or answers with the error given: for what is no number, too.
///
/// # Errors
/// That error.
pub fn not_negative(text: &[u8], error: CommandError) -> Result<usize, CommandError> {
    parse_i64(text).and_then(|number| usize::try_from(number).ok()).ok_or(error)
}

/// The place that an index names in something of `length` elements: negative ones count from the end.
pub fn place(index: i64, length: usize) -> Option<usize> {
    let place = if index < 0 { index.checked_add_unsigned(length as u64)? } else { index };
    usize::try_from(place).ok().filter(|place| *place < length)
}

/// The places between two indexes, both included, of `length` elements, as LRANGE and ZRANGE read them.
pub fn range(start: i64, stop: i64, length: usize) -> std::ops::Range<usize> {
    let place = |index: i64| if index < 0 { index.saturating_add_unsigned(length as u64) } else { index };
    let (start, stop) = (place(start).max(0), place(stop));
    if start > stop || start >= length as i64 {
        return 0..0;
    }
    start as usize..(stop as usize).saturating_add(1).min(length)
}

/// Reads the number of keys that follow.
///
/// # Errors
/// The one given, where it is not above 0.
pub fn key_count_or(text: &[u8], error: CommandError) -> Result<usize, CommandError> {
    not_negative(text, error.clone()).and_then(|count| if count == 0 { Err(error) } else { Ok(count) })
}

/// Reads `[COUNT count]`, the end of LMPOP and ZMPOP; 1 unless it is given.
///
/// # Errors
/// Where it is not above 0, or something else stands there.
pub fn pop_count(args: larder_protocol::Args<'_>) -> Result<usize, CommandError> {
    match args.len() {
        0 => Ok(1),
        1 => Err(CommandError::Syntax),
        _ if !args[0].eq_ignore_ascii_case(b"COUNT") => Err(CommandError::Syntax),
        length => {
            let count = key_count_or(&args[1], CommandError::text("ERR count should be greater than 0"))?;
            if length > 2 { Err(CommandError::Syntax) } else { Ok(count) }
        }
    }
}

/// Reads the number of keys that follow, of at most `most` arguments.
///
/// # Errors
/// Where it is not above 0, or more than there are arguments.
pub fn key_count(text: &[u8], most: usize) -> Result<usize, CommandError> {
    const NOT_POSITIVE: CommandError = CommandError::text("ERR numkeys should be greater than 0");
    let count = parse_i64(text).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(NOT_POSITIVE)?;
    if count > most {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_printed_form_is_an_integer() {
        for text in ["", "+1", " 1", "1 ", "01", "-0", "-", "1.0", "0x1", "--1", "9223372036854775808", "1e3"] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        for text in ["-9223372036854775809", "99999999999999999999", "999999999999999999999"] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "[-+ 0-9]{0,21}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }

        #[test]
        fn what_is_printed_parses(value: i64) {
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }
    }
}
