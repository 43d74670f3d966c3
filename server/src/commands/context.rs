//! What a data handler sees besides its arguments.

use super::CommandError;
use crate::clock::{Tick, UnixMs};
use crate::ids::DatabaseNo;
use crate::keyspace::collections::hash::{HashMut, HashRef};
use crate::keyspace::collections::list::{ListMut, ListRef};
use crate::keyspace::collections::set::{SetMut, SetRef};
use crate::keyspace::collections::sorted_set::{SortedSetMut, SortedSetRef};
use crate::keyspace::collections::stream::{StreamMut, StreamRef};
use crate::keyspace::collections::{CollectionKind, Edit};
use crate::keyspace::{Built, Deadline, ItemRef, Keyspace, ValueRef};

/// One partition, one instant.
pub struct Context<'a> {
    /// The partition's items.
    pub keyspace: &'a mut Keyspace,
    /// The instant of the command: for a write the clock of its entry, the same on every copy; for a read
    /// max(wall clock, clock of the last entry). What is due at `now` is absent.
    pub now: UnixMs,
    /// Recency given to what is touched; `None` leaves it alone (CLIENT NO-TOUCH).
    pub touch: Option<Tick>,
    /// How many databases there are where the command came in.
    pub databases: u16,
    /// Seed for whatever is chosen at random, the same on every copy.
    pub seed: u64,
    /// The hash of the command's key, where it has one key only and dispatch has hashed it already.
    pub key_hash: Option<u64>,
    /// Lookups by read commands that found a key (INFO `keyspace_hits`).
    pub hits: u64,
    /// Lookups by read commands that found none (INFO `keyspace_misses`).
    pub misses: u64,
}

impl Context<'_> {
    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        debug_assert!(self.key_hash.is_none_or(|hash| hash == self.keyspace.hash(key)), "one key, one hash");
        self.key_hash.unwrap_or_else(|| self.keyspace.hash(key))
    }
}

/// Lookups that read.
impl Context<'_> {
    /// The item at `key` for a read command: recency is renewed, a hit or a miss counted.
    pub fn read(&mut self, key: &[u8]) -> Option<ItemRef<'_>> {
        self.look(key, self.touch)
    }

    /// Like [`Context::read`], but recency stays (TTL, TYPE, EXISTS, OBJECT).
    pub fn peek(&mut self, key: &[u8]) -> Option<ItemRef<'_>> {
        self.look(key, None)
    }

    fn look(&mut self, key: &[u8], touch: Option<Tick>) -> Option<ItemRef<'_>> {
        let item = self.keyspace.get_hashed(self.hash(key), key, self.now, touch);
        match item {
            Some(_) => self.hits += 1,
            None => self.misses += 1,
        }
        item
    }

    /// The string at `key` for a read command: recency is renewed, a hit or a miss counted.
    ///
    /// # Errors
    /// `WRONGTYPE` where the key holds another type.
    pub fn read_string(&mut self, key: &[u8]) -> Result<Option<&[u8]>, CommandError> {
        self.read(key).map(|item| string_of(item.value)).transpose()
    }
}

