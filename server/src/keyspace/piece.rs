//! How items travel in the pieces of a view.
//!
//! ```text
//! piece:  version (1 byte), [database (varint)], items: all of one database
//! item:   kind (1 byte: type, whether a deadline follows, whether this is all of the value), last access (u64),
//!         [deadline (varint)], key length (varint), value length (varint), key, value: a string, or a collection as
//!         `encoding` has it
//! part:   kind, key length, value length, key, the next bytes of the value
//! ```
//! Integers are little-endian; varints are LEB128. Version 1 means database 0, version 2 says which.
//!
//! A long value comes in parts: an item with its beginning, and one part or several, in order, the last of which says so.
//! Other items, and the ends of pieces, may stand between them.

use super::collections::encoding::{self, Position};
use super::{ItemRef, MalformedPiece, ValueRef};
use crate::clock::{Tick, UnixMs};
use crate::ids::DatabaseNo;
use bytes::BufMut;

/// The first byte of a piece of database 0.
pub(super) const VERSION: u8 = 1;
/// The first byte of a piece that says which database it is of.
const VERSION_DATABASE: u8 = 2;

const KIND_STRING: u8 = 0;
const KIND_COLLECTION: u8 = 1;
const WITH_DEADLINE: u8 = 1 << 7;
/// More of the value follows.
const UNFINISHED: u8 = 1 << 6;
/// Goes on with a value of which parts came before.
const CONTINUED: u8 = 1 << 5;

fn write_varint(out: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Begins a piece of a database.
pub(super) fn write_header(out: &mut impl BufMut, database: DatabaseNo) {
    if database == DatabaseNo::FIRST {
        out.put_u8(VERSION);
    } else {
        out.put_u8(VERSION_DATABASE);
        write_varint(out, u64::from(database.0));
    }
}

/// Appends as much of an item, from `position` on, as there is room for in about `room` bytes, and moves `position` to
/// where the rest begins. Whether there is a rest.
pub(super) fn write_item(
    out: &mut impl BufMut,
    key: &[u8],
    item: ItemRef<'_>,
    position: &mut Position,
    room: usize,
) -> bool {
    let is_continued = *position != Position::default();
    let mut scratch = Vec::new();
    let (value, more) = encoding::part(item.value, position, room, &mut scratch);
    let mut kind = if matches!(item.value, ValueRef::String(_)) { KIND_STRING } else { KIND_COLLECTION };
    if more {
        kind |= UNFINISHED;
    }
    if is_continued {
        out.put_u8(kind | CONTINUED);
    } else {
        out.put_u8(kind | if item.deadline.is_some() { WITH_DEADLINE } else { 0 });
        out.put_u64_le(item.last_access);
        if let Some(deadline) = item.deadline {
            write_varint(out, deadline);
        }
    }
    write_varint(out, key.len() as u64);
    write_varint(out, value.len() as u64);
    out.put_slice(key);
    out.put_slice(value);
    more
}

/// An item that was read, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PieceItem<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    /// Whether the value is a collection.
    pub(super) collection: bool,
    /// Whether parts of it came before; it has neither deadline nor last access then.
    pub(super) continued: bool,
    /// Whether more of it follows.
    pub(super) unfinished: bool,
    pub(super) deadline: Option<UnixMs>,
    pub(super) last_access: Tick,
}

/// Reads the items of a piece; ends after the first that is malformed.
pub(super) struct PieceReader<'a> {
    items: &'a [u8],
    /// The database that they are of.
    pub(super) database: DatabaseNo,
}

impl<'a> PieceReader<'a> {
    pub(super) fn new(piece: &'a [u8]) -> Result<Self, MalformedPiece> {
        let (version, items) = piece.split_first().ok_or(MalformedPiece)?;
        let mut reader = Self { items, database: DatabaseNo::FIRST };
        match *version {
            VERSION => {}
            VERSION_DATABASE => {
                reader.database = DatabaseNo(u16::try_from(reader.varint()?).map_err(|_| MalformedPiece)?);
            }
            _ => return Err(MalformedPiece),
        }
        Ok(reader)
    }

    fn byte(&mut self) -> Result<u8, MalformedPiece> {
        let (byte, rest) = self.items.split_first().ok_or(MalformedPiece)?;
        self.items = rest;
        Ok(*byte)
    }

    fn varint(&mut self) -> Result<u64, MalformedPiece> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(MalformedPiece);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(MalformedPiece)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], MalformedPiece> {
        let length = usize::try_from(length).map_err(|_| MalformedPiece)?;
        let (bytes, rest) = self.items.split_at_checked(length).ok_or(MalformedPiece)?;
        self.items = rest;
        Ok(bytes)
    }

    fn item(&mut self) -> Result<PieceItem<'a>, MalformedPiece> {
        let kind = self.byte()?;
        let (continued, unfinished) = (kind & CONTINUED != 0, kind & UNFINISHED != 0);
        let collection = match kind & !WITH_DEADLINE & !CONTINUED & !UNFINISHED {
            KIND_STRING => false,
            KIND_COLLECTION => true,
            _ => return Err(MalformedPiece),
        };
        let (mut deadline, mut last_access) = (None, 0);
        if !continued {
            last_access = self.bytes(8)?.try_into().map(Tick::from_le_bytes).map_err(|_| MalformedPiece)?;
            deadline = if kind & WITH_DEADLINE == 0 { None } else { Some(self.varint()?) };
        } else if kind & WITH_DEADLINE != 0 {
            return Err(MalformedPiece);
        }
        let (key, value) = (self.varint()?, self.varint()?);
        let (key, value) = (self.bytes(key)?, self.bytes(value)?);
        Ok(PieceItem { key, value, collection, continued, unfinished, deadline, last_access })
    }
}

impl<'a> Iterator for PieceReader<'a> {
    type Item = Result<PieceItem<'a>, MalformedPiece>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.items.is_empty() {
            return None;
        }
        let item = self.item();
        if item.is_err() {
            self.items = &[];
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_read_back(
            items in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>(), any::<Option<u64>>(), any::<u64>()), 0..8),
            database in any::<u16>(),
        ) {
            let mut piece = Vec::new();
            write_header(&mut piece, DatabaseNo(database));
            for (key, value, deadline, last_access) in &items {
                let item = ItemRef { value: ValueRef::String(value), deadline: *deadline, last_access: *last_access };
                prop_assert!(!write_item(&mut piece, key, item, &mut Position::default(), usize::MAX));
            }
            prop_assert_eq!(PieceReader::new(&piece).unwrap().database, DatabaseNo(database));
            let read: Result<Vec<_>, _> = PieceReader::new(&piece).unwrap().collect();
            let expected: Vec<_> = items.iter().map(|(key, value, deadline, last_access)| {
                PieceItem {
                    key, value, collection: false, continued: false, unfinished: false,
                    deadline: *deadline, last_access: *last_access
                }
            }).collect();
            prop_assert_eq!(read.unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            for version in [VERSION, VERSION_DATABASE] {
                let piece = [&[version], &bytes[..]].concat();
                if let Ok(reader) = PieceReader::new(&piece) {
                    reader.for_each(drop);
                }
            }
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut piece = vec![VERSION, WITH_DEADLINE, 0, 0, 0, 0];
        piece.extend([0xFF; 9]);
        piece.push(0x02);
        assert_eq!(PieceReader::new(&piece).unwrap().next(), Some(Err(MalformedPiece)));
        assert!(PieceReader::new(&[]).is_err() && PieceReader::new(&[9]).is_err());
    }
}
