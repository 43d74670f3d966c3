//! A keyspace that arrives in the pieces of another's view.

use super::arena::CHUNK_BYTES_MAX;
use super::collections::Stored;
use super::collections::decoding::{Decoder, decode};
use super::piece::{PieceItem, PieceReader};
use super::{Built, Deadline, HashSeed, Keyspace};
use crate::clock::{Tick, UnixMs};
use crate::ids::DatabaseNo;
use std::collections::HashMap;

/// A piece of a view that does not decode, or does not go with those before it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed snapshot piece")]
pub struct MalformedPiece;

/// What has arrived of a keyspace: items that are complete, and beginnings of values that come in parts.
pub struct Arriving {
    keyspace: Keyspace,
    begun: HashMap<(DatabaseNo, Vec<u8>), Begun>,
}

/// An item of whose value parts have come.
struct Begun {
    value: Value,
    deadline: Option<UnixMs>,
    last_access: Tick,
}

enum Value {
    String(Vec<u8>),
    Collection(Box<Decoder>),
}

impl Value {
    fn of(item: &PieceItem<'_>, seed: HashSeed) -> Self {
        if item.collection { Self::Collection(Box::new(Decoder::new(seed))) } else { Self::String(Vec::new()) }
    }

    /// Takes the next part.
    fn feed(&mut self, item: &PieceItem<'_>) -> Result<(), MalformedPiece> {
        match self {
            Self::String(bytes) if !item.collection => bytes.extend_from_slice(item.value),
            Self::Collection(decoder) if item.collection => decoder.feed(item.value).ok_or(MalformedPiece)?,
            _ => return Err(MalformedPiece),
        }
        Ok(())
    }
}

impl Arriving {
    /// Nothing has arrived yet. `seed` is that of the keyspace whose view it is.
    pub fn new(seed: HashSeed) -> Self {
        Self { keyspace: Keyspace::new(seed), begun: HashMap::new() }
    }

    /// Stores the items of the next piece. They come with their last access, none later than `tick`.
    ///
    /// # Errors
    /// Where the bytes are not such a piece: what has arrived is of no use then. Never panics, whatever they are; never takes
    /// more memory than a small multiple of their length (and, for each database, a page for every size of item).
    pub fn load(&mut self, piece: &[u8], tick: Tick) -> Result<(), MalformedPiece> {
        let reader = PieceReader::new(piece)?;
        let database = reader.database;
        self.keyspace.select(database);
        self.keyspace.tick = self.keyspace.tick.max(tick);
        for item in reader {
            self.take(database, &item?, tick)?;
        }
        Ok(())
    }

    fn take(&mut self, database: DatabaseNo, item: &PieceItem<'_>, tick: Tick) -> Result<(), MalformedPiece> {
        let deadline_of = |deadline: Option<UnixMs>| deadline.map_or(Deadline::Clear, Deadline::At);
        if !item.continued && !item.unfinished && self.begun.is_empty() {
            let deadline = deadline_of(item.deadline);
            if item.collection {
                let stored = decode(item.value, self.keyspace.seed()).ok_or(MalformedPiece)?;
                self.keyspace.store_collection(item.key, Built(stored), deadline, None);
            } else {
                self.keyspace.set_string(item.key, item.value, deadline, None);
            }
            self.keyspace.set_last_access(item.key, item.last_access.min(tick));
            return Ok(());
        }
        let name = (database, item.key.to_vec());
        let mut begun = match (self.begun.remove(&name), item.continued) {
            (Some(begun), true) => begun,
            (None, false) => Begun {
                value: Value::of(item, self.keyspace.seed()),
                deadline: item.deadline,
                last_access: item.last_access,
            },
            _ => return Err(MalformedPiece),
        };
        begun.value.feed(item)?;
        if item.unfinished {
            self.begun.insert(name, begun);
            return Ok(());
        }
        let deadline = deadline_of(begun.deadline);
        match begun.value {
            Value::String(value) => self.keyspace.set_owned(item.key, value, deadline),
            Value::Collection(decoder) => {
                let stored = decoder.finish().ok_or(MalformedPiece)?;
                self.keyspace.store_collection(item.key, Built(stored), deadline, None);
            }
        }
        self.keyspace.set_last_access(item.key, begun.last_access.min(tick));
        Ok(())
    }

