//! Sets.

use super::dense::{Dense, Named};
use super::limits::{Limits, SMALL_BYTES_MAX};
use super::listpack::{self, Element, Elements, Needle};
use super::small::Small;
use super::{Edit, Large, Stored, compact, form};
use crate::decimal::parse_i64;
use crate::keyspace::HashSeed;

/// A member.
pub struct Member(Small);

impl Named for Member {
    fn name(&self) -> &[u8] {
        self.0.bytes()
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }

    fn ask(&self) {
        self.0.ask();
    }
}

/// A large set.
pub struct LargeSet(Dense<Member>);

impl LargeSet {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self(Dense::new(seed))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The member at a place.
    pub(super) fn member(&self, place: usize) -> Option<&[u8]> {
        (place < self.len()).then(|| self.0.at(place as u32).name())
    }

    /// Asks for what lookups of these members will wait for.
    pub(super) fn ask_all<'a>(&self, members: impl Iterator<Item = &'a [u8]>) {
        self.0.ask_all(members);
    }

    /// Asks for the member at a place.
    pub(super) fn ask(&self, place: usize) {
        self.0.ask(place);
    }

    /// Adds a member; false where it is there.
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let new = self.0.find(member).is_none();
        if new {
            self.0.push(Member(Small::new(member)));
        }
        new
    }

    #[cfg(any(test, fuzzing))]
    pub(in crate::keyspace) fn check(&self) {
        assert_eq!(self.0.check(), self.bytes());
    }
}

/// Sorted integers, as Redis's intset holds them: all as wide as the widest needs. The count of the head is how many.
pub(super) mod integers {
    use super::compact::{HEAD, count, set_count};

    /// Where the integers begin: after their width.
    const START: usize = HEAD + 1;

    fn width_of(number: i64) -> usize {
        if i16::try_from(number).is_ok() {
            2
        } else if i32::try_from(number).is_ok() {
            4
        } else {
            8
        }
    }

    fn width(bytes: &[u8]) -> usize {
        bytes.get(HEAD).map_or(2, |width| usize::from(*width))
    }

    /// The integer at a place in the order.
    pub(super) fn at(bytes: &[u8], place: usize) -> i64 {
        let width = width(bytes);
        let from = START + place * width;
        let mut wide = [0; 8];
        wide[8 - width..].copy_from_slice(&bytes[from..from + width]);
        i64::from_le_bytes(wide) >> (64 - 8 * width)
    }

    /// Its place, or where it belongs.
    pub(super) fn find(bytes: &[u8], number: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, count(bytes));
        while low < high {
            let middle = (low + high) / 2;
            match at(bytes, middle).cmp(&number) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    pub(super) fn insert(bytes: &mut Vec<u8>, place: usize, number: i64) {
        let length = count(bytes);
        if length == 0 {
            bytes.truncate(HEAD);
            bytes.push(width_of(number) as u8);
        } else if width_of(number) > width(bytes) {
            let wider = width_of(number);
            let old: Vec<i64> = (0..length).map(|place| at(bytes, place)).collect();
            bytes.truncate(HEAD);
            bytes.reserve_exact(1 + wider * (length + 1));
            bytes.push(wider as u8);
            old.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()[..wider]));
        }
        let width = width(bytes);
        let from = START + place * width;
        super::listpack::insert(bytes, from, &number.to_le_bytes()[..width]);
        set_count(bytes, length + 1);
    }

    pub(super) fn remove(bytes: &mut Vec<u8>, place: usize) {
        let width = width(bytes);
        let from = START + place * width;
        super::listpack::remove(bytes, from, from + width);
        let length = count(bytes) - 1;
        set_count(bytes, length);
    }

    /// Whether bytes that came from outside are what is written here.
    pub(in crate::keyspace::collections) fn is_sound(bytes: &[u8]) -> bool {
        let width = bytes.get(HEAD).copied().map_or(0, usize::from);
        matches!(width, 2 | 4 | 8)
            && count(bytes) > 0
            && bytes.len() == START + width * count(bytes)
            && (1..count(bytes)).all(|place| at(bytes, place - 1) < at(bytes, place))
    }
}

