//! Streams in payloads of DUMP and RESTORE.

use crate::keyspace::collections::stream::LargeStream;
use crate::keyspace::collections::stream::{Group, StreamBuilder, StreamId, StreamRef, elements_of};
use crate::rdb::{Malformed, stream as rdb};
use std::borrow::Cow;
use std::collections::HashMap;

fn pair(id: StreamId) -> rdb::Id {
    (id.ms, id.sequence)
}

fn id((ms, sequence): rdb::Id) -> StreamId {
    StreamId::new(ms, sequence)
}

/// How many elements a block's listpack has.
pub(super) fn elements(entries: &[u8]) -> usize {
    elements_of(entries)
}

/// What is written of a stream.
pub(super) fn record(stream: StreamRef<'_>) -> rdb::Stream<'_> {
    rdb::Stream {
        blocks: stream.packed().map(|(id, bytes)| (pair(id), Cow::Borrowed(bytes))).collect(),
        length: stream.len() as u64,
        last_id: pair(stream.last_id()),
        counters: Some(rdb::Counters {
            first_id: pair(stream.first_id()),
            max_deleted_id: pair(stream.max_deleted_id()),
            entries_added: stream.entries_added(),
        }),
        groups: stream.groups().map(group_record).collect(),
    }
}

fn group_record(group: &Group) -> rdb::Group<'_> {
    let pending = group.pending_from(StreamId::MIN);
    let consumers = group.consumers().map(|(of, consumer)| rdb::Consumer {
        name: Cow::Borrowed(consumer.name()),
        seen_ms: consumer.seen_ms,
        active_ms: Some(consumer.active_ms),
        pending: group.pending_of(of, StreamId::MIN).map(|pending| pair(pending.id)).collect(),
    });
    rdb::Group {
        name: Cow::Borrowed(group.name()),
        last_id: pair(group.last_id),
        entries_read: group.entries_read.unwrap_or(-1),
        pending: pending.map(|pending| (pair(pending.id), pending.delivered_ms, pending.deliveries)).collect(),
        consumers: consumers.collect(),
    }
}

/// The stream that was read.
///
/// # Errors
/// Where its parts do not fit together.
pub(super) fn build(record: &rdb::Stream<'_>) -> Result<LargeStream, Malformed> {
    let mut builder = StreamBuilder::default();
    for (at, bytes) in &record.blocks {
        builder.block(id(*at), bytes).ok_or(Malformed)?;
    }
    if builder.len() as u64 != record.length {
        return Err(Malformed);
    }
    builder.last_id = id(record.last_id);
    builder.entries_added = record.counters.map_or(record.length, |counters| counters.entries_added);
    builder.max_deleted_id = record.counters.map_or(StreamId::MIN, |counters| id(counters.max_deleted_id));
    for group in &record.groups {
        let read = (group.entries_read != -1).then_some(group.entries_read);
        let built = builder.group(&group.name, id(group.last_id), read).ok_or(Malformed)?;
        fill(built, group)?;
    }
    if record.counters.is_none() {
        builder.estimate_progress();
    }
    builder.finish().ok_or(Malformed)
}

/// Every pending entry has one consumer.
fn fill(group: &mut Group, record: &rdb::Group<'_>) -> Result<(), Malformed> {
    let mut unowned: HashMap<rdb::Id, (i64, u64)> = HashMap::with_capacity(record.pending.len());
    for (id, delivered_ms, deliveries) in &record.pending {
        if unowned.insert(*id, (*delivered_ms, *deliveries)).is_some() {
            return Err(Malformed);
        }
    }
    for consumer in &record.consumers {
        let of = group.create(&consumer.name, consumer.seen_ms).ok_or(Malformed)?;
        group.set_active(of, consumer.active_ms.unwrap_or(consumer.seen_ms));
        for pending in &consumer.pending {
            let (delivered_ms, deliveries) = unowned.remove(pending).ok_or(Malformed)?;
            group.assign(id(*pending), of, delivered_ms, deliveries);
        }
    }
    if unowned.is_empty() { Ok(()) } else { Err(Malformed) }
}
