//! Deadlines of fields in exact order, of a large hash and of all hashes of a database: sorted runs of 12-byte entries.
//!
//! A run holds at most [`RUN`] entries. A full one is split in two, except at the end, where a new one is begun:
//! deadlines that come in order (the same TTL again and again) leave full runs behind.

use super::arena::Ref;
use crate::clock::UnixMs;

const RUN: usize = 256;

/// A deadline, upper half first, and what it is of: 12 bytes, ordered as numbers are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry([u32; 3]);

impl Entry {
    fn new(deadline: UnixMs, at: Ref) -> Self {
        Self([(deadline >> 32) as u32, deadline as u32, at])
    }

    fn deadline(self) -> UnixMs {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }
}

/// The index.
#[derive(Default)]
pub(super) struct Deadlines {
    /// The first entry of each run, so that a search touches one run only.
    firsts: Vec<Entry>,
    runs: Vec<Vec<Entry>>,
    len: usize,
}

impl Deadlines {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.runs.len() * RUN * size_of::<Entry>()
            + self.runs.capacity() * size_of::<Vec<Entry>>()
            + self.firsts.capacity() * size_of::<Entry>()
    }

    /// Bytes of an entry, in a run that is three quarters full.
    pub(super) const ENTRY_BYTES: usize = size_of::<Entry>() * 4 / 3;

    /// The run in which `entry` is, or belongs.
    fn run_of(&self, entry: Entry) -> usize {
        self.firsts.partition_point(|first| *first <= entry).saturating_sub(1)
    }

    pub(super) fn insert(&mut self, deadline: UnixMs, at: Ref) {
        let entry = Entry::new(deadline, at);
        self.len += 1;
        let mut run = self.run_of(entry);
        if self.runs.is_empty() {
            self.add_run(0, &[entry]);
            return;
        }
        let mut place = self.runs[run].partition_point(|other| *other < entry);
        if self.runs[run].len() == RUN {
            if run + 1 == self.runs.len() && place == RUN {
                self.add_run(run + 1, &[entry]);
                return;
            }
            let upper = self.runs[run].split_off(RUN / 2);
            self.add_run(run + 1, &upper);
            if place > RUN / 2 {
                run += 1;
                place -= RUN / 2;
            }
        }
        self.runs[run].insert(place, entry);
        self.firsts[run] = self.runs[run][0];
    }

    fn add_run(&mut self, run: usize, entries: &[Entry]) {
        let mut new = Vec::with_capacity(RUN);
        new.extend_from_slice(entries);
        self.firsts.insert(run, entries[0]);
        self.runs.insert(run, new);
    }

    pub(super) fn remove(&mut self, deadline: UnixMs, at: Ref) {
        assert!(self.remove_if_there(deadline, at), "every deadline is in the index");
    }

    /// Removes an entry; false where there is none.
    pub(super) fn remove_if_there(&mut self, deadline: UnixMs, at: Ref) -> bool {
        let entry = Entry::new(deadline, at);
        let run = self.run_of(entry);
        let Some(Ok(place)) = self.runs.get(run).map(|run| run.binary_search(&entry)) else { return false };
        self.len -= 1;
        self.runs[run].remove(place);
        if self.runs[run].is_empty() {
            self.drop_run(run);
        } else {
            self.firsts[run] = self.runs[run][0];
            // Half of a run, so that a merged one is not split again at once.
            let joins = |left: usize| {
                self.runs.get(left + 1).is_some_and(|right| self.runs[left].len() + right.len() <= RUN / 2)
            };
            let left = if joins(run) { Some(run) } else { run.checked_sub(1).filter(|left| joins(*left)) };
            if let Some(left) = left {
                let right = std::mem::take(&mut self.runs[left + 1]);
                self.runs[left].extend_from_slice(&right);
                self.drop_run(left + 1);
            }
        }
        true
    }

    /// How many are at or before `now`.
    pub(super) fn due(&self, now: UnixMs) -> usize {
        let last = Entry::new(now, Ref::MAX);
        let run = self.run_of(last);
        let Some(run_of_last) = self.runs.get(run) else { return 0 };
        let before: usize = self.runs[..run].iter().map(Vec::len).sum();
        before + run_of_last.partition_point(|entry| *entry <= last)
    }

    fn drop_run(&mut self, run: usize) {
        self.runs.remove(run);
        self.firsts.remove(run);
        if self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to(self.runs.len() * 2);
            self.firsts.shrink_to(self.firsts.len() * 2);
        }
    }

    /// All entries, soonest first.
    pub(super) fn soonest_first(&self) -> impl Iterator<Item = (UnixMs, Ref)> {
        self.runs.iter().flatten().map(|entry| (entry.deadline(), entry.0[2]))
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        assert!(self.runs.iter().flatten().is_sorted());
        assert_eq!(self.runs.iter().map(Vec::len).sum::<usize>(), self.len);
        assert_eq!(self.firsts, self.runs.iter().map(|run| run[0]).collect::<Vec<_>>());
        let held: usize = self.runs.iter().map(|run| run.capacity() * size_of::<Entry>()).sum();
        assert_eq!(
            self.bytes(),
            held + self.runs.capacity() * size_of::<Vec<Entry>>() + self.firsts.capacity() * size_of::<Entry>()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn it_is_a_sorted_set(seed in any::<u64>(), growing in any::<bool>()) {
            let mut index = Deadlines::default();
            let mut model = BTreeSet::new();
            let mut state = seed | 1;
            let mut dice = move || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as u32
            };
            for step in 0..6000u32 {
                // Grows for two thirds of the steps, then shrinks to nothing.
                let add = if step < 4000 { dice() % 4 != 0 } else { false };
                if add {
                    let deadline = if growing { u64::from(step / 3) } else { u64::from(dice()) << (dice() % 30) };
                    model.insert((deadline, step));
                    index.insert(deadline, step);
                } else if let Some(entry) = model.range((u64::from(dice()) << (dice() % 30), 0)..).next().or(model.first()).copied() {
                    model.remove(&entry);
                    index.remove(entry.0, entry.1);
                }
                if step % 97 == 0 {
                    index.check();
                    prop_assert!(index.soonest_first().eq(model.iter().copied()));
                    let now = u64::from(dice()) << (dice() % 30);
                    prop_assert_eq!(index.due(now), model.range(..=(now, u32::MAX)).count());
                }
            }
            while let Some(entry) = model.pop_last() {
                index.remove(entry.0, entry.1);
            }
            prop_assert_eq!(index.len(), 0);
            prop_assert!(index.bytes() < 200);
        }
    }
}
