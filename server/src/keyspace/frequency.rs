//! How often items were used, under the policies that evict by that.
//!
//! Under those there is no order: a chunk tells the last access in fewer bits, and a count beside it. Victims are the worst of
//! a few items that are chosen at random; a heap would cost more memory than the order is worth.
//!
//! - LFU is Redis's (<https://redis.io/docs/latest/develop/reference/eviction/#the-new-lfu-mode>): a counter of 8 bits
//!   that grows logarithmically and decays with time; of equals, what was idle for longer goes.
//! - GDSF weighs size against use, after Greedy-Dual-Size-Frequency (Cherkasova, HP Labs 1998): the fewer hits a byte, the
//!   sooner an item goes. What has to age it there, a clock that runs with evictions, is the idle time here, as in
//!   Hyperbolic caching (Blankstein et al., USENIX ATC 2017), so that no item's priority has to be stored: the one with the
//!   most idle time x size / hits goes. What is read once, as by a scan, goes first among items of one size.

use super::recency::{COARSE, Kept};
use crate::clock::{TICKS_PER_MS, Tick};

/// Items of which the worst is evicted. Redis takes 5; from 16 on more hardly helps.
pub(super) const SAMPLES: usize = 16;
/// The counter of a new item, so that it is not evicted at once.
const INITIAL: u8 = 5;
const MINUTE_MS: u64 = 60_000;

/// How the LFU counter moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LfuParameters {
    /// The larger, the more uses saturate the counter (`lfu-log-factor`).
    pub log_factor: u32,
    /// Idle minutes that take one off the counter; 0: none do (`lfu-decay-time`).
    pub decay_minutes: u32,
}

impl Default for LfuParameters {
    fn default() -> Self {
        Self { log_factor: 10, decay_minutes: 1 }
    }
}

impl LfuParameters {
    /// The counter that was `count` `idle` ticks ago.
    pub(super) fn counter(self, count: u16, idle: Tick) -> u8 {
        let periods = (idle / (MINUTE_MS * TICKS_PER_MS)).checked_div(u64::from(self.decay_minutes));
        (count as u8).saturating_sub(periods.unwrap_or(0).min(255) as u8)
    }

    /// How much an item deserves to be evicted; comparable among items.
    pub(super) fn badness(self, count: u16, idle: Tick) -> f64 {
        // The idle time decides among equals: it stays below one step of the counter.
        f64::from(u8::MAX - self.counter(count, idle)) + idle as f64 / (1u64 << 52) as f64
    }

    /// Whether a use counts: with probability 1 / (counter x factor + 1).
    fn counts(self, counter: u8, dice: u64) -> bool {
        let odds = u64::from(counter.saturating_sub(INITIAL)) * u64::from(self.log_factor) + 1;
        counter < u8::MAX && (u128::from(dice) * u128::from(odds)) >> 64 == 0
    }
}

/// Uses of a new item.
pub(super) fn new_count(kept: Kept) -> u16 {
    match kept {
        Kept::Counter => u16::from(INITIAL),
        Kept::Hits => 1,
        Kept::Order | Kept::Nothing => 0,
    }
}

/// The count after one more use, `idle` ticks after the last one.
pub(super) fn used(kept: Kept, count: u16, idle: Tick, lfu: LfuParameters, dice: u64) -> u16 {
    match kept {
        Kept::Counter => {
            let counter = lfu.counter(count, idle);
            u16::from(counter + u8::from(lfu.counts(counter, dice)))
        }
        Kept::Hits => count.saturating_add(1),
        Kept::Order | Kept::Nothing => count,
    }
}

/// How much an item deserves to be evicted by GDSF; comparable among items.
pub(super) fn gdsf(hits: u16, idle: Tick, bytes: usize) -> f64 {
    (idle as f64 / COARSE as f64 + 1.0) * bytes as f64 / f64::from(hits.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_as_redis_documents_it() {
        // The table of redis.conf: hits -> counter, by factor.
        for (log_factor, hits, expected) in
            [(0, 100, 104..=255), (1, 1000, 40..=60), (10, 100, 8..=12), (10, 1000, 15..=21), (100, 100_000, 40..=58)]
        {
            let lfu = LfuParameters { log_factor, decay_minutes: 1 };
            let mut count = new_count(Kept::Counter);
            let mut dice = 1u64;
            for _ in 0..hits {
                dice = crate::keyspace::store::mix(dice);
                count = used(Kept::Counter, count, 0, lfu, dice);
            }
            assert!(expected.contains(&count), "factor {log_factor}: {count} after {hits}");
        }
    }

    #[test]
    fn idle_minutes_take_it_down_again() {
        let minute = MINUTE_MS * TICKS_PER_MS;
        let lfu = LfuParameters { log_factor: 10, decay_minutes: 2 };
        assert_eq!(lfu.counter(100, minute * 2 - 1), 100);
        assert_eq!(lfu.counter(100, minute * 2), 99);
        assert_eq!(lfu.counter(100, Tick::MAX), 0);
        assert_eq!(LfuParameters { decay_minutes: 0, ..lfu }.counter(100, Tick::MAX), 100);
    }

    #[test]
    fn the_worst_are_the_rare_the_idle_and_the_big() {
        let lfu = LfuParameters::default();
        assert!(lfu.badness(5, 0) > lfu.badness(12, 0));
        assert!(lfu.badness(5, 90_000) > lfu.badness(5, 80_000));
        let ticks = 1_000_000;
        assert!(gdsf(2, ticks, 100) > gdsf(200, ticks, 100));
        assert!(gdsf(2, ticks, 200) > gdsf(2, ticks, 100));
        assert!(gdsf(2, ticks + 100_000, 100) > gdsf(2, ticks, 100));
        assert_eq!(used(Kept::Hits, u16::MAX, 0, lfu, 0), u16::MAX);
    }
}
