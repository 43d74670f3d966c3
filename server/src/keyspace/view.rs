//! A view: the items of one instant, read out while they go on changing.
//!
//! Items are read out in the order of their hashes, behind a cursor. Whoever is about to change an item that the cursor
//! has not passed writes it to the backlog first, once, and notes its key; whoever adds one notes its key; the cursor
//! skips the keys that are noted. A position among the hashes stays what it is while the table grows and shrinks, so
//! the cursor needs no mending.
//!
//! A long value is read out in parts, at each step as much as the piece has room for: the view remembers how far it is,
//! which is good until the value changes. Before it does, what is left of it goes to the backlog, as parts again. That
//! happens at once, under the caller's lock, and so does the pre-image of a long value of which nothing was read out: the
//! one pause that grows with a value, once for each of them, where it is written to while a snapshot is sent.
//!
//! When the database is cleared, the view keeps the old items and reads the rest from them. When databases are swapped,
//! a view goes with its items, and tells them under the number that the database had when it was opened.

use super::arena::Ref;
use super::collections::encoding::Position;
use super::items::Items;
use super::piece;
use crate::ids::DatabaseNo;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};

/// How much goes out at once.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// About how much of the backlog is handed out at once.
    block_bytes: usize,
    /// A value of which no more than this is left goes out whole, however full the piece is.
    part_bytes_min: usize,
}

impl Sizes {
    pub(super) const SERVED: Self = Self { block_bytes: 16 * 1024, part_bytes_min: 32 * 1024 };
    /// So that the small values of tests come in parts, too.
    const TESTED: Self = Self { block_bytes: 256, part_bytes_min: 100 };
}

impl Default for Sizes {
    fn default() -> Self {
        if cfg!(any(test, fuzzing)) { Self::TESTED } else { Self::SERVED }
    }
}

/// An estimate of what a noted key takes beside its bytes.
const NOTE_BYTES: usize = 64;

/// An open view.
#[derive(Default)]
pub(super) struct View {
    pub(super) sizes: Sizes,
    /// The number that the database had when the view was opened.
    database: DatabaseNo,
    /// Items with hashes below it were read out; `None`: all were.
    cursor: Option<u64>,
    /// Keys that the cursor skips, by hash: those in the backlog, those added since.
    noted: BTreeMap<u64, SmallVec<[Box<[u8]>; 1]>>,
    noted_bytes: usize,
    backlog: VecDeque<Vec<u8>>,
    backlog_bytes: usize,
    backlog_capacity: usize,
    /// The item that is being read out, which is noted. The cursor stands at its hash.
    begun: Option<Begun>,
    /// The items, where they are no longer the keyspace's.
    old: Option<Items>,
}

/// An item of which parts were read out.
struct Begun {
    hash: u64,
    key: Box<[u8]>,
    /// Where the rest begins.
    position: Position,
}

impl Begun {
    fn is(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && *self.key == *key
    }
}

impl View {
    pub(super) fn new(database: DatabaseNo) -> Self {
        Self { database, cursor: Some(0), ..Self::default() }
    }

    /// Whether there is more to be read out.
    pub(super) fn has_more(&self) -> bool {
        self.cursor.is_some() || !self.backlog.is_empty()
    }

