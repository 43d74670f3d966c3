//! Streams as bytes, in pieces of views and in digests; and putting one together from parts.
//!
//! ```text
//! stream:    count (varint), block ..., last id, highest deleted id, entries added (u64), count (varint), group ...
//! block:     id, bytes (length (varint), bytes)
//! group:     name, last id, entries read (i64, -1: unknown), count, consumer ..., count, pending ...
//! consumer:  name, seen (i64), active (i64)                                        by name
//! pending:   id, number of its consumer (varint), delivered (i64), deliveries (u64)
//! ```
//! An id is two `u64`. Integers are little-endian. A step is a block, what stands between two lists, or a consumer or
//! pending entry.

use super::block::Block;
use super::group::{ConsumerRef, Group};
use super::id::StreamId;
use super::sequence::Keyed;
use super::{LargeStream, StreamRef};
use crate::keyspace::collections::decoding::Reader;
use crate::keyspace::collections::encoding::Sink;

/// What is encoded in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::keyspace::collections) enum Step {
    /// The first block from this id on.
    Block(StreamId),
    /// Ids, entries added, and how many groups there are.
    Facts,
    /// What a group has but for consumers and what is pending: the number of the group.
    Group(usize),
    /// A consumer: numbers of the group and of the consumer.
    Consumer(usize, usize),
    /// How much is pending in a group.
    PendingCount(usize),
    /// What is pending in a group first from this id on.
    Pending(usize, StreamId),
}

impl Step {
    /// The first step of a stream, behind the number of its blocks.
    pub(in crate::keyspace::collections) fn first(StreamRef(stream): StreamRef<'_>) -> Self {
        if stream.blocks.is_empty() { Self::Facts } else { Self::Block(StreamId::MIN) }
    }
}

fn put_id(sink: &mut Sink<'_>, id: StreamId) {
    sink.raw(&id.ms.to_le_bytes());
    sink.raw(&id.sequence.to_le_bytes());
}

/// Writes one step of a stream and says which one follows.
pub(in crate::keyspace::collections) fn write(
    StreamRef(stream): StreamRef<'_>,
    step: Step,
    sink: &mut Sink<'_>,
) -> Option<Step> {
    let group_step = |number: usize| (number < stream.groups.len()).then_some(Step::Group(number));
    match step {
        Step::Block(from) => {
            let place = stream.blocks.from(from)?;
            let block = stream.blocks.at(place);
            put_id(sink, block.id());
            sink.bytes(block.bytes());
            let next = stream.blocks.after(place).map(|next| Step::Block(stream.blocks.at(next).id()));
            Some(next.unwrap_or(Step::Facts))
        }
        Step::Facts => {
            put_id(sink, stream.last_id);
            put_id(sink, stream.max_deleted_id);
            sink.raw(&stream.entries_added.to_le_bytes());
            sink.varint(stream.groups.len());
            group_step(0)
        }
        Step::Group(number) => {
            let group = stream.groups.get(number)?;
            sink.bytes(group.name());
            put_id(sink, group.last_id);
            sink.raw(&group.entries_read.unwrap_or(-1).to_le_bytes());
            sink.varint(group.consumers().len());
            Some(if group.consumers().len() > 0 { Step::Consumer(number, 0) } else { Step::PendingCount(number) })
        }
        Step::Consumer(number, place) => {
            let group = stream.groups.get(number)?;
            let consumer = group.consumer_at(place)?;
            sink.bytes(consumer.name());
            sink.raw(&consumer.seen_ms.to_le_bytes());
            sink.raw(&consumer.active_ms.to_le_bytes());
            let is_last = place + 1 == group.consumers().len();
            Some(if is_last { Step::PendingCount(number) } else { Step::Consumer(number, place + 1) })
        }
        Step::PendingCount(number) => {
            let pending = stream.groups.get(number)?.pending_count();
            sink.varint(pending);
            if pending > 0 { Some(Step::Pending(number, StreamId::MIN)) } else { group_step(number + 1) }
        }
        Step::Pending(number, from) => {
            let group = stream.groups.get(number)?;
            let mut rest = group.pending_from(from);
            let pending = rest.next()?;
            put_id(sink, pending.id);
            sink.varint(group.place_of(pending.consumer()));
            sink.raw(&pending.delivered_ms.to_le_bytes());
            sink.raw(&pending.deliveries.to_le_bytes());
            match rest.next() {
                Some(next) => Some(Step::Pending(number, next.id)),
                None => group_step(number + 1),
            }
        }
    }
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    reader.take(8)?.try_into().ok().map(u64::from_le_bytes)
}