/// Lookups that precede a change. None of them counts a hit or a miss. Where an item at the key is due, they remove
/// it, so that what is stored next starts afresh: with [`Deadline::Keep`] the new item would inherit the past
/// deadline otherwise.
impl Context<'_> {
    /// Whether there is an item at `key`, of any type.
    pub fn exists_for_write(&mut self, key: &[u8]) -> bool {
        self.item_for_write(key, |_| ()).is_some()
    }

    /// What `inspect` makes of the item at `key`.
    pub fn item_for_write<R>(&mut self, key: &[u8], inspect: impl FnOnce(ItemRef<'_>) -> R) -> Option<R> {
        if let Some(item) = self.keyspace.get_hashed(self.hash(key), key, self.now, None) {
            return Some(inspect(item));
        }
        self.drop_due(key);
        None
    }

    /// What `inspect` makes of the string at `key`.
    ///
    /// # Errors
    /// `WRONGTYPE` where the key holds another type.
    pub fn string_for_write<R>(
        &mut self,
        key: &[u8],
        inspect: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, CommandError> {
        self.item_for_write(key, |item| string_of(item.value).map(inspect)).transpose()
    }

    /// Removes the item at `key` if it is due: it is absent already, as far as anybody can see.
    pub fn drop_due(&mut self, key: &[u8]) {
        if self.keyspace.is_due(key, self.now) {
            self.keyspace.remove(key);
        }
    }

    /// Stores a string whose deadline may have passed already: then the key is deleted, as in Redis.
    pub fn store_string(&mut self, key: &[u8], value: &[u8], deadline: Deadline) {
        match deadline {
            Deadline::At(at) if at <= self.now => {
                self.keyspace.remove(key);
            }
            _ => self.keyspace.set_string_hashed(self.hash(key), key, value, deadline, self.touch),
        }
    }

    /// Gives an item that exists a deadline that may have passed already: then the key is deleted, as in Redis.
    pub fn store_deadline(&mut self, key: &[u8], at: UnixMs) {
        if at <= self.now {
            self.keyspace.remove(key);
        } else {
            self.keyspace.set_deadline(key, Some(at));
        }
    }

    /// Stores at `to` what is at `from`, deadline included, whatever `to` holds. Does nothing where `from` is absent.
    pub fn copy_item(&mut self, from: &[u8], to: &[u8]) {
        let Some(item) = self.keyspace.get(from, self.now, None) else { return };
        let deadline = item.deadline.map_or(Deadline::Clear, Deadline::At);
        if let ValueRef::String(bytes) = item.value {
            let bytes = bytes.to_vec();
            self.keyspace.set_string(to, &bytes, deadline, self.touch);
        } else if let Some((copy, _)) = self.keyspace.copy_collection(from) {
            self.keyspace.store_collection(to, copy, deadline, self.touch);
        }
    }

    /// Gives the item at `from`, deadline included, the key `to`, whatever that holds. In O(1) for a large collection.
    /// The keys differ.
    pub fn move_item(&mut self, from: &[u8], to: &[u8]) {
        match self.keyspace.take_collection(from) {
            Some((built, deadline)) => {
                let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
                self.keyspace.store_collection(to, built, deadline, self.touch);
            }
            None => {
                self.copy_item(from, to);
                self.keyspace.remove(from);
            }
        }
    }

    /// What `work` does with another database selected.
    pub fn in_database<R>(&mut self, database: DatabaseNo, work: impl FnOnce(&mut Self) -> R) -> R {
        let selected = self.keyspace.database();
        self.keyspace.select(database);
        let result = work(self);
        self.keyspace.select(selected);
        result
    }

    /// [`Context::copy_item`] to `to` of another database.
    pub fn copy_item_to(&mut self, from: &[u8], database: DatabaseNo, to: &[u8]) {
        let Some(item) = self.keyspace.get(from, self.now, None) else { return };
        let deadline = item.deadline.map_or(Deadline::Clear, Deadline::At);
        if let ValueRef::String(bytes) = item.value {
            let bytes = bytes.to_vec();
            self.in_database(database, |there| there.keyspace.set_string(to, &bytes, deadline, there.touch));
        } else if let Some((copy, _)) = self.keyspace.copy_collection(from) {
            self.in_database(database, |there| there.keyspace.store_collection(to, copy, deadline, there.touch));
        }
    }

    /// Gives the item at `key`, deadline included, the same key in another database, whatever that holds. In O(1) for a
    /// large collection.
    pub fn move_item_to(&mut self, key: &[u8], database: DatabaseNo) {
        match self.keyspace.take_collection(key) {
            Some((built, deadline)) => {
                let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
                self.in_database(database, |there| there.keyspace.store_collection(key, built, deadline, there.touch));
            }
            None => {
                self.copy_item_to(key, database, key);
                self.keyspace.remove(key);
            }
        }
    }

    /// Reads a number of a database, in Redis's words.
    ///
    /// # Errors
    /// Where it is no number, or that of no database.
    pub fn database(&self, text: &[u8]) -> Result<DatabaseNo, CommandError> {
        super::number::database(text, self.databases)
    }

    /// Takes the deadline from an item; false where there is no item, or none with a deadline.
    pub fn clear_deadline(&mut self, key: &[u8]) -> bool {
        // Asked first: an item that does not change is no change to those who watch it.
        let has_deadline = self.item_for_write(key, |item| item.deadline.is_some()) == Some(true);
        has_deadline && self.keyspace.set_deadline(key, None)
    }
}

macro_rules! collection {
    ($kind:ident, $name:literal, $read:ident, $peek:ident, $edit:ident, $build:ident, $ref:ident, $mut:ident) => {
        /// Lookups and changes of one type of collection.
        impl Context<'_> {
            #[doc = concat!("The ", $name, " at `key` for a read command: recency is renewed, a hit or a miss counted.")]
            ///
            /// # Errors
            /// `WRONGTYPE` where the key holds another type.
            pub fn $read(&mut self, key: &[u8]) -> Result<Option<$ref<'_>>, CommandError> {
                match self.read(key).map(|item| item.value) {
                    None => Ok(None),
                    Some(ValueRef::$kind(value)) => Ok(Some(value)),
                    Some(_) => Err(CommandError::WrongType),
                }
            }

            #[doc = concat!("The ", $name, " at `key`, which nothing is counted or renewed for.")]
            ///
            /// # Errors
            /// `WRONGTYPE` where the key holds another type.
            pub fn $peek(&mut self, key: &[u8]) -> Result<Option<$ref<'_>>, CommandError> {
                match self.keyspace.get_hashed(self.hash(key), key, self.now, None).map(|item| item.value) {
                    None => Ok(None),
                    Some(ValueRef::$kind(value)) => Ok(Some(value)),
                    Some(_) => Err(CommandError::WrongType),
                }
            }

            #[doc = concat!("Lets `edit` change the ", $name, " at `key`; one that is empty afterwards is removed. `None` where")]
            /// there is none; with [`OrCreate::Yes`] a new one is made.
            ///
            /// # Errors
            /// `WRONGTYPE` where the key holds another type; those of `edit`, which has changed nothing then.
            pub fn $edit<R>(
                &mut self,
                key: &[u8],
                create: OrCreate,
                edit: impl FnOnce(&mut $mut<'_, '_>) -> Result<R, CommandError>,
            ) -> Result<Option<R>, CommandError> {
                let (now, touch, create) = (self.now, self.touch, create == OrCreate::Yes);
                let kind = CollectionKind::$kind;
                let key = (self.hash(key), key);
                let edit = |inner: &mut Edit<'_>| edit(&mut $mut(inner));
                let edited = self.keyspace.edit_collection_hashed(key, now, kind, create, touch, edit);
                edited.map_err(|_| CommandError::WrongType)?.transpose()
            }

            #[doc = concat!("A new ", $name, ", for [`Context::store_built`].")]
            pub fn $build(&self, edit: impl FnOnce(&mut $mut<'_, '_>)) -> Built {
                self.keyspace.build(CollectionKind::$kind, |inner| edit(&mut $mut(inner)))
            }
        }
    };
}

