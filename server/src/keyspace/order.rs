//! Items in an order, without a place for each in memory: by the last use, by the deadline.
//!
//! What an item is ordered by, its rank, stands in its chunk. Kept beside it is a mark for each page of chunks, at or below the
//! lowest rank that is there, and the pages in the order of their marks. The first item of all is on the page with the
//! lowest mark, or is one that was found there before: the page is read, its few first items become found ones, and its mark
//! that of the next. So an item costs nothing but its rank; an item whose rank rises, as that of one that is used
//! does, costs a comparison; and what is asked for, the first items, costs a look at a page for every [`TAKEN`] of them.
//!
//! Both marks and found items may be out of date, never wrong: a mark may be too low, which costs a look in vain; a found
//! item is one only while its chunk says the rank under which it was found.

use super::arena::{Arena, Mark, NO_MARK, Ref};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What items are ordered by: the lowest first. [`NO_MARK`] is none's.
pub(super) type Rank = u64;

/// An item, or a page by the name of its first chunk, under its rank.
pub(super) type Ranked = (Rank, Ref);

/// Items that a look at a page finds at most. What is found and not asked for yet takes 16 bytes an item; a look reads a page.
const TAKEN: usize = 8;

/// An order. Each method that looks at items is told `rank_of`: the rank that a chunk says, if its item belongs into the
/// order.
pub(super) struct Order {
    mark: Mark,
    /// Pages under their marks, and what is left of former marks.
    pages: BinaryHeap<Reverse<Ranked>>,
    /// Items that no mark stands for.
    found: BinaryHeap<Reverse<Ranked>>,
    /// More of them: those that were visited, the last one first. Whoever looks at the first items takes them soon.
    seen: Vec<Ranked>,
}

/// Items that were visited: they are not found again until they are put back.
#[derive(Default)]
pub(super) struct Walk {
    /// Sorted.
    visited: Vec<Ranked>,
}

impl Walk {
    /// A walk that has visited one item.
    pub(super) fn of(item: Ranked) -> Self {
        Self { visited: vec![item] }
    }

    /// Counts an item as visited; false where it is already.
    fn add(&mut self, item: Ranked) -> bool {
        match self.visited.last() {
            Some(last) if *last >= item => {}
            _ => {
                self.visited.push(item);
                return true;
            }
        }
        // One of several with the same rank.
        let place = self.visited.binary_search(&item);
        place.inspect_err(|place| self.visited.insert(*place, item)).is_err()
    }

    fn has(&self, item: Ranked) -> bool {
        self.visited.last().is_some_and(|last| item.0 <= last.0) && self.visited.binary_search(&item).is_ok()
    }
}

impl Order {
    /// An order of no items that has the `mark`s of pages to itself.
    pub(super) fn new(mark: Mark) -> Self {
        Self { mark, pages: BinaryHeap::new(), found: BinaryHeap::new(), seen: Vec::new() }
    }

    /// Bytes held, marks aside.
    pub(super) fn bytes(&self) -> usize {
        (self.pages.capacity() + self.found.capacity() + self.seen.capacity()) * size_of::<Ranked>()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, arena: &mut Arena) {
        *self = Self::new(self.mark);
        arena.pages().collect::<Vec<_>>().into_iter().for_each(|page| arena.set_mark(self.mark, page, NO_MARK));
    }

    /// Takes in all items anew.
    pub(super) fn rebuild(&mut self, arena: &mut Arena, rank_of: impl Fn(&[u8]) -> Option<Rank>) {
        self.clear(arena);
        let pages: Vec<Ref> = arena.pages().collect();
        for page in pages {
            let lowest = arena.page(page).filter_map(|(_, chunk)| rank_of(chunk)).min();
            if let Some(rank) = lowest {
                self.lower(arena, page, rank);
            }
        }
    }

    /// The item at `at` is new there, or has a new rank: this one. One that leaves needs no word.
    #[inline]
    pub(super) fn note(&mut self, arena: &mut Arena, at: Ref, rank: Rank) {
        if rank < arena.mark(self.mark, at) {
            self.lower(arena, at, rank);
        }
    }

    #[inline(never)]
    fn lower(&mut self, arena: &mut Arena, at: Ref, rank: Rank) {
        arena.set_mark(self.mark, at, rank);
        self.tidy(arena);
        self.pages.push(Reverse((rank, arena.page_of(at))));
    }

