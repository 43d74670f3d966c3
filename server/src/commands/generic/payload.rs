//! What a payload of RESTORE holds: a value of any type, in any of the spellings of Redis 7 and before.

use super::stream_payload;
use crate::commands::Context;
use crate::keyspace::Built;
use crate::keyspace::collections::list::End;
use crate::keyspace::collections::stream::LargeStream;
use crate::rdb::{self, Malformed, Reader, packed, ziplist};
use std::borrow::Cow;
use std::collections::HashSet;

/// A field, its value, and its deadline if it has one.
type TimedField<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>, Option<u64>);

/// A value on its way in.
pub(super) enum Value<'a> {
    /// A string.
    String(Cow<'a, [u8]>),
    /// Elements of a list.
    List(packed::Elements<'a>),
    /// Members of a set, all different.
    Set(packed::Elements<'a>),
    /// Fields, all different, and their values, in turn.
    Hash(packed::Elements<'a>),
    /// Fields, all different, their values, and their deadlines.
    TimedHash(Vec<TimedField<'a>>),
    /// Members, all different, and their scores, which are numbers.
    SortedSet(Vec<(Cow<'a, [u8]>, f64)>),
    /// A stream, put together.
    Stream(Box<LargeStream>),
}

impl<'a> Value<'a> {
    /// The value in a payload's body. What follows it is ignored, as in Redis. Memory is in proportion to the bytes.
    ///
    /// # Errors
    /// Where there is none, where a collection is empty or has a member twice, and for types that are not served.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        match reader.byte()? {
            rdb::TYPE_STRING => reader.string().map(Self::String),
            rdb::TYPE_LIST => plain(&mut reader, 1).map(Self::List),
            rdb::TYPE_LIST_QUICKLIST => quicklist(&mut reader).map(Self::List),
            rdb::TYPE_LIST_QUICKLIST_ZIPLIST => ziplists(&mut reader).map(Self::List),
            rdb::TYPE_LIST_ZIPLIST => unpacked(&mut reader, ziplist::ziplist).map(Self::List),
            rdb::TYPE_SET => plain(&mut reader, 1).and_then(|members| different(members, 1)).map(Self::Set),
            rdb::TYPE_SET_INTSET => {
                unpacked(&mut reader, packed::intset).and_then(|members| different(members, 1)).map(Self::Set)
            }
            rdb::TYPE_SET_LISTPACK => {
                unpacked(&mut reader, packed::listpack).and_then(|members| different(members, 1)).map(Self::Set)
            }
            rdb::TYPE_HASH => plain(&mut reader, 2).and_then(|pairs| different(pairs, 2)).map(Self::Hash),
            rdb::TYPE_HASH_LISTPACK => {
                unpacked(&mut reader, packed::listpack).and_then(|pairs| different(pairs, 2)).map(Self::Hash)
            }
            rdb::TYPE_HASH_ZIPLIST => {
                unpacked(&mut reader, ziplist::ziplist).and_then(|pairs| different(pairs, 2)).map(Self::Hash)
            }
            rdb::TYPE_HASH_ZIPMAP => {
                unpacked(&mut reader, ziplist::zipmap).and_then(|pairs| different(pairs, 2)).map(Self::Hash)
            }
            rdb::TYPE_HASH_METADATA_PRE_GA => timed(&mut reader, None),
            rdb::TYPE_HASH_METADATA => {
                let soonest = reader.milliseconds()?;
                timed(&mut reader, Some(soonest))
            }
            rdb::TYPE_HASH_LISTPACK_EX_PRE_GA => timed_listpack(&mut reader),
            rdb::TYPE_HASH_LISTPACK_EX => {
                reader.milliseconds()?;
                timed_listpack(&mut reader)
            }
            type_byte @ (rdb::TYPE_SORTED_SET | rdb::TYPE_SORTED_SET_TEXT) => {
                let count = reader.length()?;
                let mut pairs = Vec::new();
                for _ in 0..count {
                    let member = reader.string()?;
                    let text = type_byte == rdb::TYPE_SORTED_SET_TEXT;
                    pairs.push((member, if text { reader.double_text() } else { reader.double() }?));
                }
                scored(pairs)
            }
            rdb::TYPE_SORTED_SET_LISTPACK => with_scores(unpacked(&mut reader, packed::listpack)?),
            rdb::TYPE_SORTED_SET_ZIPLIST => with_scores(unpacked(&mut reader, ziplist::ziplist)?),
            type_byte @ (rdb::TYPE_STREAM | rdb::TYPE_STREAM_2 | rdb::TYPE_STREAM_3) => {
                let record = rdb::stream::Stream::read(&mut reader, type_byte)?;
                stream_payload::build(&record).map(|stream| Self::Stream(Box::new(stream)))
            }
            _ => Err(Malformed),
        }
    }

    /// The value as the keyspace holds it; a string comes back as it is.
    pub(super) fn build(self, context: &Context<'_>) -> Result<Built, Cow<'a, [u8]>> {
        Ok(match self {
            Self::String(bytes) => return Err(bytes),
            Self::List(elements) => context.build_list(|list| {
                elements.iter().for_each(|element| list.push(End::Right, element));
            }),
            Self::Set(members) => context.build_set(|set| {
                for member in &members {
                    set.add(member);
                }
            }),
            Self::Hash(pairs) => context.build_hash(|hash| {
                for pair in pairs.chunks_exact(2) {
                    hash.set(&pair[0], &pair[1]);
                }
            }),
            Self::TimedHash(fields) => context.build_hash(|hash| {
                for (field, value, deadline) in &fields {
                    hash.set(field, value);
                    hash.set_deadline(field, *deadline);
                }
            }),
            Self::Stream(stream) => context.build_stream(|built| built.replace(*stream)),
            Self::SortedSet(pairs) => context.build_sorted_set(|set| {
                // The other way round, since Redis writes the highest score first.
                for (member, score) in pairs.iter().rev() {
                    set.set(member, *score);
                }
            }),
        })
    }
}

/// A count, and so many times `each` strings.
fn plain<'a>(reader: &mut Reader<'a>, each: u64) -> Result<packed::Elements<'a>, Malformed> {
    let count = reader.length()?;
    let mut elements = Vec::new();
    for _ in 0..count.checked_mul(each).ok_or(Malformed)? {
        elements.push(reader.string()?);
    }
    not_empty(elements)
}

/// A string that holds elements.
fn unpacked<'a>(
    reader: &mut Reader<'a>,
    unpack: fn(&[u8]) -> Result<packed::Elements<'_>, Malformed>,
) -> Result<packed::Elements<'a>, Malformed> {
    not_empty(unpacked_or_none(reader, unpack)?)
}

/// [`unpacked`], but there may be none.
fn unpacked_or_none<'a>(
    reader: &mut Reader<'a>,
    unpack: fn(&[u8]) -> Result<packed::Elements<'_>, Malformed>,
) -> Result<packed::Elements<'a>, Malformed> {
    let owned = |elements: packed::Elements<'_>| {
        elements.into_iter().map(|element| Cow::Owned(element.into_owned())).collect::<Vec<_>>()
    };
    Ok(match reader.string()? {
        Cow::Borrowed(bytes) => unpack(bytes)?,
        Cow::Owned(bytes) => owned(unpack(&bytes)?),
    })
}

