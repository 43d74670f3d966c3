//! Collections as bytes: in pieces of views, and in digests.
//!
//! ```text
//! small:         as it is held
//! large:         form (1 byte), count (varint), then per element, in the order of places:
//!   hash         field, value          (each: length (varint), bytes)
//!   timed hash   field, value, deadline (varint; 0: none)
//!   set          member
//!   sorted set   member, score (f64)
//!   list         per node: count of entries (varint), entries (length, bytes); the count above is that of the nodes
//!   stream       see `stream::encoding`; the count above is that of the blocks
//! ```
//! Order and representation are part of it, so a copy that loads it chooses and walks as the one that wrote it.

use super::hash::{Body, LargeHash, timed};
use super::list::{LargeList, ListRef};
use super::listpack;
use super::set::{LargeSet, SetRef, integers};
use super::sorted_set::{LargeSortedSet, Scoring, SortedSetRef};
use super::{Large, Stored, compact, form, sorted_set, stream};
use crate::keyspace::{HashSeed, ValueRef};

pub(super) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the bytes of a value; those of a string are itself.
pub(in crate::keyspace) fn encode(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::String(bytes)
        | ValueRef::List(ListRef::Compact(bytes))
        | ValueRef::Set(SetRef::Compact(bytes))
        | ValueRef::SortedSet(SortedSetRef::Compact(bytes)) => out.extend_from_slice(bytes),
        ValueRef::Hash(hash) => match hash.body() {
            Body::Compact(bytes) | Body::Timed(bytes) => out.extend_from_slice(bytes),
            Body::Large(large) => {
                let timed = large.is_timed();
                out.push(if timed { form::TIMED_HASH } else { form::HASH } | form::LARGE);
                put_varint(out, large.len());
                let (mut field_text, mut value_text) = Default::default();
                // What is due too: it goes by an entry of its own.
                for (field, value, deadline) in hash.at_instant(0).timed_pairs() {
                    put(out, field.bytes(&mut field_text));
                    put(out, value.bytes(&mut value_text));
                    if timed {
                        put_varint(out, deadline.unwrap_or(0) as usize);
                    }
                }
            }
        },
        ValueRef::Set(set @ SetRef::Large(_)) => {
            out.push(form::SET | form::LARGE);
            put_varint(out, set.len());
            let mut text = Default::default();
            set.members().for_each(|member| put(out, member.bytes(&mut text)));
        }
        ValueRef::SortedSet(SortedSetRef::Large(set)) => {
            out.push(form::SORTED_SET | form::LARGE);
            put_varint(out, set.len());
            for (member, score) in set.places() {
                put(out, member);
                out.extend_from_slice(&score.to_bits().to_le_bytes());
            }
        }
        ValueRef::Stream(stream) => {
            out.push(form::STREAM | form::LARGE);
            stream::encoding::encode(stream, out);
        }
        ValueRef::List(ListRef::Large(list)) => {
            out.push(form::LIST | form::LARGE | if list.is_listpack() { form::LISTPACK } else { 0 });
            put_varint(out, list.nodes().count());
            for (count, entries) in list.nodes() {
                put_varint(out, count);
                put(out, entries);
            }
        }
    }
}

/// Reads what [`encode`] wrote of a collection. `None` where the bytes are something else; never panics, and takes no more
/// memory than a small multiple of their length.
pub(in crate::keyspace) fn decode(bytes: &[u8], seed: HashSeed) -> Option<Stored> {
    let form = *bytes.first()?;
    if form & form::LARGE == 0 {
        return is_sound(bytes).then(|| Stored::Compact(bytes.to_vec()));
    }
    let mut reader = Reader(&bytes[1..]);
    let count = reader.varint()?;
    let large = match form & !form::LISTPACK & !form::LARGE {
        form::HASH if form & form::LISTPACK == 0 => {
            let mut hash = LargeHash::new(seed);
            for _ in 0..count {
                let (field, value) = (reader.bytes()?, reader.bytes()?);
                if !hash.add(field, value, None) {
                    return None;
                }
            }
            Large::Hash(hash)
        }
        form::TIMED_HASH if form & form::LISTPACK == 0 => {
            let mut hash = LargeHash::new(seed);
            for _ in 0..count {
                let (field, value, deadline) = (reader.bytes()?, reader.bytes()?, reader.varint()? as u64);
                if !hash.add(field, value, Some(deadline).filter(|deadline| *deadline != 0)) {
                    return None;
                }
            }
            Large::Hash(hash)
        }
        form::SET if form & form::LISTPACK == 0 => {
            let mut set = LargeSet::new(seed);
            for _ in 0..count {
                if !set.add(reader.bytes()?) {
                    return None;
                }
            }
            Large::Set(set)
        }
        form::SORTED_SET if form & form::LISTPACK == 0 => {
            let mut set = LargeSortedSet::new(seed);
            for _ in 0..count {
                let member = reader.bytes()?;
                let score = f64::from_bits(u64::from_le_bytes(reader.take(8)?.try_into().ok()?));
                if score.is_nan() || set.set(member, score) != Scoring::Added {
                    return None;
                }
            }
            Large::SortedSet(set)
        }
        form::STREAM if form & form::LISTPACK == 0 => {
            Large::Stream(Box::new(stream::encoding::decode(count, &mut reader)?))
        }
        form::LIST => {
            let mut list = LargeList::new(form & form::LISTPACK != 0);
            for _ in 0..count {
                let (count, entries) = (reader.varint()?, reader.bytes()?);
                if count == 0 || listpack::check(entries) != Some(count) {
                    return None;
                }
                list.push_node(entries, count);
            }
            Large::List(list)
        }
        _ => return None,
    };
    (reader.0.is_empty() && !large.is_empty()).then(|| Stored::Large(Box::new(large)))
}

/// Whether bytes are a small collection that is not empty.
pub(in crate::keyspace) fn is_sound(bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(&form::INTEGERS) => bytes.len() > compact::HEAD && integers::is_sound(bytes),
        Some(&(form::LIST | form::SET)) => compact::is_sound(bytes) && compact::count(bytes) > 0,
        Some(&form::HASH) => {
            compact::is_sound(bytes) && compact::count(bytes) > 0 && compact::count(bytes).is_multiple_of(2)
        }
        Some(&form::TIMED_HASH) => compact::is_sound(bytes) && compact::count(bytes) > 0 && timed::is_sound(bytes),
        Some(&form::SORTED_SET) => {
            compact::is_sound(bytes) && compact::count(bytes) > 0 && sorted_set::are_scores(bytes)
        }
        _ => false,
    }
}

pub(in crate::keyspace) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn varint(&mut self) -> Option<usize> {
        let mut number = 0usize;
        for shift in (0..56).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        self.take(length)
    }
}