    /// Bytes of pre-images that wait.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let begun = self.begun.as_ref().map_or(0, |begun| begun.key.len());
        self.backlog_capacity + self.noted_bytes + begun + self.old.as_ref().map_or(0, Items::bytes)
    }

    /// Whether a change of an item with this hash concerns the view.
    fn is_ahead(&self, hash: u64) -> bool {
        self.old.is_none() && self.cursor.is_some_and(|cursor| hash >= cursor)
    }

    fn is_noted(&self, hash: u64, key: &[u8]) -> bool {
        self.noted.get(&hash).is_some_and(|keys| keys.iter().any(|other| **other == *key))
    }

    fn note(&mut self, hash: u64, key: &[u8]) {
        self.noted.entry(hash).or_default().push(key.into());
        self.noted_bytes += key.len() + NOTE_BYTES;
    }

    /// To be called before an item changes or goes.
    pub(super) fn before_change(&mut self, hash: u64, items: &Items, at: Ref) {
        if !self.is_ahead(hash) {
            return;
        }
        let key = items.heap.key(at);
        let mut position = match self.begun.take_if(|begun| begun.is(hash, key)) {
            Some(begun) => begun.position,
            None if self.is_noted(hash, key) => return,
            None => {
                self.note(hash, key);
                Position::default()
            }
        };
        let block_bytes = self.sizes.block_bytes;
        let mut more = true;
        while more {
            if self.backlog.back().is_none_or(|block| block.len() >= block_bytes) {
                self.backlog.push_back(Vec::with_capacity(block_bytes));
                self.backlog_capacity += block_bytes;
            }
            let block = self.backlog.back_mut().expect("there is one");
            let (before, capacity) = (block.len(), block.capacity());
            more = piece::write_item(block, key, items.heap.item(at), &mut position, block_bytes);
            self.backlog_bytes += block.len() - before;
            self.backlog_capacity += block.capacity() - capacity;
        }
    }

    /// To be called when an item is added.
    pub(super) fn added(&mut self, hash: u64, key: &[u8]) {
        if self.is_ahead(hash) && !self.is_noted(hash, key) {
            self.note(hash, key);
        }
    }

    /// Hands the view the items that the keyspace gives up; gives them back where it has no use for them.
    pub(super) fn keep(&mut self, items: Items) -> Option<Items> {
        if self.cursor.is_some() && self.old.is_none() {
            self.old = Some(items);
            None
        } else {
            Some(items)
        }
    }

    /// Appends a piece of about `bytes`; false once everything was read out.
    pub(super) fn read(&mut self, items: &Items, bytes: usize, out: &mut bytes::BytesMut) -> bool {
        piece::write_header(out, self.database);
        let end = out.len().saturating_add(bytes);
        let mut range = Vec::new();
        while self.has_more() {
            if let Some(block) = self.backlog.pop_front() {
                self.backlog_bytes -= block.len();
                self.backlog_capacity -= block.capacity();
                out.extend_from_slice(&block);
            } else if let Some(begun) = self.begun.take() {
                self.read_on(items, begun, end, out);
            } else if let Some(from) = self.cursor {
                self.read_range(items, from, end, &mut range, out);
            }
            if out.len() >= end {
                break;
            }
        }
        self.has_more()
    }

    /// How much of an item may follow in a piece.
    fn room(&self, end: usize, out: &bytes::BytesMut) -> usize {
        end.saturating_sub(out.len()).max(self.sizes.part_bytes_min)
    }

    /// Reads out the next part of an item.
    fn read_on(&mut self, live: &Items, mut begun: Begun, end: usize, out: &mut bytes::BytesMut) {
        let items = self.old.as_ref().unwrap_or(live);
        // It is there: before it goes, the rest of it is written to the backlog.
        let Some((_, at)) = items.find(begun.hash, &begun.key) else { return };
        let item = items.heap.item(at);
        if piece::write_item(out, &begun.key, item, &mut begun.position, self.room(end, out)) {
            self.begun = Some(begun);
        }
    }

    fn read_range(
        &mut self,
        live: &Items,
        from: u64,
        end: usize,
        range: &mut Vec<(u64, Ref)>,
        out: &mut bytes::BytesMut,
    ) {
        let items = self.old.as_ref().unwrap_or(live);
        range.clear();
        let mut cursor = items.collect(from, range);
        let mut last = None;
        let mut begun = None;
        for (number, &(hash, at)) in range.iter().enumerate() {
            // Items of the same hash go together: the cursor cannot stand between them.
            if out.len() >= end && last.is_some_and(|last| last != hash) {
                cursor = Some(hash);
                break;
            }
            last = Some(hash);
            let key = items.heap.key(at);
            if self.is_noted(hash, key) {
                continue;
            }
            let mut position = Position::default();
            if piece::write_item(out, key, items.heap.item(at), &mut position, self.room(end, out)) {
                cursor = Some(hash);
                begun = Some((number, Begun { hash, key: key.into(), position }));
                break;
            }
        }
        if let Some((number, begun)) = begun {
            // The cursor stays at this hash: what was read out of it is noted.
            let same_hash = range[..=number].iter().rev().take_while(|(hash, _)| *hash == begun.hash);
            let keys: SmallVec<[Box<[u8]>; 1]> = same_hash.map(|(_, at)| items.heap.key(*at).into()).collect();
            for key in &keys {
                if !self.is_noted(begun.hash, key) {
                    self.note(begun.hash, key);
                }
            }
            self.begun = Some(begun);
        }
        self.cursor = cursor;
        // What is behind the cursor needs no note any more.
        while let Some(entry) = self.noted.first_entry()
            && cursor.is_none_or(|cursor| *entry.key() < cursor)
        {
            let keys = entry.remove();
            self.noted_bytes -= keys.iter().map(|key| key.len() + NOTE_BYTES).sum::<usize>();
        }
    }
}

#[cfg(any(test, fuzzing))]
impl View {
    /// Adds the account up anew.
    pub(super) fn check(&mut self) -> usize {
        assert_eq!(self.backlog.iter().map(Vec::len).sum::<usize>(), self.backlog_bytes);
        let backlog: usize = self.backlog.iter().map(Vec::capacity).sum();
        let noted: usize = self.noted.values().flatten().map(|key| key.len() + NOTE_BYTES).sum();
        let begun = self.begun.as_ref().map_or(0, |begun| begun.key.len());
        backlog + noted + begun + self.old.as_mut().map_or(0, Items::check)
    }
}
