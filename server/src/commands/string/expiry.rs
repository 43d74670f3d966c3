//! The options that SET, GETEX and their older kin share: deadlines.

use crate::clock::UnixMs;
use crate::commands::{CommandError, number};

/// How a deadline is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry<'a> {
    /// EX: seconds from now.
    Seconds(&'a [u8]),
    /// PX: milliseconds from now.
    Milliseconds(&'a [u8]),
    /// EXAT: seconds since 1970.
    AtSeconds(&'a [u8]),
    /// PXAT: milliseconds since 1970.
    AtMilliseconds(&'a [u8]),
}

/// What the four options have in common, their argument left out.
type Wrap<'a> = fn(&'a [u8]) -> Expiry<'a>;

impl<'a> Expiry<'a> {
    /// Takes EX, PX, EXAT or PXAT with its argument. An option may follow another only if it is the same one, and then
    /// replaces it.
    ///
    /// # Errors
    /// `ERR syntax error` for any other word, a missing argument, or another option before.
    pub fn parse(option: &[u8], argument: Option<&'a [u8]>, before: Option<Self>) -> Result<Self, CommandError> {
        let options: [(&[u8], Wrap<'a>); 4] = [
            (b"EX", Self::Seconds),
            (b"PX", Self::Milliseconds),
            (b"EXAT", Self::AtSeconds),
            (b"PXAT", Self::AtMilliseconds),
        ];
        let wrap = options.iter().find(|(name, _)| option.eq_ignore_ascii_case(name));
        let (Some((_, wrap)), Some(argument)) = (wrap, argument) else { return Err(CommandError::Syntax) };
        let expiry = wrap(argument);
        match before {
            Some(before) if std::mem::discriminant(&before) != std::mem::discriminant(&expiry) => {
                Err(CommandError::Syntax)
            }
            _ => Ok(expiry),
        }
    }

    /// The deadline, absolute. It may lie in the past only for EXAT and PXAT.
    ///
    /// # Errors
    /// `ERR value is not an integer or out of range`; `ERR invalid expire time in '<command>' command` for what is not
    /// above zero, or does not fit.
    pub fn deadline(self, now: UnixMs, command: &'static str) -> Result<UnixMs, CommandError> {
        let (text, unit, base) = match self {
            Self::Seconds(text) => (text, 1000, now),
            Self::Milliseconds(text) => (text, 1, now),
            Self::AtSeconds(text) => (text, 1000, 0),
            Self::AtMilliseconds(text) => (text, 1, 0),
        };
        let value = number::integer(text)?;
        (value > 0)
            .then_some(value)
            .and_then(|value| value.checked_mul(unit)?.checked_add_unsigned(base))
            .map(i64::cast_unsigned)
            .ok_or(CommandError::InvalidExpire(command))
    }
}
