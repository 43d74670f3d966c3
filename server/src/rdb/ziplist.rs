//! Packed encodings of small collections before Redis 7: ziplists and zipmaps. Read only.
//!
//! ```text
//! ziplist   bytes (u32)   offset of the last (u32)   elements (u16)   length of the one before, element ...   0xFF
//! zipmap    fields (u8)   length, field, length, unused (u8), value, unused bytes ...                       0xFF
//! ```

use super::packed::{Elements, text};
use super::{Malformed, Reader};
use std::borrow::Cow;

const END: u8 = 0xFF;
/// Lengths that do not fit into their byte are announced by this.
const LONG: u8 = 0xFE;
/// Element counts of a ziplist that do not fit are written as this.
const MANY: u16 = u16::MAX;
/// And those of a zipmap as this, and above.
const MANY_FIELDS: u8 = 0xFE;
const HEADER_BYTES: usize = 10;

/// The elements of a ziplist.
///
/// # Errors
/// Where the bytes are not exactly one ziplist, in which each length backwards is right.
pub fn ziplist(bytes: &[u8]) -> Result<Elements<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let total = u32::from_le_bytes(reader.array()?);
    let tail = u32::from_le_bytes(reader.array()?);
    let count = u16::from_le_bytes(reader.array()?);
    if u32::try_from(bytes.len()) != Ok(total) {
        return Err(Malformed);
    }
    let (mut elements, mut last, mut length_before) = (Vec::new(), HEADER_BYTES, 0);
    loop {
        let at = bytes.len() - reader.rest().len();
        let first = reader.byte()?;
        if first == END {
            break;
        }
        let backwards = if first == LONG { u32::from_le_bytes(reader.array()?) } else { u32::from(first) };
        if u32::try_from(length_before) != Ok(backwards) {
            return Err(Malformed);
        }
        elements.push(element(&mut reader)?);
        (last, length_before) = (at, bytes.len() - reader.rest().len() - at);
    }
    let counted = count == MANY || elements.len() == usize::from(count);
    let fine = counted && reader.rest().is_empty() && usize::try_from(tail) == Ok(last);
    if fine { Ok(elements) } else { Err(Malformed) }
}

fn element<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, [u8]>, Malformed> {
    let first = reader.byte()?;
    let number = match first {
        0x00..=0x3F => return reader.bytes(u64::from(first)).map(Cow::Borrowed),
        0x40..=0x7F => {
            let length = u16::from_be_bytes([first & 0x3F, reader.byte()?]);
            return reader.bytes(u64::from(length)).map(Cow::Borrowed);
        }
        0x80 => {
            let length = u32::from_be_bytes(reader.array()?);
            return reader.bytes(u64::from(length)).map(Cow::Borrowed);
        }
        0xC0 => i64::from(i16::from_le_bytes(reader.array()?)),
        0xD0 => i64::from(i32::from_le_bytes(reader.array()?)),
        0xE0 => i64::from_le_bytes(reader.array()?),
        0xF0 => {
            let [low, middle, high] = reader.array()?;
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        0xFE => i64::from(i8::from_le_bytes(reader.array()?)),
        // Zero to twelve.
        0xF1..=0xFD => i64::from(first & 0x0F) - 1,
        _ => return Err(Malformed),
    };
    Ok(text(number))
}

/// Fields and values of a zipmap, in turn.
///
/// # Errors
/// Where the bytes are not exactly one zipmap.
pub fn zipmap(bytes: &[u8]) -> Result<Elements<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    let fields = reader.byte()?;
    let mut elements = Vec::new();
    while let Some(length) = zipmap_length(&mut reader)? {
        elements.push(Cow::Borrowed(reader.bytes(length)?));
        let length = zipmap_length(&mut reader)?.ok_or(Malformed)?;
        let unused = reader.byte()?;
        elements.push(Cow::Borrowed(reader.bytes(length)?));
        reader.bytes(u64::from(unused))?;
    }
    let counted = fields >= MANY_FIELDS || elements.len() == 2 * usize::from(fields);
    if counted && reader.rest().is_empty() { Ok(elements) } else { Err(Malformed) }
}

/// A length; `None` at the end mark.
fn zipmap_length(reader: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
    Ok(match reader.byte()? {
        END => None,
        LONG => Some(u64::from(u32::from_le_bytes(reader.array()?))),
        length => Some(u64::from(length)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A ziplist of elements that are encoded already.
    fn packed(elements: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let (mut last, mut before) = (HEADER_BYTES, 0);
        for element in elements {
            last = bytes.len();
            if before < 254 {
                bytes.push(before as u8);
            } else {
                bytes.push(LONG);
                bytes.extend_from_slice(&(before as u32).to_le_bytes());
            }
            bytes.extend_from_slice(element);
            before = bytes.len() - last;
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(elements.len() as u16).to_le_bytes());
        bytes
    }

    fn texts(elements: &Elements<'_>) -> Vec<String> {
        elements.iter().map(|element| String::from_utf8_lossy(element).into_owned()).collect()
    }

    #[test]
    fn every_spelling_of_an_element_is_read() {
        let long = [[0x41, 0x2C].as_slice(), &[b'x'; 300]].concat();
        let bytes = packed(&[
            b"\x03abc",
            &long,
            b"\x80\0\0\0\x01z",
            b"\xC0\0\x80",
            b"\xD0\xFF\xFF\xFF\x7F",
            b"\xE0\0\0\0\0\0\0\0\x80",
            b"\xF0\0\0\x80",
            b"\xFE\xFF",
            b"\xF1",
            b"\xFD",
        ]);
        let long = "x".repeat(300);
        let expected = ["abc", &long, "z", "-32768", "2147483647", "-9223372036854775808", "-8388608", "-1", "0", "12"];
        assert_eq!(texts(&ziplist(&bytes).unwrap()), expected);
        assert_eq!(texts(&ziplist(&packed(&[])).unwrap()), Vec::<String>::new());
        for (at, byte) in [(0, 9), (4, 11), (8, 9), (10, 1), (11, 0xC1)] {
            let mut wrong = bytes.clone();
            wrong[at] = byte;
            assert_eq!(ziplist(&wrong), Err(Malformed), "{at}");
        }
    }

    #[test]
    fn zipmaps_are_read() {
        let bytes = b"\x02\x03foo\x03\x00bar\xfe\x05\0\0\0hello\x05\x02worldxx\xff";
        assert_eq!(texts(&zipmap(bytes).unwrap()), ["foo", "bar", "hello", "world"]);
        for cut in 0..bytes.len() {
            assert_eq!(zipmap(&bytes[..cut]), Err(Malformed), "{cut}");
        }
        assert_eq!(zipmap(b"\x01\xff"), Err(Malformed));
        assert_eq!(zipmap(b"\0\xff\0"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (ziplist(&bytes), zipmap(&bytes));
            let total = bytes.len() as u32;
            if let Some(head) = bytes.first_chunk_mut() {
                *head = total.to_le_bytes();
                let _ = ziplist(&bytes);
            }
        }
    }
}