fn quicklist<'a>(reader: &mut Reader<'a>) -> Result<packed::Elements<'a>, Malformed> {
    const PLAIN: u64 = 1;
    const PACKED: u64 = 2;
    let nodes = reader.length()?;
    let mut elements = Vec::new();
    for _ in 0..nodes {
        match reader.length()? {
            PLAIN => elements.push(reader.string()?),
            PACKED => elements.append(&mut unpacked(reader, packed::listpack)?),
            _ => return Err(Malformed),
        }
    }
    not_empty(elements)
}

/// A count, and so many ziplists. Redis, too, passes over those that are empty.
fn ziplists<'a>(reader: &mut Reader<'a>) -> Result<packed::Elements<'a>, Malformed> {
    let nodes = reader.length()?;
    let mut elements = Vec::new();
    for _ in 0..nodes {
        elements.append(&mut unpacked_or_none(reader, ziplist::ziplist)?);
    }
    not_empty(elements)
}

fn not_empty(elements: packed::Elements<'_>) -> Result<packed::Elements<'_>, Malformed> {
    if elements.is_empty() { Err(Malformed) } else { Ok(elements) }
}

/// Checks that every `each`th element, from the first on, is there once, and that the last of them is whole.
fn different(elements: packed::Elements<'_>, each: usize) -> Result<packed::Elements<'_>, Malformed> {
    let mut seen = HashSet::with_capacity(elements.len() / each);
    let fine = elements.len().is_multiple_of(each) && elements.iter().step_by(each).all(|element| seen.insert(element));
    drop(seen);
    if fine { Ok(elements) } else { Err(Malformed) }
}

/// A count, and so many times deadline, field and value. Deadlines are counted from the soonest on, where one is given.
fn timed<'a>(reader: &mut Reader<'a>, soonest: Option<u64>) -> Result<Value<'a>, Malformed> {
    let count = reader.length()?;
    let mut fields = Vec::new();
    for _ in 0..count {
        let deadline = match (reader.length()?, soonest) {
            (0, _) => None,
            (later, Some(soonest)) => Some(soonest.checked_add(later - 1).ok_or(Malformed)?),
            (at, None) => Some(at),
        };
        fields.push((reader.string()?, reader.string()?, deadline));
    }
    timed_fields(fields)
}

