//! Named elements in an order that their history gives: the body of a large hash, set or sorted set.
//!
//! ```text
//! hash of the name --table--> place in the order --> page --> element
//! ```
//! An added element comes last; where one is removed, the last one takes its place. So a place picks an element in O(1), and
//! copies that applied the same changes agree on the places. The table is the keyspace's own: it grows segment by
//! segment, and visits elements in the order of their hashes, whatever comes and goes meanwhile (HSCAN and its kin).
//! Hashes are kept, 4 bytes an element: a table that grows needs each some four times, and names are far apart in memory.

use crate::keyspace::HashSeed;
use crate::keyspace::memory::prefetch::prefetch_line;
use crate::keyspace::table::{Hashes, Table};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

/// Elements a page, so that growing moves nothing and wastes little.
const PAGE: usize = 32;

/// What is kept.
pub(in crate::keyspace) trait Named {
    /// What it is looked up by.
    fn name(&self) -> &[u8];

    /// Bytes of its allocations.
    fn heap_bytes(&self) -> usize;

    /// Asks for the memory of its allocations.
    fn ask(&self);
}

/// Elements by name and by place.
pub(in crate::keyspace) struct Dense<E> {
    seed: HashSeed,
    table: Table,
    pages: Vec<Vec<E>>,
    hashes: HashPages,
    heap_bytes: usize,
}

/// What is kept of the hashes, by place.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "a page that is there is not moved when others come")]
struct HashPages(Vec<Box<[u32; PAGE]>>);

impl HashPages {
    fn at(&self, place: u32) -> &u32 {
        &self.0[place as usize / PAGE][place as usize % PAGE]
    }

    fn set(&mut self, place: u32, hash: u32) {
        self.0[place as usize / PAGE][place as usize % PAGE] = hash;
    }

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<[u32; PAGE]>() + self.0.capacity() * size_of::<Box<[u32; PAGE]>>()
    }
}

impl Hashes for HashPages {
    fn hash(&self, place: u32) -> u64 {
        spread(*self.at(place))
    }

    fn ask(&self, place: u32) {
        prefetch_line(self.at(place));
    }
}

/// Hashes a name.
fn hash(seed: HashSeed, name: &[u8]) -> u32 {
    (SipHasher13::new_with_key(&seed.0).hash(name) >> 32) as u32
}

/// A hash as the table wants it: it takes buckets from the upper bits, tags from the lowest.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash as u8)
}

fn element<E>(pages: &[Vec<E>], place: u32) -> &E {
    &pages[place as usize / PAGE][place as usize % PAGE]
}

impl<E: Named> Dense<E> {
    pub(in crate::keyspace) fn new(seed: HashSeed) -> Self {
        Self { seed, table: Table::new(), pages: Vec::new(), hashes: HashPages::default(), heap_bytes: 0 }
    }

    pub(in crate::keyspace) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes held, in O(1).
    pub(in crate::keyspace) fn bytes(&self) -> usize {
        self.heap_bytes
            + self.table.bytes()
            + self.pages.len() * PAGE * size_of::<E>()
            + self.pages.capacity() * size_of::<Vec<E>>()
            + self.hashes.bytes()
    }

