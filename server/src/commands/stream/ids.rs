//! Ids as commands spell them.

use crate::commands::CommandError;
use crate::decimal::parse_i64;
use crate::keyspace::collections::stream::StreamId;
use larder_protocol::ReplyBuffer;

const INVALID_ID: CommandError = CommandError::text("ERR Invalid stream ID specified as stream command argument");
const INVALID_START: CommandError = CommandError::text("ERR invalid start ID for the interval");
const INVALID_END: CommandError = CommandError::text("ERR invalid end ID for the interval");

/// Longest text that is looked at.
const TEXT_BYTES_MAX: usize = 127;

/// A number as Redis's `string2ull` reads it: in the form that integers are printed in, or what C's `strtoull` takes
/// whole: spaces in front, a sign, zeros.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_i64(text) {
        return u64::try_from(number).ok();
    }
    let rest = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')).map(|at| &text[at..])?;
    let (negative, digits) = match rest.split_first()? {
        (b'-', digits) => (true, digits),
        (b'+', digits) => (false, digits),
        _ => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    Some(if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// The text up to the first zero byte, where C ends it.
fn text_of(argument: &[u8]) -> Result<&[u8], CommandError> {
    if argument.len() > TEXT_BYTES_MAX {
        return Err(INVALID_ID);
    }
    Ok(argument.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// The id of an entry that XADD adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`
    Next,
    /// `ms-*`
    NextOf(u64),
    /// `ms-sequence`, or `ms`
    Given(StreamId),
}

/// Reads the id of a new entry, `*` excepted.
pub(super) fn new_id(argument: &[u8]) -> Result<NewId, CommandError> {
    let text = text_of(argument)?;
    match text.iter().position(|byte| *byte == b'-') {
        Some(at) if text[at + 1..] == *b"*" => number(&text[..at]).map(NewId::NextOf).ok_or(INVALID_ID),
        _ => strict(argument, 0).map(NewId::Given),
    }
}

/// Reads `ms-sequence`; where the second is left out, it is `missing`.
pub(super) fn strict(argument: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    let text = text_of(argument)?;
    let id = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => number(&text[..at]).zip(number(&text[at + 1..])),
        None => number(text).map(|ms| (ms, missing)),
    };
    id.map(|(ms, sequence)| StreamId::new(ms, sequence)).ok_or(INVALID_ID)
}

/// Like [`strict`], and `-` and `+` are the first id and the last.
pub(super) fn any(argument: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    match text_of(argument)? {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict(argument, missing),
    }
}

/// Reads the start of an interval, from which `(` excludes the id behind it.
pub(super) fn start(argument: &[u8]) -> Result<StreamId, CommandError> {
    match argument.split_first() {
        Some((b'(', id)) if !id.is_empty() => strict(id, 0)?.next().ok_or(INVALID_START),
        _ => any(argument, 0),
    }
}

/// Reads the end of an interval.
pub(super) fn end(argument: &[u8]) -> Result<StreamId, CommandError> {
    match argument.split_first() {
        Some((b'(', id)) if !id.is_empty() => strict(id, u64::MAX)?.previous().ok_or(INVALID_END),
        _ => any(argument, u64::MAX),
    }
}

/// Answers with an id.
pub(super) fn reply_id(reply: &mut ReplyBuffer, id: StreamId) {
    let mut text = smallvec::SmallVec::<[u8; 41]>::new();
    text.extend_from_slice(itoa::Buffer::new().format(id.ms).as_bytes());
    text.push(b'-');
    text.extend_from_slice(itoa::Buffer::new().format(id.sequence).as_bytes());
    reply.bulk(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, id) in [
            ("5", Some((5, 9))),
            ("5-6", Some((5, 6))),
            ("007-+8", Some((7, 8))),
            (" 1- 2", Some((1, 2))),
            ("1--0", Some((1, 0))),
            ("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX))),
            ("1- -1", Some((1, u64::MAX))),
            ("18446744073709551616", None),
            ("1--1", None),
            ("-1", None),
            ("1-", None),
            ("", None),
            (" ", None),
            ("1 -2", None),
            ("1-2-3", None),
            ("1-*", None),
            ("x", None),
            ("-", None),
            ("+", None),
        ] {
            assert_eq!(strict(text.as_bytes(), 9).ok().map(|id| (id.ms, id.sequence)), id, "{text}");
        }
        assert_eq!((any(b"-", 9), any(b"+", 9)), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
        assert_eq!(new_id(b"7-*"), Ok(NewId::NextOf(7)));
        assert_eq!(new_id(b"-*"), Err(INVALID_ID));
        assert_eq!((start(b"(5"), end(b"(5-0")), (Ok(StreamId::new(5, 1)), Ok(StreamId::new(4, u64::MAX))));
        assert_eq!((start(b"(-"), end(b"(0-0")), (Err(INVALID_ID), Err(INVALID_END)));
        assert_eq!(start(b"(18446744073709551615-18446744073709551615"), Err(INVALID_START));
    }
}
