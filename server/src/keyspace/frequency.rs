//! How often items were used, under the policies that evict by that.
//!
//! Under those there are no lists: the chunk's links hold two counts instead. Victims are the worst of a few items that
//! are chosen at random; a heap would cost more memory than the order is worth.
//!
//! - LFU is Redis's (<https://redis.io/docs/latest/develop/reference/eviction/#the-new-lfu-mode>): a counter of 8 bits
//!   that grows logarithmically and decays with time; of equals, what was idle for longer goes.
//! - GDSF weighs size against use, after Greedy-Dual-Size-Frequency (Cherkasova, HP Labs 1998): the fewer hits a byte, the
//!   sooner an item goes. What has to age it there, a clock that runs with evictions, is the idle time here, as in
//!   Hyperbolic caching (Blankstein et al., USENIX ATC 2017), so that no item's priority has to be stored: the one with the
//!   most idle time x size / hits goes. What is read once, as by a scan, goes first among items of one size.

use crate::clock::{TICK_MS, Tick};

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
    /// The counter after `idle` ticks without use.
    fn decayed(self, counter: u8, idle: u32) -> u8 {
        let periods = (u64::from(idle) * TICK_MS / MINUTE_MS).checked_div(u64::from(self.decay_minutes));
        counter.saturating_sub(periods.unwrap_or(0).min(255) as u8)
    }

    /// Whether a use counts: with probability 1 / (counter x factor + 1).
    fn counts(self, counter: u8, dice: u64) -> bool {
        let odds = u64::from(counter.saturating_sub(INITIAL)) * u64::from(self.log_factor) + 1;
        counter < u8::MAX && (u128::from(dice) * u128::from(odds)) >> 64 == 0
    }
}

/// What a chunk's links hold under these policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Uses since it was stored.
    hits: u32,
    /// LFU's counter.
    counter: u8,
}

impl Counts {
    /// Those of a new item.
    pub(super) const NEW: Self = Self { hits: 1, counter: INITIAL };

    pub(super) fn of(chunk: &[u8]) -> Self {
        Self { hits: u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]), counter: chunk[4] }
    }

    pub(super) fn write(self, chunk: &mut [u8]) {
        chunk[..4].copy_from_slice(&self.hits.to_le_bytes());
        chunk[4] = self.counter;
    }

    /// After one more use, `idle` ticks after the last one.
    pub(super) fn used(self, idle: u32, lfu: LfuParameters, dice: u64) -> Self {
        let counter = lfu.decayed(self.counter, idle);
        let counter = counter + u8::from(lfu.counts(counter, dice));
        Self { hits: self.hits.saturating_add(1), counter }
    }

    /// LFU's counter as it is now.
    pub(super) fn counter(self, idle: u32, lfu: LfuParameters) -> u8 {
        lfu.decayed(self.counter, idle)
    }

    /// The same with another counter.
    pub(super) fn with_counter(self, counter: u8) -> Self {
        Self { counter, ..self }
    }

    /// How much an item deserves to be evicted by LFU; comparable among items.
    pub(super) fn lfu(self, idle: u32, lfu: LfuParameters) -> f64 {
        // The idle time decides among equals: it stays below one step of the counter.
        f64::from(u8::MAX - self.counter(idle, lfu)) + f64::from(idle) / (f64::from(Tick::MAX) + 1.0)
    }

    /// The same by size and use.
    pub(super) fn gdsf(self, idle: u32, bytes: usize) -> f64 {
        (f64::from(idle) + 1.0) * bytes as f64 / f64::from(self.hits.max(1))
    }
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
            let mut counts = Counts::NEW;
            let mut dice = 1u64;
            for _ in 0..hits {
                dice = crate::keyspace::store::mix(dice);
                counts = counts.used(0, lfu, dice);
            }
            assert!(expected.contains(&counts.counter), "factor {log_factor}: {counts:?} after {hits}");
            assert_eq!(counts.hits, hits + 1);
        }
    }

    #[test]
    fn idle_minutes_take_it_down_again() {
        let minute = (MINUTE_MS / TICK_MS) as u32;
        let lfu = LfuParameters { log_factor: 10, decay_minutes: 2 };
        let counts = Counts { hits: 9, counter: 100 };
        assert_eq!(counts.counter(minute * 2 - 1, lfu), 100);
        assert_eq!(counts.counter(minute * 2, lfu), 99);
        assert_eq!(counts.counter(u32::MAX, lfu), 0);
        assert_eq!(counts.counter(u32::MAX, LfuParameters { decay_minutes: 0, ..lfu }), 100);
        let mut chunk = [7; 16];
        counts.write(&mut chunk);
        assert_eq!(Counts::of(&chunk), counts);
    }

    #[test]
    fn the_worst_are_the_rare_the_idle_and_the_big() {
        let lfu = LfuParameters::default();
        let (rare, often) = (Counts { hits: 2, counter: 5 }, Counts { hits: 200, counter: 12 });
        assert!(rare.lfu(0, lfu) > often.lfu(0, lfu));
        assert!(rare.lfu(9, lfu) > rare.lfu(8, lfu));
        assert!(rare.gdsf(10, 100) > often.gdsf(10, 100));
        assert!(rare.gdsf(10, 200) > rare.gdsf(10, 100));
        assert!(rare.gdsf(11, 100) > rare.gdsf(10, 100));
    }
}
