//! Collections: changing them in place, and storing whole ones.

use super::arena::Ref;
use super::collections::hash::HashMut;
use super::collections::{CollectionKind, Edit, Stored, compact_ref, decoding, kind_of, large_ref};
use super::items::SCRATCH_BYTES_MAX;
use super::items::{Content, Items};
use super::outside::Body;
use super::store::{Keyspace, is_due};
use super::{Deadline, ItemRef, ValueRef};
use crate::clock::{Tick, UnixMs};

/// The key holds another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongKind;

/// What [`Keyspace::reap`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// Nothing: nothing was due.
    Nothing,
    /// The item.
    Item,
    /// So many fields of a hash.
    Fields(usize),
}

/// A collection that is not in the keyspace yet, or not any more.
pub struct Built(pub(super) Stored);

impl Built {
    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What it is.
    pub fn value(&self) -> ValueRef<'_> {
        match &self.0 {
            Stored::Compact(bytes) => compact_ref(bytes),
            Stored::Large(large) => large_ref(large),
        }
    }
}

impl Keyspace {
    /// Lets `edit` change the collection at `key`. One that is empty afterwards is removed. Where there is none, or one
    /// that is due at `now` (which is removed), `edit` gets an empty one if `create` says so; otherwise the answer is
    /// `None`.
    ///
    /// # Errors
    /// Where the key holds another type.
    pub fn edit_collection<R>(
        &mut self,
        key: &[u8],
        now: UnixMs,
        kind: CollectionKind,
        create: bool,
        touch: Option<Tick>,
        edit: impl FnOnce(&mut Edit<'_>) -> R,
    ) -> Result<Option<R>, WrongKind> {
        self.edit_collection_hashed((self.hash(key), key), now, kind, create, touch, edit)
    }

    /// [`Keyspace::edit_collection`] with the key's hash, where that is known already.
    ///
    /// # Errors
    /// Where the key holds another type.
    pub fn edit_collection_hashed<R>(
        &mut self,
        (hash, key): (u64, &[u8]),
        now: UnixMs,
        kind: CollectionKind,
        create: bool,
        touch: Option<Tick>,
        edit: impl FnOnce(&mut Edit<'_>) -> R,
    ) -> Result<Option<R>, WrongKind> {
        let mut found = self.items.find(hash, key);
        if let Some((_, at)) = found
            && self.items.heap.is_due(at, now)
        {
            self.remove(key);
            found = None;
        }
        let seed = self.seed();
        let Some((place, at)) = found else {
            if !create {
                return Ok(None);
            }
            let mut stored = Stored::empty(kind);
            let result = edit(&mut Edit { stored: &mut stored, seed, limits: &self.limits, now, changed: false });
            if !stored.is_spent(now) {
                self.watches.signal(key);
                self.insert_collection(hash, key, stored, None, touch);
            }
            return Ok(Some(result));
        };
        if self.items.kind(at) != Some(kind) {
            return Err(WrongKind);
        }
        self.preserve(hash, at);
        let deadline = self.items.heap.deadline(at);
        let mut stored = self.items.take(at);
        let was_large = matches!(stored, Stored::Large(_));
        let mut edited = Edit { stored: &mut stored, seed, limits: &self.limits, now, changed: false };
        let result = edit(&mut edited);
        if edited.changed {
            self.watches.signal(key);
        }
        let touch = touch.map(|tick| self.use_at(Some(tick)));
        if stored.is_spent(now) {
            self.items.remove(hash, (place, at));
            if let Stored::Large(large) = stored {
                large.drop_lazily();
            }
        } else if was_large && matches!(stored, Stored::Large(_)) {
            // Nothing of the item itself has changed.
            self.items.give_back(at, stored);
            self.items.end_edit(at, touch);
        } else if self.items.heap.outside(at).is_some() {
            self.items.give_back(at, stored);
            self.items.write((place, at), key, Content::Kept, deadline, touch, |_| {});
        } else {
            match stored {
                Stored::Compact(bytes) => {
                    self.items.write((place, at), key, Content::Compact(&bytes), deadline, touch, |_| {});
                    if bytes.capacity() <= SCRATCH_BYTES_MAX {
                        self.items.scratch = bytes;
                    }
                }
                Stored::Large(large) => {
                    self.items.write((place, at), key, Content::Large(large), deadline, touch, |_| {});
                }
            }
        }
        Ok(Some(result))
    }

    /// Looks `key` up, and changes nothing: several items may be looked at together. One that is due at `now` is not there.
    pub fn peek(&self, key: &[u8], now: UnixMs) -> Option<ItemRef<'_>> {
        let (_, at) = self.items.find(self.hash(key), key)?;
        (!self.items.heap.is_due(at, now)).then(|| self.items.heap.item_at(at, now))
    }

    /// Removes what is due at `now` of the item at `key`: the item, or, of a hash of which only fields are, up to
    /// [`Keyspace::REAPED_FIELDS_MAX`] of those.
    pub fn reap(&mut self, key: &[u8], now: UnixMs) -> Reaped {
        let Some((_, at)) = self.items.find(self.hash(key), key) else { return Reaped::Nothing };
        if self.items.heap.is_due(at, now) {
            self.remove(key);
            return Reaped::Item;
        }
        if !is_due(self.items.heap.field_deadline(at), now) {
            return Reaped::Nothing;
        }
        let dropped = self.edit_collection(key, now, CollectionKind::Hash, false, None, |edit| {
            HashMut(edit).drop_due(Self::REAPED_FIELDS_MAX)
        });
        Reaped::Fields(dropped.ok().flatten().unwrap_or(0))
    }

    /// Fields of one large hash that [`Keyspace::reap`] removes at once.
    pub const REAPED_FIELDS_MAX: usize = 256;

    /// A collection that is not in the keyspace, as `edit` makes it.
    pub fn build(&self, kind: CollectionKind, edit: impl FnOnce(&mut Edit<'_>)) -> Built {
        let mut stored = Stored::empty(kind);
        edit(&mut Edit { stored: &mut stored, seed: self.seed(), limits: &self.limits, now: 0, changed: false });
        Built(stored)
    }

    /// Stores a collection, whatever was there; an empty one removes what was there. The rest is as in
    /// [`Keyspace::set_string`].
    pub fn store_collection(&mut self, key: &[u8], built: Built, deadline: Deadline, touch: Option<Tick>) {
        if built.is_empty() {
            self.remove(key);
            return;
        }
        self.watches.signal(key);
        let hash = self.hash(key);
        let Some((place, at)) = self.items.find(hash, key) else {
            let deadline = if let Deadline::At(at) = deadline { Some(at) } else { None };
            self.insert_collection(hash, key, built.0, deadline, touch);
            return;
        };
        let touch = touch.map(|tick| self.use_at(Some(tick)));
        self.preserve(hash, at);
        let deadline = match deadline {
            Deadline::Keep => self.items.heap.deadline(at),
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        let bytes;
        let content = match built.0 {
            Stored::Compact(compact) => {
                bytes = compact;
                Content::Compact(&bytes)
            }
            Stored::Large(large) => Content::Large(large),
        };
        self.items.write((place, at), key, content, deadline, touch, |_| {});
    }

    /// Removes the collection at `key` and returns it with its deadline; `None` where there is no item, or a string.
    pub fn take_collection(&mut self, key: &[u8]) -> Option<(Built, Option<UnixMs>)> {
        let hash = self.hash(key);
        let (place, at) = self.items.find(hash, key)?;
        self.items.kind(at)?;
        self.watches.signal(key);
        self.preserve(hash, at);
        let deadline = self.items.heap.deadline(at);
        let stored = self.items.take(at);
        self.items.remove(hash, (place, at));
        Some((Built(stored), deadline))
    }

    /// A copy of the collection at `key`, with its deadline; `None` where there is no item, or a string. O(n).
    pub fn copy_collection(&self, key: &[u8]) -> Option<(Built, Option<UnixMs>)> {
        let (_, at) = self.items.find(self.hash(key), key)?;
        self.items.kind(at)?;
        let item = self.items.heap.item(at);
        let stored = decoding::decode(&item.value.encoded(), self.seed()).expect("it was encoded here");
        Some((Built(stored), item.deadline))
    }

    fn insert_collection(
        &mut self,
        hash: u64,
        key: &[u8],
        stored: Stored,
        deadline: Option<UnixMs>,
        touch: Option<Tick>,
    ) {
        let tick = self.use_at(touch);
        if let Some(view) = &mut self.view {
            view.added(hash, key);
        }
        match stored {
            Stored::Compact(bytes) => self.items.insert(hash, key, Content::Compact(&bytes), deadline, tick),
            Stored::Large(large) => self.items.insert(hash, key, Content::Large(large), deadline, tick),
        }
    }
}

impl Items {
    /// The kind of the collection in an item; `None` where it is a string.
    fn kind(&self, at: Ref) -> Option<CollectionKind> {
        let (chunk, parts) = self.heap.parts(at);
        if !parts.is_collection() {
            return None;
        }
        if !parts.is_outside() {
            return Some(kind_of(parts.value(chunk)));
        }
        Some(match &self.heap.outsides.get(parts.outside(chunk)).body {
            Body::Large(large) => large.kind(),
            Body::Bytes(bytes) => kind_of(bytes),
            Body::Run(_) => return None,
        })
    }

    /// Takes the collection out of an item to be changed: what is outside is moved, what is in the chunk is copied. Until it
    /// is put back, what the item has outside is empty.
    fn take(&mut self, at: Ref) -> Stored {
        self.unindex_fields(at);
        let (chunk, parts) = self.heap.parts(at);
        if parts.is_outside() {
            let name = parts.outside(chunk);
            return match self.heap.outsides.change(name, |body| std::mem::replace(body, Body::Bytes(Vec::new()))) {
                Body::Large(large) => Stored::Large(large),
                body => Stored::Compact(body.into_bytes(self.heap.arena.frames_mut())),
            };
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        bytes.extend_from_slice(parts.value(chunk));
        Stored::Compact(bytes)
    }

    /// Puts back what an item had outside.
    pub(super) fn give_back(&mut self, at: Ref, stored: Stored) {
        let (chunk, parts) = self.heap.parts(at);
        let name = parts.outside(chunk);
        let new = match stored {
            Stored::Compact(mut bytes) => {
                if bytes.capacity() / 2 > bytes.len() {
                    bytes.shrink_to_fit();
                }
                Body::Bytes(bytes)
            }
            Stored::Large(large) => Body::Large(large),
        };
        let old = self.heap.outsides.change(name, |body| std::mem::replace(body, new));
        old.free(self.heap.arena.frames_mut());
    }
}

#[cfg(any(test, fuzzing))]
impl ValueRef<'_> {
    /// Checks the structures of a large collection.
    pub(super) fn check(&self) {
        use super::collections::{list::ListRef, set::SetRef, sorted_set::SortedSetRef};
        match self {
            ValueRef::String(_) => {}
            ValueRef::Hash(hash) if hash.check() => {}
            ValueRef::List(ListRef::Large(list)) => list.check(),
            ValueRef::Set(SetRef::Large(set)) => set.check(),
            ValueRef::SortedSet(SortedSetRef::Large(set)) => set.check(),
            ValueRef::Stream(stream) => stream.check(),
            _ => assert!(decoding::is_sound(&self.encoded())),
        }
    }
}
