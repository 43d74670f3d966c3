//! Integers in the one form that Redis reads and prints.

/// Longest text of a 64-bit integer, sign included.
const TEXT_BYTES_MAX: usize = 20;

/// Reads a 64-bit integer in the one form that Redis accepts and prints (`string2ll`): no leading `+`, zeros or
/// spaces, and no `-0`. So a text that parses is exactly what the number prints as, which is why such a value may be
/// called an `int` (OBJECT ENCODING), and why collections may hold the number instead.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if text == b"0" {
        return Some(0);
    }
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let mut magnitude = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}
