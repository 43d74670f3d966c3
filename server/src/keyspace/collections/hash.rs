//! Hashes.
//!
//! A field may have a deadline of its own. What is due is hidden from whoever reads at an instant, and stays until
//! it is written over or dropped ([`HashMut::drop_due`]): never by a copy's own decision. A hash of whose fields none had one
//! yet costs what it cost without.

mod deadlines;
mod large;
pub(super) mod timed;

use super::limits::SMALL_BYTES_MAX;
use super::listpack::{self, Element, Elements, Needle};
use super::{Edit, Large, Stored, compact, form};
use crate::clock::UnixMs;
pub use large::LargeHash;

/// How a hash is held.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// A small one without deadlines.
    Compact(&'a [u8]),
    /// A small one with room for deadlines.
    Timed(&'a [u8]),
    /// A large one.
    Large(&'a LargeHash),
}

/// A hash that is read at an instant: what is due by then is not there.
#[derive(Clone, Copy)]
pub struct HashRef<'a> {
    body: Body<'a>,
    now: UnixMs,
}

impl<'a> HashRef<'a> {
    /// A small one, all that it holds.
    pub(super) fn compact(bytes: &'a [u8]) -> Self {
        let timed = bytes.first() == Some(&form::TIMED_HASH);
        Self { body: if timed { Body::Timed(bytes) } else { Body::Compact(bytes) }, now: 0 }
    }

    /// A large one, all that it holds.
    pub(super) fn large(hash: &'a LargeHash) -> Self {
        Self { body: Body::Large(hash), now: 0 }
    }

    /// As it is at an instant.
    #[inline]
    pub(in crate::keyspace) fn at_instant(self, now: UnixMs) -> Self {
        Self { now, ..self }
    }

    pub(super) fn body(&self) -> Body<'a> {
        self.body
    }

    /// Checks the structures of a large one; false where it is small.
    #[cfg(any(test, fuzzing))]
    pub(in crate::keyspace) fn check(&self) -> bool {
        if let Body::Large(hash) = self.body {
            hash.check();
        }
        matches!(self.body, Body::Large(_))
    }

    /// Fields that are due, and still there.
    fn due(&self) -> usize {
        match self.body {
            Body::Compact(_) => 0,
            Body::Timed(bytes) => timed::due(bytes, self.now),
            Body::Large(hash) => hash.due(self.now),
        }
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        match self.body {
            Body::Compact(bytes) => compact::count(bytes) / 2,
            Body::Timed(bytes) => compact::count(bytes) / timed::STEP - self.due(),
            Body::Large(hash) => hash.len() - self.due(),
        }
    }

    /// Whether there is none: all are due.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The soonest deadline of a field, due or not.
    pub fn first_deadline(&self) -> Option<UnixMs> {
        match self.body {
            Body::Compact(_) => None,
            Body::Timed(bytes) => timed::first_deadline(bytes),
            Body::Large(hash) => hash.first_deadline(),
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Element<'a>> {
        match self.body {
            Body::Compact(bytes) => {
                let at = compact::find(bytes, &Needle::new(field), 2)?;
                Some(listpack::read(bytes, listpack::skip(bytes, at)).0)
            }
            Body::Timed(_) => self.get_timed(field).map(|(value, _)| value),
            Body::Large(hash) if !hash.is_timed() => hash.fields.get(field).map(|field| field.value()),
            Body::Large(_) => self.get_timed(field).map(|(value, _)| value),
        }
    }

    /// The value of a field, and its deadline if it has one.
    pub fn get_timed(&self, field: &[u8]) -> Option<(Element<'a>, Option<UnixMs>)> {
        let (value, deadline) = match self.body {
            Body::Compact(_) => (self.get(field)?, None),
            Body::Timed(bytes) => {
                let (at, deadline) = timed::find(bytes, field)?;
                (listpack::read(bytes, listpack::skip(bytes, at)).0, deadline)
            }
            Body::Large(hash) => {
                let place = hash.fields.find(field)?;
                (hash.fields.at(place).value(), hash.deadline(place))
            }
        };
        deadline.is_none_or(|deadline| deadline > self.now).then_some((value, deadline))
    }

    /// Fields and values, in their order.
    pub fn pairs(&self) -> Pairs<'a> {
        match self.body {
            Body::Compact(bytes) => Pairs::Compact(compact::elements(bytes)),
            Body::Timed(bytes) => Pairs::Timed(timed::alive(bytes, self.now)),
            Body::Large(hash) if self.due() == 0 => {
                Pairs::Large(Box::new(hash.fields.iter().map(|field| field.pair())))
            }
            Body::Large(_) => Pairs::Large(Box::new(self.timed_pairs().map(|(field, value, _)| (field, value)))),
        }
    }

    /// Fields, values and deadlines, in their order.
    pub fn timed_pairs(&self) -> Box<dyn Iterator<Item = (Element<'a>, Element<'a>, Option<UnixMs>)> + 'a> {
        match self.body {
            Body::Compact(_) => Box::new(self.pairs().map(|(field, value)| (field, value, None))),
            Body::Timed(bytes) => {
                let mut elements = timed::alive(bytes, self.now);
                Box::new(std::iter::from_fn(move || timed::next(&mut elements)))
            }
            Body::Large(hash) => {
                let now = self.now;
                let all = hash.fields.iter().enumerate().map(move |(place, field)| {
                    let (name, value) = field.pair();
                    (name, value, hash.deadline(place as u32))
                });
                Box::new(all.filter(move |(_, _, deadline)| deadline.is_none_or(|deadline| deadline > now)))
            }
        }
    }

    /// The field at a place in their order. Not in O(1) while some are due and still there.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn at(&self, place: usize) -> (Element<'a>, Element<'a>) {
        match self.body {
            Body::Compact(bytes) => {
                let at = listpack::nth(bytes, compact::HEAD, 2 * place);
                let (field, next) = listpack::read(bytes, at);
                (field, listpack::read(bytes, next).0)
            }
            Body::Large(hash) if self.due() == 0 => hash.fields.at(place as u32).pair(),
            _ => self.pairs().nth(place).expect("the place is within the hash"),
        }
    }

    /// Whether [`HashRef::at`] finds a place at once.
    pub fn is_indexed(&self) -> bool {
        matches!(self.body, Body::Large(_)) && self.due() == 0
    }

    /// A step of HSCAN: the next position, 0 at the end. A small hash is visited whole.
    pub fn scan(&self, from: u64, count: usize, visit: &mut dyn FnMut(Element<'_>, Element<'_>)) -> u64 {
        match self.body {
            Body::Compact(_) | Body::Timed(_) => {
                self.pairs().for_each(|(field, value)| visit(field, value));
                0
            }
            Body::Large(hash) => {
                let some_due = self.due() > 0;
                hash.fields.scan(from, count, &mut |field| {
                    let (name, value) = field.pair();
                    if !some_due || matches!(name, Element::Bytes(name) if self.get(name).is_some()) {
                        visit(name, value);
                    }
                })
            }
        }
    }

    /// What Redis calls its encoding.
    pub fn encoding(&self) -> &'static str {
        match self.body {
            Body::Compact(_) => "listpack",
            Body::Timed(_) => "listpackex",
            Body::Large(_) => "hashtable",
        }
    }

    /// Of a small hash with room for deadlines: how many listpack entries those of its fields are that are not due, and
    /// their bytes.
    pub fn listpackex(&self) -> Option<(usize, &'a [u8])> {
        let Body::Timed(bytes) = self.body else { return None };
        Some((self.len() * timed::STEP, &bytes[timed::alive(bytes, self.now).at()..]))
    }
}

