//! The order of eviction over the partitions of a node, led here or elsewhere.

use super::partition::PartitionGuard;
use crate::clock::{TICK_MS, Tick, UnixMs};
use crate::keyspace::EvictionPolicy;
use parking_lot::Mutex;

/// How soon an item is evicted: the smaller the sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// By recency; ticks wrap.
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

    pub(super) fn before(self, other: Self) -> bool {
        match (self, other) {
            (Self::Access(a), Self::Access(b)) => (a.wrapping_sub(b) as i32) < 0,
            (Self::Deadline(a), Self::Deadline(b)) => a < b,
            _ => false,
        }
    }

    /// The rank that is later by so much.
    pub(super) fn after_ms(self, ms: u64) -> Self {
        match self {
            Self::Access(tick) => Self::Access(tick.wrapping_add((ms / TICK_MS) as Tick)),
            Self::Deadline(deadline) => Self::Deadline(deadline.saturating_add(ms)),
        }
    }

    /// The earlier of two.
    pub(super) fn earlier(self, other: Option<Self>) -> Self {
        other.filter(|other| other.before(self)).unwrap_or(self)
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
    /// The partition that this node may evict from whose first item goes before all others.
    pub(super) best: Option<(Rank, usize)>,
    /// The first item of the next one.
    second: Option<Rank>,
    /// The first item of those that this node may not evict from, or not now.
    elsewhere: Option<Rank>,
}

impl Survey {
    pub(super) fn candidate(&mut self, index: usize, rank: Rank) {
        match self.best {
            Some((first, _)) if !rank.before(first) => self.second = Some(rank.earlier(self.second)),
            _ => {
                self.second = self.best.map(|(rank, _)| rank);
                self.best = Some((rank, index));
            }
        }
    }

    pub(super) fn elsewhere(&mut self, rank: Option<Rank>) {
        if let Some(rank) = rank {
            self.elsewhere = Some(rank.earlier(self.elsewhere));
        }
    }

    /// Up to which rank the best partition may be evicted from; `Err` where what is elsewhere goes first. The order between
    /// partitions that answer for themselves is known to `slack_ms` only.
    pub(super) fn until(&self, slack_ms: u64) -> Result<Option<Rank>, ()> {
        let elsewhere = self.elsewhere.map(|rank| rank.after_ms(slack_ms));
        match (elsewhere, self.best) {
            (Some(elsewhere), Some((best, _))) if elsewhere.before(best) => Err(()),
            (Some(elsewhere), _) => Ok(Some(elsewhere.earlier(self.second))),
            (None, _) => Ok(self.second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_elsewhere_goes_first_but_for_the_slack() {
        let mut survey = Survey::default();
        for (index, tick) in [50, 40, 45].into_iter().enumerate() {
            survey.candidate(index, Rank::Access(tick));
        }
        assert_eq!(survey.best, Some((Rank::Access(40), 1)));
        assert_eq!(survey.until(100), Ok(Some(Rank::Access(45))));
        survey.elsewhere(None);
        survey.elsewhere(Some(Rank::Access(32)));
        assert_eq!(survey.until(100), Ok(Some(Rank::Access(42))));
        survey.elsewhere(Some(Rank::Access(29)));
        survey.elsewhere(Some(Rank::Access(60)));
        assert_eq!(survey.until(100), Err(()));
        // Ticks wrap.
        let mut survey = Survey::default();
        survey.candidate(0, Rank::Access(3));
        survey.elsewhere(Some(Rank::Access(u32::MAX - 2)));
        assert_eq!(survey.until(50), Err(()));
        assert_eq!(survey.until(60), Ok(Some(Rank::Access(3))));
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
