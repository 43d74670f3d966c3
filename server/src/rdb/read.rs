//! Reading lengths and strings.

use super::{Malformed, lzf};
use std::borrow::Cow;

/// A place in the bytes of a value.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// A length, or the kind of a special string.
enum Length {
    Is(u64),
    Special(u8),
}

impl<'a> Reader<'a> {
    /// From the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte.
    ///
    /// # Errors
    /// At the end.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next bytes.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn bytes(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A score: eight bytes, little-endian.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn double(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_le_bytes)
    }

    /// A score as text, with a length of one byte; three lengths stand for what is no number, and the infinite ones.
    ///
    /// # Errors
    /// Where there is none.
    pub fn double_text(&mut self) -> Result<f64, Malformed> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Ok(f64::NAN),
            length => {
                let text = std::str::from_utf8(self.bytes(u64::from(length))?).map_err(|_| Malformed)?;
                text.parse().map_err(|_| Malformed)
            }
        }
    }

    /// A deadline: milliseconds, eight bytes, little-endian.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn milliseconds(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn length_or_special(&mut self) -> Result<Length, Malformed> {
        let first = self.byte()?;
        Ok(Length::Is(match (first >> 6, first) {
            (0, _) => u64::from(first),
            (1, _) => u64::from(u16::from_be_bytes([first & 0x3F, self.byte()?])),
            (2, 0x80) => u64::from(u32::from_be_bytes(self.array()?)),
            (2, 0x81) => u64::from_be_bytes(self.array()?),
            (3, _) => return Ok(Length::Special(first & 0x3F)),
            _ => return Err(Malformed),
        }))
    }

    /// A length or count. Reserve nothing for it before the elements are there.
    ///
    /// # Errors
    /// Where there is none.
    pub fn length(&mut self) -> Result<u64, Malformed> {
        match self.length_or_special()? {
            Length::Is(length) => Ok(length),
            Length::Special(_) => Err(Malformed),
        }
    }

    /// A string, in any of its spellings.
    ///
    /// # Errors
    /// Where there is none, or not all of it.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let number = match self.length_or_special()? {
            Length::Is(length) => return self.bytes(length).map(Cow::Borrowed),
            Length::Special(0) => i64::from(i8::from_le_bytes(self.array()?)),
            Length::Special(1) => i64::from(i16::from_le_bytes(self.array()?)),
            Length::Special(2) => i64::from(i32::from_le_bytes(self.array()?)),
            Length::Special(3) => {
                let (compressed, length) = (self.length()?, self.length()?);
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                return lzf::decompress(self.bytes(compressed)?, length).map(Cow::Owned);
            }
            Length::Special(_) => return Err(Malformed),
        };
        Ok(Cow::Owned(itoa::Buffer::new().format(number).as_bytes().to_vec()))
    }
}
