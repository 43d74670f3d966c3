//! Streams.
//!
//! ```text
//! count   (id, listpack) ...   length   last id   [first id   highest deleted id   entries added]   count   group ...
//! group:      name   last id   [entries read]   count   (id, delivered, deliveries) ...   count   consumer ...
//! consumer:   name   seen   {active}   count   id ...
//! ```
//! An id is two lengths; before a listpack it is a string of 16 bytes, among what is pending 16 bytes, both big-endian.
//! Times are milliseconds in eight bytes, little-endian. What is in brackets came with Redis 7.0
//! ([`TYPE_STREAM_2`](super::TYPE_STREAM_2)), what is in braces with 7.2 ([`TYPE_STREAM_3`](super::TYPE_STREAM_3)).

use super::{Malformed, Reader, TYPE_STREAM_2, TYPE_STREAM_3, Writer};
use std::borrow::Cow;

/// An id: milliseconds, and a number.
pub type Id = (u64, u64);

/// A stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stream<'a> {
    /// Listpacks, without their headers and end marks, by the ids that theirs are relative to.
    pub blocks: Vec<(Id, Cow<'a, [u8]>)>,
    /// How many entries there are.
    pub length: u64,
    /// The last id.
    pub last_id: Id,
    /// What came with Redis 7.0.
    pub counters: Option<Counters>,
    /// The groups.
    pub groups: Vec<Group<'a>>,
}

/// What Redis counts since 7.0.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub struct Counters {
    /// The id of the first entry.
    pub first_id: Id,
    /// The highest id that was deleted.
    pub max_deleted_id: Id,
    /// How many entries were ever added.
    pub entries_added: u64,
}

/// A consumer group.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Group<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// The last id that was delivered.
    pub last_id: Id,
    /// How many entries it read; -1 where that is not known. Counts with [`Stream::counters`] alone.
    pub entries_read: i64,
    /// What is pending: id, when it was delivered last, and how often.
    pub pending: Vec<(Id, i64, u64)>,
    /// Its consumers.
    pub consumers: Vec<Consumer<'a>>,
}

/// A consumer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Consumer<'a> {
    /// Its name.
    pub name: Cow<'a, [u8]>,
    /// When it was seen last.
    pub seen_ms: i64,
    /// When it last got something, where that is known.
    pub active_ms: Option<i64>,
    /// What is pending for it.
    pub pending: Vec<Id>,
}

const HEADER_BYTES: usize = 6;
const END: u8 = 0xFF;

fn key_of(id: Id) -> [u8; 16] {
    (u128::from(id.0) << 64 | u128::from(id.1)).to_be_bytes()
}

fn id_of(key: [u8; 16]) -> Id {
    let bits = u128::from_be_bytes(key);
    ((bits >> 64) as u64, bits as u64)
}

impl<'a> Stream<'a> {
    /// The value of a payload whose type byte was read. Its listpacks are not looked into. Memory is in proportion to
    /// the bytes.
    ///
    /// # Errors
    /// Where there is none.
    pub fn read(reader: &mut Reader<'a>, type_byte: u8) -> Result<Self, Malformed> {
        let mut stream = Self::default();
        for _ in 0..reader.length()? {
            let key = reader.string()?;
            let id = id_of(key[..].try_into().map_err(|_| Malformed)?);
            stream.blocks.push((id, entries(reader.string()?)?));
        }
        stream.length = reader.length()?;
        stream.last_id = read_id(reader)?;
        let with_counters = matches!(type_byte, TYPE_STREAM_2 | TYPE_STREAM_3);
        if with_counters {
            let (first_id, max_deleted_id) = (read_id(reader)?, read_id(reader)?);
            stream.counters = Some(Counters { first_id, max_deleted_id, entries_added: reader.length()? });
        }
        for _ in 0..reader.length()? {
            let (name, last_id) = (reader.string()?, read_id(reader)?);
            let entries_read = if with_counters { reader.length()?.cast_signed() } else { -1 };
            let mut group = Group { name, last_id, entries_read, ..Group::default() };
            for _ in 0..reader.length()? {
                let id = id_of(reader.array()?);
                group.pending.push((id, i64::from_le_bytes(reader.array()?), reader.length()?));
            }
            for _ in 0..reader.length()? {
                let (name, seen_ms) = (reader.string()?, i64::from_le_bytes(reader.array()?));
                let active_ms = match type_byte {
                    TYPE_STREAM_3 => Some(i64::from_le_bytes(reader.array()?)),
                    _ => None,
                };
                let mut pending = Vec::new();
                for _ in 0..reader.length()? {
                    pending.push(id_of(reader.array()?));
                }
                group.consumers.push(Consumer { name, seen_ms, active_ms, pending });
            }
            stream.groups.push(group);
        }
        Ok(stream)
    }