/// A listpack of fields, values and deadlines.
fn timed_listpack<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, Malformed> {
    let mut elements = different(unpacked(reader, packed::listpack)?, 3)?.into_iter();
    let mut fields = Vec::new();
    while let (Some(field), Some(value), Some(deadline)) = (elements.next(), elements.next(), elements.next()) {
        let deadline: u64 = std::str::from_utf8(&deadline).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)?;
        fields.push((field, value, Some(deadline).filter(|deadline| *deadline != 0)));
    }
    timed_fields(fields)
}

/// Redis's own deadlines fit into 48 bits.
fn timed_fields(fields: Vec<TimedField<'_>>) -> Result<Value<'_>, Malformed> {
    const DEADLINE_MAX: u64 = (1 << 48) - 1;
    let mut seen = HashSet::with_capacity(fields.len());
    let fine = !fields.is_empty()
        && fields.iter().all(|(field, _, deadline)| {
            seen.insert(field) && deadline.is_none_or(|deadline| (1..=DEADLINE_MAX).contains(&deadline))
        });
    drop(seen);
    if fine { Ok(Value::TimedHash(fields)) } else { Err(Malformed) }
}

/// Members and scores, packed.
fn with_scores(elements: packed::Elements<'_>) -> Result<Value<'_>, Malformed> {
    let mut elements = different(elements, 2)?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
        let score = std::str::from_utf8(&score).ok().and_then(|score| score.parse().ok());
        pairs.push((member, score.ok_or(Malformed)?));
    }
    scored(pairs)
}

fn scored<'a>(pairs: Vec<(Cow<'a, [u8]>, f64)>) -> Result<Value<'a>, Malformed> {
    let mut seen = HashSet::with_capacity(pairs.len());
    let fine = !pairs.is_empty() && pairs.iter().all(|(member, score)| !score.is_nan() && seen.insert(member));
    drop(seen);
    if fine { Ok(Value::SortedSet(pairs)) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use crate::commands::generic::dump::DUMP;
    use crate::commands::generic::restore::RESTORE;
    use crate::commands::testing::Bench;
    use crate::rdb;

    /// DUMPs of Redis 7.0 and 7.4: what they hold, and their bodies.
    #[test]
    fn packed_spellings_of_redis_are_read() {
        let listpack = |elements: &[&[u8]]| {
            let mut bytes = vec![0; 4];
            bytes.extend_from_slice(&(elements.len() as u16).to_le_bytes());
            for element in elements {
                bytes.push(0x80 | element.len() as u8);
                bytes.extend_from_slice(element);
                bytes.push(element.len() as u8 + 1);
            }
            bytes.push(0xFF);
            let total = bytes.len() as u32;
            bytes[..4].copy_from_slice(&total.to_le_bytes());
            bytes
        };
        let payload = |type_byte: u8, before: &[u64], bytes: &[u8]| {
            let mut writer = rdb::Writer::new(type_byte);
            before.iter().for_each(|length| writer.length(*length));
            writer.string(bytes);
            rdb::seal(writer)
        };
        let intset = [2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0];
        let pairs = listpack(&[b"a", b"1", b"b", b"2.5"]);
        for (payload, command, reply) in [
            (payload(rdb::TYPE_HASH_LISTPACK, &[], &pairs), "HGET k b", "$3|2.5|"),
            (payload(rdb::TYPE_SORTED_SET_LISTPACK, &[], &pairs), "ZSCORE k b", "$3|2.5|"),
            (payload(rdb::TYPE_LIST_QUICKLIST, &[1, 2], &pairs), "LINDEX k -1", "$3|2.5|"),
            (payload(rdb::TYPE_LIST_QUICKLIST, &[1, 1], b"plain"), "LINDEX k 0", "$5|plain|"),
            (payload(rdb::TYPE_SET_INTSET, &[], &intset), "SCARD k", ":2|"),
            (payload(rdb::TYPE_SET_LISTPACK, &[], &listpack(&[b"a", b"b"])), "SISMEMBER k b", ":1|"),
        ] {
            let mut bench = Bench::new();
            assert_eq!(bench.call_args(&RESTORE, &[b"RESTORE", b"k", b"0", &payload]), "+OK|");
            assert_eq!(bench.run(command), reply);
        }
        for (type_byte, elements) in [
            (rdb::TYPE_SET_LISTPACK, listpack(&[b"a", b"a"])),
            (rdb::TYPE_SET_LISTPACK, listpack(&[])),
            (rdb::TYPE_HASH_LISTPACK, listpack(&[b"a"])),
            (rdb::TYPE_HASH_LISTPACK, listpack(&[b"a", b"1", b"a", b"2"])),
            (rdb::TYPE_SORTED_SET_LISTPACK, listpack(&[b"a", b"nan"])),
            (rdb::TYPE_SORTED_SET_LISTPACK, listpack(&[b"a", b"x"])),
        ] {
            let mut bench = Bench::new();
            let payload = payload(type_byte, &[], &elements);
            let reply = bench.call_args(&RESTORE, &[b"RESTORE", b"k", b"0", &payload]);
            assert_eq!(reply, "-ERR Bad data format|");
        }
    }

    /// Types 22 to 25, put together as `rdbSaveObject` of Redis 7.4 and of its release candidates does.
    #[test]
    fn deadlines_of_fields_are_read_in_every_spelling() {
        const AT: u64 = 1_700_000_005_000;
        let timed = |type_byte: u8, soonest: Option<u64>, deadlines: [u64; 3]| {
            let mut writer = rdb::Writer::new(type_byte);
            soonest.iter().for_each(|at| writer.milliseconds(*at));
            writer.length(3);
            for (deadline, field) in deadlines.into_iter().zip([b"a", b"b", b"c"]) {
                writer.length(deadline);
                writer.string(field);
                writer.string(b"v");
            }
            rdb::seal_as(rdb::VERSION_OF_TIMED_HASHES, writer)
        };
        let packed = |type_byte: u8, soonest: Option<u64>| {
            let mut entries = Vec::new();
            for (field, deadline) in [(b'a', AT), (b'b', AT + 7), (b'c', 0)] {
                entries.extend_from_slice(&[0x81, field, 2, 0x81, b'v', 2]);
                if deadline == 0 {
                    entries.extend_from_slice(&[0, 1]);
                } else {
                    entries.push(0xF4);
                    entries.extend_from_slice(&deadline.to_le_bytes());
                    entries.push(9);
                }
            }
            let mut writer = rdb::Writer::new(type_byte);
            soonest.iter().for_each(|at| writer.milliseconds(*at));
            writer.string(&rdb::packed::frame(9, &entries));
            rdb::seal_as(rdb::VERSION_OF_TIMED_HASHES, writer)
        };
        for payload in [
            timed(rdb::TYPE_HASH_METADATA, Some(AT), [1, 8, 0]),
            timed(rdb::TYPE_HASH_METADATA_PRE_GA, None, [AT, AT + 7, 0]),
            packed(rdb::TYPE_HASH_LISTPACK_EX, Some(AT)),
            packed(rdb::TYPE_HASH_LISTPACK_EX_PRE_GA, None),
        ] {
            let mut bench = Bench::new();
            assert_eq!(bench.call_args(&RESTORE, &[b"RESTORE", b"k", b"0", &payload]), "+OK|");
            bench.expect(&[
                ("HPTTL k FIELDS 3 a b c", "*3|:5000|:5007|:-1|"),
                ("HGETALL k", "*6|$1|a|$1|v|$1|b|$1|v|$1|c|$1|v|"),
            ]);
            let dumped = bench.raw(&DUMP, &[b"DUMP", b"k"]);
            let expected = packed(rdb::TYPE_HASH_LISTPACK_EX, Some(AT));
            assert!(
                dumped.windows(expected.len()).any(|window| window == expected),
                "a small one is dumped as 7.4 does"
            );
        }
        for payload in [
            timed(rdb::TYPE_HASH_METADATA, Some(u64::MAX), [2, 0, 0]),
            timed(rdb::TYPE_HASH_METADATA_PRE_GA, None, [1 << 50, 0, 0]),
            packed(rdb::TYPE_HASH_LISTPACK, None),
        ] {
            let reply = Bench::new().call_args(&RESTORE, &[b"RESTORE", b"k", b"0", &payload]);
            assert_eq!(reply, "-ERR Bad data format|");
        }
    }

    /// Payloads as servers of earlier versions write them, byte for byte.
    #[test]
    fn spellings_of_redis_6_and_before_are_read() {
        // Redis 6.2: RPUSH k a 1 -300; HSET k f v g 7; ZADD k 1 a 2.5 b.
        const LIST: &[u8] = b"\x14\x14\0\0\0\x0f\0\0\0\x03\0\0\x01a\x03\xf2\x02\xc0\xd4\xfe\xff";
        const HASH: &[u8] = b"\x16\x16\0\0\0\x13\0\0\0\x04\0\0\x01f\x03\x01v\x03\x01g\x03\xf8\xff";
        const SORTED_SET: &[u8] = b"\x18\x18\0\0\0\x12\0\0\0\x04\0\0\x01a\x03\xf2\x02\x01b\x03\x032.5\xff";
        let zipmap = b"\x0d\x02\x01f\x01\x00v\x01g\x01\x017x\xff";
        let text = b"\x03\x01a\x011\x01b\x032.5\x01c\xfe";
        for (type_byte, body, line, reply) in [
            (rdb::TYPE_LIST_ZIPLIST, LIST, "LRANGE k 0 -1", "*3|$1|a|$1|1|$4|-300|"),
            (rdb::TYPE_LIST_QUICKLIST_ZIPLIST, &[b"\x02", LIST, LIST].concat(), "LLEN k", ":6|"),
            (rdb::TYPE_HASH_ZIPLIST, HASH, "HGETALL k", "*4|$1|f|$1|v|$1|g|$1|7|"),
            (rdb::TYPE_HASH_ZIPMAP, zipmap, "HGETALL k", "*4|$1|f|$1|v|$1|g|$1|7|"),
            (rdb::TYPE_SORTED_SET_ZIPLIST, SORTED_SET, "ZRANGE k 0 -1 WITHSCORES", "*4|$1|a|$1|1|$1|b|$3|2.5|"),
            (rdb::TYPE_SORTED_SET_TEXT, text, "ZRANGE k 1 -1 WITHSCORES", "*4|$1|b|$3|2.5|$1|c|$3|inf|"),
        ] {
            let mut writer = rdb::Writer::new(type_byte);
            writer.raw(body);
            let payload = rdb::seal_as(9, writer);
            let mut bench = Bench::new();
            assert_eq!(bench.call_args(&RESTORE, &[b"RESTORE", b"k", b"0", &payload]), "+OK|", "{type_byte}");
            bench.expect(&[(line, reply)]);
            bench.keyspace.check_invariants();
        }
        // A field twice, a score that is none, fields without values.
        for (type_byte, body) in [
            (rdb::TYPE_HASH_ZIPMAP, &b"\x0c\x02\x01f\x01\x00v\x01f\x01\x007\xff"[..]),
            (rdb::TYPE_SORTED_SET_ZIPLIST, HASH),
            (rdb::TYPE_HASH_ZIPLIST, LIST),
            (rdb::TYPE_LIST_ZIPLIST, b"\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff"),
            (rdb::TYPE_LIST_QUICKLIST_ZIPLIST, b"\x01\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff"),
            (rdb::TYPE_SORTED_SET_TEXT, b"\x01\x01a\xfd"),
        ] {
            let mut writer = rdb::Writer::new(type_byte);
            writer.raw(body);
            let reply = Bench::new().call_args(&RESTORE, &[b"RESTORE", b"k", b"0", &rdb::seal_as(9, writer)]);
            assert_eq!(reply, "-ERR Bad data format|", "{type_byte}");
        }
    }

    #[test]
    fn what_is_dumped_is_restored() {
        for (fill, look) in [
            ("RPUSH k a 1 bb", "LRANGE k 0 -1"),
            ("SADD k 3 1 2", "SCARD k"),
            ("SADD k x 1", "SISMEMBER k x"),
            ("HSET k f v g 2", "HGETALL k"),
            ("HSETEX k PX 77 FIELDS 3 f v g 2 h 3", "HPTTL k FIELDS 4 f g h i"),
            ("ZADD k 1.5 a -inf b 7 c", "ZRANGE k 0 -1 WITHSCORES"),
        ] {
            let mut bench = Bench::new();
            bench.run(fill);
            let before = bench.run(look);
            let (kind, encoding) = (bench.run("TYPE k"), bench.keyspace.digest());
            let payload = bench.raw(&DUMP, &[b"DUMP", b"k"]);
            let at = payload.windows(2).position(|pair| pair == b"\r\n").expect("a bulk string") + 2;
            let payload = &payload[at..payload.len() - 2];
            assert_eq!(bench.call_args(&RESTORE, &[b"RESTORE", b"k", b"0", payload, b"REPLACE"]), "+OK|");
            assert_eq!((bench.run(look), bench.run("TYPE k"), bench.keyspace.digest()), (before, kind, encoding));
        }
    }
}
