//! Integers as Redis reads them.

use super::CommandError;

pub use crate::decimal::parse_i64;

/// [`parse_i64`], or Redis's error.
///
/// # Errors
/// `ERR value is not an integer or out of range`
pub fn integer(text: &[u8]) -> Result<i64, CommandError> {
    parse_i64(text).ok_or(CommandError::NotInteger)
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