/// Fields and values.
pub enum Pairs<'a> {
    /// Of a small hash.
    Compact(Elements<'a>),
    /// Of a small hash with room for deadlines.
    Timed(Elements<'a>),
    /// Of a large one.
    Large(Box<dyn Iterator<Item = (Element<'a>, Element<'a>)> + 'a>),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Compact(elements) => Some((elements.next()?, elements.next()?)),
            Self::Timed(elements) => timed::next(elements).map(|(field, value, _)| (field, value)),
            Self::Large(fields) => fields.next(),
        }
    }
}

/// A hash that is changed at an instant.
pub struct HashMut<'a, 'b>(pub &'b mut Edit<'a>);

/// What a small hash is changed as.
enum Form<'a> {
    Compact(&'a mut Vec<u8>),
    Timed(&'a mut Vec<u8>),
    Large(&'a mut LargeHash),
}

impl HashMut<'_, '_> {
    /// The hash as it is now.
    pub fn read(&self) -> HashRef<'_> {
        let hash = match &*self.0.stored {
            Stored::Compact(bytes) => HashRef::compact(bytes),
            Stored::Large(large) => match &**large {
                Large::Hash(hash) => HashRef::large(hash),
                _ => unreachable!("the kind was checked"),
            },
        };
        hash.at_instant(self.0.now)
    }

    /// Of a small one, what is due goes first: it costs next to nothing, and counts for the limits otherwise.
    fn form(&mut self) -> Form<'_> {
        let now = self.0.now;
        match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::Hash(hash) => Form::Large(hash),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) => {
                if bytes[0] != form::TIMED_HASH {
                    return Form::Compact(bytes);
                }
                timed::drop_due(bytes, now);
                Form::Timed(bytes)
            }
        }
    }

    /// Gives a field a value, and takes its deadline; whether the field was added.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.store(field, value, false)
    }

    /// Gives a field a value; a deadline that it has stays. Whether the field was added.
    pub fn set_keeping(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.store(field, value, true)
    }

    fn store(&mut self, field: &[u8], value: &[u8], keep: bool) -> bool {
        self.0.changed = true;
        let limits = self.0.limits;
        let bytes = self.0.small_bytes() + field.len() + value.len();
        if field.len().max(value.len()) > limits.hash_value_bytes as usize || bytes > SMALL_BYTES_MAX {
            self.enlarge();
        }
        let now = self.0.now;
        let (added, count) = match self.form() {
            Form::Large(hash) => {
                let (place, added) = hash.put(field, value);
                let due = hash.deadline(place).is_some_and(|deadline| deadline <= now);
                if due || !keep {
                    hash.set_deadline(place, None);
                }
                return added || due;
            }
            Form::Timed(bytes) => {
                let found = timed::find(bytes, field);
                match found {
                    Some((at, deadline)) if keep || deadline.is_none() => replace_value(bytes, at, value),
                    Some((at, _)) => {
                        timed::remove(bytes, at);
                        timed::insert(bytes, field, value, None);
                    }
                    None => timed::insert(bytes, field, value, None),
                }
                (found.is_none(), compact::count(bytes) / timed::STEP)
            }
            Form::Compact(bytes) => match compact::find(bytes, &Needle::new(field), 2) {
                Some(at) => {
                    replace_value(bytes, at, value);
                    (false, 0)
                }
                None => {
                    compact::push(bytes, &[&listpack::entry(field), &listpack::entry(value)]);
                    (true, compact::count(bytes) / 2)
                }
            },
        };
        if count > limits.hash_entries as usize {
            self.enlarge();
        }
        added
    }

    /// Gives a field that is there a deadline, or takes it away; false where the field is not there.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<UnixMs>) -> bool {
        let Some((_, old)) = self.read().get_timed(field) else { return false };
        if old == deadline {
            return true;
        }
        self.0.changed = true;
        if let Stored::Compact(bytes) = &mut *self.0.stored
            && bytes[0] == form::HASH
        {
            *bytes = timed::from_plain(bytes);
        }
        match self.form() {
            Form::Large(hash) => {
                if let Some(place) = hash.fields.find(field) {
                    hash.set_deadline(place, deadline);
                }
            }
            Form::Timed(bytes) => {
                if let Some((at, _)) = timed::find(bytes, field) {
                    let value = listpack::read(bytes, listpack::skip(bytes, at)).0.to_vec();
                    timed::remove(bytes, at);
                    timed::insert(bytes, field, &value, deadline);
                }
            }
            Form::Compact(_) => unreachable!("it has room for deadlines"),
        }
        true
    }

    /// Removes a field; false where there is none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let now = self.0.now;
        let removed = match self.form() {
            Form::Large(hash) => hash.fields.find(field).is_some_and(|place| {
                let alive = hash.deadline(place).is_none_or(|deadline| deadline > now);
                hash.remove_at(place);
                alive
            }),
            Form::Timed(bytes) => {
                let found = timed::find(bytes, field);
                found.map(|(at, _)| timed::remove(bytes, at)).is_some()
            }
            Form::Compact(bytes) => {
                let at = compact::find(bytes, &Needle::new(field), 2);
                at.map(|at| compact::remove(bytes, at, 2)).is_some()
            }
        };
        self.0.changed |= removed;
        removed
    }

    /// Removes fields that are due, about `limit` of them at most; how many.
    pub fn drop_due(&mut self, limit: usize) -> usize {
        let now = self.0.now;
        let dropped = match &mut *self.0.stored {
            Stored::Compact(bytes) if bytes[0] == form::TIMED_HASH => timed::drop_due(bytes, now),
            Stored::Compact(_) => 0,
            Stored::Large(large) => match &mut **large {
                Large::Hash(hash) => hash.drop_due(now, limit),
                _ => unreachable!("the kind was checked"),
            },
        };
        self.0.changed |= dropped > 0;
        dropped
    }

    /// Makes it a large one.
    fn enlarge(&mut self) {
        if let Stored::Compact(bytes) = &*self.0.stored {
            let mut large = LargeHash::new(self.0.seed);
            let (mut field_text, mut value_text) = Default::default();
            for (field, value, deadline) in HashRef::compact(bytes).at_instant(self.0.now).timed_pairs() {
                large.add(field.bytes(&mut field_text), value.bytes(&mut value_text), deadline);
            }
            *self.0.stored = Stored::Large(Box::new(Large::Hash(large)));
        }
    }
}

/// Gives the field that begins at `at` another value.
fn replace_value(bytes: &mut Vec<u8>, at: usize, value: &[u8]) {
    let at = listpack::skip(bytes, at);
    let end = listpack::skip(bytes, at);
    listpack::replace(bytes, at, end, &listpack::entry(value));
}
