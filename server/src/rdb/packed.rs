//! Redis's packed encodings of small collections, as they lie in payloads: listpacks and intsets. Read only.
//!
//! ```text
//! listpack   bytes (u32)   elements (u16)   element, length of it backwards ...   0xFF
//! intset     width (u32: 2, 4 or 8)   elements (u32)   integers of that width, little-endian
//! ```

use super::{Malformed, Reader};
use std::borrow::Cow;

/// Elements of a listpack or an intset. Memory is in proportion to the bytes.
pub type Elements<'a> = Vec<Cow<'a, [u8]>>;

const END: u8 = 0xFF;
/// Element counts that do not fit are written as this.
const MANY: u16 = u16::MAX;

/// The elements of a listpack.
///
/// # Errors
/// Where the bytes are not exactly one listpack.
pub fn listpack(bytes: &[u8]) -> Result<Elements<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let total = u32::from_le_bytes(reader.array()?);
    let count = u16::from_le_bytes(reader.array()?);
    if u32::try_from(bytes.len()) != Ok(total) {
        return Err(Malformed);
    }
    let mut elements = Vec::new();
    loop {
        let before = reader.rest().len();
        let first = reader.byte()?;
        if first == END {
            break;
        }
        let element = element(&mut reader, first)?;
        let length = before - reader.rest().len();
        reader.bytes(backward_length_bytes(length))?;
        elements.push(element);
    }
    let counted = count == MANY || elements.len() == usize::from(count);
    if counted && reader.rest().is_empty() { Ok(elements) } else { Err(Malformed) }
}

/// A listpack of so many entries, which are Redis's already.
pub fn frame(count: usize, entries: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: usize = 6;
    let total = (HEADER_BYTES + entries.len() + 1) as u32;
    let count = u16::try_from(count).unwrap_or(MANY);
    [&total.to_le_bytes()[..], &count.to_le_bytes(), entries, &[END]].concat()
}

fn element<'a>(reader: &mut Reader<'a>, first: u8) -> Result<Cow<'a, [u8]>, Malformed> {
    let number = match first {
        0x00..=0x7F => i64::from(first),
        0x80..=0xBF => return reader.bytes(u64::from(first & 0x3F)).map(Cow::Borrowed),
        0xC0..=0xDF => {
            // Thirteen bits with a sign.
            let bits = u16::from_be_bytes([first & 0x1F, reader.byte()?]);
            i64::from((bits << 3).cast_signed() >> 3)
        }
        0xE0..=0xEF => {
            let length = u16::from_be_bytes([first & 0x0F, reader.byte()?]);
            return reader.bytes(u64::from(length)).map(Cow::Borrowed);
        }
        0xF0 => {
            let length = u32::from_le_bytes(reader.array()?);
            return reader.bytes(u64::from(length)).map(Cow::Borrowed);
        }
        0xF1 => i64::from(i16::from_le_bytes(reader.array()?)),
        0xF2 => {
            let [low, middle, high] = reader.array()?;
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        0xF3 => i64::from(i32::from_le_bytes(reader.array()?)),
        0xF4 => i64::from_le_bytes(reader.array()?),
        _ => return Err(Malformed),
    };
    Ok(text(number))
}

/// In how many bytes the length of an element stands behind it.
fn backward_length_bytes(length: usize) -> u64 {
    match length {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// The members of an intset.
///
/// # Errors
/// Where the bytes are not exactly one intset, ascending as Redis keeps it.
pub fn intset(bytes: &[u8]) -> Result<Elements<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let width = u32::from_le_bytes(reader.array()?);
    let count = u32::from_le_bytes(reader.array()?);
    if ![2, 4, 8].contains(&width) || u64::from(width) * u64::from(count) != reader.rest().len() as u64 {
        return Err(Malformed);
    }
    let mut elements = Vec::with_capacity(count as usize);
    let mut last = None;
    for _ in 0..count {
        let number = match width {
            2 => i64::from(i16::from_le_bytes(reader.array()?)),
            4 => i64::from(i32::from_le_bytes(reader.array()?)),
            _ => i64::from_le_bytes(reader.array()?),
        };
        if last.is_some_and(|last| last >= number) {
            return Err(Malformed);
        }
        last = Some(number);
        elements.push(text(number));
    }
    Ok(elements)
}

/// A number as Redis shows it.
pub(super) fn text(number: i64) -> Cow<'static, [u8]> {
    Cow::Owned(itoa::Buffer::new().format(number).as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(elements: &Elements<'_>) -> Vec<String> {
        elements.iter().map(|element| String::from_utf8_lossy(element).into_owned()).collect()
    }

    #[test]
    fn every_spelling_of_an_element_is_read() {
        let long = vec![b'x'; 70];
        let mut bytes = vec![0; 6];
        let mut add = |element: &[u8]| {
            bytes.extend_from_slice(element);
            bytes.push(element.len() as u8);
        };
        add(&[7]);
        add(&[0x83, b'a', b'b', b'c']);
        add(&[0xDF, 0xFF]);
        add(&[[0xE0, 70].as_slice(), &long].concat());
        add(&[0xF0, 1, 0, 0, 0, b'z']);
        add(&[0xF1, 0x00, 0x80]);
        add(&[0xF2, 0x00, 0x00, 0x80]);
        add(&[0xF3, 0xFF, 0xFF, 0xFF, 0x7F]);
        add(&[0xF4, 0, 0, 0, 0, 0, 0, 0, 0x80]);
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4] = 9;
        let long = "x".repeat(70);
        let expected = ["7", "abc", "-1", &long, "z", "-32768", "-8388608", "2147483647", "-9223372036854775808"];
        assert_eq!(texts(&listpack(&bytes).unwrap()), expected);
        bytes[4] = 8;
        assert_eq!(listpack(&bytes), Err(Malformed));
    }

    #[test]
    fn intsets_are_read() {
        let bytes = [2, 0, 0, 0, 3, 0, 0, 0, 0xFF, 0xFF, 1, 0, 0, 1];
        assert_eq!(texts(&intset(&bytes).unwrap()), ["-1", "1", "256"]);
        assert_eq!(intset(&bytes[..13]), Err(Malformed));
        assert_eq!(intset(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0]), Err(Malformed));
        assert_eq!(intset(&[8, 0, 0, 0, 255, 255, 255, 255]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = intset(&bytes);
            let _ = listpack(&bytes);
            let total = bytes.len() as u32;
            if let Some(head) = bytes.first_chunk_mut() {
                *head = total.to_le_bytes();
                let _ = listpack(&bytes);
            }
        }
    }
}
