//! Items by deadline. The deadlines stand in the chunks and are read from there: see `order`.

use super::arena::{Arena, Mark, NO_MARK, Ref};
use super::chunk::{Parts, Window};
use super::order::{Order, Rank, Ranked, Walk};
use crate::clock::UnixMs;

/// The index, and figures on all deadlines.
pub(super) struct ItemDeadlines {
    order: Order,
    len: usize,
    sum: u128,
}

impl ItemDeadlines {
    pub(super) fn new() -> Self {
        Self { order: Order::new(Mark::Deadline), len: 0, sum: 0 }
    }

    /// How many items have a deadline.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The sum of all deadlines.
    pub(super) fn sum(&self) -> u128 {
        self.sum
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.order.bytes()
    }

    /// An item has another deadline than before.
    pub(super) fn change(&mut self, old: Option<UnixMs>, new: Option<UnixMs>) {
        if let Some(old) = old {
            self.len -= 1;
            self.sum -= u128::from(old);
        }
        if let Some(new) = new {
            self.len += 1;
            self.sum += u128::from(new);
        }
    }

    fn rank(deadline: UnixMs) -> Rank {
        deadline.min(NO_MARK - 1)
    }

    fn rank_of(window: Window) -> impl Fn(&[u8]) -> Option<Rank> {
        move |chunk| Parts::of(chunk).deadline(chunk, window).map(Self::rank)
    }

    /// The item at `at` is new there, or has a new deadline: this one.
    #[inline]
    pub(super) fn note(&mut self, arena: &mut Arena, at: Ref, deadline: UnixMs) {
        self.order.note(arena, at, Self::rank(deadline));
    }

    /// The item with the soonest deadline.
    pub(super) fn first(&mut self, arena: &mut Arena, window: Window) -> Option<Ref> {
        self.order.first(arena, Self::rank_of(window)).map(|(_, at)| at)
    }

    /// To be called where items went.
    #[inline]
    pub(super) fn tidy(&mut self, arena: &Arena) {
        self.order.tidy(arena);
    }

    /// The next item of a walk from the soonest deadline on to `last`; ends with [`ItemDeadlines::end`].
    pub(super) fn next(&mut self, walk: &mut Walk, last: UnixMs, arena: &mut Arena, window: Window) -> Option<Ranked> {
        self.order.next(walk, last, arena, Self::rank_of(window))
    }

    /// Ends a walk.
    pub(super) fn end(&mut self, walk: Walk) {
        self.order.end(walk);
    }

    /// An item that `random` chooses, of a page that has some with a deadline; none where it has no luck.
    pub(super) fn sample(&self, arena: &Arena, random: u64) -> Option<Ref> {
        let page = self.order.some_page(random).filter(|page| arena.has_page(*page))?;
        let chosen = ((random & 0xffff) as usize * arena.page(page).count()) >> 16;
        let (at, chunk) = arena.page(page).nth(chosen)?;
        Parts::of(chunk).has_deadline().then_some(at)
    }
}

#[cfg(any(test, fuzzing))]
impl ItemDeadlines {
    /// Checks that nothing can be missed, and the figures.
    pub(super) fn check(&self, arena: &Arena, window: Window) {
        self.order.check(arena, Self::rank_of(window));
        let deadlines = arena.pages().flat_map(|page| arena.page(page));
        let deadlines = deadlines.filter_map(|(_, chunk)| Parts::of(chunk).deadline(chunk, window));
        let (len, sum) = deadlines.fold((0, 0), |(len, sum), deadline| (len + 1, sum + u128::from(deadline)));
        assert_eq!((len, sum), (self.len, self.sum));
    }
}
