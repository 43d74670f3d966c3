//! Exact recency: doubly linked lists through the chunks, where the policy goes by it.
//!
//! One list holds every item. Under a policy that evicts by recency only items with a deadline, those are in a list of
//! their own, so that the next victim is always the last of a list.
//!
//! Moving an item to the front of its list touches its neighbours, which are anywhere in memory. So accesses are noted
//! first, and carried out many at a time, when the neighbours of all can be asked for at once. Whoever looks at the
//! order, moves a chunk or frees one brings the lists up to date before ([`Recency::settle`]): nothing that can be
//! observed is ever approximate.

use super::arena::{Arena, NIL, Ref};
use super::chunk::{self, Links, Parts};
use super::frequency::Counts;
use super::prefetch::prefetch_line;
use crate::clock::Tick;

#[derive(Clone, Copy)]
struct List {
    newest: Ref,
    oldest: Ref,
}

/// Accesses that are carried out together.
const NOTED_MAX: usize = 64;

const EMPTY: List = List { newest: NIL, oldest: NIL };

/// How long ago `tick` was at `now`. A tick that is a little after `now` (clocks of several nodes) counts as now; half of the
/// range would make items that were idle for eight months the newest ones.
pub(super) fn age(now: Tick, tick: Tick) -> u32 {
    const AHEAD_MAX: u32 = 1 << 28;
    let age = now.wrapping_sub(tick);
    if age > u32::MAX - AHEAD_MAX { 0 } else { age }
}

/// The lists' ends.
pub(super) struct Recency {
    lists: [List; 2],
    split: bool,
    /// Items that were used and are not at the front of their list yet, in the order of use; often more than once.
    noted: Vec<Ref>,
    /// The newest item of the evicted list of which the followers were told; what is newer they were not. NIL: of none.
    told: Ref,
    kept: Kept,
}

/// What is kept of how items were used, besides the instant of the last access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Their order, in lists.
    Order,
    /// How often: counts stand where the links of lists would.
    Counts,
    /// Nothing: the policy has no use for it.
    Nothing,
}

impl Recency {
    pub(super) fn new(split: bool) -> Self {
        Self { lists: [EMPTY; 2], split, noted: Vec::new(), told: NIL, kept: Kept::Order }
    }

    /// Whether items with a deadline are in a list of their own.
    pub(super) fn is_split(&self) -> bool {
        self.split
    }

    fn list(&mut self, volatile: bool) -> &mut List {
        &mut self.lists[usize::from(self.split && volatile)]
    }

    /// What is kept.
    #[inline]
    pub(super) fn kept(&self) -> Kept {
        self.kept
    }

    /// Gives the lists up, if there are any. For [`Kept::Counts`] the caller writes counts into all links.
    pub(super) fn give_up_order(&mut self, kept: Kept) {
        *self = Self { kept, ..Self::new(false) };
    }

    /// Makes lists of all items, which come oldest first.
    pub(super) fn list_anew(
        &mut self,
        arena: &mut Arena,
        split: bool,
        oldest_first: impl Iterator<Item = (Ref, bool)>,
    ) {
        *self = Self::new(split);
        oldest_first.for_each(|(at, volatile)| self.push(arena, at, volatile));
        self.tell_from_here(arena);
    }

    /// Puts an item that is in no list before all others of its list.
    pub(super) fn push(&mut self, arena: &mut Arena, at: Ref, volatile: bool) {
        match self.kept {
            Kept::Order => {}
            Kept::Counts => return Counts::NEW.write(arena.chunk_mut(at)),
            Kept::Nothing => return,
        }
        let list = self.list(volatile);
        let second = list.newest;
        list.newest = at;
        if second == NIL {
            list.oldest = at;
        } else {
            chunk::write_newer(arena.chunk_mut(second), at);
        }
        let chunk = arena.chunk_mut(at);
        chunk::write_newer(chunk, NIL);
        chunk::write_older(chunk, second);
    }

    /// Takes an item out of its list.
    pub(super) fn unlink(&mut self, arena: &mut Arena, at: Ref, volatile: bool) {
        if self.kept != Kept::Order {
            return;
        }
        let Links { newer, older } = chunk::links(arena.chunk(at));
        if at == self.told {
            self.told = older;
        }
        let list = self.list(volatile);
        if newer == NIL {
            list.newest = older;
        } else {
            chunk::write_older(arena.chunk_mut(newer), older);
        }
        if older == NIL {
            list.oldest = newer;
        } else {
            chunk::write_newer(arena.chunk_mut(older), newer);
        }
    }

    /// Bytes held besides itself.
    pub(super) fn bytes(&self) -> usize {
        self.noted.capacity() * size_of::<Ref>()
    }

    /// Makes an item the most recent of its list, as far as anybody can see.
    #[inline]
    pub(super) fn touch(&mut self, arena: &mut Arena, at: Ref) {
        debug_assert!(self.kept == Kept::Order);
        if self.noted.last() == Some(&at) {
            return;
        }
        if self.noted.len() == NOTED_MAX {
            self.settle(arena);
        }
        if self.noted.capacity() == 0 {
            self.noted.reserve_exact(NOTED_MAX);
        }
        self.noted.push(at);
    }

