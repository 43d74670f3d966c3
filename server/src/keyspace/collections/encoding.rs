//! Values as bytes: in pieces of views, and in digests. `decoding` reads them.
//!
//! ```text
//! string, small: as it is held
//! large:         form (1 byte), count (varint), then per element, in the order of places:
//!   hash         field, value          (each: length (varint), bytes)
//!   timed hash   field, value, deadline (varint; 0: none)
//!   set          member
//!   sorted set   member, score (f64)
//!   list         per node: count of entries (varint), entries (length, bytes); the count above is that of the nodes
//!   stream       see `stream::encoding`; the count above is that of the blocks
//! ```
//! Order and representation are part of it, so a copy that loads it chooses and walks as the one that wrote it.
//!
//! A long value goes out in parts, of as many bytes as one has room for: a [`Position`] says where the next one begins.
//! It is good while the value does not change; the parts one after another are the value's bytes.

use super::hash::Body;
use super::list::ListRef;
use super::set::SetRef;
use super::sorted_set::SortedSetRef;
use super::{form, stream};
use crate::keyspace::ValueRef;

/// So many elements ahead of the one that is encoded are asked for, so that a large collection is not waited for element
/// by element: a change of it may have to write all of it, under the lock.
const AHEAD: usize = 16;

/// How far a value was encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::keyspace) struct Position {
    step: Step,
    /// Bytes of that step that are out already.
    skip: usize,
}

/// What is encoded in one go, unless it is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    /// What stands before the elements; all of a value that is held as bytes.
    #[default]
    Head,
    /// The element, or node, at a place.
    Element(usize),
    /// Of a stream.
    Stream(stream::encoding::Step),
}

impl Step {
    fn element(place: usize, length: usize) -> Option<Self> {
        (place < length).then_some(Self::Element(place))
    }
}

/// Takes the bytes of one step after another: not those that are out already, and no more than there is room for.
pub(super) struct Sink<'a> {
    out: &'a mut Vec<u8>,
    room: usize,
    skip: usize,
    /// Bytes of this step that are out.
    taken: usize,
    is_cut: bool,
}

impl Sink<'_> {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let bytes = &bytes[skipped..];
        let fits = bytes.len().min(self.room);
        self.out.extend_from_slice(&bytes[..fits]);
        self.room -= fits;
        self.taken += fits;
        self.is_cut |= fits < bytes.len();
    }

    pub(super) fn varint(&mut self, mut number: usize) {
        let (mut bytes, mut length) = ([0; 10], 0);
        while number >= 0x80 {
            bytes[length] = number as u8 | 0x80;
            number >>= 7;
            length += 1;
        }
        bytes[length] = number as u8;
        self.raw(&bytes[..=length]);
    }

    /// Length and bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len());
        self.raw(bytes);
    }
}

/// The bytes of a value that is held as they are: a string, a small collection.
fn flat(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::String(bytes)
        | ValueRef::List(ListRef::Compact(bytes))
        | ValueRef::Set(SetRef::Compact(bytes))
        | ValueRef::SortedSet(SortedSetRef::Compact(bytes)) => Some(bytes),
        ValueRef::Hash(hash) => match hash.body() {
            Body::Compact(bytes) | Body::Timed(bytes) => Some(bytes),
            Body::Large(_) => None,
        },
        _ => None,
    }
}

/// Appends the bytes of a value; those of a string are itself.
pub(in crate::keyspace) fn encode(value: ValueRef<'_>, out: &mut Vec<u8>) {
    encode_part(value, &mut Position::default(), usize::MAX, out);
}

/// The part of a value from `position` on that `room` bytes have room for; `position` is where the next one begins
/// afterwards. Whether there is one. `scratch` is where a large collection is encoded.
pub(in crate::keyspace) fn part<'a>(
    value: ValueRef<'a>,
    position: &mut Position,
    room: usize,
    scratch: &'a mut Vec<u8>,
) -> (&'a [u8], bool) {
    let Some(bytes) = flat(value) else {
        let more = encode_part(value, position, room, scratch);
        return (scratch, more);
    };
    let rest = bytes.get(position.skip..).unwrap_or_default();
    let fits = rest.len().min(room);
    position.skip += fits;
    (&rest[..fits], fits < rest.len())
}

fn encode_part(value: ValueRef<'_>, position: &mut Position, room: usize, out: &mut Vec<u8>) -> bool {
    let mut sink = Sink { out, room, skip: position.skip, taken: position.skip, is_cut: false };
    loop {
        let next = write(value, position.step, &mut sink);
        if sink.is_cut {
            position.skip = sink.taken;
            return true;
        }
        let Some(next) = next else { return false };
        *position = Position { step: next, skip: 0 };
        if sink.room == 0 {
            return true;
        }
        (sink.skip, sink.taken) = (0, 0);
    }
}

/// Writes one step of a value and says which one follows. One that is beyond the end is empty: somebody changed the value.
fn write(value: ValueRef<'_>, step: Step, sink: &mut Sink<'_>) -> Option<Step> {
    if let Some(bytes) = flat(value) {
        sink.raw(bytes);
        return None;
    }
    let mut head = |form: u8, count: usize, length: usize| {
        sink.raw(&[form | form::LARGE]);
        sink.varint(count);
        Step::element(0, length)
    };
    match (value, step) {
        (ValueRef::Hash(hash), step) => match (hash.body(), step) {
            (Body::Large(hash), Step::Head) => {
                let form = if hash.is_timed() { form::TIMED_HASH } else { form::HASH };
                head(form, hash.len(), hash.len())
            }
            (Body::Large(hash), Step::Element(place)) => {
                hash.ask(place + AHEAD);
                // What is due too: it goes by an entry of its own.
                let (field, value, deadline) = hash.element(place)?;
                sink.bytes(field);
                sink.bytes(value);
                if hash.is_timed() {
                    sink.varint(deadline.unwrap_or(0) as usize);
                }
                Step::element(place + 1, hash.len())
            }
            _ => None,
        },
        (ValueRef::Set(SetRef::Large(set)), Step::Head) => head(form::SET, set.len(), set.len()),
        (ValueRef::Set(SetRef::Large(set)), Step::Element(place)) => {
            set.ask(place + AHEAD);
            sink.bytes(set.member(place)?);
            Step::element(place + 1, set.len())
        }
        (ValueRef::SortedSet(SortedSetRef::Large(set)), Step::Head) => head(form::SORTED_SET, set.len(), set.len()),
        (ValueRef::SortedSet(SortedSetRef::Large(set)), Step::Element(place)) => {
            set.ask(place + AHEAD);
            let (member, score) = set.member(place)?;
            sink.bytes(member);
            sink.raw(&score.to_bits().to_le_bytes());
            Step::element(place + 1, set.len())
        }
        (ValueRef::List(ListRef::Large(list)), Step::Head) => {
            let form = form::LIST | if list.is_listpack() { form::LISTPACK } else { 0 };
            head(form, list.node_count(), list.node_count())
        }
        (ValueRef::List(ListRef::Large(list)), Step::Element(number)) => {
            let (count, entries) = list.node(number)?;
            sink.varint(count);
            sink.bytes(entries);
            Step::element(number + 1, list.node_count())
        }
        (ValueRef::Stream(stream), Step::Head) => {
            head(form::STREAM, stream.blocks().0, 0);
            Some(Step::Stream(stream::encoding::Step::first(stream)))
        }
        (ValueRef::Stream(stream), Step::Stream(step)) => stream::encoding::write(stream, step, sink).map(Step::Stream),
        _ => None,
    }
}
