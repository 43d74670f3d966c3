//! Figures since the start, or since CONFIG RESETSTAT, as INFO and `/metrics` show them.

use parking_lot::Mutex;

/// A node's counters at one moment. A figure that is not measured is `None` and is not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused by maxclients.
    pub connections_rejected: u64,
    /// Commands carried out.
    pub commands_processed: u64,
    /// Commands a second, lately.
    pub ops_per_second: u64,
    /// Bytes read from clients.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
    /// Lookups of read commands that found a key.
    pub keyspace_hits: u64,
    /// Lookups of read commands that found none.
    pub keyspace_misses: u64,
    /// Items removed because they were due.
    pub expired_keys: Option<u64>,
    /// Items removed because memory was short.
    pub evicted_keys: Option<u64>,
    /// Clients closed because they read too slowly.
    pub output_limit_disconnections: u64,
    /// Error replies.
    pub error_replies: u64,
    /// Error replies by their first word.
    pub errors: Vec<(String, u64)>,
    /// Those that were called at all, by full name.
    pub commands: Vec<(&'static str, CommandCounters)>,
}

/// Counters of one command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommandCounters {
    /// Carried out, failures included.
    pub calls: u64,
    /// Time spent.
    pub microseconds: u64,
    /// Refused before they ran (arity, NOAUTH, OOM and the like).
    pub rejected_calls: u64,
    /// Ran and answered an error.
    pub failed_calls: u64,
}

/// Measures a rate from samples of a counter.
#[derive(Debug, Default)]
pub struct Rate {
    last: Mutex<Option<(u64, u64)>>,
    per_second: std::sync::atomic::AtomicU64,
}

impl Rate {
    /// The counter's value at `now_ms` of any steady clock.
    pub fn sample(&self, now_ms: u64, value: u64) {
        let before = self.last.lock().replace((now_ms, value));
        let Some((then_ms, before)) = before else { return };
        let rate = value.saturating_sub(before) * 1000 / now_ms.saturating_sub(then_ms).max(1);
        self.per_second.store(rate, std::sync::atomic::Ordering::Relaxed);
    }

    /// Increments a second between the last two samples.
    pub fn per_second(&self) -> u64 {
        self.per_second.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_between_two_samples() {
        let rate = Rate::default();
        rate.sample(1000, 70);
        assert_eq!(rate.per_second(), 0);
        rate.sample(1500, 120);
        assert_eq!(rate.per_second(), 100);
        rate.sample(2500, 0);
        assert_eq!(rate.per_second(), 0, "the counter was reset");
    }
}