    /// The keyspace, once all pieces were loaded.
    ///
    /// # Errors
    /// Where parts are missing.
    pub fn finish(self) -> Result<Keyspace, MalformedPiece> {
        if self.begun.is_empty() { Ok(self.keyspace) } else { Err(MalformedPiece) }
    }
}

impl Keyspace {
    /// Stores a string that was put together: a long one is not copied again.
    fn set_owned(&mut self, key: &[u8], mut value: Vec<u8>, deadline: Deadline) {
        // So long a value is outside, however long it is.
        let Some(beginning) = value.get(..=CHUNK_BYTES_MAX) else {
            return self.set_string(key, &value, deadline, None);
        };
        self.set_string(key, beginning, deadline, None);
        if let Some((_, at)) = self.items.find(self.hash(key), key) {
            value.shrink_to_fit();
            self.items.give_back(at, Stored::Compact(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::collections::CollectionKind;
    use crate::keyspace::collections::encoding::Position;
    use crate::keyspace::collections::hash::HashMut;
    use crate::keyspace::collections::list::{End, ListMut};
    use crate::keyspace::collections::set::SetMut;
    use crate::keyspace::collections::sorted_set::SortedSetMut;
    use crate::keyspace::collections::stream::{StreamId, StreamMut};
    use crate::keyspace::piece;
    use bytes::BytesMut;

    const SEED: HashSeed = HashSeed([9; 16]);
    const COUNT: u64 = 3000;

    /// A large value of every type, with all that they may have, among short ones.
    fn filled() -> Keyspace {
        macro_rules! edit {
            ($keyspace:ident, $kind:ident, $key:literal, $edit:ident => $body:expr) => {
                $keyspace
                    .edit_collection($key, 0, CollectionKind::$kind, true, Some(5), |$edit| $body)
                    .expect("there was none")
                    .expect("it is made")
            };
        }
        let mut keyspace = Keyspace::new(SEED);
        let name = |number: u64| format!("element:{number}").into_bytes();
        edit!(keyspace, Set, b"set", edit => (0..COUNT).for_each(|n| assert!(SetMut(edit).add(&name(n)))));
        edit!(keyspace, Hash, b"hash", edit => (0..COUNT).for_each(|n| {
            let mut hash = HashMut(edit);
            assert!(hash.set(&name(n), &vec![b'v'; n as usize % 300]));
            assert!(n % 3 > 0 || hash.set_deadline(&name(n), Some(1_000_000 + n)));
        }));
        edit!(keyspace, SortedSet, b"sorted", edit => (0..COUNT).for_each(|n| {
            SortedSetMut(edit).set(&name(n), (n * 7919 % COUNT) as f64);
        }));
        edit!(keyspace, List, b"list", edit => (0..COUNT).for_each(|n| ListMut(edit).push(End::Left, &name(n))));
        edit!(keyspace, Stream, b"stream", edit => {
            let mut stream = StreamMut(edit);
            (1..COUNT).for_each(|n| stream.push(StreamId::new(n, 0), &[(b"field", &name(n))]));
            for group in ["one", "other"] {
                assert!(stream.create_group(group.as_bytes(), StreamId::new(7, 0), None));
                stream.edit_group(group.as_bytes(), |group, _| (1..COUNT).for_each(|n| {
                    let consumer = group.hear(&name(n % 200), 4);
                    group.assign(StreamId::new(n, 0), consumer, n.cast_signed(), n);
                }));
            }
        });
        let long: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        keyspace.set_string(b"string", &long, Deadline::At(77), Some(6));
        (0..COUNT).for_each(|n| keyspace.set_string(&name(n), b"short", Deadline::Clear, Some(7)));
        keyspace.set_deadline(b"set", Some(88));
        keyspace
    }

    /// The last access and the deadline of a key.
    fn facts(keyspace: &Keyspace, key: &[u8]) -> Option<(Tick, Option<UnixMs>)> {
        keyspace.peek(key, 0).map(|item| (item.last_access, item.deadline))
    }

    #[test]
    fn long_values_arrive_in_parts_and_no_piece_is_long() {
        const PIECE_BYTES: usize = 2000;
        // Nothing changes meanwhile; some is changed when half of it was read out; all goes.
        for changes in 0..3 {
            let mut keyspace = filled();
            let (digest, len) = (keyspace.digest(), keyspace.len());
            let all = |keyspace: &Keyspace| [b"string", &b"set"[..], b"stream"].map(|key| facts(keyspace, key));
            let before = all(&keyspace);
            let (mut arriving, mut pieces, mut parts) = (Arriving::new(SEED), 0, 0);
            keyspace.open_view();
            loop {
                let mut piece = BytesMut::new();
                let more = keyspace.read_view(PIECE_BYTES, &mut piece);
                // A block of the backlog comes whole.
                assert!(piece.len() < PIECE_BYTES + 1000, "{} bytes", piece.len());
                parts += PieceReader::new(&piece).unwrap().filter(|item| item.as_ref().unwrap().continued).count();
                arriving.load(&piece, 100).unwrap();
                if !more {
                    break;
                }
                pieces += 1;
                if changes == 1 && pieces % 20 == 0 {
                    for key in [&b"set"[..], b"hash", b"sorted", b"list", b"stream", b"string"] {
                        keyspace.set_deadline(key, Some(pieces));
                    }
                    keyspace.check_invariants();
                }
                if changes == 2 && pieces == 50 {
                    drop(keyspace.clear());
                    keyspace.check_invariants();
                }
            }
            drop(keyspace.close_view());
            let mut copy = arriving.finish().unwrap();
            assert!(parts > 300, "{parts} parts");
            assert_eq!((copy.digest(), copy.len()), (digest, len));
            copy.check_invariants();
            assert_eq!(all(&copy), before);
            assert!(before.iter().all(|facts| facts.is_some_and(|(last_access, _)| last_access < 100)));
            assert_eq!(copy.next_deadline(), Some(77));
        }
    }

    /// The parts of a value, each as an item of a piece.
    fn parts_of(keyspace: &Keyspace, key: &[u8], name: &[u8]) -> Vec<Vec<u8>> {
        let (mut parts, mut position, mut more) = (Vec::new(), Position::default(), true);
        while more {
            let mut part = Vec::new();
            let item = keyspace.peek(key, 0).expect("it is there");
            more = piece::write_item(&mut part, name, item, &mut position, 5000);
            parts.push(part);
        }
        assert!(parts.len() > 5);
        parts
    }

    fn load(parts: &[&[u8]]) -> Result<Keyspace, MalformedPiece> {
        let mut arriving = Arriving::new(SEED);
        for part in parts {
            arriving.load(&[&[piece::VERSION], *part].concat(), 100)?;
        }
        arriving.finish()
    }

    #[test]
    fn parts_that_do_not_go_together_are_refused() {
        let keyspace = filled();
        for key in [&b"set"[..], b"hash", b"sorted", b"list", b"stream", b"string"] {
            let parts = parts_of(&keyspace, key, b"key");
            let all: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let whole = load(&all).unwrap();
            let facts =
                [whole.peek(b"key", 0), keyspace.peek(key, 0)].map(|item| item.map(|item| (item.value, item.deadline)));
            assert!(facts[0] == facts[1], "{}", key.escape_ascii());
            // In one piece, and with other items between.
            assert_eq!(load(&[&all.concat()]).map(|one| one.digest()), Ok(whole.digest()));
            let other = parts_of(&keyspace, b"string", b"other");
            let mixed: Vec<&[u8]> = (0..all.len().max(other.len()))
                .flat_map(|at| [all.get(at).copied(), other.get(at).map(Vec::as_slice)].into_iter().flatten())
                .collect();
            assert_eq!(load(&mixed).map(|both| both.len()), Ok(2));
            let last = all.len() - 1;
            assert!(load(&all[..last]).is_err(), "the end is missing");
            assert!(load(&all[1..]).is_err(), "the beginning is missing");
            assert!(load(&[&all[..1], &all[..]].concat()).is_err(), "it begins twice");
            assert!(load(&[&all[..], &all[last..]].concat()).is_err(), "it goes on after the end");
            let stranger = parts_of(&keyspace, if key == b"string" { b"set" } else { b"string" }, b"key");
            assert!(load(&[&all[..1], &[&stranger[1]]].concat()).is_err(), "it goes on as another type");
            if key != b"string" {
                assert!(load(&[&all[..2], &all[3..]].concat()).is_err(), "the middle is missing");
                let more = [&all[..last], &all[last - 1..]].concat();
                assert!(load(&more).is_err(), "a part comes twice");
            }
        }
    }
}