    /// Forgets former marks where there are many; called where there may be fewer pages than before.
    #[inline]
    pub(super) fn tidy(&mut self, arena: &Arena) {
        if arena.page_count() == 0 {
            *self = Self::new(self.mark);
            return;
        }
        /// Former marks and found items, for each page, that are worth no tidying up.
        const FORMER: usize = 2;
        const FOUND: usize = 2 * TAKEN;
        if self.pages.len() > arena.page_count() * (1 + FORMER) + 64 {
            self.forget_former(arena);
        }
        if self.found.len() > arena.page_count() * FOUND + 64 {
            self.found.retain(|Reverse((_, at))| arena.live(*at).is_some());
            self.found.shrink_to_fit();
        }
        if self.seen.len() > arena.page_count() * FOUND + 64 {
            self.seen.retain(|(_, at)| arena.live(*at).is_some());
            self.seen.shrink_to_fit();
        }
    }

    #[inline(never)]
    fn forget_former(&mut self, arena: &Arena) {
        let mut pages = std::mem::take(&mut self.pages).into_vec();
        pages.sort_unstable();
        pages.dedup();
        pages.retain(|Reverse((rank, page))| arena.has_page(*page) && arena.mark(self.mark, *page) == *rank);
        pages.shrink_to_fit();
        self.pages = pages.into();
    }

    /// A page that `random` chooses, of those that have items in the order; it may have none any more.
    pub(super) fn some_page(&self, random: u64) -> Option<Ref> {
        let pages = self.pages.as_slice();
        let chosen = ((u128::from(random) * pages.len() as u128) >> 64) as usize;
        pages.get(chosen).map(|Reverse((_, page))| *page)
    }

    /// The first item.
    pub(super) fn first(&mut self, arena: &mut Arena, rank_of: impl Fn(&[u8]) -> Option<Rank>) -> Option<Ranked> {
        let mut walk = Walk::default();
        let first = self.next(&mut walk, NO_MARK, arena, rank_of);
        self.end(walk);
        first
    }

    /// The next item of a walk, which ends with [`Order::end`], if its rank is at most `last`. Nothing changes meanwhile.
    pub(super) fn next(
        &mut self,
        walk: &mut Walk,
        last: Rank,
        arena: &mut Arena,
        rank_of: impl Fn(&[u8]) -> Option<Rank>,
    ) -> Option<Ranked> {
        loop {
            let page = self.pages.peek().map(|Reverse(page)| *page);
            let found = self.first_found();
            // However low a mark is, nothing is before it: pages are not looked at for nothing.
            if page.into_iter().chain(found).all(|(rank, _)| rank > last) {
                return None;
            }
            match found {
                Some(item) if page.is_none_or(|(mark, _)| item.0 <= mark) => {
                    if self.seen.last() == Some(&item) {
                        self.seen.pop();
                    } else {
                        self.found.pop();
                    }
                    // It may have been found twice.
                    if arena.live(item.1).is_some_and(|chunk| rank_of(chunk) == Some(item.0)) && walk.add(item) {
                        return Some(item);
                    }
                }
                _ => {
                    let (mark, page) = page?;
                    self.pages.pop();
                    if arena.has_page(page) && arena.mark(self.mark, page) == mark {
                        self.look_at(page, walk, arena, &rank_of);
                    }
                }
            }
        }
    }

    /// Ends a walk: what it visited can be found again.
    pub(super) fn end(&mut self, walk: Walk) {
        // What is left of those that were seen before comes after what was visited.
        self.seen.extend(walk.visited.into_iter().rev());
        if self.seen.len() * 4 < self.seen.capacity() {
            self.seen.shrink_to(self.seen.len() * 2);
        }
        if self.found.len() * 4 < self.found.capacity() {
            self.found.shrink_to(self.found.len() * 2);
        }
    }

    fn first_found(&self) -> Option<Ranked> {
        let found = self.found.peek().map(|Reverse(item)| *item);
        let seen = self.seen.last().copied();
        if found.is_some() && seen.is_some() { found.min(seen) } else { found.or(seen) }
    }

    /// Finds the first items of a page, of those that were not visited.
    fn look_at(&mut self, page: Ref, walk: &Walk, arena: &mut Arena, rank_of: impl Fn(&[u8]) -> Option<Rank>) {
        let mut first: SmallVec<[Ranked; TAKEN + 2]> = SmallVec::new();
        for (at, chunk) in arena.page(page) {
            let Some(rank) = rank_of(chunk) else { continue };
            let item = (rank, at);
            if first.last().is_some_and(|last| first.len() > TAKEN && item > *last) || walk.has(item) {
                continue;
            }
            let place = first.iter().rposition(|other| *other < item).map_or(0, |before| before + 1);
            first.insert(place, item);
            first.truncate(TAKEN + 1);
        }
        let rest = if first.len() > TAKEN { first.pop() } else { None };
        arena.set_mark(self.mark, page, rest.map_or(NO_MARK, |(rank, _)| rank));
        self.pages.extend(rest.map(|(rank, _)| Reverse((rank, page))));
        self.found.extend(first.into_iter().map(Reverse));
    }
}

