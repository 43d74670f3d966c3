//! Streams: entries that are appended, and groups of consumers that read them.
//!
//! ```text
//! stream:  blocks, in the order of their ids            a block: about a hundred entries, packed (`block`)
//!          groups, in the order of their names          a group: consumers, and what is pending (`group`)
//! ```
//! A stream is never small and never empty: unlike other collections it stays where its last entry goes, for its last id
//! and its groups remain.

pub(in crate::keyspace) mod block;
pub(in crate::keyspace) mod encoding;
mod group;
mod id;
mod progress;
mod range;
mod sequence;
#[cfg(test)]
pub(super) mod tests;
mod trim;

pub use block::Pairs;
pub use encoding::StreamBuilder;
pub use group::{Consumer, ConsumerRef, Group, Pending};
pub use id::StreamId;
pub use range::Entry;
pub use trim::{Trim, TrimTo};

use super::limits::Limits;
use super::{Edit, Large, Stored, allocated_bytes};
use block::Block;
use sequence::Sequence;

/// Bytes of fields and values that an entry may have (Redis: `STREAM_LISTPACK_MAX_SIZE`).
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

/// How many elements entries of a listpack are: for its header, in payloads.
pub fn elements_of(bytes: &[u8]) -> usize {
    super::listpack::Elements::new(bytes, 0).count()
}

/// A stream.
#[derive(Default)]
pub struct LargeStream {
    blocks: Sequence<Block>,
    length: usize,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    groups: Vec<Group>,
    group_bytes: usize,
}

impl LargeStream {
    /// How many entries.
    pub(in crate::keyspace) fn len(&self) -> usize {
        self.length
    }

    /// How much there is to free.
    pub(in crate::keyspace) fn weight(&self) -> usize {
        self.blocks.len() + self.groups.iter().map(Group::weight).sum::<usize>()
    }

    pub(in crate::keyspace) fn bytes(&self) -> usize {
        let groups = self.groups.capacity() * size_of::<Group>();
        allocated_bytes(size_of::<Self>()) + self.blocks.bytes() + self.group_bytes + groups
    }

    fn place_of(&self, name: &[u8]) -> Result<usize, usize> {
        self.groups.binary_search_by(|group| group.name().cmp(name))
    }

    /// Appends an entry, whose id is above the last.
    fn push(&mut self, id: StreamId, pairs: &[(&[u8], &[u8])], limits: &Limits) {
        let bytes = pairs.iter().map(|(field, value)| field.len() + value.len()).sum();
        let place = match self.blocks.last_place() {
            Some(place) if self.blocks.at(place).has_room(bytes, limits) => place,
            full => {
                if let Some(full) = full {
                    self.blocks.change(full, Block::seal);
                }
                self.blocks.insert(Block::new(id, pairs));
                self.blocks.last_place().expect("one was added")
            }
        };
        self.blocks.change(place, |block| block.push(id, pairs));
        self.length += 1;
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.length == 1 {
            self.first_id = id;
        }
    }

    /// Marks an entry as deleted; a block without live entries goes.
    fn delete(&mut self, id: StreamId) -> bool {
        let Some(place) = self.blocks.up_to(id) else { return false };
        let block = self.blocks.at(place);
        let Some(found) = block.entries().find(|entry| entry.id >= id).filter(|entry| entry.id == id && !entry.deleted)
        else {
            return false;
        };
        if block.live() == 1 {
            self.blocks.remove_at(place);
        } else {
            self.blocks.change(place, |block| block.delete(&found));
        }
        self.length -= 1;
        true
    }

    /// Brings the first id up to date, after entries went.
    fn find_first_id(&mut self) {
        let first = self.range(StreamId::MIN..=StreamId::MAX).next().map(|entry| entry.id);
        self.first_id = first.unwrap_or_default();
    }

    #[cfg(any(test, fuzzing))]
    pub(in crate::keyspace) fn check(&self) {
        self.blocks.check();
        self.blocks.iter().for_each(Block::check);
        assert_eq!(self.blocks.iter().map(Block::live).sum::<usize>(), self.length);
        let all = || self.range(StreamId::MIN..=StreamId::MAX);
        assert_eq!(all().count(), self.length);
        assert_eq!(all().next().map_or(StreamId::MIN, |entry| entry.id), self.first_id);
        assert!(all().all(|entry| entry.id <= self.last_id));
        assert!(self.groups.windows(2).all(|pair| pair[0].name() < pair[1].name()));
        self.groups.iter().for_each(Group::check);
        assert_eq!(self.groups.iter().map(Group::bytes).sum::<usize>(), self.group_bytes);
    }
}

/// A stream that is read.
#[derive(Clone, Copy)]
pub struct StreamRef<'a>(pub(in crate::keyspace) &'a LargeStream);

impl<'a> StreamRef<'a> {
    /// How many entries.
    #[expect(clippy::len_without_is_empty, reason = "it has more than entries")]
    pub fn len(&self) -> usize {
        self.0.length
    }

    /// The id of the first entry, `0-0` where there is none.
    pub fn first_id(&self) -> StreamId {
        self.0.first_id
    }

    /// The highest id that there was, of an entry or set.
    pub fn last_id(&self) -> StreamId {
        self.0.last_id
    }

