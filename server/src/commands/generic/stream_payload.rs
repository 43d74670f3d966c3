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

#[cfg(test)]
mod tests {
    use crate::commands::generic::dump::DUMP;
    use crate::commands::generic::restore::RESTORE;
    use crate::commands::stream::{xgroup, xinfo};
    use crate::commands::testing::Bench;
    use crate::rdb;
    use proptest::prelude::*;

    /// A stream with all that there is, on a bench of its own.
    fn filled() -> Bench {
        let mut bench = Bench::new();
        for n in 1..=130 {
            bench.run(&format!("XADD k {n} field value:{n}"));
        }
        bench.run("XADD k 200 other 1 field 2");
        bench.call(&xgroup::CREATE, "XGROUP CREATE k g 0");
        bench.call(&xgroup::CREATE, "XGROUP CREATE k h $");
        bench.run("XREADGROUP GROUP g one COUNT 5 STREAMS k >");
        bench.run("XREADGROUP GROUP g two COUNT 5 STREAMS k >");
        bench.run("XDEL k 3 100");
        bench
    }

    fn dumped(bench: &mut Bench) -> Vec<u8> {
        let reply = bench.raw(&DUMP, &[b"DUMP", b"k"]);
        let at = reply.windows(2).position(|pair| pair == b"\r\n").expect("a bulk string") + 2;
        reply[at..reply.len() - 2].to_vec()
    }

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut writer = rdb::Writer::new(body[0]);
        writer.raw(&body[1..]);
        rdb::seal(writer)
    }

    fn restore(bench: &mut Bench, payload: &[u8]) -> String {
        bench.call_args(&RESTORE, &[b"RESTORE", b"k", b"0", payload, b"REPLACE"])
    }

    #[test]
    fn what_is_dumped_is_restored() {
        let mut bench = filled();
        let before = bench.call(&xinfo::STREAM, "XINFO STREAM k FULL COUNT 0");
        let payload = dumped(&mut bench);
        assert_eq!(restore(&mut bench, &payload), "+OK|");
        assert_eq!(bench.call(&xinfo::STREAM, "XINFO STREAM k FULL COUNT 0"), before);
        bench.keyspace.check_invariants();
    }

    /// A stream of one entry, pending for a consumer, in the spelling of a type byte.
    fn spelled(type_byte: u8) -> Vec<u8> {
        let mut bench = Bench::new();
        bench.run("XADD k 1-1 f v");
        let body = dumped(&mut bench);
        let mut reader = rdb::Reader::new(&body[1..]);
        let stream = rdb::stream::Stream::read(&mut reader, rdb::TYPE_STREAM_2).expect("a stream");
        let listpack = [&[0; 6][..], &stream.blocks[0].1, &[0xFF]].concat();
        let listpack = [&(listpack.len() as u32).to_le_bytes()[..], &listpack[4..]].concat();
        let key = [&1u64.to_be_bytes()[..], &1u64.to_be_bytes()].concat();
        let mut writer = rdb::Writer::new(type_byte);
        writer.length(1);
        writer.string(&key);
        writer.string(&listpack);
        // Length, last id; and, where it is known, first id, highest deleted id, entries added.
        let known = [1, 1, 1, 1, 1, 0, 7, 9];
        known[..if type_byte == rdb::TYPE_STREAM { 3 } else { 8 }].iter().for_each(|number| writer.length(*number));
        writer.length(1);
        writer.string(b"g");
        [1, 1].iter().for_each(|number| writer.length(*number));
        if type_byte != rdb::TYPE_STREAM {
            writer.length(9);
        }
        writer.length(1);
        writer.raw(&key);
        writer.raw(&5u64.to_le_bytes());
        writer.length(3);
        writer.length(1);
        writer.string(b"c");
        writer.raw(&8u64.to_le_bytes());
        if type_byte == rdb::TYPE_STREAM_3 {
            writer.raw(&6u64.to_le_bytes());
        }
        writer.length(1);
        writer.raw(&key);
        rdb::seal(writer)
    }

    #[test]
    fn every_spelling_is_read() {
        for (type_byte, deleted, added, active) in
            [(rdb::TYPE_STREAM, "0-0", 1, 8), (rdb::TYPE_STREAM_2, "0-7", 9, 8), (rdb::TYPE_STREAM_3, "0-7", 9, 6)]
        {
            let mut bench = Bench::new();
            assert_eq!(restore(&mut bench, &spelled(type_byte)), "+OK|");
            let full = bench.call(&xinfo::STREAM, "XINFO STREAM k FULL");
            let expected = format!(
                "$20|max-deleted-entry-id|$3|{deleted}|$13|entries-added|:{added}|$23|recorded-first-entry-id|$3|1-1|$7|entries|*1|\
                 *2|$3|1-1|*2|$1|f|$1|v|$6|groups|*1|*14|$4|name|$1|g|$17|last-delivered-id|$3|1-1|$12|entries-read|:{added}|\
                 $3|lag|:0|$9|pel-count|:1|$7|pending|*1|*4|$3|1-1|$1|c|:5|:3|$9|consumers|*1|*10|$4|name|$1|c|\
                 $9|seen-time|:8|$11|active-time|:{active}|$9|pel-count|:1|$7|pending|*1|*3|$3|1-1|:5|:3|"
            );
            assert!(full.ends_with(&expected), "{full}");
        }
    }

    proptest! {
        /// A payload with a right checksum may hold anything: it is refused, or it is a stream.
        #[test]
        fn tampered_payloads_do_no_harm(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()), small: bool
        ) {
            let mut bench = filled();
            let payload = if small { spelled(rdb::TYPE_STREAM_3) } else { dumped(&mut bench) };
            let mut body = payload[..payload.len() - 10].to_vec();
            for (at, byte) in changes {
                let at = 1 + at.index(body.len() - 1);
                body[at] = byte;
            }
            if let Some(cut) = cut {
                body.truncate(1 + cut.index(body.len() - 1));
            }
            let reply = restore(&mut bench, &sealed(&body));
            prop_assert!(reply == "+OK|" || reply == "-ERR Bad data format|", "{reply}");
            bench.keyspace.check_invariants();
            bench.call(&xinfo::STREAM, "XINFO STREAM k FULL COUNT 0");
            for line in [
                "XADD k * a b", "XREADGROUP GROUP g one STREAMS k >", "XREADGROUP GROUP g one STREAMS k 0", "XREVRANGE k + -",
                "XAUTOCLAIM k g two 0 0", "XDEL k 5 6", "XTRIM k MAXLEN 2", "XTRIM k MINID ~ 150",
            ] {
                bench.run(line);
            }
            bench.keyspace.check_invariants();
        }
    }
}
