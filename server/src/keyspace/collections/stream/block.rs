//! A block: about a hundred entries in one buffer, as Redis packs them.
//!
//! ```text
//! block:   live (count), deleted (count), fields (count), field ..., 0, entry ...
//! entry:   flags, ms, sequence (both: offset from the block's id), what it holds, number of elements before this one
//! holds:   value ...                                   where its fields are the block's (flag SAME_FIELDS)
//!          fields (count), field, value, ...           otherwise
//! ```
//! Each of these is a listpack entry. The fields of the first entry are the block's, so entries of one shape store
//! their values alone. A deleted entry is marked; its bytes stay until the block goes, with its last live entry.
//!
//! All of it is Redis's to the bit, marks and sizes included: where a block ends decides on what `MAXLEN ~` trims, and
//! payloads of DUMP are a copy.

use super::id::StreamId;
use super::sequence::Keyed;
use crate::keyspace::collections::allocated_bytes;
use crate::keyspace::collections::limits::Limits;
use crate::keyspace::collections::listpack::{self, Element, FRAME_BYTES};

/// Capacity that a block grows to by doubling.
const DOUBLED_BYTES_MAX: usize = 4096;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// A block.
pub(super) struct Block {
    id: StreamId,
    bytes: Vec<u8>,
}

impl Keyed for Block {
    fn id(&self) -> StreamId {
        self.id
    }

    fn heap_bytes(&self) -> usize {
        if self.bytes.capacity() == 0 { 0 } else { allocated_bytes(self.bytes.capacity()) }
    }
}

/// What stands before the entries.
#[derive(Clone, Copy)]
struct Head {
    fields: usize,
    fields_at: usize,
    entries_at: usize,
}

/// An entry as it stands in its block.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) id: StreamId,
    pub(super) deleted: bool,
    at: usize,
    end: usize,
    same_fields: bool,
    fields: usize,
    fields_at: usize,
    values_at: usize,
}

/// The number at a place, and where the next element begins.
fn number(bytes: &[u8], at: usize) -> (i64, usize) {
    match listpack::read(bytes, at) {
        (Element::Integer(number), next) => (number, next),
        (Element::Bytes(_), _) => unreachable!("blocks are checked where they come from outside"),
    }
}

fn push_number(bytes: &mut Vec<u8>, number: i64) {
    bytes.extend_from_slice(&listpack::integer_entry(number));
}

