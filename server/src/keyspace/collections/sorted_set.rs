//! Sorted sets: members in the order of their scores, equal ones in the order of their bytes.

use super::dense::{Dense, Named};
use super::limits::SMALL_BYTES_MAX;
use super::listpack::{self, Element, Elements, Needle};
use super::small::Small;
use super::tree::{Entry, Tree, order_bits};
use super::{Edit, Large, Stored, compact};
use crate::keyspace::HashSeed;
use std::cmp::Ordering;

/// A member and its score.
pub struct Scored {
    member: Small,
    score: f64,
}

impl Named for Scored {
    fn name(&self) -> &[u8] {
        self.member.bytes()
    }

    fn heap_bytes(&self) -> usize {
        self.member.heap_bytes()
    }

    fn ask(&self) {
        self.member.ask();
    }
}

/// A large sorted set.
pub struct LargeSortedSet {
    members: Dense<Scored>,
    order: Tree,
}

/// What giving a member a score did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// It was not there.
    Added,
    /// It had another score.
    Updated,
    /// It had that score.
    Same,
}

/// A member on the way to a point in the order: its bytes are read only by whoever needs them, since they are far from the
/// order's entries.
#[derive(Clone, Copy)]
pub enum Candidate<'a> {
    /// Of a small set.
    Read(&'a [u8]),
    /// Of a large one, and its place.
    Kept(&'a LargeSortedSet, u32),
}

impl<'a> Candidate<'a> {
    /// The member's bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Kept(set, place) => set.members.at(place).name(),
        }
    }
}

/// Compares entries of an order with a member of this score: by score, then by bytes.
fn comparison(members: &Dense<Scored>, score: f64, member: &[u8]) -> impl Fn(Entry) -> Ordering {
    let bits = order_bits(score);
    move |entry| entry.bits().cmp(&bits).then_with(|| members.at(entry.place).name().cmp(member))
}

impl LargeSortedSet {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { members: Dense::new(seed), order: Tree::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.members.bytes() + self.order.bytes()
    }

    /// The member at a place, in an order which is not that of their scores.
    pub(super) fn member(&self, place: usize) -> Option<(&[u8], f64)> {
        let scored = (place < self.len()).then(|| self.members.at(place as u32))?;
        Some((scored.member.bytes(), scored.score))
    }

    /// Asks for what lookups of these members will wait for.
    pub(super) fn ask_all<'a>(&self, members: impl Iterator<Item = &'a [u8]>) {
        self.members.ask_all(members);
    }

    /// Asks for the member at a place.
    pub(super) fn ask(&self, place: usize) {
        self.members.ask(place);
    }

    fn add(&mut self, member: &[u8], score: f64) {
        let place = self.members.push(Scored { member: Small::new(member), score });
        self.link(place, member, score);
    }

    fn link(&mut self, place: u32, member: &[u8], score: f64) {
        self.order.insert(Entry::new(score, place), &comparison(&self.members, score, member));
    }

    fn unlink(&mut self, place: u32) {
        let scored = self.members.at(place);
        let removed = self.order.remove(&comparison(&self.members, scored.score, scored.name()));
        debug_assert_eq!(removed.place, place);
    }

    pub(super) fn set(&mut self, member: &[u8], score: f64) -> Scoring {
        let Some(place) = self.members.find(member) else {
            self.add(member, score);
            return Scoring::Added;
        };
        if self.members.at(place).score == score {
            return Scoring::Same;
        }
        self.unlink(place);
        self.members.change(place, |scored| scored.score = score);
        self.link(place, member, score);
        Scoring::Updated
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let Some(place) = self.members.find(member) else { return false };
        self.unlink(place);
        let last = self.len() as u32 - 1;
        if place != last {
            let scored = self.members.at(last);
            self.order.set_place(&comparison(&self.members, scored.score, scored.name()), place);
        }
        self.members.remove(place);
        true
    }

    fn count_before(&self, before: &dyn Fn(f64, Candidate<'_>) -> bool) -> usize {
        self.order.count_before(&|entry| before(entry.score(), Candidate::Kept(self, entry.place)))
    }

    #[cfg(any(test, fuzzing))]
    pub(in crate::keyspace) fn check(&self) {
        let order: Vec<_> = self.order.check();
        let key = |entry: &Entry| (entry.bits(), self.members.at(entry.place).name());
        assert!(order.is_sorted_by(|a, b| key(a) < key(b)));
        assert_eq!(order.len(), self.len());
        assert!(order.iter().all(|entry| entry.bits() == order_bits(self.members.at(entry.place).score)));
        assert_eq!(self.members.check() + self.order.bytes(), self.bytes());
    }
}

/// A score's entry in a small sorted set: an integer (0 for a negative zero, as in Redis), or the eight bytes of the number.
fn score_entry(score: f64) -> listpack::Entry {
    const EXACT: f64 = (1u64 << 53) as f64;
    if score.fract() == 0.0 && score.abs() <= EXACT {
        listpack::integer_entry(score as i64)
    } else {
        listpack::bytes_entry(&score.to_bits().to_le_bytes())
    }
}

fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Integer(number) => number as f64,
        Element::Bytes(bytes) => bytes.try_into().map_or(f64::NAN, |bits| f64::from_bits(u64::from_le_bytes(bits))),
    }
}

/// Whether every second one of the entries is a score, in bytes that came from outside.
pub(super) fn are_scores(bytes: &[u8]) -> bool {
    let scores = compact::elements(bytes).skip(1).step_by(2);
    compact::count(bytes).is_multiple_of(2) && scores.into_iter().all(|score| !score_of(score).is_nan())
}

/// A sorted set that is read.
#[derive(Clone, Copy)]
pub enum SortedSetRef<'a> {
    /// A small one.
    Compact(&'a [u8]),
    /// A large one.
    Large(&'a LargeSortedSet),
}

impl<'a> SortedSetRef<'a> {
    /// How many members.
    #[expect(clippy::len_without_is_empty, reason = "an empty collection does not exist")]
    pub fn len(&self) -> usize {
        match self {
            Self::Compact(bytes) => compact::count(bytes) / 2,
            Self::Large(set) => set.len(),
        }
    }

    fn compact_pairs(bytes: &'a [u8]) -> impl Iterator<Item = (Element<'a>, f64)> {
        let mut elements: Elements<'a> = compact::elements(bytes);
        std::iter::from_fn(move || Some((elements.next()?, score_of(elements.next()?))))
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match *self {
            Self::Compact(bytes) => {
                let at = compact::find(bytes, &Needle::new(member), 2)?;
                Some(score_of(listpack::read(bytes, listpack::skip(bytes, at)).0))
            }
            Self::Large(set) => set.members.get(member).map(|scored| scored.score),
        }
    }

    /// The rank of a member, from the lowest score, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match *self {
            Self::Compact(bytes) => {
                let needle = Needle::new(member);
                let mut pairs = Self::compact_pairs(bytes).enumerate();
                pairs.find(|(_, (other, _))| needle.is(*other)).map(|(rank, (_, score))| (rank, score))
            }
            Self::Large(set) => {
                let score = set.members.get(member)?.score;
                let compare = comparison(&set.members, score, member);
                Some((set.order.count_before(&|entry| compare(entry).is_lt()), score))
            }
        }
    }

    /// How many members come before a point, which is given by a predicate that holds for those and no others.
    pub fn count_before(&self, before: &dyn Fn(f64, Candidate<'_>) -> bool) -> usize {
        match *self {
            Self::Compact(bytes) => {
                let mut text = Default::default();
                let mut pairs = Self::compact_pairs(bytes);
                let first_after =
                    pairs.position(|(member, score)| !before(score, Candidate::Read(member.bytes(&mut text))));
                first_after.unwrap_or(self.len())
            }
            Self::Large(set) => set.count_before(before),
        }
    }

    /// Visits up to `count` members from rank `from` on: upwards, or downwards.
    pub fn visit(&self, from: usize, count: usize, reverse: bool, visit: &mut dyn FnMut(Element<'_>, f64)) {
        match *self {
            Self::Compact(bytes) if !reverse => {
                Self::compact_pairs(bytes).skip(from).take(count).for_each(|(member, score)| visit(member, score));
            }
            Self::Compact(bytes) => {
                let mut elements = compact::elements(bytes).rev().skip(2 * (self.len().saturating_sub(from + 1)));
                for _ in 0..count {
                    let (Some(score), Some(member)) = (elements.next(), elements.next()) else { return };
                    visit(member, score_of(score));
                }
            }
            Self::Large(set) => set.order.visit(from, count, reverse, &mut |entry| {
                let scored = set.members.at(entry.place);
                visit(Element::Bytes(scored.name()), scored.score);
            }),
        }
    }

    /// The member at a place in an order that follows from the set's history: for random choices.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn at(&self, place: usize) -> (Element<'a>, f64) {
        match *self {
            Self::Compact(bytes) => Self::compact_pairs(bytes).nth(place).expect("the place is within the set"),
            Self::Large(set) => {
                let scored = set.members.at(place as u32);
                (Element::Bytes(scored.member.bytes()), scored.score)
            }
        }
    }

    /// A step of ZSCAN: the next position, 0 at the end. A small set is visited whole.
    pub fn scan(&self, from: u64, count: usize, visit: &mut dyn FnMut(Element<'_>, f64)) -> u64 {
        match self {
            Self::Compact(_) => {
                self.visit(0, self.len(), false, visit);
                0
            }
            Self::Large(set) => {
                set.members.scan(from, count, &mut |scored| visit(Element::Bytes(scored.name()), scored.score))
            }
        }
    }

    /// What Redis calls its encoding.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Compact(_) => "listpack",
            Self::Large(_) => "skiplist",
        }
    }
}

/// A sorted set that is changed.
pub struct SortedSetMut<'a, 'b>(pub &'b mut Edit<'a>);

