//! Writing lengths and strings, in the spelling that Redis chooses.

use super::lzf;

/// Longest text of an integer of 32 bits.
const INTEGER_TEXT_MAX: usize = 11;
/// A string longer than this is compressed, where that makes it shorter.
const PLAIN_BYTES_MAX: usize = 20;

/// The bytes of a value, as they are written.
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins with the type byte.
    pub fn new(type_byte: u8) -> Self {
        Self { bytes: vec![type_byte] }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A length or count.
    pub fn length(&mut self, length: u64) {
        match length {
            0..0x40 => self.bytes.push(length as u8),
            0x40..0x4000 => self.bytes.extend_from_slice(&(0x4000 | length as u16).to_be_bytes()),
            _ => match u32::try_from(length) {
                Ok(length) => {
                    self.bytes.push(0x80);
                    self.bytes.extend_from_slice(&length.to_be_bytes());
                }
                Err(_) => {
                    self.bytes.push(0x81);
                    self.bytes.extend_from_slice(&length.to_be_bytes());
                }
            },
        }
    }

    /// A string: as a number of up to 32 bits, compressed, or as it is.
    pub fn string(&mut self, value: &[u8]) {
        if value.len() <= INTEGER_TEXT_MAX
            && let Some(number) = integer(value)
        {
            self.integer(number);
        } else if value.len() > PLAIN_BYTES_MAX
            && let Some(compressed) = lzf::compress(value, value.len() - 4)
        {
            self.bytes.push(0xC3);
            self.length(compressed.len() as u64);
            self.length(value.len() as u64);
            self.bytes.extend_from_slice(&compressed);
        } else {
            self.length(value.len() as u64);
            self.bytes.extend_from_slice(value);
        }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A score: eight bytes, little-endian.
    pub fn double(&mut self, score: f64) {
        self.bytes.extend_from_slice(&score.to_le_bytes());
    }

    /// A deadline: milliseconds, eight bytes, little-endian.
    pub fn milliseconds(&mut self, at: u64) {
        self.bytes.extend_from_slice(&at.to_le_bytes());
    }

    fn integer(&mut self, number: i32) {
        if let Ok(number) = i8::try_from(number) {
            self.bytes.extend_from_slice(&[0xC0, number.cast_unsigned()]);
        } else if let Ok(number) = i16::try_from(number) {
            self.bytes.push(0xC1);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        } else {
            self.bytes.push(0xC2);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The number that prints as `value`.
fn integer(value: &[u8]) -> Option<i32> {
    let number: i32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (itoa::Buffer::new().format(number).as_bytes() == value).then_some(number)
}
