//! DUMP: <https://redis.io/docs/latest/commands/dump/>

use super::stream_payload;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::collections::hash::HashRef;
use crate::keyspace::collections::listpack::Text;
use crate::keyspace::{HashSeed, ValueRef};
use crate::rdb::{self, Writer};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use siphasher::sip128::SipHasher13;

/// DUMP key
pub static DUMP: CommandSpec = CommandSpec {
    name: "dump",
    id: 110,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Generic,
    since: "2.6.0",
    complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects \
                 composing the value and M their average size. For small string values the time complexity is thus \
                 O(1)+O(1*M) where M is small, so simply O(1).",
    summary: "Returns a serialized representation of the value stored at a key.",
    handler: Handler::Read(read),
};

/// Collections are written element by element, the spelling that every version of Redis reads, whatever form they have
/// here. Streams are written as Redis 7.0 writes them: later versions read that, too.
pub fn payload(value: ValueRef<'_>) -> Vec<u8> {
    let mut text = Text::default();
    rdb::seal(match value {
        ValueRef::String(bytes) => {
            let mut writer = Writer::new(rdb::TYPE_STRING);
            writer.string(bytes);
            writer
        }
        ValueRef::List(list) => {
            let mut writer = begin(rdb::TYPE_LIST, list.len());
            list.from(0).for_each(|element| writer.string(element.bytes(&mut text)));
            writer
        }
        ValueRef::Set(set) => {
            let mut writer = begin(rdb::TYPE_SET, set.len());
            set.members().for_each(|member| writer.string(member.bytes(&mut text)));
            writer
        }
        ValueRef::Hash(hash) if hash.timed_pairs().any(|(_, _, deadline)| deadline.is_some()) => {
            return rdb::seal_as(rdb::VERSION_OF_TIMED_HASHES, timed_hash(hash));
        }
        ValueRef::Hash(hash) => {
            let mut writer = begin(rdb::TYPE_HASH, hash.len());
            hash.pairs().for_each(|(field, value)| {
                writer.string(field.bytes(&mut text));
                writer.string(value.bytes(&mut text));
            });
            writer
        }
        ValueRef::Stream(stream) => {
            let mut writer = Writer::new(rdb::TYPE_STREAM_2);
            stream_payload::record(stream).write(&mut writer, stream_payload::elements);
            writer
        }
        ValueRef::SortedSet(set) => {
            let mut writer = begin(rdb::TYPE_SORTED_SET, set.len());
            // From the highest score, as Redis writes them: who reads them appends at the front.
            set.visit(set.len() - 1, set.len(), true, &mut |member, score| {
                writer.string(member.bytes(&mut text));
                writer.double(score);
            });
            writer
        }
    })
}

/// What tells a payload from others: nobody who does not know the cluster's seed can make two that are alike in it.
pub fn fingerprint(seed: HashSeed, payload: &[u8]) -> [u8; 16] {
    SipHasher13::new_with_key(&seed.0).hash(payload).as_bytes()
}

/// A hash with deadlines of fields, as Redis 7.4 writes it.
fn timed_hash(hash: HashRef<'_>) -> Writer {
    let soonest = hash.timed_pairs().filter_map(|(_, _, deadline)| deadline).min().unwrap_or(0);
    if let Some((count, entries)) = hash.listpackex() {
        let mut writer = Writer::new(rdb::TYPE_HASH_LISTPACK_EX);
        writer.milliseconds(soonest);
        writer.string(&rdb::packed::frame(count, entries));
        return writer;
    }
    let mut writer = Writer::new(rdb::TYPE_HASH_METADATA);
    writer.milliseconds(soonest);
    writer.length(hash.len() as u64);
    let mut text = Text::default();
    for (field, value, deadline) in hash.timed_pairs() {
        writer.length(deadline.map_or(0, |deadline| deadline - soonest + 1));
        writer.string(field.bytes(&mut text));
        writer.string(value.bytes(&mut text));
    }
    writer
}

fn begin(type_byte: u8, count: usize) -> Writer {
    let mut writer = Writer::new(type_byte);
    writer.length(count as u64);
    writer
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let payload = context.read(&args[1]).map(|item| payload(item.value));
    reply.bulk_or_null(payload.as_deref());
    Ok(())
}
