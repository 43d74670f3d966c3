//! Redis's listpack entries: what small collections and the nodes of lists are made of.
//!
//! ```text
//! entry:  encoding and length, data, length of both (1 to 5 bytes, read backwards)
//! ```
//! An entry is a number, where the bytes are how that number prints, or bytes. The entries here are Redis's to the bit,
//! without Redis's header of six bytes and its end mark: lengths are known from where the entries are held. So sizes
//! are Redis's sizes, by which it decides on encodings, and payloads of DUMP are a copy.

use crate::decimal::parse_i64;
use smallvec::SmallVec;

/// What Redis's listpack has besides the entries: a header and an end mark.
pub(in crate::keyspace) const FRAME_BYTES: usize = 7;

/// An element of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// What this number prints as.
    Integer(i64),
}

/// Room for an element's text.
pub struct Text(itoa::Buffer);

impl Default for Text {
    fn default() -> Self {
        Self(itoa::Buffer::new())
    }
}

impl<'a> Element<'a> {
    /// Its bytes; `text` has room for those of a number.
    #[inline]
    pub fn bytes<'b>(&self, text: &'b mut Text) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Integer(number) => text.0.format(*number).as_bytes(),
        }
    }

    /// Its bytes, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes(&mut Text::default()).to_vec()
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes(&mut Text::default()).len()
    }

    /// Whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes(b""))
    }
}