#[cfg(any(test, fuzzing))]
impl Order {
    /// Checks that nothing can be missed.
    pub(super) fn check(&self, arena: &Arena, rank_of: impl Fn(&[u8]) -> Option<Rank>) {
        assert!(self.seen.iter().rev().is_sorted());
        let seen = self.seen.iter().copied();
        let found: std::collections::HashSet<Ranked> =
            self.found.iter().map(|Reverse(item)| *item).chain(seen).collect();
        let pages: std::collections::HashSet<Ranked> = self.pages.iter().map(|Reverse(page)| *page).collect();
        for page in arena.pages() {
            let mark = arena.mark(self.mark, page);
            assert!(mark == NO_MARK || pages.contains(&(mark, page)));
            for (at, chunk) in arena.page(page) {
                let Some(rank) = rank_of(chunk) else { continue };
                assert!(mark <= rank || found.contains(&(rank, at)), "an item is in no order");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rank_of(chunk: &[u8]) -> Option<Rank> {
        let rank = u64::from_le_bytes(chunk[..8].try_into().unwrap());
        (rank % 7 != 0).then_some(rank)
    }

    fn write(arena: &mut Arena, order: &mut Order, at: Ref, rank: Rank) {
        arena.chunk_mut(at)[..8].copy_from_slice(&rank.to_le_bytes());
        if let Some(rank) = rank_of(arena.chunk(at)) {
            order.note(arena, at, rank);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Items come, go and change their ranks; walks of any length, with removals after them, visit what sorting finds.
        #[test]
        fn it_is_what_sorting_gives(seed in any::<u64>(), range in 10..5_000u64, steps in 50..1_500u32) {
            let mut arena = Arena::new();
            let mut order = Order::new(Mark::Use);
            let mut live: Vec<Ref> = Vec::new();
            let mut state = seed;
            let mut dice = |below: u64| {
                state = crate::keyspace::store::mix(state);
                state % below
            };
            for step in 0..steps {
                match dice(8) {
                    0..4 => {
                        let at = arena.allocate([20, 33, 300, 1000][dice(4) as usize]);
                        live.push(at);
                        write(&mut arena, &mut order, at, dice(range));
                    }
                    4 if !live.is_empty() => {
                        let at = live[dice(live.len() as u64) as usize];
                        write(&mut arena, &mut order, at, dice(range) + u64::from(step));
                    }
                    5 if !live.is_empty() => remove(&mut arena, &mut order, &mut live, dice(u64::MAX) as usize),
                    6 if dice(20) == 0 => order.rebuild(&mut arena, rank_of),
                    7 => {
                        let wanted = dice(60) as usize;
                        let mut expected: Vec<Ranked> =
                            live.iter().filter_map(|at| Some((rank_of(arena.chunk(*at))?, *at))).collect();
                        expected.sort_unstable();
                        let mut visited = Vec::new();
                        let last = if dice(2) == 0 { NO_MARK } else { dice(range) };
                        expected.retain(|(rank, _)| *rank <= last);
                        let mut walk = Walk::default();
                        while visited.len() < wanted
                            && let Some(item) = order.next(&mut walk, last, &mut arena, rank_of)
                        {
                            visited.push(item);
                        }
                        order.end(walk);
                        expected.truncate(wanted);
                        let ranks = |items: &[Ranked]| items.iter().map(|(rank, _)| *rank).collect::<Vec<_>>();
                        prop_assert_eq!(ranks(&visited), ranks(&expected));
                        let distinct: std::collections::HashSet<_> = visited.iter().collect();
                        prop_assert_eq!(distinct.len(), visited.len());
                        if dice(2) == 0 && let Some((_, at)) = visited.first() {
                            let place = live.iter().position(|other| other == at).unwrap();
                            remove(&mut arena, &mut order, &mut live, place);
                        }
                    }
                    _ => {}
                }
                order.check(&arena, rank_of);
            }
        }
    }

    fn remove(arena: &mut Arena, order: &mut Order, live: &mut Vec<Ref>, number: usize) {
        let number = number % live.len();
        let at = live.swap_remove(number);
        if let Some(moved) = arena.free(at) {
            *live.iter_mut().find(|other| **other == moved).unwrap() = at;
            if let Some(rank) = rank_of(arena.chunk(at)) {
                order.note(arena, at, rank);
            }
        }
    }
}