fn id(reader: &mut Reader<'_>) -> Option<StreamId> {
    Some(StreamId::new(number(reader)?, number(reader)?))
}

/// A stream that is read one step after another.
pub(in crate::keyspace) struct StreamDecoder {
    builder: StreamBuilder,
    next: Awaited,
    /// Groups of which nothing has come.
    groups_left: usize,
    /// The place of the group that came last.
    group: usize,
    /// Its consumers.
    consumers: Vec<ConsumerRef>,
}

/// What comes next, and how many of them.
enum Awaited {
    Blocks(usize),
    Facts,
    Group,
    Consumers(usize),
    PendingCount,
    Pending(usize),
    Nothing,
}

impl StreamDecoder {
    /// One of so many blocks.
    pub(in crate::keyspace) fn new(blocks: usize) -> Self {
        let next = if blocks > 0 { Awaited::Blocks(blocks) } else { Awaited::Facts };
        Self { builder: StreamBuilder::default(), next, groups_left: 0, group: 0, consumers: Vec::new() }
    }

    /// Reads the next step, or changes nothing. Never panics.
    pub(in crate::keyspace) fn element(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.next = match self.next {
            Awaited::Blocks(left) => {
                let id = id(reader)?;
                self.builder.block(id, reader.bytes()?)?;
                if left > 1 { Awaited::Blocks(left - 1) } else { Awaited::Facts }
            }
            Awaited::Facts => {
                let ids = (id(reader)?, id(reader)?);
                let (entries_added, groups) = (number(reader)?, reader.varint()?);
                (self.builder.last_id, self.builder.max_deleted_id) = ids;
                (self.builder.entries_added, self.groups_left) = (entries_added, groups);
                self.next_group()
            }
            Awaited::Group => {
                let (name, last_id) = (reader.bytes()?, id(reader)?);
                let read = number(reader)?.cast_signed();
                let consumers = reader.varint()?;
                self.group = self.builder.stream.place_of(name).err()?;
                self.builder.group(name, last_id, (read != -1).then_some(read))?;
                self.groups_left -= 1;
                self.consumers.clear();
                if consumers > 0 { Awaited::Consumers(consumers) } else { Awaited::PendingCount }
            }
            Awaited::Consumers(left) => {
                let name = reader.bytes()?;
                let (seen_ms, active_ms) = (number(reader)?.cast_signed(), number(reader)?.cast_signed());
                let group = self.group();
                let of = group.create(name, seen_ms)?;
                group.set_active(of, active_ms);
                self.consumers.push(of);
                if left > 1 { Awaited::Consumers(left - 1) } else { Awaited::PendingCount }
            }
            Awaited::PendingCount => match reader.varint()? {
                0 => self.next_group(),
                count => Awaited::Pending(count),
            },
            Awaited::Pending(left) => {
                let (id, consumer) = (id(reader)?, reader.varint()?);
                let (delivered_ms, deliveries) = (number(reader)?.cast_signed(), number(reader)?);
                let of = *self.consumers.get(consumer)?;
                let group = self.group();
                if group.pending(id).is_some() {
                    return None;
                }
                group.assign(id, of, delivered_ms, deliveries);
                if left > 1 { Awaited::Pending(left - 1) } else { self.next_group() }
            }
            Awaited::Nothing => return None,
        };
        Some(())
    }

    fn group(&mut self) -> &mut Group {
        &mut self.builder.stream.groups[self.group]
    }

    fn next_group(&self) -> Awaited {
        if self.groups_left > 0 { Awaited::Group } else { Awaited::Nothing }
    }

    /// The stream; `None` where that is not all of it, or it is none.
    pub(in crate::keyspace) fn finish(self) -> Option<LargeStream> {
        if matches!(self.next, Awaited::Nothing) { self.builder.finish() } else { None }
    }
}

impl<'a> StreamRef<'a> {
    /// The blocks, each with its id, as entries of a listpack.
    pub fn packed(&self) -> impl ExactSizeIterator<Item = (StreamId, &'a [u8])> + use<'a> {
        let StreamRef(stream) = *self;
        let mut place = stream.blocks.first_place();
        (0..stream.blocks.len()).map(move |_| {
            let block = stream.blocks.at(place.expect("as many as there are"));
            place = place.and_then(|place| stream.blocks.after(place));
            (block.id(), block.bytes())
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
