//! Hashes.

use super::dense::{Dense, Named};
use super::limits::{HASH_ENTRIES_MAX, HASH_VALUE_BYTES_MAX};
use super::listpack::{self, Element, Elements, Needle};
use super::small::Small;
use super::{Edit, Large, Stored, compact};
use crate::keyspace::HashSeed;

/// A field and its value.
pub struct Field {
    name: Small,
    value: Small,
}

impl Named for Field {
    fn name(&self) -> &[u8] {
        self.name.bytes()
    }

    fn heap_bytes(&self) -> usize {
        self.name.heap_bytes() + self.value.heap_bytes()
    }
}

impl Field {
    fn pair(&self) -> (Element<'_>, Element<'_>) {
        (Element::Bytes(self.name.bytes()), Element::Bytes(self.value.bytes()))
    }
}

/// A large hash.
pub struct LargeHash(Dense<Field>);

impl LargeHash {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self(Dense::new(seed))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Adds a field or changes its value; whether it was added.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        match self.0.find(field) {
            Some(place) => {
                self.0.change(place, |field| field.value = Small::new(value));
                false
            }
            None => {
                self.0.push(Field { name: Small::new(field), value: Small::new(value) });
                true
            }
        }
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let place = self.0.find(field);
        place.map(|place| self.0.remove(place)).is_some()
    }

    #[cfg(test)]
    pub(in crate::keyspace) fn check(&self) {
        assert_eq!(self.0.check(), self.bytes());
    }
}

/// A hash that is read.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// A small one.
    Compact(&'a [u8]),
    /// A large one.
    Large(&'a LargeHash),
}

impl<'a> HashRef<'a> {
    /// How many fields.
    #[expect(clippy::len_without_is_empty, reason = "an empty collection does not exist")]
    pub fn len(&self) -> usize {
        match self {
            Self::Compact(bytes) => compact::count(bytes) / 2,
            Self::Large(hash) => hash.len(),
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Element<'a>> {
        match *self {
            Self::Compact(bytes) => {
                let at = compact::find(bytes, &Needle::new(field), 2)?;
                Some(listpack::read(bytes, listpack::skip(bytes, at)).0)
            }
            Self::Large(hash) => hash.0.get(field).map(|field| Element::Bytes(field.value.bytes())),
        }
    }

    /// Fields and values, in their order.
    pub fn pairs(&self) -> Pairs<'a> {
        match *self {
            Self::Compact(bytes) => Pairs::Compact(compact::elements(bytes)),
            Self::Large(hash) => Pairs::Large(Box::new(hash.0.iter().map(Field::pair))),
        }
    }

    /// The field at a place in their order.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn at(&self, place: usize) -> (Element<'a>, Element<'a>) {
        match *self {
            Self::Compact(bytes) => {
                let at = listpack::nth(bytes, compact::HEAD, 2 * place);
                let (field, next) = listpack::read(bytes, at);
                (field, listpack::read(bytes, next).0)
            }
            Self::Large(hash) => hash.0.at(place as u32).pair(),
        }
    }

    /// A step of HSCAN: the next position, 0 at the end. A small hash is visited whole.
    pub fn scan(&self, from: u64, count: usize, visit: &mut dyn FnMut(Element<'_>, Element<'_>)) -> u64 {
        match self {
            Self::Compact(_) => {
                self.pairs().for_each(|(field, value)| visit(field, value));
                0
            }
            Self::Large(hash) => hash.0.scan(from, count, &mut |field| {
                let (name, value) = field.pair();
                visit(name, value);
            }),
        }
    }

    /// What Redis calls its encoding.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Compact(_) => "listpack",
            Self::Large(_) => "hashtable",
        }
    }
}

/// Fields and values.
pub enum Pairs<'a> {
    /// Of a small hash.
    Compact(Elements<'a>),
    /// Of a large one.
    Large(Box<dyn Iterator<Item = (Element<'a>, Element<'a>)> + 'a>),
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Compact(elements) => Some((elements.next()?, elements.next()?)),
            Self::Large(fields) => fields.next(),
        }
    }
}

/// A hash that is changed.
pub struct HashMut<'a, 'b>(pub &'b mut Edit<'a>);

impl HashMut<'_, '_> {
    /// The hash as it is now.
    pub fn read(&self) -> HashRef<'_> {
        match &*self.0.stored {
            Stored::Compact(bytes) => HashRef::Compact(bytes),
            Stored::Large(large) => match &**large {
                Large::Hash(hash) => HashRef::Large(hash),
                _ => unreachable!("the kind was checked"),
            },
        }
    }

    /// Gives a field a value; whether the field was added.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.0.changed = true;
        let long = field.len().max(value.len()) > HASH_VALUE_BYTES_MAX;
        if long {
            self.enlarge();
        }
        let (added, count) = match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::Hash(hash) => return hash.set(field, value),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) => {
                let entry = listpack::entry(value);
                match compact::find(bytes, &Needle::new(field), 2) {
                    Some(at) => {
                        let at = listpack::skip(bytes, at);
                        let end = listpack::skip(bytes, at);
                        listpack::replace(bytes, at, end, &entry);
                        (false, 0)
                    }
                    None => {
                        compact::push(bytes, &[&listpack::entry(field), &entry]);
                        (true, compact::count(bytes) / 2)
                    }
                }
            }
        };
        if count > HASH_ENTRIES_MAX {
            self.enlarge();
        }
        added
    }

    /// Removes a field; false where there is none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let removed = match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::Hash(hash) => hash.remove(field),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) => {
                let at = compact::find(bytes, &Needle::new(field), 2);
                at.map(|at| compact::remove(bytes, at, 2)).is_some()
            }
        };
        self.0.changed |= removed;
        removed
    }

    /// Makes it a large one.
    fn enlarge(&mut self) {
        if let Stored::Compact(bytes) = &*self.0.stored {
            let mut large = LargeHash::new(self.0.seed);
            let (mut field_text, mut value_text) = Default::default();
            for (field, value) in HashRef::Compact(bytes).pairs() {
                large.set(field.bytes(&mut field_text), value.bytes(&mut value_text));
            }
            *self.0.stored = Stored::Large(Box::new(Large::Hash(large)));
        }
    }
}
