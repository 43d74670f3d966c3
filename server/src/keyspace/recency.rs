//! When items were used last, or how often: what chunks say of it, and the order by it.

use super::arena::{Arena, Mark, NO_MARK, Ref};
use super::chunk::{self, Parts, USE_BITS};
use super::order::{Order, Rank, Ranked, Walk};
use crate::clock::{TICKS_PER_MS, Tick};

/// What is kept of how items were used: what a chunk's [`Use`](chunk::Use) holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The tick of the last access, and the order by it.
    Order,
    /// The last access to 10 ms (32 bits), and LFU's counter.
    Counter,
    /// The last access to 10 ms (32 bits), and how many times it was used (16 bits).
    Hits,
    /// The tick of the last access.
    Nothing,
}

impl Kept {
    /// Whether the last access shares its room with a count.
    pub(super) fn counts(self) -> bool {
        matches!(self, Self::Counter | Self::Hits)
    }
}

/// Ticks of the unit in which the last access is told beside a count.
pub(super) const COARSE: Tick = 10 * TICKS_PER_MS;
const USE_MASK: u64 = (1 << USE_BITS) - 1;

/// How the uses that chunks tell are read and written.
pub(super) struct Uses {
    kept: Kept,
    /// No item was used later. What is told in so few bits is told as the time before this.
    newest: Tick,
}

impl Uses {
    pub(super) fn new() -> Self {
        Self { kept: Kept::Nothing, newest: 0 }
    }

    /// What is kept.
    #[inline]
    pub(super) fn kept(&self) -> Kept {
        self.kept
    }

    /// When an item was used last. One that is idle for longer than can be told (10 months; 16 where uses are counted) seems
    /// to be idle for as long as is left.
    #[inline]
    pub(super) fn last_access(&self, chunk: &[u8]) -> Tick {
        let said = chunk::use_of(chunk);
        if self.kept.counts() {
            let units = ((self.newest / COARSE) as u32).wrapping_sub(said as u32);
            (self.newest / COARSE).saturating_sub(u64::from(units)) * COARSE
        } else {
            self.newest.saturating_sub(self.newest.wrapping_sub(said) & USE_MASK)
        }
    }

    /// How often an item was used, where that is counted.
    pub(super) fn count(&self, chunk: &[u8]) -> u16 {
        if self.kept.counts() { (chunk::use_of(chunk) >> 32) as u16 } else { 0 }
    }

    /// Says when an item was used last, and how often, where that is counted.
    #[inline]
    pub(super) fn write(&mut self, chunk: &mut [u8], tick: Tick, count: u16) {
        self.newest = self.newest.max(tick);
        let told = if self.kept.counts() {
            u64::from((self.oldest_told(32, COARSE).max(tick) / COARSE) as u32) | u64::from(count) << 32
        } else {
            self.oldest_told(USE_BITS, 1).max(tick) & USE_MASK
        };
        chunk::write_use(chunk, told);
    }

    /// The longest idle time that can be told in so many bits of `unit` ticks.
    fn oldest_told(&self, bits: u32, unit: u64) -> Tick {
        self.newest.saturating_sub(((1 << bits) - 1) * unit)
    }
}

/// The order of items by their last access, where the policy goes by it.
pub(super) struct Recency {
    order: Order,
    /// Whether only items with a deadline are in it.
    volatile: bool,
    told: Option<Told>,
}

/// What the followers know of the order.
struct Told {
    /// An item that was used last before this, and is read now, is to be told. One that was written after it is known to be
    /// about as recent.
    since: Tick,
    /// The hashes of the keys that were read, in the order of the first time.
    read: Vec<u64>,
    /// Those of before, which are being told, the last one first.
    telling: Vec<u64>,
}

/// Reads of which followers are not told yet; what is read beyond is never told of.
const UNTOLD_MAX: usize = 1 << 15;

impl Recency {
    pub(super) fn new() -> Self {
        Self { order: Order::new(Mark::Use), volatile: false, told: None }
    }