    /// Writes it, behind the type byte [`TYPE_STREAM_2`](super::TYPE_STREAM_2): counters are written, what consumers were
    /// last active is left out. `elements` tells how many elements a listpack has.
    pub fn write(&self, writer: &mut Writer, elements: impl Fn(&[u8]) -> usize) {
        writer.length(self.blocks.len() as u64);
        for (id, entries) in &self.blocks {
            writer.string(&key_of(*id));
            let count = u16::try_from(elements(entries)).unwrap_or(u16::MAX);
            let mut listpack = Vec::with_capacity(entries.len() + HEADER_BYTES + 1);
            listpack.extend_from_slice(&((entries.len() + HEADER_BYTES + 1) as u32).to_le_bytes());
            listpack.extend_from_slice(&count.to_le_bytes());
            listpack.extend_from_slice(entries);
            listpack.push(END);
            writer.string(&listpack);
        }
        let write_id = |writer: &mut Writer, id: Id| {
            writer.length(id.0);
            writer.length(id.1);
        };
        writer.length(self.length);
        write_id(writer, self.last_id);
        let counters = self.counters.unwrap_or_default();
        write_id(writer, counters.first_id);
        write_id(writer, counters.max_deleted_id);
        writer.length(counters.entries_added);
        writer.length(self.groups.len() as u64);
        for group in &self.groups {
            writer.string(&group.name);
            write_id(writer, group.last_id);
            writer.length(group.entries_read.cast_unsigned());
            writer.length(group.pending.len() as u64);
            for (id, delivered_ms, deliveries) in &group.pending {
                writer.raw(&key_of(*id));
                writer.raw(&delivered_ms.to_le_bytes());
                writer.length(*deliveries);
            }
            writer.length(group.consumers.len() as u64);
            for consumer in &group.consumers {
                writer.string(&consumer.name);
                writer.raw(&consumer.seen_ms.to_le_bytes());
                writer.length(consumer.pending.len() as u64);
                consumer.pending.iter().for_each(|id| writer.raw(&key_of(*id)));
            }
        }
    }
}

fn read_id(reader: &mut Reader<'_>) -> Result<Id, Malformed> {
    Ok((reader.length()?, reader.length()?))
}

/// A listpack without header and end mark.
fn entries(listpack: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, Malformed> {
    let total = listpack.first_chunk::<4>().map(|total| u32::from_le_bytes(*total));
    if listpack.len() <= HEADER_BYTES || total.map(|total| total as usize) != Some(listpack.len()) {
        return Err(Malformed);
    }
    if listpack.last() != Some(&END) {
        return Err(Malformed);
    }
    let inside = HEADER_BYTES..listpack.len() - 1;
    Ok(match listpack {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[inside]),
        Cow::Owned(bytes) => Cow::Owned(bytes[inside].to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::{TYPE_STREAM, seal};
    use proptest::prelude::*;

    fn sample() -> Stream<'static> {
        let name = |name: &'static str| Cow::Borrowed(name.as_bytes());
        let consumer = |text, pending| Consumer { name: name(text), seen_ms: 9, active_ms: None, pending };
        Stream {
            blocks: vec![((1, u64::MAX), Cow::Borrowed(&[7; 300])), ((2, 0), Cow::Borrowed(b"\x01\x01"))],
            length: 3,
            last_id: (u64::MAX, 5),
            counters: Some(Counters { first_id: (1, 2), max_deleted_id: (0, 1), entries_added: 1 << 40 }),
            groups: vec![Group {
                name: name("group"),
                last_id: (3, 3),
                entries_read: -1,
                pending: vec![((1, 2), -5, 1), ((2, 2), i64::MAX, u64::MAX)],
                consumers: vec![consumer("one", vec![(1, 2)]), consumer("two", vec![(2, 2)])],
            }],
        }
    }

    fn body() -> Vec<u8> {
        let mut writer = Writer::new(TYPE_STREAM_2);
        sample().write(&mut writer, |entries| entries.len());
        crate::rdb::open(&seal(writer)).expect("a payload")[1..].to_vec()
    }

    #[test]
    fn what_is_written_is_read() {
        let body = body();
        let mut reader = Reader::new(&body);
        assert_eq!(Stream::read(&mut reader, TYPE_STREAM_2), Ok(sample()));
        assert!(reader.rest().is_empty());
    }

    proptest! {
        #[test]
        fn changed_bytes_do_no_harm(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
            cut in any::<prop::sample::Index>(), type_byte in prop::sample::select(&[TYPE_STREAM, TYPE_STREAM_2, TYPE_STREAM_3][..])
        ) {
            let mut body = body();
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let _ = Stream::read(&mut Reader::new(&body), type_byte);
            body.truncate(cut.index(body.len()));
            let _ = Stream::read(&mut Reader::new(&body), type_byte);
        }
    }
}