fn is_integers(bytes: &[u8]) -> bool {
    bytes[0] == form::INTEGERS
}

/// A set that is read.
#[derive(Clone, Copy)]
pub enum SetRef<'a> {
    /// A small one.
    Compact(&'a [u8]),
    /// A large one.
    Large(&'a LargeSet),
}

impl<'a> SetRef<'a> {
    /// How many members.
    #[expect(clippy::len_without_is_empty, reason = "an empty collection does not exist")]
    pub fn len(&self) -> usize {
        match self {
            Self::Compact(bytes) => compact::count(bytes),
            Self::Large(set) => set.len(),
        }
    }

    /// Whether it has this member.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match *self {
            Self::Compact(bytes) if is_integers(bytes) => {
                parse_i64(member).is_some_and(|number| integers::find(bytes, number).is_ok())
            }
            Self::Compact(bytes) => compact::find(bytes, &Needle::new(member), 1).is_some(),
            Self::Large(set) => set.0.find(member).is_some(),
        }
    }

    /// Members, in their order.
    pub fn members(&self) -> Members<'a> {
        match *self {
            Self::Compact(bytes) if is_integers(bytes) => Members::Integers { bytes, next: 0 },
            Self::Compact(bytes) => Members::Compact(compact::elements(bytes)),
            Self::Large(set) => Members::Large(Box::new(set.0.iter().map(|member| Element::Bytes(member.0.bytes())))),
        }
    }

    /// The member at a place in their order.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn at(&self, place: usize) -> Element<'a> {
        match *self {
            Self::Compact(bytes) if is_integers(bytes) => Element::Integer(integers::at(bytes, place)),
            Self::Compact(bytes) => listpack::read(bytes, listpack::nth(bytes, compact::HEAD, place)).0,
            Self::Large(set) => Element::Bytes(set.0.at(place as u32).0.bytes()),
        }
    }

    /// A step of SSCAN: the next position, 0 at the end. A small set is visited whole.
    pub fn scan(&self, from: u64, count: usize, visit: &mut dyn FnMut(Element<'_>)) -> u64 {
        match self {
            Self::Compact(_) => {
                self.members().for_each(visit);
                0
            }
            Self::Large(set) => set.0.scan(from, count, &mut |member| visit(Element::Bytes(member.0.bytes()))),
        }
    }

    /// What Redis calls its encoding.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Compact(bytes) if is_integers(bytes) => "intset",
            Self::Compact(_) => "listpack",
            Self::Large(_) => "hashtable",
        }
    }
}

/// Members of a set.
pub enum Members<'a> {
    /// Of a small set of integers.
    Integers {
        /// The set.
        bytes: &'a [u8],
        /// The place of the next one.
        next: usize,
    },
    /// Of another small set.
    Compact(Elements<'a>),
    /// Of a large one.
    Large(Box<dyn Iterator<Item = Element<'a>> + 'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Integers { bytes, next } => {
                let place = *next;
                *next += 1;
                (place < compact::count(bytes)).then(|| Element::Integer(integers::at(bytes, place)))
            }
            Self::Compact(elements) => elements.next(),
            Self::Large(members) => members.next(),
        }
    }
}

/// Whether a set stays small with this member.
fn may_join(bytes: &[u8], member: &[u8], limits: &Limits) -> bool {
    compact::count(bytes) < limits.set_entries as usize
        && member.len() <= limits.set_value_bytes as usize
        && bytes.len() + member.len() <= SMALL_BYTES_MAX
}

/// Digits of the longest of sorted integers.
fn longest_integer(bytes: &[u8]) -> usize {
    let digits = |place| integers::at(bytes, place).to_string().len();
    compact::count(bytes).checked_sub(1).map_or(0, |last| digits(0).max(digits(last)))
}

/// A set that is changed.
pub struct SetMut<'a, 'b>(pub &'b mut Edit<'a>);