impl SortedSetMut<'_, '_> {
    /// The set as it is now.
    pub fn read(&self) -> SortedSetRef<'_> {
        match &*self.0.stored {
            Stored::Compact(bytes) => SortedSetRef::Compact(bytes),
            Stored::Large(large) => match &**large {
                Large::SortedSet(set) => SortedSetRef::Large(set),
                _ => unreachable!("the kind was checked"),
            },
        }
    }

    /// Tells that so many members are about to be added: Redis makes room for them at once (`zsetTypeMaybeConvert`).
    pub fn expect(&mut self, count: usize) {
        if count > self.0.limits.sorted_set_entries as usize {
            self.enlarge();
        }
    }

    /// Makes it a large one, for a result that is put together.
    pub fn begin_result(&mut self) {
        self.enlarge();
    }

    /// Makes it a small one if it is not too large for that: once, when a result is complete
    /// (`zsetConvertToListpackIfNeeded`).
    pub fn end_result(&mut self) {
        let (set, limits) = (self.read(), self.0.limits);
        let fits = set.len() <= limits.sorted_set_entries as usize;
        let (mut small, mut fits) = (compact::new(super::form::SORTED_SET), fits);
        let mut text = Default::default();
        if fits {
            set.visit(0, set.len(), false, &mut |member, score| {
                let member = member.bytes(&mut text);
                fits &= member.len() <= limits.sorted_set_value_bytes as usize && small.len() <= SMALL_BYTES_MAX;
                if fits {
                    compact::push(&mut small, &[&listpack::entry(member), &score_entry(score)]);
                }
            });
        }
        if fits {
            *self.0.stored = Stored::Compact(small);
        }
    }

    /// Gives a member a score, which is a number.
    pub fn set(&mut self, member: &[u8], score: f64) -> Scoring {
        debug_assert!(!score.is_nan());
        let limits = self.0.limits;
        let scoring = match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::SortedSet(set) => set.set(member, score),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) => match compact::find(bytes, &Needle::new(member), 2) {
                Some(at) if score_of(listpack::read(bytes, listpack::skip(bytes, at)).0) == score => Scoring::Same,
                Some(at) => {
                    compact::remove(bytes, at, 2);
                    Self::insert_compact(bytes, member, score);
                    Scoring::Updated
                }
                None if compact::count(bytes) / 2 < limits.sorted_set_entries as usize
                    && member.len() <= limits.sorted_set_value_bytes as usize
                    && bytes.len() + member.len() <= SMALL_BYTES_MAX =>
                {
                    Self::insert_compact(bytes, member, score);
                    Scoring::Added
                }
                None => {
                    self.enlarge();
                    self.set(member, score)
                }
            },
        };
        self.0.changed |= scoring != Scoring::Same;
        scoring
    }

    fn insert_compact(bytes: &mut Vec<u8>, member: &[u8], score: f64) {
        let (mut at, bits) = (compact::HEAD, order_bits(score));
        let mut text = Default::default();
        let mut elements = compact::elements(bytes);
        while let (Some(other), Some(other_score)) = (elements.next(), elements.next()) {
            if (order_bits(score_of(other_score)), other.bytes(&mut text)) > (bits, member) {
                break;
            }
            at = elements.at();
        }
        let mut entries = listpack::entry(member);
        entries.extend_from_slice(&score_entry(score));
        bytes.reserve_exact(entries.len());
        listpack::insert(bytes, at, &entries);
        let count = compact::count(bytes);
        compact::set_count(bytes, count + 2);
    }

    /// Removes a member; false where there is none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let removed = match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::SortedSet(set) => set.remove(member),
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(bytes) => {
                let at = compact::find(bytes, &Needle::new(member), 2);
                at.map(|at| compact::remove(bytes, at, 2)).is_some()
            }
        };
        self.0.changed |= removed;
        removed
    }

    /// Removes `count` members from rank `from` on.
    pub fn remove_ranks(&mut self, from: usize, count: usize) {
        if let Stored::Compact(bytes) = &mut *self.0.stored {
            if count > 0 {
                let at = listpack::nth(bytes, compact::HEAD, 2 * from);
                compact::remove(bytes, at, 2 * count);
                self.0.changed = true;
            }
            return;
        }
        let mut members = Vec::with_capacity(count);
        self.read().visit(from, count, false, &mut |member, _| members.push(member.to_vec()));
        members.iter().for_each(|member| {
            self.remove(member);
        });
    }

    /// Makes it a large one.
    fn enlarge(&mut self) {
        if let Stored::Compact(bytes) = &*self.0.stored {
            let mut large = LargeSortedSet::new(self.0.seed);
            let mut text = Default::default();
            for (member, score) in SortedSetRef::compact_pairs(bytes) {
                large.set(member.bytes(&mut text), score);
            }
            *self.0.stored = Stored::Large(Box::new(Large::SortedSet(large)));
        }
    }
}
