//! Scores and bounds as Redis reads them.

use crate::commands::CommandError;
use crate::commands::extended::Extended;
use crate::keyspace::collections::sorted_set::{Candidate, SortedSetRef};

/// Reads a score: what `strtod` reads, all of it, but for what overflows, vanishes, or is no number.
pub(in crate::commands) fn parse(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let infinite = unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity");
    let value = read(text)?;
    let vanishes = value == 0.0 && !is_zero(unsigned);
    (!vanishes && (value.is_finite() || infinite)).then_some(value)
}

/// [`parse`], or Redis's error.
pub(in crate::commands) fn score(text: &[u8]) -> Result<f64, CommandError> {
    parse(text).ok_or(CommandError::NotFloat)
}

/// Whether no digit of the mantissa is other than 0.
fn is_zero(unsigned: &[u8]) -> bool {
    let digits = unsigned.strip_prefix(b"0x").or(unsigned.strip_prefix(b"0X"));
    let marker = if digits.is_some() { b'p' } else { b'e' };
    let mantissa = digits.unwrap_or(unsigned).split(|byte| byte.eq_ignore_ascii_case(&marker)).next();
    mantissa.is_some_and(|mantissa| mantissa.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

/// What `strtod` makes of all of `text`; no NaN.
fn read(text: &[u8]) -> Option<f64> {
    let (negative, unsigned) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if !matches!(unsigned.first()?, b'0'..=b'9' | b'.' | b'i' | b'I') {
        return None;
    }
    let value = if unsigned.len() > 2 && unsigned[..2].eq_ignore_ascii_case(b"0x") {
        Extended::parse(unsigned)?.to_f64()
    } else {
        std::str::from_utf8(unsigned).ok()?.parse::<f64>().ok()?
    };
    Some(if negative { -value } else { value })
}

/// A bound of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ScoreBound {
    value: f64,
    exclusive: bool,
}

impl ScoreBound {
    /// Reads a bound as `zslParseRange` does: `strtod` up to the end, white space before it allowed, nothing being 0.
    fn parse(text: &[u8]) -> Option<Self> {
        let (exclusive, text) = match text.strip_prefix(b"(") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        if text.is_empty() {
            return Some(Self { value: 0.0, exclusive });
        }
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
        let start = text.iter().position(|byte| !blank(byte))?;
        Some(Self { value: read(&text[start..])?, exclusive })
    }
}

/// A bound of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LexBound<'a> {
    /// `-`
    Lowest,
    /// `+`
    Highest,
    /// `[text`
    Inclusive(&'a [u8]),
    /// `(text`
    Exclusive(&'a [u8]),
}

impl<'a> LexBound<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::Lowest),
            b"+" => Some(Self::Highest),
            [b'[', rest @ ..] => Some(Self::Inclusive(rest)),
            [b'(', rest @ ..] => Some(Self::Exclusive(rest)),
            _ => None,
        }
    }
}

/// Members between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Span<'a> {
    /// By score.
    Score(ScoreBound, ScoreBound),
    /// By bytes, where scores are equal.
    Lex(LexBound<'a>, LexBound<'a>),
}

impl<'a> Span<'a> {
    /// Reads bounds of scores.
    pub(super) fn scores(low: &[u8], high: &[u8]) -> Result<Self, CommandError> {
        const ERROR: CommandError = CommandError::text("ERR min or max is not a float");
        let (low, high) = (ScoreBound::parse(low).ok_or(ERROR)?, ScoreBound::parse(high).ok_or(ERROR)?);
        Ok(Self::Score(low, high))
    }

    /// Reads bounds of members.
    pub(super) fn members(low: &'a [u8], high: &'a [u8]) -> Result<Self, CommandError> {
        const ERROR: CommandError = CommandError::text("ERR min or max not valid string range item");
        let (low, high) = (LexBound::parse(low).ok_or(ERROR)?, LexBound::parse(high).ok_or(ERROR)?);
        Ok(Self::Lex(low, high))
    }

    /// Whether a member lies before the lower bound.
    pub(super) fn is_below(&self, score: f64, member: Candidate<'_>) -> bool {
        match self {
            Self::Score(low, _) => score < low.value || (low.exclusive && score == low.value),
            Self::Lex(low, _) => match low {
                LexBound::Lowest => false,
                LexBound::Highest => true,
                LexBound::Inclusive(bound) => member.bytes() < *bound,
                LexBound::Exclusive(bound) => member.bytes() <= *bound,
            },
        }
    }

    /// Whether a member lies at or before the upper bound.
    pub(super) fn is_not_above(&self, score: f64, member: Candidate<'_>) -> bool {
        match self {
            Self::Score(_, high) => score < high.value || (!high.exclusive && score == high.value),
            Self::Lex(_, high) => match high {
                LexBound::Lowest => false,
                LexBound::Highest => true,
                LexBound::Inclusive(bound) => member.bytes() <= *bound,
                LexBound::Exclusive(bound) => member.bytes() < *bound,
            },
        }
    }

    /// The ranks of the members between the bounds.
    pub(super) fn ranks(&self, set: SortedSetRef<'_>) -> std::ops::Range<usize> {
        let start = set.count_before(&|score, member| self.is_below(score, member));
        let end = set.count_before(&|score, member| self.is_not_above(score, member));
        start..end.max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_what_strtod_reads() {
        for (text, value) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x10", 16.0),
            ("-0x1p-1", -0.5),
            ("0e99999", 0.0),
            ("9223372036854775807", 9_223_372_036_854_775_807.0),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", " 1", "1 ", "nan", "-nan", "1e5000", "1e-5000", "x", "1x", "e5", "0x", "--1", "+-1"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_read_more_freely() {
        let bound = |text: &str| ScoreBound::parse(text.as_bytes()).map(|bound| (bound.value, bound.exclusive));
        assert_eq!(bound("(1"), Some((1.0, true)));
        assert_eq!(bound(" 1"), Some((1.0, false)));
        assert_eq!(bound(""), Some((0.0, false)));
        assert_eq!(bound("("), Some((0.0, true)));
        assert_eq!(bound("1e5000"), Some((f64::INFINITY, false)));
        assert_eq!([bound("nan"), bound("((1"), bound("1 "), bound("[1"), bound(" ")], [None; 5]);
        assert_eq!(LexBound::parse(b"+x"), None);
        assert_eq!(LexBound::parse(b"["), Some(LexBound::Inclusive(b"")));
    }
}