    /// The place of the element with this name.
    #[inline]
    pub(in crate::keyspace) fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = spread(hash(self.seed, name));
        self.table.find(hash, |place| element(&self.pages, place).name() == name).map(|(_, place)| place)
    }

    #[inline]
    pub(in crate::keyspace) fn get(&self, name: &[u8]) -> Option<&E> {
        self.find(name).map(|place| element(&self.pages, place))
    }

    #[inline]
    pub(in crate::keyspace) fn at(&self, place: u32) -> &E {
        element(&self.pages, place)
    }

    /// Asks for the name of the element at `place`, if there is one: names are far apart in memory.
    #[inline]
    pub(in crate::keyspace) fn ask(&self, place: usize) {
        if let Some(element) = self.pages.get(place / PAGE).and_then(|page| page.get(place % PAGE)) {
            element.ask();
        }
    }

    /// Asks for all that lookups of these names will wait for, step by step for all of them.
    pub(in crate::keyspace) fn ask_all<'a>(&self, names: impl Iterator<Item = &'a [u8]>) {
        let hashes: SmallVec<[u64; 32]> = names.map(|name| spread(hash(self.seed, name))).collect();
        hashes.iter().for_each(|hash| self.table.prefetch(*hash));
        let each = |ask: &dyn Fn(&E)| {
            hashes.iter().for_each(|hash| self.table.likely(*hash, |place| ask(self.at(place))));
        };
        each(&prefetch_line);
        each(&E::ask);
    }

    /// Changes an element, but not its name.
    pub(in crate::keyspace) fn change<R>(&mut self, place: u32, change: impl FnOnce(&mut E) -> R) -> R {
        let element = &mut self.pages[place as usize / PAGE][place as usize % PAGE];
        self.heap_bytes -= element.heap_bytes();
        let result = change(element);
        self.heap_bytes += element.heap_bytes();
        result
    }

    /// Adds an element whose name is not there, as the last one, and returns its place.
    ///
    /// # Panics
    /// At four thousand million elements.
    pub(in crate::keyspace) fn push(&mut self, new: E) -> u32 {
        let place = u32::try_from(self.len()).ok().filter(|place| *place != u32::MAX).expect("places run out");
        let hash_of_new = hash(self.seed, new.name());
        self.heap_bytes += new.heap_bytes();
        if (place as usize).is_multiple_of(PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
            self.hashes.0.push(Box::new([0; PAGE]));
        }
        self.pages[place as usize / PAGE].push(new);
        self.hashes.set(place, hash_of_new);
        self.table.insert(spread(hash_of_new), place, &self.hashes);
        place
    }

    /// Removes the element at `place`. Where another one was there after it, the last one has its place now.
    pub(in crate::keyspace) fn remove(&mut self, place: u32) -> E {
        let last = self.len() as u32 - 1;
        let hash_of_removed = self.hashes.hash(place);
        let (found, _) = self.table.find(hash_of_removed, |other| other == place).expect("elements are in the table");
        self.table.remove(hash_of_removed, found, &self.hashes);
        if place != last {
            let hash_of_last = *self.hashes.at(last);
            let found = self.table.find(spread(hash_of_last), |other| other == last);
            self.table.replace(found.expect("elements are in the table").0, place);
            self.hashes.set(place, hash_of_last);
        }
        let page = self.pages.last_mut().expect("there is an element");
        let mut removed = page.pop().expect("pages are not empty");
        if page.is_empty() {
            self.pages.pop();
            self.hashes.0.pop();
            if self.pages.len() < self.pages.capacity() / 4 {
                self.pages.shrink_to(self.pages.len() * 2);
                self.hashes.0.shrink_to(self.pages.len() * 2);
            }
        }
        if place != last {
            let hole = &mut self.pages[place as usize / PAGE][place as usize % PAGE];
            std::mem::swap(hole, &mut removed);
        }
        self.heap_bytes -= removed.heap_bytes();
        removed
    }

    /// Elements in the order of their places.
    pub(in crate::keyspace) fn iter(&self) -> impl DoubleEndedIterator<Item = &E> + Clone {
        self.pages.iter().flatten()
    }

    /// Visits elements in the order of their hashes from scan position `from`: at least `count`, unless the end comes
    /// first, and all that share a position. Returns the position to go on from, 0 at the end; what stays from the first step
    /// to the last is visited. Positions are those of [`Keyspace::scan`](crate::keyspace::Keyspace::scan).
    pub(in crate::keyspace) fn scan(&self, from: u64, count: usize, visit: &mut dyn FnMut(&E)) -> u64 {
        const SHIFT: u32 = 64 - crate::keyspace::Keyspace::SCAN_BITS;
        if from >> crate::keyspace::Keyspace::SCAN_BITS != 0 {
            return 0;
        }
        let (mut seen, mut last) = (0, None);
        let mut range = Vec::with_capacity(32);
        let mut next = Some(from << SHIFT);
        while let Some(from) = next {
            range.clear();
            next = self.table.collect(from, |place| self.hashes.hash(place), &mut range);
            range.sort_unstable();
            for &(hash, place) in &range {
                let position = hash >> SHIFT;
                if seen >= count.max(1) && last != Some(position) {
                    return position;
                }
                last = Some(position);
                seen += 1;
                visit(element(&self.pages, place));
            }
        }
        0
    }
}

#[cfg(any(test, fuzzing))]
impl<E: Named> Dense<E> {
    /// Checks that table and pages agree, and adds the account up anew.
    pub(in crate::keyspace) fn check(&self) -> usize {
        let table = self.table.check(|place| spread(hash(self.seed, element(&self.pages, place).name())));
        assert_eq!(self.iter().count(), self.len());
        assert_eq!(self.hashes.0.len(), self.pages.len());
        for (place, element) in self.iter().enumerate() {
            assert_eq!(*self.hashes.at(place as u32), hash(self.seed, element.name()));
            assert_eq!(self.find(element.name()), Some(place as u32));
        }
        let pages: usize = self.pages.iter().map(|page| page.capacity() * size_of::<E>()).sum();
        let heap: usize = self.iter().map(Named::heap_bytes).sum();
        table + pages + heap + self.pages.capacity() * size_of::<Vec<E>>() + self.hashes.bytes()
    }
}