/// Something that is compared with many elements.
#[derive(Clone, Copy)]
pub struct Needle<'a> {
    bytes: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Looks for `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, integer: parse_i64(bytes) }
    }

    /// Whether `element` is it.
    #[inline]
    pub fn is(&self, element: Element<'_>) -> bool {
        match element {
            Element::Bytes(bytes) => bytes == self.bytes,
            Element::Integer(number) => self.integer == Some(number),
        }
    }
}

/// An encoded entry.
pub(in crate::keyspace) type Entry = SmallVec<[u8; 80]>;

/// Encodes an element.
pub(in crate::keyspace) fn entry(bytes: &[u8]) -> Entry {
    let mut out = Entry::new();
    match parse_i64(bytes) {
        Some(number) => put_integer(&mut out, number),
        None => put_bytes(&mut out, bytes),
    }
    out
}

/// Encodes a number.
pub(in crate::keyspace) fn integer_entry(number: i64) -> Entry {
    let mut out = Entry::new();
    put_integer(&mut out, number);
    out
}

/// Encodes bytes as bytes, even those that print a number.
pub(in crate::keyspace) fn bytes_entry(bytes: &[u8]) -> Entry {
    let mut out = Entry::new();
    put_bytes(&mut out, bytes);
    out
}

/// The size of the entry of an element.
#[cfg(test)]
pub(in crate::keyspace) fn entry_bytes(bytes: &[u8]) -> usize {
    let length = match parse_i64(bytes) {
        Some(0..=127) => 1,
        Some(-4096..=4095) => 2,
        Some(-32_768..=32_767) => 3,
        Some(-8_388_608..=8_388_607) => 4,
        Some(-2_147_483_648..=2_147_483_647) => 5,
        Some(_) => 9,
        None => match bytes.len() {
            0..=63 => 1 + bytes.len(),
            64..=4095 => 2 + bytes.len(),
            _ => 5 + bytes.len(),
        },
    };
    length + back_bytes(length)
}

fn put_integer(out: &mut Entry, number: i64) {
    match number {
        0..=127 => out.push(number as u8),
        -4096..=4095 => out.extend_from_slice(&[0b1100_0000 | (number >> 8 & 0x1F) as u8, number as u8]),
        -32_768..=32_767 => {
            out.push(0xF1);
            out.extend_from_slice(&number.to_le_bytes()[..2]);
        }
        -8_388_608..=8_388_607 => {
            out.push(0xF2);
            out.extend_from_slice(&number.to_le_bytes()[..3]);
        }
        -2_147_483_648..=2_147_483_647 => {
            out.push(0xF3);
            out.extend_from_slice(&number.to_le_bytes()[..4]);
        }
        _ => {
            out.push(0xF4);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    put_back(out);
}

fn put_bytes(out: &mut Entry, bytes: &[u8]) {
    out.reserve_exact(bytes.len() + 10);
    match bytes.len() {
        length @ 0..=63 => out.push(0b1000_0000 | length as u8),
        length @ 64..=4095 => out.extend_from_slice(&[0b1110_0000 | (length >> 8) as u8, length as u8]),
        length => {
            out.push(0xF0);
            out.extend_from_slice(&(length as u32).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
    put_back(out);
}

/// Bytes that the length at the end of an entry takes.
fn back_bytes(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

fn put_back(out: &mut Entry) {
    let length = out.len();
    let count = back_bytes(length);
    for at in (0..count).rev() {
        let bits = (length >> (7 * at) & 0x7F) as u8;
        // The byte that is read last, the one that comes first, has no mark.
        out.push(if at == count - 1 { bits } else { bits | 0x80 });
    }
}

/// Length of encoding and data of the entry at `at`, its length at the end left out.
fn front_bytes(bytes: &[u8], at: usize) -> Option<usize> {
    let first = *bytes.get(at)?;
    Some(match first {
        0x00..=0x7F => 1,
        0x80..=0xBF => 1 + usize::from(first & 0x3F),
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*bytes.get(at + 1)?)),
        0xF0 => {
            let length = bytes.get(at + 1..at + 5)?;
            5 + u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize
        }
        0xF1 => 3,
        0xF2 => 4,
        0xF3 => 5,
        0xF4 => 9,
        _ => return None,
    })
}

/// The element at `at`, and where the next entry begins. The bytes are entries: written here, or checked.
#[inline]
pub(in crate::keyspace) fn read(bytes: &[u8], at: usize) -> (Element<'_>, usize) {
    let first = bytes[at];
    let integer = |count: usize| {
        let mut wide = [0; 8];
        wide[8 - count..].copy_from_slice(&bytes[at + 1..at + 1 + count]);
        (Element::Integer(i64::from_le_bytes(wide) >> (64 - 8 * count)), at + count + 2)
    };
    match first {
        0x00..=0x7F => (Element::Integer(i64::from(first)), at + 2),
        0x80..=0xBF => {
            let end = at + 1 + usize::from(first & 0x3F);
            (Element::Bytes(&bytes[at + 1..end]), end + 1)
        }
        0xC0..=0xDF => {
            let bits = i64::from(first & 0x1F) << 8 | i64::from(bytes[at + 1]);
            (Element::Integer(bits << 51 >> 51), at + 3)
        }
        0xF1 => integer(2),
        0xF2 => integer(3),
        0xF3 => integer(4),
        0xF4 => integer(8),
        _ => {
            let head = if first == 0xF0 { 5 } else { 2 };
            let front = front_bytes(bytes, at).expect("an entry");
            (Element::Bytes(&bytes[at + head..at + front]), at + front + back_bytes(front))
        }
    }
}

/// Where the entry that ends at `end` begins.
#[inline]
pub(in crate::keyspace) fn previous(bytes: &[u8], end: usize) -> usize {
    let (mut length, mut shift, mut at) = (0, 0, end);
    loop {
        at -= 1;
        length |= usize::from(bytes[at] & 0x7F) << shift;
        if bytes[at] & 0x80 == 0 {
            return at - length;
        }
        shift += 7;
    }
}

/// Where the entry after the one at `at` begins.
#[inline]
pub(in crate::keyspace) fn skip(bytes: &[u8], at: usize) -> usize {
    let front = front_bytes(bytes, at).expect("an entry");
    at + front + back_bytes(front)
}

/// Where the entry number `index` begins, of entries that begin at `at`.
pub(in crate::keyspace) fn nth(bytes: &[u8], mut at: usize, index: usize) -> usize {
    for _ in 0..index {
        at = skip(bytes, at);
    }
    at
}

/// How many entries `bytes` are, or `None` where they are not entries as they are written here. Never panics.
pub(in crate::keyspace) fn check(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let front = front_bytes(bytes, at)?;
        let end = at.checked_add(front)?.checked_add(back_bytes(front))?;
        let whole = bytes.get(at..end)?;
        let mut back = Entry::new();
        let count_back = back_bytes(front);
        for shift in (0..count_back).rev() {
            let bits = (front >> (7 * shift) & 0x7F) as u8;
            back.push(if shift == count_back - 1 { bits } else { bits | 0x80 });
        }
        if whole[front..] != back[..] {
            return None;
        }
        at = end;
        count += 1;
    }
    Some(count)
}

/// Puts `entry` at `at`.
pub(in crate::keyspace) fn insert(bytes: &mut Vec<u8>, at: usize, entry: &[u8]) {
    let old = bytes.len();
    bytes.resize(old + entry.len(), 0);
    bytes.copy_within(at..old, at + entry.len());
    bytes[at..at + entry.len()].copy_from_slice(entry);
}

/// Takes out what is between two places.
pub(in crate::keyspace) fn remove(bytes: &mut Vec<u8>, from: usize, to: usize) {
    bytes.copy_within(to.., from);
    bytes.truncate(bytes.len() - (to - from));
}

/// Puts `entry` in the place of what is between two places.
pub(in crate::keyspace) fn replace(bytes: &mut Vec<u8>, from: usize, to: usize, entry: &[u8]) {
    if to - from == entry.len() {
        bytes[from..to].copy_from_slice(entry);
    } else {
        bytes.splice(from..to, entry.iter().copied());
    }
}

/// Elements from both ends.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Elements<'a> {
    /// The elements of the entries from `at` on.
    pub(in crate::keyspace) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, end: bytes.len() }
    }

    /// Where the next entry begins.
    pub(in crate::keyspace) fn at(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let (element, next) = read(self.bytes, self.at);
        self.at = next;
        Some(element)
    }
}

impl DoubleEndedIterator for Elements<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        self.end = previous(self.bytes, self.end);
        Some(read(self.bytes, self.end).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_redis_s() {
        // As lpAppend of redis 7 writes them.
        assert_eq!(entry(b"1")[..], [0x01, 0x01]);
        assert_eq!(entry(b"-1")[..], [0xDF, 0xFF, 0x02]);
        assert_eq!(entry(b"4095")[..], [0xCF, 0xFF, 0x02]);
        assert_eq!(entry(b"1000000")[..], [0xF2, 0x40, 0x42, 0x0F, 0x04]);
        assert_eq!(entry(b"ab")[..], [0x82, b'a', b'b', 0x03]);
        let long = entry(&[b'x'; 200]);
        assert_eq!((&long[..2], &long[202..]), (&[0xE0, 200][..], &[1, 202 - 128 + 128][..]));
    }

    proptest! {
        #[test]
        fn elements_read_back_from_both_ends(
            texts in prop::collection::vec(
                prop_oneof![
                    any::<i64>().prop_map(|n| n.to_string().into_bytes()),
                    (-5000..5000i64).prop_map(|n| n.to_string().into_bytes()),
                    any::<Vec<u8>>(),
                    (0..40_000usize).prop_map(|n| vec![7; n]),
                ], 0..12)
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                let entry = entry(text);
                prop_assert_eq!(entry.len(), entry_bytes(text));
                bytes.extend_from_slice(&entry);
            }
            prop_assert_eq!(check(&bytes), Some(texts.len()));
            let read: Vec<_> = Elements::new(&bytes, 0).map(|element| element.to_vec()).collect();
            prop_assert_eq!(&read, &texts);
            let mut back: Vec<_> = Elements::new(&bytes, 0).rev().map(|element| element.to_vec()).collect();
            back.reverse();
            prop_assert_eq!(&back, &texts);
            for (text, element) in texts.iter().zip(Elements::new(&bytes, 0)) {
                prop_assert!(Needle::new(text).is(element));
            }
        }

        #[test]
        fn what_passes_the_check_reads(bytes in any::<Vec<u8>>()) {
            if let Some(count) = check(&bytes) {
                prop_assert_eq!(Elements::new(&bytes, 0).count(), count);
                prop_assert_eq!(Elements::new(&bytes, 0).rev().count(), count);
            }
        }
    }
}