    /// Bytes held besides itself.
    pub(super) fn bytes(&self) -> usize {
        let told = self.told.as_ref().map_or(0, |told| told.read.capacity() + told.telling.capacity());
        self.order.bytes() + told * size_of::<u64>()
    }

    fn rank_of(uses: &Uses, volatile: bool) -> impl Fn(&[u8]) -> Option<Rank> {
        move |chunk| (!volatile || Parts::of(chunk).has_deadline()).then(|| uses.last_access(chunk))
    }

    /// The item at `at` is new there, was used, or gained a deadline.
    #[inline]
    pub(super) fn note(&mut self, arena: &mut Arena, uses: &Uses, at: Ref) {
        let rank = Self::rank_of(uses, self.volatile)(arena.chunk(at));
        if uses.kept == Kept::Order
            && let Some(rank) = rank
        {
            self.order.note(arena, at, rank);
        }
    }

    /// Keeps what a policy needs from now on; the items say when they were used last, and all counts are `count` (where
    /// something else is counted than before).
    pub(super) fn keep(&mut self, arena: &mut Arena, uses: &mut Uses, kept: Kept, volatile: bool, count: u16) {
        if uses.kept == kept && self.volatile == volatile {
            return;
        }
        if uses.kept.counts() != kept.counts() || (kept.counts() && uses.kept != kept) {
            let mut after = Uses { kept, newest: uses.newest };
            let chunks: Vec<Ref> = arena.pages().collect();
            for page in chunks {
                arena.change_page(page, |chunk| after.write(chunk, uses.last_access(chunk), count));
            }
        }
        uses.kept = kept;
        *self = Self { volatile, told: self.told.take(), ..Self::new() };
        match kept {
            Kept::Order => self.order.rebuild(arena, Self::rank_of(uses, volatile)),
            _ => self.order.clear(arena),
        }
    }

    /// To be called where items went.
    #[inline]
    pub(super) fn tidy(&mut self, arena: &Arena) {
        self.order.tidy(arena);
    }

    /// The next item of a walk from the one that was used least recently on; ends with [`Recency::end`].
    pub(super) fn next(&mut self, walk: &mut Walk, arena: &mut Arena, uses: &Uses) -> Option<Ranked> {
        self.order.next(walk, NO_MARK, arena, Self::rank_of(uses, self.volatile))
    }

    /// Ends a walk.
    pub(super) fn end(&mut self, walk: Walk) {
        self.order.end(walk);
    }

    /// An item whose key has this hash was read; it was used at `before` the last time.
    #[inline]
    pub(super) fn read(&mut self, hash: u64, before: Tick) {
        if let Some(told) = &mut self.told
            && before < told.since
            && told.read.len() < UNTOLD_MAX
        {
            told.read.push(hash);
        }
    }

    /// Takes the order as it is now for one that the followers know.
    pub(super) fn tell_from_here(&mut self, uses: &Uses) {
        self.told = Some(Told { since: uses.newest + 1, read: Vec::new(), telling: Vec::new() });
    }

    /// Offers the hashes of items that were read since they were last told of, until `take` answers false (that
    /// one is then not told) or none is left.
    pub(super) fn tell(&mut self, uses: &Uses, mut take: impl FnMut(u64) -> bool) {
        let Some(told) = &mut self.told else { return self.tell_from_here(uses) };
        if told.telling.is_empty() {
            told.since = uses.newest + 1;
            std::mem::swap(&mut told.read, &mut told.telling);
            told.telling.reverse();
        }
        while let Some(hash) = told.telling.last() {
            if !take(*hash) {
                return;
            }
            told.telling.pop();
        }
        told.telling.shrink_to(told.read.capacity());
    }
}

#[cfg(any(test, fuzzing))]
impl Recency {
    /// Checks that nothing can be missed.
    pub(super) fn check(&self, arena: &Arena, uses: &Uses) {
        if uses.kept == Kept::Order {
            self.order.check(arena, Self::rank_of(uses, self.volatile));
        }
    }
}
