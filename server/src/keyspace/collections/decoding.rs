//! Reads what `encoding` wrote, from one part after another.

use super::compact;
use super::hash::{LargeHash, timed};
use super::list::LargeList;
use super::listpack;
use super::set::{LargeSet, integers};
use super::sorted_set::{self, LargeSortedSet, Scoring};
use super::stream::encoding::StreamDecoder;
use super::{Large, Stored, form};
use crate::keyspace::HashSeed;

/// Reads what [`encode`](super::encoding::encode) wrote of a collection. `None` where the bytes are something else; never
/// panics, and takes no more memory than a small multiple of their length.
pub(in crate::keyspace) fn decode(bytes: &[u8], seed: HashSeed) -> Option<Stored> {
    let mut decoder = Decoder::new(seed);
    decoder.feed(bytes)?;
    decoder.finish()
}

/// A collection of which parts have come.
pub(in crate::keyspace) struct Decoder {
    seed: HashSeed,
    /// Bytes of an element that has not come whole; of a small collection all that came.
    rest: Vec<u8>,
    body: Body,
}

enum Body {
    /// Nothing came.
    Unknown,
    Small,
    Large {
        large: Box<Unfinished>,
        /// Elements that are still to come.
        left: usize,
    },
}

enum Unfinished {
    Hash { hash: LargeHash, timed: bool },
    Set(LargeSet),
    SortedSet(LargeSortedSet),
    List(LargeList),
    Stream(Box<StreamDecoder>),
}

impl Decoder {
    pub(in crate::keyspace) fn new(seed: HashSeed) -> Self {
        Self { seed, rest: Vec::new(), body: Body::Unknown }
    }

    /// Takes the next part; `None` where that cannot be one.
    pub(in crate::keyspace) fn feed(&mut self, part: &[u8]) -> Option<()> {
        if self.rest.is_empty() {
            let read = self.read(part)?;
            self.rest.extend_from_slice(&part[read..]);
        } else {
            let mut bytes = std::mem::take(&mut self.rest);
            bytes.extend_from_slice(part);
            let read = self.read(&bytes)?;
            bytes.drain(..read);
            self.rest = bytes;
        }
        Some(())
    }

    /// Reads the elements that are whole; how many bytes that were.
    fn read(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut reader = Reader::new(bytes);
        let mut read = 0;
        while !reader.is_empty() {
            match self.element(&mut reader) {
                // Read once it is whole.
                _ if matches!(self.body, Body::Small) => return Some(0),
                Some(()) => read = bytes.len() - reader.left(),
                None if reader.is_short => break,
                None => return None,
            }
        }
        Some(read)
    }

    fn element(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (large, left) = match &mut self.body {
            Body::Unknown => {
                self.body = begin(reader, self.seed)?;
                return Some(());
            }
            Body::Small => return None,
            Body::Large { large, left } => (large, left),
        };
        if let Unfinished::Stream(stream) = &mut **large {
            return stream.element(reader);
        }
        let after = left.checked_sub(1)?;
        match &mut **large {
            Unfinished::Hash { hash, timed } => {
                let (field, value) = (reader.bytes()?, reader.bytes()?);
                let deadline = if *timed { reader.varint()? as u64 } else { 0 };
                hash.add(field, value, Some(deadline).filter(|deadline| *deadline != 0)).then_some(())?;
            }
            Unfinished::Set(set) => set.add(reader.bytes()?).then_some(())?,
            Unfinished::SortedSet(set) => {
                let member = reader.bytes()?;
                let score = f64::from_bits(u64::from_le_bytes(reader.take(8)?.try_into().ok()?));
                (!score.is_nan() && set.set(member, score) == Scoring::Added).then_some(())?;
            }
            Unfinished::List(list) => {
                let (count, entries) = (reader.varint()?, reader.bytes()?);
                (count > 0 && listpack::check(entries) == Some(count)).then_some(())?;
                list.push_node(entries, count);
            }
            Unfinished::Stream(_) => {}
        }
        *left = after;
        Some(())
    }

    /// The collection; `None` where that is not all of it.
    pub(in crate::keyspace) fn finish(self) -> Option<Stored> {
        let (large, left) = match self.body {
            Body::Unknown => return None,
            Body::Small => return is_sound(&self.rest).then_some(Stored::Compact(self.rest)),
            Body::Large { large, left } => (large, left),
        };
        let large = match *large {
            Unfinished::Hash { hash, .. } => Large::Hash(hash),
            Unfinished::Set(set) => Large::Set(set),
            Unfinished::SortedSet(set) => Large::SortedSet(set),
            Unfinished::List(list) => Large::List(list),
            Unfinished::Stream(stream) => Large::Stream(Box::new(stream.finish()?)),
        };
        (left == 0 && self.rest.is_empty() && !large.is_empty()).then(|| Stored::Large(Box::new(large)))
    }
}

/// Reads what stands before the elements.
fn begin(reader: &mut Reader<'_>, seed: HashSeed) -> Option<Body> {
    let form = reader.take(1)?[0];
    if form & form::LARGE == 0 {
        return Some(Body::Small);
    }
    let count = reader.varint()?;
    let mut left = count;
    let large = match form & !form::LARGE {
        form::HASH => Unfinished::Hash { hash: LargeHash::new(seed), timed: false },
        form::TIMED_HASH => Unfinished::Hash { hash: LargeHash::new(seed), timed: true },
        form::SET => Unfinished::Set(LargeSet::new(seed)),
        form::SORTED_SET => Unfinished::SortedSet(LargeSortedSet::new(seed)),
        form::STREAM => {
            left = 0;
            Unfinished::Stream(Box::new(StreamDecoder::new(count)))
        }
        form if form & !form::LISTPACK == form::LIST => Unfinished::List(LargeList::new(form & form::LISTPACK != 0)),
        _ => return None,
    };
    Some(Body::Large { large: Box::new(large), left })
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

/// Reads what was put together by a `Sink`.
pub(in crate::keyspace) struct Reader<'a> {
    bytes: &'a [u8],
    /// Whether more was asked for than there is: with more bytes, it may read.
    is_short: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, is_short: false }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn varint(&mut self) -> Option<usize> {
        let mut number = 0usize;
        for shift in (0..56).step_by(7) {
            let byte = self.take(1)?[0];
            number |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let Some((bytes, rest)) = self.bytes.split_at_checked(length) else {
            self.is_short = true;
            return None;
        };
        self.bytes = rest;
        Some(bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        self.take(length)
    }
}