    /// The id of the last entry that is there.
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.0.range_back(StreamId::MIN..=StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The highest id that XDEL deleted.
    pub fn max_deleted_id(&self) -> StreamId {
        self.0.max_deleted_id
    }

    /// How many entries were ever added.
    pub fn entries_added(&self) -> u64 {
        self.0.entries_added
    }

    /// Of how many blocks it is made, and how many nodes their index has.
    pub fn blocks(&self) -> (usize, usize) {
        (self.0.blocks.len(), 1 + self.0.blocks.runs())
    }

    /// The entries of a range, in order.
    pub fn range(&self, range: std::ops::RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.0.range(range)
    }

    /// The entries of a range, from the last to the first.
    pub fn range_back(&self, range: std::ops::RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.0.range_back(range)
    }

    /// The entry with an id.
    pub fn entry(&self, id: StreamId) -> Option<Entry<'a>> {
        self.0.range(id..=id).next()
    }

    /// The groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &'a Group> + use<'a> {
        self.0.groups.iter()
    }

    /// The group with a name.
    pub fn group(&self, name: &[u8]) -> Option<&'a Group> {
        self.0.place_of(name).ok().map(|place| &self.0.groups[place])
    }

    /// How many entries a group has still to read, where that is known.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        self.0.lag(group)
    }
}

/// A stream that is changed.
pub struct StreamMut<'a, 'b>(pub &'b mut Edit<'a>);

impl StreamMut<'_, '_> {
    /// The stream as it is now.
    pub fn read(&self) -> StreamRef<'_> {
        match &*self.0.stored {
            Stored::Large(large) => match &**large {
                Large::Stream(stream) => StreamRef(stream),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(_) => {
                static NONE: std::sync::LazyLock<LargeStream> = std::sync::LazyLock::new(LargeStream::default);
                StreamRef(&NONE)
            }
        }
    }

    /// The stream to be changed, in a way that those who watch the key are to know.
    fn change(&mut self) -> &mut LargeStream {
        self.0.changed = true;
        self.large()
    }

    /// The stream to be changed; it is there from now on, even if without entries. What concerns groups and counters alone
    /// does not count as a change of the key for WATCH, as in Redis.
    fn large(&mut self) -> &mut LargeStream {
        if let Stored::Compact(_) = &*self.0.stored {
            *self.0.stored = Stored::Large(Box::new(Large::Stream(Box::default())));
        }
        match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::Stream(stream) => stream,
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(_) => unreachable!("it was made large"),
        }
    }

    /// Makes the stream exist, without entries.
    pub fn create(&mut self) {
        self.change();
    }

    /// Takes the place of what is there with a stream that was decoded from a payload.
    pub fn replace(&mut self, with: LargeStream) {
        *self.change() = with;
    }

    /// Appends an entry.
    ///
    /// # Panics
    /// If its id is not above the last one.
    pub fn push(&mut self, id: StreamId, pairs: &[(&[u8], &[u8])]) {
        let limits = self.0.limits;
        let stream = self.change();
        assert!(id > stream.last_id, "ids ascend");
        stream.push(id, pairs, limits);
    }

    /// Deletes entries; how many of them there were.
    pub fn delete(&mut self, ids: &[StreamId]) -> usize {
        let stream = self.large();
        let (mut deleted, mut first) = (0, false);
        for id in ids {
            if stream.delete(*id) {
                first |= *id == stream.first_id;
                stream.max_deleted_id = stream.max_deleted_id.max(*id);
                deleted += 1;
            }
        }
        if first || stream.length == 0 {
            stream.find_first_id();
        }
        self.0.changed |= deleted > 0;
        deleted
    }

    /// Trims; how many entries went.
    pub fn trim(&mut self, trim: &Trim) -> usize {
        let trimmed = self.large().trim(trim);
        self.0.changed |= trimmed > 0;
        trimmed
    }

    /// Sets what XSETID sets.
    pub fn set_ids(&mut self, last_id: StreamId, entries_added: Option<u64>, max_deleted_id: Option<StreamId>) {
        let stream = self.large();
        stream.last_id = last_id;
        stream.entries_added = entries_added.unwrap_or(stream.entries_added);
        stream.max_deleted_id = max_deleted_id.unwrap_or(stream.max_deleted_id);
    }

    /// Makes a group; false where there is one of this name.
    pub fn create_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<i64>) -> bool {
        let Err(place) = self.read().0.place_of(name) else { return false };
        let stream = self.large();
        let group = Group::new(name, last_id, entries_read);
        stream.group_bytes += group.bytes();
        stream.groups.insert(place, group);
        true
    }

    /// Removes a group; false where there is none of this name.
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        let Ok(place) = self.read().0.place_of(name) else { return false };
        // Unlike other changes of groups: who waits for entries of this one has to know.
        let stream = self.change();
        let group = stream.groups.remove(place);
        stream.group_bytes -= group.bytes();
        if stream.groups.len() < stream.groups.capacity() / 4 {
            stream.groups.shrink_to(stream.groups.len() * 2);
        }
        if group.weight() > super::LAZY_ELEMENTS_MIN {
            crate::keyspace::reclaim::later(group);
        }
        true
    }

    /// Lets `edit` change a group, with the stream to read beside it; `None` where there is none of this name.
    pub fn edit_group<R>(&mut self, name: &[u8], edit: impl FnOnce(&mut Group, StreamRef<'_>) -> R) -> Option<R> {
        let place = self.read().0.place_of(name).ok()?;
        let stream = self.large();
        let mut groups = std::mem::take(&mut stream.groups);
        let group = &mut groups[place];
        let before = group.bytes();
        let result = edit(group, StreamRef(stream));
        stream.group_bytes = stream.group_bytes - before + group.bytes();
        stream.groups = groups;
        Some(result)
    }
}

#[cfg(any(test, fuzzing))]
impl StreamRef<'_> {
    /// Checks the structures.
    pub(in crate::keyspace) fn check(&self) {
        self.0.check();
    }
}
