//! Streams as bytes, in pieces of views and in digests; and putting one together from parts.
//!
//! ```text
//! stream:    count (varint), block ..., last id, highest deleted id, entries added (u64), count (varint), group ...
//! block:     id, bytes (length (varint), bytes)
//! group:     name, last id, entries read (i64, -1: unknown), count, consumer ..., count, pending ...
//! consumer:  name, seen (i64), active (i64)                                        by name
//! pending:   id, number of its consumer (varint), delivered (i64), deliveries (u64)
//! ```
//! An id is two `u64`. Integers are little-endian.

use super::block::Block;
use super::group::{ConsumerRef, Group};
use super::id::StreamId;
use super::{LargeStream, StreamRef};
use crate::keyspace::collections::encoding::{Reader, put, put_varint};
use std::collections::HashMap;

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    out.extend_from_slice(&id.ms.to_le_bytes());
    out.extend_from_slice(&id.sequence.to_le_bytes());
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    reader.take(8)?.try_into().ok().map(u64::from_le_bytes)
}

fn id(reader: &mut Reader<'_>) -> Option<StreamId> {
    Some(StreamId::new(number(reader)?, number(reader)?))
}

/// Appends the bytes of a stream.
pub(in crate::keyspace) fn encode(StreamRef(stream): StreamRef<'_>, out: &mut Vec<u8>) {
    put_varint(out, stream.blocks.len());
    for (id, bytes) in StreamRef(stream).packed() {
        put_id(out, id);
        put(out, bytes);
    }
    put_id(out, stream.last_id);
    put_id(out, stream.max_deleted_id);
    out.extend_from_slice(&stream.entries_added.to_le_bytes());
    put_varint(out, stream.groups.len());
    for group in &stream.groups {
        put(out, group.name());
        put_id(out, group.last_id);
        out.extend_from_slice(&group.entries_read.unwrap_or(-1).to_le_bytes());
        put_varint(out, group.consumers().len());
        let mut numbers = HashMap::with_capacity(group.consumers().len());
        for (number, (of, consumer)) in group.consumers().enumerate() {
            numbers.insert(of, number);
            put(out, consumer.name());
            out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
            out.extend_from_slice(&consumer.active_ms.to_le_bytes());
        }
        put_varint(out, group.pending_count());
        for pending in group.pending_from(StreamId::MIN) {
            put_id(out, pending.id);
            put_varint(out, numbers[&pending.consumer()]);
            out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
            out.extend_from_slice(&pending.deliveries.to_le_bytes());
        }
    }
}

/// Reads what [`encode`] wrote, the number of blocks already read. Never panics.
pub(in crate::keyspace) fn decode(blocks: usize, reader: &mut Reader<'_>) -> Option<LargeStream> {
    let mut builder = StreamBuilder::default();
    for _ in 0..blocks {
        let id = id(reader)?;
        builder.block(id, reader.bytes()?)?;
    }
    builder.last_id = id(reader)?;
    builder.max_deleted_id = id(reader)?;
    builder.entries_added = number(reader)?;
    for _ in 0..reader.varint()? {
        let (name, last_id) = (reader.bytes()?, id(reader)?);
        let read = number(reader)?.cast_signed();
        let group = builder.group(name, last_id, (read != -1).then_some(read))?;
        let mut consumers: Vec<ConsumerRef> = Vec::new();
        for _ in 0..reader.varint()? {
            let name = reader.bytes()?;
            let (seen_ms, active_ms) = (number(reader)?.cast_signed(), number(reader)?.cast_signed());
            let of = group.create(name, seen_ms)?;
            group.set_active(of, active_ms);
            consumers.push(of);
        }
        for _ in 0..reader.varint()? {
            let id = id(reader)?;
            let of = *consumers.get(reader.varint()?)?;
            let (delivered_ms, deliveries) = (number(reader)?.cast_signed(), number(reader)?);
            if group.pending(id).is_some() {
                return None;
            }
            group.assign(id, of, delivered_ms, deliveries);
        }
    }
    builder.finish()
}

impl<'a> StreamRef<'a> {
    /// The blocks, each with its id, as entries of a listpack.
    pub fn packed(&self) -> impl ExactSizeIterator<Item = (StreamId, &'a [u8])> + use<'a> {
        let StreamRef(stream) = *self;
        let mut place = stream.blocks.first_place();
        (0..stream.blocks.len()).map(move |_| {
            let block = stream.blocks.at(place.expect("as many as there are"));
            place = place.and_then(|place| stream.blocks.after(place));
            (super::sequence::Keyed::id(block), block.bytes())
        })
    }
}

/// A stream that is put together from parts that come from outside.
#[derive(Default)]
pub struct StreamBuilder {
    stream: LargeStream,
    /// The stream's last id.
    pub last_id: StreamId,
    /// The highest id that was deleted.
    pub max_deleted_id: StreamId,
    /// How many entries were ever added.
    pub entries_added: u64,
}

impl StreamBuilder {
    /// Appends a block: its id, and entries of a listpack. `None` where they are no block, or do not come after the one
    /// before.
    pub fn block(&mut self, id: StreamId, bytes: &[u8]) -> Option<()> {
        let block = Block::from_bytes(id, bytes)?;
        if self.stream.blocks.last().is_some_and(|last| last.last_id() >= id) {
            return None;
        }
        self.stream.length += block.live();
        self.stream.blocks.insert(block).then_some(())
    }

    /// How many entries the blocks hold.
    #[expect(clippy::len_without_is_empty, reason = "of no use")]
    pub fn len(&self) -> usize {
        self.stream.length
    }

    /// Adds a group, to be filled; `None` where there is one of this name.
    pub fn group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<i64>) -> Option<&mut Group> {
        let place = self.stream.place_of(name).err()?;
        self.stream.groups.insert(place, Group::new(name, last_id, entries_read));
        Some(&mut self.stream.groups[place])
    }

    /// Sets what groups have read to what can be told from the entries: for a format that does not have it.
    pub fn estimate_progress(&mut self) {
        self.set_facts();
        for place in 0..self.stream.groups.len() {
            let read = self.stream.added_up_to(self.stream.groups[place].last_id);
            self.stream.groups[place].entries_read = read;
        }
    }

    fn set_facts(&mut self) {
        let stream = &mut self.stream;
        stream.find_first_id();
        (stream.last_id, stream.max_deleted_id) = (self.last_id, self.max_deleted_id);
        stream.entries_added = self.entries_added;
    }

    /// The stream; `None` where its last id is below that of an entry.
    pub fn finish(mut self) -> Option<LargeStream> {
        self.set_facts();
        self.stream.group_bytes = self.stream.groups.iter().map(Group::bytes).sum();
        let sound = self.stream.blocks.last().is_none_or(|last| last.last_id() <= self.last_id);
        sound.then_some(self.stream)
    }
}
