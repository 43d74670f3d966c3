//! Items by deadline: a reference each, four bytes. The deadlines stand in the chunks and are read from there.
//!
//! Runs of references follow each other in the order of (deadline, reference). The first run is sorted, so that what is
//! due first is at hand; the others are in no order until they are split, because they are full, or become the first. So
//! an insertion is a search among the runs and an append, and a removal looks through one run.

use super::arena::Ref;
use crate::clock::UnixMs;

const RUN: usize = 512;
/// By so many references a run's room grows: a size that allocators serve without rounding.
const ROOM: usize = 64;
/// References that are compared at once.
const LANES: usize = 16;

/// What runs are ordered by.
type Entry = (UnixMs, Ref);

/// The index. Where it has to know deadlines of its items, it asks `deadline_of`.
#[derive(Default)]
pub(super) struct ItemDeadlines {
    /// Where each run begins: none of its entries is before that, and none of the run before is at it or after it.
    starts: Vec<Entry>,
    runs: Vec<Vec<Ref>>,
    /// No entry is after this one.
    latest: Entry,
    len: usize,
    sum: u128,
    /// References for which the runs have room.
    room: usize,
}

impl ItemDeadlines {
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
        self.room * size_of::<Ref>()
            + self.runs.capacity() * size_of::<Vec<Ref>>()
            + self.starts.capacity() * size_of::<Entry>()
    }

    /// Bytes of an entry, in a run that is three quarters full.
    pub(super) const ENTRY_BYTES: usize = size_of::<Ref>() + 1;

    /// The run in which `entry` is, or belongs.
    fn run_of(&self, entry: Entry) -> usize {
        self.starts.partition_point(|start| *start <= entry).saturating_sub(1)
    }

    pub(super) fn insert(&mut self, deadline: UnixMs, at: Ref, deadline_of: impl Fn(Ref) -> UnixMs) {
        let entry = (deadline, at);
        self.len += 1;
        self.sum += u128::from(deadline);
        let follows = entry > self.latest;
        self.latest = self.latest.max(entry);
        let mut run = self.run_of(entry);
        if self.runs.is_empty() {
            self.latest = entry;
            self.add_run(0, entry, &[at]);
            return;
        }
        if self.runs[run].len() == RUN {
            if follows {
                // Deadlines that come in order leave full runs behind.
                self.add_run(run + 1, entry, &[at]);
                return;
            }
            self.split(run, &deadline_of);
            run += usize::from(self.starts[run + 1] <= entry);
        }
        let place = match run {
            0 => self.runs[0].partition_point(|other| (deadline_of(*other), *other) < entry),
            _ => self.runs[run].len(),
        };
        self.starts[run] = self.starts[run].min(entry);
        self.room -= self.runs[run].capacity();
        if self.runs[run].len() == self.runs[run].capacity() {
            self.runs[run].reserve_exact(ROOM);
        }
        self.runs[run].insert(place, at);
        self.room += self.runs[run].capacity();
    }

    fn add_run(&mut self, run: usize, start: Entry, items: &[Ref]) {
        let new = with_room(items);
        self.room += new.capacity();
        self.starts.insert(run, start);
        self.runs.insert(run, new);
    }

    /// Gives the later half of a run a run of its own.
    fn split(&mut self, run: usize, deadline_of: &impl Fn(Ref) -> UnixMs) {
        let entries = sorted(&self.runs[run], deadline_of);
        let (lower, upper) = entries.split_at(entries.len() / 2);
        self.room -= self.runs[run].capacity();
        self.runs[run] = with_room(&lower.iter().map(|(_, at)| *at).collect::<Vec<_>>());
        self.room += self.runs[run].capacity();
        self.add_run(run + 1, upper[0], &upper.iter().map(|(_, at)| *at).collect::<Vec<_>>());
    }

    pub(super) fn remove(&mut self, deadline: UnixMs, at: Ref, deadline_of: impl Fn(Ref) -> UnixMs) {
        let run = self.run_of((deadline, at));
        let place = self.runs.get(run).and_then(|run| place_of(run, at)).expect("every deadline is in the index");
        self.len -= 1;
        self.sum -= u128::from(deadline);
        if run == 0 {
            self.runs[0].remove(place);
        } else {
            self.runs[run].swap_remove(place);
        }
        if self.runs[run].is_empty() {
            self.drop_run(run, &deadline_of);
            return;
        }
        // Half of a run, so that a merged one is not split again at once.
        let joins =
            |left: usize| self.runs.get(left + 1).is_some_and(|right| self.runs[left].len() + right.len() <= RUN / 2);
        if let Some(left) = if joins(run) { Some(run) } else { run.checked_sub(1).filter(|left| joins(*left)) } {
            let joined = [&self.runs[left][..], &self.runs[left + 1][..]].concat();
            self.put(left, &joined, &deadline_of);
            self.drop_run(left + 1, &deadline_of);
        } else if self.runs[run].capacity() - self.runs[run].len() >= 3 * ROOM {
            let kept = std::mem::take(&mut self.runs[run]);
            self.room -= kept.capacity();
            self.runs[run] = with_room(&kept);
            self.room += self.runs[run].capacity();
        }
    }

    /// Puts other items into a run, sorted if it is the first.
    fn put(&mut self, run: usize, items: &[Ref], deadline_of: &impl Fn(Ref) -> UnixMs) {
        self.room -= self.runs[run].capacity();
        self.runs[run] = match run {
            0 => with_room(&sorted(items, deadline_of).into_iter().map(|(_, at)| at).collect::<Vec<_>>()),
            _ => with_room(items),
        };
        self.room += self.runs[run].capacity();
    }

    fn drop_run(&mut self, run: usize, deadline_of: &impl Fn(Ref) -> UnixMs) {
        self.room -= self.runs.remove(run).capacity();
        self.starts.remove(run);
        if self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to(self.runs.len() * 2);
            self.starts.shrink_to(self.starts.len() * 2);
        }
        if run == 0 && !self.runs.is_empty() {
            let items = std::mem::take(&mut self.runs[0]);
            self.room -= items.capacity();
            self.put(0, &items, deadline_of);
        }
    }

    /// Tells that an item was moved; nothing is at `from` any more.
    pub(super) fn moved(&mut self, deadline: UnixMs, from: Ref, to: Ref, deadline_of: impl Fn(Ref) -> UnixMs) {
        let run = self.run_of((deadline, from));
        if run > 0 && run == self.run_of((deadline, to)) {
            let place = place_of(&self.runs[run], from).expect("every deadline is in the index");
            self.runs[run][place] = to;
            self.latest = self.latest.max((deadline, to));
        } else {
            self.remove(deadline, from, &deadline_of);
            self.insert(deadline, to, &deadline_of);
        }
    }

    /// An item that `random` chooses, each nearly as likely as any other.
    pub(super) fn sample(&self, random: u64) -> Option<Ref> {
        let run = &self.runs.get(((u128::from(random) * self.runs.len() as u128) >> 64) as usize)?;
        // Runs differ in length: a place that this one has not is none.
        run.get(((random & 0xffff) as usize * RUN) >> 16).copied()
    }

    /// All entries, soonest first: the first is found at once, the others a run at a time.
    pub(super) fn soonest_first<F: Fn(Ref) -> UnixMs + Copy>(&self, deadline_of: F) -> impl Iterator<Item = Entry> {
        let (first, others) = self.runs.split_first().map_or((&[][..], &[][..]), |(first, rest)| (&first[..], rest));
        let first = first.iter().map(move |at| (deadline_of(*at), *at));
        first.chain(others.iter().flat_map(move |run| sorted(run, &deadline_of)))
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self, deadline_of: impl Fn(Ref) -> UnixMs + Copy) {
        let entries = || self.runs.iter().flatten().map(|at| (deadline_of(*at), *at));
        assert_eq!(entries().count(), self.len);
        assert_eq!(entries().map(|(deadline, _)| u128::from(deadline)).sum::<u128>(), self.sum);
        assert!(entries().all(|entry| entry <= self.latest));
        assert!(self.starts.is_sorted() && self.starts.len() == self.runs.len());
        for (number, run) in self.runs.iter().enumerate() {
            let end = self.starts.get(number + 1).copied().unwrap_or((UnixMs::MAX, Ref::MAX));
            let mut entries = run.iter().map(|at| (deadline_of(*at), *at));
            assert!(!run.is_empty() && run.len() <= RUN);
            assert!(entries.all(|entry| entry >= self.starts[number] && entry < end));
        }
        assert!(self.runs.first().is_none_or(|run| run.iter().map(|at| (deadline_of(*at), *at)).is_sorted()));
        assert_eq!(self.room, self.runs.iter().map(Vec::capacity).sum::<usize>());
    }
}