collection!(Hash, "hash", read_hash, peek_hash, edit_hash, build_hash, HashRef, HashMut);
collection!(List, "list", read_list, peek_list, edit_list, build_list, ListRef, ListMut);
collection!(Set, "set", read_set, peek_set, edit_set, build_set, SetRef, SetMut);
collection!(
    SortedSet,
    "sorted set",
    read_sorted_set,
    peek_sorted_set,
    edit_sorted_set,
    build_sorted_set,
    SortedSetRef,
    SortedSetMut
);

collection!(Stream, "stream", read_stream, peek_stream, edit_stream, build_stream, StreamRef, StreamMut);

/// Whether a collection that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrCreate {
    /// It is.
    Yes,
    /// The key stays absent.
    No,
}

impl Context<'_> {
    /// Stores a new collection at `key`, without a deadline, whatever was there; an empty one removes what was there.
    pub fn store_built(&mut self, key: &[u8], built: Built) {
        self.keyspace.store_collection(key, built, Deadline::Clear, self.touch);
    }
}

/// The bytes of a string.
fn string_of(value: ValueRef<'_>) -> Result<&[u8], CommandError> {
    match value {
        ValueRef::String(bytes) => Ok(bytes),
        _ => Err(CommandError::WrongType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn a_due_item_is_gone_for_writers() {
        let mut bench = Bench::new();
        bench.keyspace.set_string(b"k", b"v", Deadline::At(bench.now), None);
        let mut context = bench.context();
        assert_eq!(context.string_for_write(b"k", <[u8]>::len), Ok(None));
        assert!(bench.keyspace.is_empty());
    }

    #[test]
    fn only_readers_are_counted() {
        let mut bench = Bench::new();
        bench.keyspace.set_string(b"k", b"v", Deadline::Clear, None);
        let mut context = bench.context();
        assert!(context.exists_for_write(b"k"));
        assert_eq!(context.read_string(b"k"), Ok(Some(&b"v"[..])));
        assert!(context.peek(b"x").is_none());
        assert_eq!((context.hits, context.misses), (1, 1));
    }
}
