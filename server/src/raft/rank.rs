//! The order of eviction over the partitions of a node, led here or elsewhere.

use super::partition::PartitionGuard;
use crate::clock::{Tick, UnixMs, tick_of};
use crate::keyspace::EvictionPolicy;
use parking_lot::Mutex;

/// How soon an item is evicted: the smaller the sooner. Those of one policy are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// By recency.
    Access(Tick),
    /// By deadline.
    Deadline(UnixMs),
}

impl Rank {
    pub(super) fn of(policy: EvictionPolicy, last_access: Tick, deadline: Option<UnixMs>) -> Self {
        match policy {
            EvictionPolicy::VolatileTtl => Self::Deadline(deadline.unwrap_or(UnixMs::MAX)),
            _ => Self::Access(last_access),
        }
    }

    /// The rank that is later by so much.
    pub(super) fn after_ms(self, ms: u64) -> Self {
        match self {
            Self::Access(tick) => Self::Access(tick.saturating_add(tick_of(ms))),
            Self::Deadline(deadline) => Self::Deadline(deadline.saturating_add(ms)),
        }
    }
}

/// The rank of what a partition evicts first, if anything.
pub(super) fn first_rank(state: &mut PartitionGuard<'_>, policy: EvictionPolicy) -> Option<Rank> {
    let mut rank = None;
    state.keyspace.victims(&mut |victim| {
        rank = Some(Rank::of(policy, victim.last_access, victim.deadline));
        false
    });
    rank
}

/// How long what is in flight holds up the rest, nanoseconds: a group without a quorum must not stop all evictions.
const IN_FLIGHT_COUNTS_NS: u64 = 200_000_000;

/// An entry of evictions that is on its way to a partition.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Boot time at which it was proposed, and the rank of what will be first after it.
    since: Mutex<Option<(u64, Option<Rank>)>>,
}

impl InFlight {
    pub(super) fn is_any(&self) -> bool {
        self.since.lock().is_some()
    }

    pub(super) fn begin(&self, now_ns: u64, next: Option<Rank>) {
        *self.since.lock() = Some((now_ns, next));
    }

    pub(super) fn end(&self) {
        *self.since.lock() = None;
    }

    /// What will be first when it is applied, unless that takes too long.
    pub(super) fn next(&self, now_ns: u64) -> Option<Rank> {
        let (since, next) = (*self.since.lock())?;
        next.filter(|_| now_ns.saturating_sub(since) < IN_FLIGHT_COUNTS_NS)
    }
}

/// What a look at all partitions of a node found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The first items of partitions that this node may evict from: their ranks, the partitions, bytes that each frees.
    first: Vec<(Rank, usize, usize)>,
    /// The first of their items that were not looked at.
    rest: Option<Rank>,
    /// The first item of partitions that this node may not evict from, or not now.
    elsewhere: Option<Rank>,
}

/// What one partition is to evict.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// The partition.
    pub(super) index: usize,
    /// How many of its items.
    pub(super) keys: usize,
    /// None after this one.
    pub(super) until: Rank,
}

impl Survey {
    /// An item that this node may evict, which frees so many bytes; those of a partition come in their order.
    pub(super) fn candidate(&mut self, index: usize, rank: Rank, bytes: usize) {
        self.first.push((rank, index, bytes));
    }

    /// The first item after a partition's candidates.
    pub(super) fn rest(&mut self, rank: Rank) {
        self.rest = Some(self.rest.map_or(rank, |rest| rest.min(rank)));
    }

    pub(super) fn elsewhere(&mut self, rank: Option<Rank>) {
        self.elsewhere = [self.elsewhere, rank].into_iter().flatten().min();
    }

    /// What is to be evicted to free so many bytes, in the order over all partitions; `None` where what is elsewhere goes
    /// first. The order between partitions that answer for themselves is known to `slack_ms` only.
    pub(super) fn turns(mut self, bytes: usize, slack_ms: u64) -> Option<Vec<Turn>> {
        let end = [self.elsewhere.map(|rank| rank.after_ms(slack_ms)), self.rest].into_iter().flatten().min();
        self.first.sort_unstable();
        let (mut turns, mut freed): (Vec<Turn>, usize) = (Vec::new(), 0);
        for (rank, index, frees) in &self.first {
            if freed >= bytes || end.is_some_and(|end| end < *rank) {
                break;
            }
            freed += frees;
            match turns.iter_mut().find(|turn| turn.index == *index) {
                Some(turn) => (turn.keys, turn.until) = (turn.keys + 1, *rank),
                None => turns.push(Turn { index: *index, keys: 1, until: *rank }),
            }
        }
        (!turns.is_empty() || self.first.is_empty()).then_some(turns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey() -> Survey {
        let mut survey = Survey::default();
        for (index, ms) in [(0, 500), (0, 520), (1, 400), (1, 510), (2, 450)] {
            survey.candidate(index, Rank::Access(tick_of(ms)), 10);
        }
        survey
    }

    fn turn(index: usize, keys: usize, until_ms: u64) -> Turn {
        Turn { index, keys, until: Rank::Access(tick_of(until_ms)) }
    }

    #[test]
    fn items_go_in_their_order_over_all_partitions() {
        assert_eq!(survey().turns(10, 0), Some(vec![turn(1, 1, 400)]));
        assert_eq!(survey().turns(35, 0), Some(vec![turn(1, 2, 510), turn(2, 1, 450), turn(0, 1, 500)]));
        assert_eq!(survey().turns(1000, 0), Some(vec![turn(1, 2, 510), turn(2, 1, 450), turn(0, 2, 520)]));
        // Partition 2 has one that was not looked at.
        let mut partly = survey();
        partly.rest(Rank::Access(tick_of(505)));
        assert_eq!(partly.turns(1000, 0), Some(vec![turn(1, 1, 400), turn(2, 1, 450), turn(0, 1, 500)]));
        assert_eq!(Survey::default().turns(10, 0), Some(Vec::new()));
    }

    #[test]
    fn what_is_elsewhere_goes_first_but_for_the_slack() {
        let mut seen = survey();
        seen.elsewhere(None);
        seen.elsewhere(Some(Rank::Access(tick_of(360))));
        seen.elsewhere(Some(Rank::Access(tick_of(600))));
        assert_eq!(seen.turns(1000, 100), Some(vec![turn(1, 1, 400), turn(2, 1, 450)]));
        let mut seen = survey();
        seen.elsewhere(Some(Rank::Access(tick_of(290))));
        assert_eq!(seen.turns(1000, 100), None);
    }

    #[test]
    fn what_is_in_flight_for_too_long_counts_no_more() {
        let flight = InFlight::default();
        assert!(!flight.is_any() && flight.next(0).is_none());
        flight.begin(1_000, Some(Rank::Deadline(7)));
        assert_eq!(flight.next(2_000), Some(Rank::Deadline(7)));
        assert_eq!(flight.next(1_000 + IN_FLIGHT_COUNTS_NS), None);
        assert!(flight.is_any());
        flight.end();
        assert!(!flight.is_any());
    }
}