impl Block {
    /// A block of no entries yet, whose fields are those of `pairs`.
    pub(super) fn new(id: StreamId, pairs: &[(&[u8], &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for number in [0, 0, pairs.len() as i64] {
            push_number(&mut bytes, number);
        }
        pairs.iter().for_each(|(field, _)| bytes.extend_from_slice(&listpack::entry(field)));
        push_number(&mut bytes, 0);
        Self { id, bytes }
    }

    /// A block from its bytes; `None` where they are not one. Never panics.
    pub(super) fn from_bytes(id: StreamId, bytes: &[u8]) -> Option<Self> {
        check(id, bytes)?;
        Some(Self { id, bytes: bytes.to_vec() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn head(&self) -> Head {
        let (fields, fields_at) = number(&self.bytes, listpack::nth(&self.bytes, 0, 2));
        let fields = fields as usize;
        Head { fields, fields_at, entries_at: listpack::nth(&self.bytes, fields_at, fields + 1) }
    }

    /// How many entries are not deleted.
    pub(super) fn live(&self) -> usize {
        number(&self.bytes, 0).0 as usize
    }

    /// Whether another entry with so many bytes of fields and values goes here.
    pub(super) fn has_room(&self, bytes: usize, limits: &Limits) -> bool {
        let (live, at) = number(&self.bytes, 0);
        let (deleted, _) = number(&self.bytes, at);
        FRAME_BYTES + self.bytes.len() + bytes < limits.stream_block_bytes as usize
            && (limits.stream_block_entries == 0 || live + deleted < i64::from(limits.stream_block_entries))
    }

    /// Gives back the room at the end: the block grows no more.
    pub(super) fn seal(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Appends an entry, whose id is above all that are there.
    pub(super) fn push(&mut self, id: StreamId, pairs: &[(&[u8], &[u8])]) {
        let head = self.head();
        let same_fields = head.fields == pairs.len() && {
            let mut at = head.fields_at;
            pairs.iter().all(|(field, _)| {
                let (element, next) = listpack::read(&self.bytes, at);
                at = next;
                listpack::Needle::new(field).is(element)
            })
        };
        let (ms, sequence) = self.id.offset_of(id);
        let mut entry = Vec::with_capacity(pairs.iter().map(|(field, value)| field.len() + value.len() + 16).sum());
        for number in [if same_fields { SAME_FIELDS } else { 0 }, ms, sequence] {
            push_number(&mut entry, number);
        }
        let mut elements = 3 + pairs.len();
        if !same_fields {
            push_number(&mut entry, pairs.len() as i64);
            elements += 1 + pairs.len();
        }
        for (field, value) in pairs {
            if !same_fields {
                entry.extend_from_slice(&listpack::entry(field));
            }
            entry.extend_from_slice(&listpack::entry(value));
        }
        push_number(&mut entry, elements as i64);
        let needed = self.bytes.len() + entry.len();
        if needed > self.bytes.capacity() {
            let wanted =
                if needed < DOUBLED_BYTES_MAX { (needed * 2).min(DOUBLED_BYTES_MAX) } else { needed + needed / 8 };
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(&entry);
        self.count(1, 0);
    }

    /// Adds to the numbers of live and deleted entries.
    fn count(&mut self, live: i64, deleted: i64) {
        let mut at = 0;
        for change in [live, deleted] {
            let (old, end) = number(&self.bytes, at);
            listpack::replace(&mut self.bytes, at, end, &listpack::integer_entry(old + change));
            at = listpack::skip(&self.bytes, at);
        }
    }

    /// The entry at `at`.
    fn entry(&self, at: usize, head: &Head) -> Found {
        let (flags, next) = number(&self.bytes, at);
        let (ms, next) = number(&self.bytes, next);
        let (sequence, next) = number(&self.bytes, next);
        let same_fields = flags & SAME_FIELDS != 0;
        let (fields, fields_at, values_at, elements) = if same_fields {
            (head.fields, head.fields_at, next, head.fields)
        } else {
            let (fields, next) = number(&self.bytes, next);
            (fields as usize, next, next, 2 * fields as usize)
        };
        let end = listpack::nth(&self.bytes, values_at, elements + 1);
        let id = self.id.plus((ms, sequence));
        Found { id, deleted: flags & DELETED != 0, at, end, same_fields, fields, fields_at, values_at }
    }

    /// All entries, deleted ones too.
    pub(super) fn entries(&self) -> impl Iterator<Item = Found> {
        let head = self.head();
        let mut at = head.entries_at;
        std::iter::from_fn(move || {
            let found = (at < self.bytes.len()).then(|| self.entry(at, &head))?;
            at = found.end;
            Some(found)
        })
    }

    /// All entries, from the last to the first.
    pub(super) fn entries_back(&self) -> impl Iterator<Item = Found> {
        let head = self.head();
        let mut end = self.bytes.len();
        std::iter::from_fn(move || {
            if end <= head.entries_at {
                return None;
            }
            let mut at = listpack::previous(&self.bytes, end);
            for _ in 0..number(&self.bytes, at).0 {
                at = listpack::previous(&self.bytes, at);
            }
            end = at;
            Some(self.entry(at, &head))
        })
    }

    /// The last entry's id, be it deleted.
    pub(super) fn last_id(&self) -> StreamId {
        self.entries_back().next().map_or(self.id, |entry| entry.id)
    }

    /// What an entry holds.
    pub(super) fn pairs(&self, found: &Found) -> Pairs<'_> {
        let Found { same_fields, fields, fields_at, values_at, .. } = *found;
        Pairs { bytes: &self.bytes, left: fields, field_at: fields_at, value_at: values_at, same_fields }
    }

    /// Marks an entry that is not deleted yet.
    pub(super) fn delete(&mut self, found: &Found) {
        self.mark(found);
        self.count(-1, 1);
    }

    fn mark(&mut self, found: &Found) {
        let (flags, end) = number(&self.bytes, found.at);
        // Flags are small numbers: the mark changes no size.
        listpack::replace(&mut self.bytes, found.at, end, &listpack::integer_entry(flags | DELETED));
    }

    /// Marks live entries from the first on while `goes` says so (it sees deleted ones, too); how many.
    pub(super) fn delete_while(&mut self, mut goes: impl FnMut(&Found) -> bool) -> usize {
        let head = self.head();
        let (mut at, mut marked) = (head.entries_at, 0);
        while at < self.bytes.len() {
            let found = self.entry(at, &head);
            if !goes(&found) {
                break;
            }
            if !found.deleted {
                self.mark(&found);
                marked += 1;
            }
            at = found.end;
        }
        self.count(-(marked as i64), marked as i64);
        marked
    }
}

/// Fields and values of an entry.
#[derive(Clone)]
pub struct Pairs<'a> {
    bytes: &'a [u8],
    left: usize,
    field_at: usize,
    value_at: usize,
    same_fields: bool,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (field, value) = if self.same_fields {
            let (field, next) = listpack::read(self.bytes, self.field_at);
            self.field_at = next;
            let (value, next) = listpack::read(self.bytes, self.value_at);
            self.value_at = next;
            (field, value)
        } else {
            let (field, next) = listpack::read(self.bytes, self.value_at);
            let (value, next) = listpack::read(self.bytes, next);
            self.value_at = next;
            (field, value)
        };
        Some((field, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

/// Whether bytes from outside are a block: its structure, its counts, and ids that ascend from its own.
fn check(id: StreamId, bytes: &[u8]) -> Option<()> {
    listpack::check(bytes)?;
    let mut reader = Checked { bytes, at: 0 };
    let (live, deleted) = (reader.count()?, reader.count()?);
    let fields = reader.count()?;
    reader.skip(fields)?;
    if reader.number()? != 0 {
        return None;
    }
    let (mut seen_live, mut seen_deleted, mut last) = (0, 0, None);
    while reader.at < bytes.len() {
        let flags = reader.number()?;
        let offset = (reader.number()?, reader.number()?);
        let mut elements = 3;
        if flags & SAME_FIELDS != 0 {
            reader.skip(fields)?;
            elements += fields;
        } else {
            let fields = reader.count()?;
            reader.skip(fields.checked_mul(2)?)?;
            elements += 1 + 2 * fields;
        }
        if reader.number()? != i64::try_from(elements).ok()? {
            return None;
        }
        let this = id.plus(offset);
        if !(0..=(DELETED | SAME_FIELDS)).contains(&flags) || this < id || last.is_some_and(|last| last >= this) {
            return None;
        }
        last = Some(this);
        if flags & DELETED == 0 { seen_live += 1 } else { seen_deleted += 1 }
    }
    (last.is_some() && (seen_live, seen_deleted) == (live, deleted)).then_some(())
}

/// Elements of bytes that are listpack entries, of which nothing more is known.
struct Checked<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Checked<'_> {
    fn number(&mut self) -> Option<i64> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let (element, next) = listpack::read(self.bytes, self.at);
        self.at = next;
        match element {
            Element::Integer(number) => Some(number),
            Element::Bytes(_) => None,
        }
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn skip(&mut self, elements: usize) -> Option<()> {
        for _ in 0..elements {
            if self.at >= self.bytes.len() {
                return None;
            }
            self.at = listpack::skip(self.bytes, self.at);
        }
        Some(())
    }
}

#[cfg(any(test, fuzzing))]
impl Block {
    pub(super) fn check(&self) {
        check(self.id, &self.bytes).expect("a sound block");
    }
}