    /// Brings the lists up to date.
    #[inline]
    pub(super) fn settle(&mut self, arena: &mut Arena) {
        if !self.noted.is_empty() {
            self.carry_out(arena);
        }
    }

    fn carry_out(&mut self, arena: &mut Arena) {
        let mut noted = std::mem::take(&mut self.noted);
        for at in &noted {
            let Links { newer, older } = chunk::links(arena.chunk(*at));
            for neighbour in [newer, older] {
                if neighbour != NIL {
                    prefetch_line(&arena.chunk(neighbour)[0]);
                }
            }
        }
        for at in noted.drain(..) {
            let volatile = self.split && {
                let chunk = arena.chunk(at);
                Parts::of(chunk).has_deadline()
            };
            if self.list(volatile).newest != at {
                self.unlink(arena, at, volatile);
                self.push(arena, at, volatile);
            }
        }
        self.noted = noted;
    }

    /// Tells the neighbours of a chunk that was moved where it is now.
    pub(super) fn moved(&mut self, arena: &mut Arena, from: Ref, to: Ref, volatile: bool) {
        if self.kept != Kept::Order {
            return;
        }
        if from == self.told {
            self.told = to;
        }
        let Links { newer, older } = chunk::links(arena.chunk(to));
        if newer == NIL {
            self.list(volatile).newest = to;
        } else {
            chunk::write_older(arena.chunk_mut(newer), to);
        }
        if older == NIL {
            self.list(volatile).oldest = to;
        } else {
            chunk::write_newer(arena.chunk_mut(older), to);
        }
    }

    /// Items of one list, oldest first; the second list is empty unless split.
    pub(super) fn oldest_first<'a>(&self, arena: &'a Arena, volatile: bool) -> impl Iterator<Item = Ref> + 'a {
        debug_assert!(self.noted.is_empty(), "the lists are out of date");
        let mut at = self.lists[usize::from(volatile)].oldest;
        std::iter::from_fn(move || {
            let this = (at != NIL).then_some(at)?;
            at = chunk::links(arena.chunk(at)).newer;
            Some(this)
        })
    }

    /// The list whose items the policy evicts.
    fn evicted(&self) -> List {
        self.lists[usize::from(self.split)]
    }

    /// Takes the order as it is now for one that the followers know.
    pub(super) fn tell_from_here(&mut self, arena: &mut Arena) {
        self.settle(arena);
        self.told = self.evicted().newest;
    }

    /// Offers the items that moved to the front since they were last told of, each once, in the order of the list, until
    /// `take` answers false (that item is then not told) or none is left.
    pub(super) fn tell(&mut self, arena: &Arena, mut take: impl FnMut(Ref) -> bool) {
        debug_assert!(self.noted.is_empty(), "the lists are out of date");
        loop {
            let next =
                if self.told == NIL { self.evicted().oldest } else { chunk::links(arena.chunk(self.told)).newer };
            if next == NIL || !take(next) {
                return;
            }
            self.told = next;
        }
    }

    /// Splits the list in two or merges the two into one. The merge goes by the last access; of two with the same one,
    /// that without a deadline counts as the older.
    pub(super) fn set_split(
        &mut self,
        arena: &mut Arena,
        now: Tick,
        split: bool,
        volatile: impl Fn(&Arena, Ref) -> bool,
    ) {
        if self.split == split {
            return;
        }
        self.settle(arena);
        let mut at = [self.lists[0].oldest, self.lists[1].oldest];
        self.lists = [EMPTY; 2];
        self.split = split;
        loop {
            let ages = at.map(|at| (at != NIL).then(|| age(now, chunk::last_access(arena.chunk(at)))));
            let list = match ages {
                [None, None] => return self.tell_from_here(arena),
                [Some(persistent), Some(volatile)] => usize::from(volatile > persistent),
                [None, Some(_)] => 1,
                [Some(_), None] => 0,
            };
            let this = at[list];
            at[list] = chunk::links(arena.chunk(this)).newer;
            let volatile = volatile(arena, this);
            self.push(arena, this, volatile);
        }
    }

    /// Sorts by last access. Items of the same tick keep their order.
    pub(super) fn sort(&mut self, arena: &mut Arena, now: Tick) {
        if self.kept != Kept::Order {
            return;
        }
        self.settle(arena);
        for volatile in [false, true] {
            let mut items: Vec<(u32, Ref)> = self
                .oldest_first(arena, volatile)
                .map(|at| (u32::MAX - age(now, chunk::last_access(arena.chunk(at))), at))
                .collect();
            items.sort_by_key(|(order, _)| *order);
            self.lists[usize::from(volatile)] = EMPTY;
            items.into_iter().for_each(|(_, at)| self.push(arena, at, volatile));
        }
        self.tell_from_here(arena);
    }
}