/// A run of these, with room for the next.
fn with_room(items: &[Ref]) -> Vec<Ref> {
    let mut run = Vec::with_capacity((items.len() + 1).next_multiple_of(ROOM).min(RUN));
    run.extend_from_slice(items);
    run
}

/// Where in a run a reference is.
fn place_of(run: &[Ref], at: Ref) -> Option<usize> {
    let block = run.chunks(LANES).position(|block| block.iter().fold(false, |found, other| found | (*other == at)))?;
    let rest = &run[block * LANES..];
    Some(block * LANES + rest.iter().position(|other| *other == at)?)
}

fn sorted(run: &[Ref], deadline_of: &impl Fn(Ref) -> UnixMs) -> Vec<Entry> {
    let mut entries: Vec<Entry> = run.iter().map(|at| (deadline_of(*at), *at)).collect();
    entries.sort_unstable();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn it_is_a_sorted_set(seed in any::<u64>(), growing in any::<bool>()) {
            let mut index = ItemDeadlines::default();
            let mut model = BTreeSet::new();
            // What the chunks hold.
            let deadlines: RefCell<BTreeMap<Ref, UnixMs>> = RefCell::default();
            let deadline_of = |at: Ref| deadlines.borrow()[&at];
            let mut state = seed | 1;
            let mut dice = move || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as u32
            };
            for step in 0..9000u32 {
                // Grows for two thirds of the steps, then shrinks to nothing.
                let add = if step < 6000 { dice() % 4 != 0 } else { false };
                let near = (u64::from(dice()) << (dice() % 30), 0);
                if add {
                    let deadline = if growing { u64::from(step / 3) } else { near.0 };
                    let at = step * 7919 % 65_536;
                    if deadlines.borrow().contains_key(&at) {
                        continue;
                    }
                    deadlines.borrow_mut().insert(at, deadline);
                    model.insert((deadline, at));
                    index.insert(deadline, at, deadline_of);
                } else if let Some(entry) = model.range(near..).next().or(model.first()).copied() {
                    model.remove(&entry);
                    let (deadline, at) = entry;
                    deadlines.borrow_mut().remove(&at);
                    let to = at ^ 1 << 20;
                    if dice() % 3 == 0 && !deadlines.borrow().contains_key(&to) {
                        model.insert((deadline, to));
                        deadlines.borrow_mut().insert(to, deadline);
                        index.moved(deadline, at, to, deadline_of);
                    } else {
                        index.remove(deadline, at, deadline_of);
                    }
                }
                if step % 97 == 0 {
                    index.check(deadline_of);
                    prop_assert!(index.soonest_first(deadline_of).eq(model.iter().copied()));
                }
            }
            while let Some((deadline, at)) = model.pop_last() {
                index.remove(deadline, at, deadline_of);
            }
            prop_assert_eq!(index.len(), 0);
            prop_assert!(index.bytes() < 300);
        }
    }

    #[test]
    fn an_entry_takes_little_more_than_a_reference() {
        let mut index = ItemDeadlines::default();
        (0..100_000).for_each(|at| index.insert(7, at, |_| 7));
        assert!(index.bytes() < 100_000 * 9 / 2, "{}", index.bytes());
        let spread = |at: Ref| u64::from(at.wrapping_mul(0x9E37_79B9));
        let mut index = ItemDeadlines::default();
        (0..100_000).for_each(|at| index.insert(spread(at), at, spread));
        assert!(index.bytes() < 100_000 * 5, "{}", index.bytes());
    }
}