impl SetMut<'_, '_> {
    /// The set as it is now.
    pub fn read(&self) -> SetRef<'_> {
        match &*self.0.stored {
            Stored::Compact(bytes) => SetRef::Compact(bytes),
            Stored::Large(large) => match &**large {
                Large::Set(set) => SetRef::Large(set),
                _ => unreachable!("the kind was checked"),
            },
        }
    }

    /// Tells that so many members are about to be added: Redis makes room for them at once (`setTypeMaybeConvert`), and
    /// creates the set for the first of them (`setTypeCreate`).
    pub fn expect(&mut self, first: &[u8], count: usize) {
        let Stored::Compact(bytes) = &*self.0.stored else { return };
        let (integers, entries) = (self.0.limits.set_integers as usize, self.0.limits.set_entries as usize);
        let empty = compact::count(bytes) == 0;
        if empty && (parse_i64(first).is_none() || count > integers) && count <= entries {
            *self.0.stored = Stored::Compact(compact::new(form::SET));
        } else if count > if is_integers(bytes) { integers } else { entries } || (empty && parse_i64(first).is_none()) {
            self.enlarge();
        }
    }

    /// Adds a member; false where it is there.
    pub fn add(&mut self, member: &[u8]) -> bool {
        let limits = self.0.limits;
        let added = match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::Set(set) => set.add(member),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) if is_integers(bytes) => match parse_i64(member) {
                Some(number) => match integers::find(bytes, number) {
                    Ok(_) => false,
                    Err(place) => {
                        integers::insert(bytes, place, number);
                        if compact::count(bytes) > limits.set_integers as usize {
                            self.enlarge();
                        }
                        true
                    }
                },
                None => {
                    if may_join(bytes, member, limits) && longest_integer(bytes) <= limits.set_value_bytes as usize {
                        let mut entries = compact::new(form::SET);
                        let old = SetRef::Compact(bytes).members();
                        old.for_each(|element| compact::push(&mut entries, &[&listpack::entry(&element.to_vec())]));
                        *self.0.stored = Stored::Compact(entries);
                    } else {
                        self.enlarge();
                    }
                    self.add(member)
                }
            },
            Stored::Compact(bytes) => {
                if compact::find(bytes, &Needle::new(member), 1).is_some() {
                    false
                } else if may_join(bytes, member, limits) {
                    compact::push(bytes, &[&listpack::entry(member)]);
                    true
                } else {
                    self.enlarge();
                    self.add(member)
                }
            }
        };
        self.0.changed |= added;
        added
    }

    /// Removes a member; false where there is none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let removed = match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::Set(set) => set.0.find(member).map(|place| set.0.remove(place)).is_some(),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) if is_integers(bytes) => {
                let place = parse_i64(member).and_then(|number| integers::find(bytes, number).ok());
                place.map(|place| integers::remove(bytes, place)).is_some()
            }
            Stored::Compact(bytes) => {
                let at = compact::find(bytes, &Needle::new(member), 1);
                at.map(|at| compact::remove(bytes, at, 1)).is_some()
            }
        };
        self.0.changed |= removed;
        removed
    }

    /// Removes the member at a place in the set's order, and shows it to `see`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn take(&mut self, place: usize, see: impl FnOnce(&[u8])) {
        let mut text = Default::default();
        match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::Set(set) => see(set.0.remove(place as u32).0.bytes()),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) if is_integers(bytes) => {
                see(Element::Integer(integers::at(bytes, place)).bytes(&mut text));
                integers::remove(bytes, place);
            }
            Stored::Compact(bytes) => {
                let at = listpack::nth(bytes, compact::HEAD, place);
                see(listpack::read(bytes, at).0.bytes(&mut text));
                compact::remove(bytes, at, 1);
            }
        }
        self.0.changed = true;
    }

    /// Makes it a large one.
    fn enlarge(&mut self) {
        if let Stored::Compact(bytes) = &*self.0.stored {
            let mut large = LargeSet::new(self.0.seed);
            let mut text = Default::default();
            SetRef::Compact(bytes).members().for_each(|member| {
                large.add(member.bytes(&mut text));
            });
            *self.0.stored = Stored::Large(Box::new(Large::Set(large)));
        }
    }
}
