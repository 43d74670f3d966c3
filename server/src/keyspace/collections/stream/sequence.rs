//! Values in the order of their ids: blocks of a stream, pending entries.
//!
//! Two levels: short runs of values, and a list of the runs. Looking up is two binary searches. What is appended fills
//! runs to the end, so a stream that only grows has no slack; a run that is full is split where something comes
//! between. The list of runs is moved when one is added or goes, which happens once for many values.

use super::id::StreamId;
use crate::keyspace::collections::allocated_bytes;

/// Values in one run.
const RUN_MAX: usize = 64;

/// A value with an id.
pub(super) trait Keyed {
    fn id(&self) -> StreamId;

    /// Bytes of its allocations.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Keyed for StreamId {
    fn id(&self) -> StreamId {
        *self
    }
}

/// Where a value is; good until the next change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    run: usize,
    at: usize,
}

/// Values in the order of their ids, which are all different.
pub(super) struct Sequence<T> {
    runs: Vec<Vec<T>>,
    length: usize,
    run_bytes: usize,
    heap_bytes: usize,
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self { runs: Vec::new(), length: 0, run_bytes: 0, heap_bytes: 0 }
    }
}

fn bytes_of<T>(capacity: usize) -> usize {
    if capacity == 0 { 0 } else { allocated_bytes(capacity * size_of::<T>()) }
}

impl<T: Keyed> Sequence<T> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes of its allocations and of those of its values.
    pub(super) fn bytes(&self) -> usize {
        self.run_bytes + self.heap_bytes + bytes_of::<Vec<T>>(self.runs.capacity())
    }

    /// Of how many runs it is made.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The place of the first value whose id is not below `id`; none where all are below.
    pub(super) fn from(&self, id: StreamId) -> Option<Place> {
        let run = self.runs.partition_point(|run| run.last().is_some_and(|last| last.id() < id));
        let values = self.runs.get(run)?;
        Some(Place { run, at: values.partition_point(|value| value.id() < id) })
    }

    /// The place of the last value whose id is not above `id`.
    pub(super) fn up_to(&self, id: StreamId) -> Option<Place> {
        let run = self.runs.partition_point(|run| run[0].id() <= id).checked_sub(1)?;
        Some(Place { run, at: self.runs[run].partition_point(|value| value.id() <= id) - 1 })
    }

    /// The place of the value with `id`.
    pub(super) fn find(&self, id: StreamId) -> Option<Place> {
        self.from(id).filter(|place| self.at(*place).id() == id)
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&T> {
        self.find(id).map(|place| self.at(place))
    }

    pub(super) fn at(&self, place: Place) -> &T {
        &self.runs[place.run][place.at]
    }

    pub(super) fn first_place(&self) -> Option<Place> {
        (!self.is_empty()).then_some(Place { run: 0, at: 0 })
    }

    pub(super) fn last_place(&self) -> Option<Place> {
        let run = self.runs.len().checked_sub(1)?;
        Some(Place { run, at: self.runs[run].len() - 1 })
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.first_place().map(|place| self.at(place))
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.last_place().map(|place| self.at(place))
    }

    pub(super) fn after(&self, place: Place) -> Option<Place> {
        if place.at + 1 < self.runs[place.run].len() {
            return Some(Place { at: place.at + 1, ..place });
        }
        (place.run + 1 < self.runs.len()).then_some(Place { run: place.run + 1, at: 0 })
    }

    pub(super) fn before(&self, place: Place) -> Option<Place> {
        if let Some(at) = place.at.checked_sub(1) {
            return Some(Place { at, ..place });
        }
        let run = place.run.checked_sub(1)?;
        Some(Place { run, at: self.runs[run].len() - 1 })
    }

    /// The values from a place on.
    pub(super) fn iter_from(&self, place: Option<Place>) -> impl Iterator<Item = &T> {
        std::iter::successors(place, |place| self.after(*place)).map(|place| self.at(place))
    }

    /// All values.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.runs.iter().flatten()
    }

    /// Changes a value, all but its id.
    pub(super) fn change<R>(&mut self, place: Place, change: impl FnOnce(&mut T) -> R) -> R {
        let value = &mut self.runs[place.run][place.at];
        self.heap_bytes -= value.heap_bytes();
        let result = change(value);
        self.heap_bytes += value.heap_bytes();
        result
    }

    /// Adds a value; false, and nothing changes, where its id is there.
    pub(super) fn insert(&mut self, value: T) -> bool {
        let id = value.id();
        let heap_bytes = value.heap_bytes();
        let place = match self.from(id) {
            Some(place) if self.at(place).id() == id => return false,
            Some(place) => place,
            None => match self.runs.last() {
                Some(last) if last.len() < RUN_MAX => Place { run: self.runs.len() - 1, at: last.len() },
                _ => {
                    self.runs.push(Vec::new());
                    Place { run: self.runs.len() - 1, at: 0 }
                }
            },
        };
        let place = if self.runs[place.run].len() == RUN_MAX { self.split(place) } else { place };
        self.change_run(place.run, |run| {
            if run.len() == run.capacity() {
                run.reserve_exact((run.len().max(1) * 2).min(RUN_MAX) - run.len());
            }
            run.insert(place.at, value);
        });
        self.length += 1;
        self.heap_bytes += heap_bytes;
        true
    }

    /// Cuts a full run in two, and says where `place` is afterwards.
    fn split(&mut self, place: Place) -> Place {
        let rest = self.change_run(place.run, |run| {
            let mut rest = Vec::with_capacity(RUN_MAX);
            rest.extend(run.drain(RUN_MAX / 2..));
            rest
        });
        self.run_bytes += bytes_of::<T>(rest.capacity());
        self.runs.insert(place.run + 1, rest);
        match place.at.checked_sub(RUN_MAX / 2) {
            Some(at) if at > 0 => Place { run: place.run + 1, at },
            _ => place,
        }
    }

    /// Removes the value at `place`.
    pub(super) fn remove_at(&mut self, place: Place) -> T {
        let (value, left) = self.change_run(place.run, |run| {
            let value = run.remove(place.at);
            if run.len() < run.capacity() / 4 {
                run.shrink_to(run.len() * 2);
            }
            (value, run.len())
        });
        self.length -= 1;
        self.heap_bytes -= value.heap_bytes();
        if left == 0 {
            let run = self.runs.remove(place.run);
            self.run_bytes -= bytes_of::<T>(run.capacity());
            if self.runs.len() < self.runs.capacity() / 4 {
                self.runs.shrink_to(self.runs.len() * 2);
            }
        } else if left < RUN_MAX / 4 {
            self.join(place.run);
        }
        value
    }

    /// Removes the value with `id`.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<T> {
        self.find(id).map(|place| self.remove_at(place))
    }

    /// Joins a run with the one after it, where both together are half full at most.
    fn join(&mut self, number: usize) {
        let fits = |next: &Vec<T>| self.runs[number].len() + next.len() <= RUN_MAX / 2;
        if !self.runs.get(number + 1).is_some_and(fits) {
            return;
        }
        let mut next = self.runs.remove(number + 1);
        self.run_bytes -= bytes_of::<T>(next.capacity());
        self.change_run(number, |run| {
            run.reserve_exact(next.len());
            run.append(&mut next);
        });
    }

    /// Changes a run and keeps the account of its capacity.
    fn change_run<R>(&mut self, number: usize, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let run = &mut self.runs[number];
        self.run_bytes -= bytes_of::<T>(run.capacity());
        let result = change(run);
        self.run_bytes += bytes_of::<T>(run.capacity());
        result
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        assert!(self.runs.iter().all(|run| !run.is_empty() && run.len() <= RUN_MAX));
        assert!(self.iter().zip(self.iter().skip(1)).all(|(one, next)| one.id() < next.id()));
        assert_eq!(self.iter().count(), self.length);
        assert_eq!(self.iter().map(Keyed::heap_bytes).sum::<usize>(), self.heap_bytes);
        assert_eq!(self.runs.iter().map(|run| bytes_of::<T>(run.capacity())).sum::<usize>(), self.run_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_an_ordered_set(steps in prop::collection::vec((0..3u8, 0..600u64), 0..3000), ascending: bool) {
            let (mut sequence, mut model) = (Sequence::default(), BTreeSet::new());
            for (number, (choice, ms)) in steps.into_iter().enumerate() {
                let ms = if ascending { number as u64 } else { ms };
                let id = StreamId::new(ms, 1);
                if choice > 0 {
                    prop_assert_eq!(sequence.insert(id), model.insert(id));
                } else {
                    let id = if ascending { StreamId::new(ms / 2, 1) } else { id };
                    prop_assert_eq!(sequence.remove(id).is_some(), model.remove(&id));
                }
            }
            sequence.check();
            prop_assert!(sequence.iter().eq(model.iter()));
            for ms in (0..600).step_by(7) {
                let id = StreamId::new(ms, ms % 3);
                prop_assert!(sequence.iter_from(sequence.from(id)).eq(model.range(id..)));
                let back = std::iter::successors(sequence.up_to(id), |place| sequence.before(*place));
                prop_assert!(back.map(|place| sequence.at(place)).eq(model.range(..=id).rev()));
                prop_assert_eq!(sequence.get(id), model.get(&id));
            }
        }
    }
}
