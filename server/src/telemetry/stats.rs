//! Counters since the start, or since CONFIG RESETSTAT.
//!
//! They are shared by all connections, so a connection adds up what a batch of commands did and calls in here once.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A node's counters.
        #[derive(Debug)]
        pub struct Stats {
            $($(#[$doc])* pub $name: AtomicU64,)*
            /// Rates over the last sample; gauges, so RESETSTAT leaves them alone.
            rates: Mutex<Rates>,
            sampled: Mutex<Sample>,
            commands: Vec<CommandCounters>,
            errors: Mutex<BTreeMap<String, u64>>,
        }

        impl Stats {
            /// Counters for so many commands, numbered as `commands::table::named` does.
            pub fn new(commands: usize) -> Self {
                Self {
                    $($name: AtomicU64::new(0),)*
                    rates: Mutex::default(),
                    sampled: Mutex::default(),
                    commands: (0..commands).map(|_| CommandCounters::default()).collect(),
                    errors: Mutex::default(),
                }
            }

            /// CONFIG RESETSTAT.
            pub fn reset(&self) {
                $(self.$name.store(0, Ordering::Relaxed);)*
                *self.sampled.lock() = Sample::default();
                self.commands.iter().for_each(CommandCounters::reset);
                self.errors.lock().clear();
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections_received,
    /// Connections refused by maxclients.
    connections_rejected,
    /// Commands carried out.
    commands_processed,
    /// Bytes read from clients.
    input_bytes,
    /// Bytes written to clients.
    output_bytes,
    /// Lookups of read commands that found a key.
    keyspace_hits,
    /// Lookups of read commands that found none.
    keyspace_misses,
    /// Items removed because they were due.
    expired_keys,
    /// Fields of hashes removed because they were due, while others of the hash were not.
    expired_fields,
    /// Items removed because memory was short.
    evicted_keys,
    /// Clients closed because they read too slowly.
    output_limit_disconnections,
    /// Commands sent on to another node.
    forwarded_commands,
    /// Error replies.
    error_replies,
}

/// What counters stood at.
#[derive(Debug, Default, Clone, Copy)]
struct Sample {
    at_ms: u64,
    commands: u64,
    input_bytes: u64,
    output_bytes: u64,
}

/// How much there is in a second.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Commands carried out.
    pub commands: u64,
    /// Bytes read from clients.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
}

/// Counters of one command.
#[derive(Debug, Default)]
pub struct CommandCounters {
    /// Carried out, failures included.
    pub calls: AtomicU64,
    /// Time spent, where it is measured.
    pub microseconds: AtomicU64,
    /// Refused before they ran (arity, NOAUTH, OOM and the like).
    pub rejected_calls: AtomicU64,
    /// Ran and answered an error.
    pub failed_calls: AtomicU64,
}

impl CommandCounters {
    fn reset(&self) {
        for counter in [&self.calls, &self.microseconds, &self.rejected_calls, &self.failed_calls] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// Kinds of error that are told apart. Redis has the same bound, against scripts that make prefixes up.
const ERROR_PREFIXES_MAX: usize = 128;

impl Stats {
    /// The counters of the command at `ordinal`.
    ///
    /// # Panics
    /// If there is none.
    pub fn command(&self, ordinal: usize) -> &CommandCounters {
        &self.commands[ordinal]
    }

    /// Counts an error reply by the first word of its `text`.
    pub fn error(&self, text: &str) {
        self.error_replies.fetch_add(1, Ordering::Relaxed);
        let prefix = text.split(' ').next().unwrap_or_default();
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(prefix) {
            *count += 1;
        } else if errors.len() < ERROR_PREFIXES_MAX {
            errors.insert(prefix.to_string(), 1);
        }
    }

    /// Error replies by prefix.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().clone()
    }

    /// Measures rates since the sample before; `now_ms` is any steady clock.
    pub fn sample(&self, now_ms: u64) {
        let now = Sample {
            at_ms: now_ms,
            commands: self.commands_processed.load(Ordering::Relaxed),
            input_bytes: self.input_bytes.load(Ordering::Relaxed),
            output_bytes: self.output_bytes.load(Ordering::Relaxed),
        };
        let then = std::mem::replace(&mut *self.sampled.lock(), now);
        let elapsed_ms = now_ms.saturating_sub(then.at_ms);
        if then.at_ms != 0 && elapsed_ms != 0 {
            let a_second = |now: u64, then: u64| now.saturating_sub(then) * 1000 / elapsed_ms;
            *self.rates.lock() = Rates {
                commands: a_second(now.commands, then.commands),
                input_bytes: a_second(now.input_bytes, then.input_bytes),
                output_bytes: a_second(now.output_bytes, then.output_bytes),
            };
        }
    }

    /// Rates over the last sample.
    pub fn rates(&self) -> Rates {
        *self.rates.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_reset_and_errors_bounded() {
        let stats = Stats::new(2);
        stats.command(1).calls.fetch_add(3, Ordering::Relaxed);
        for prefix in 0..2 * ERROR_PREFIXES_MAX {
            stats.error(&format!("E{prefix} text"));
        }
        stats.error("E0 again");
        assert_eq!((stats.errors().len(), stats.errors()["E0"]), (ERROR_PREFIXES_MAX, 2));
        stats.sample(1000);
        stats.commands_processed.fetch_add(50, Ordering::Relaxed);
        stats.input_bytes.fetch_add(1024, Ordering::Relaxed);
        stats.output_bytes.fetch_add(512, Ordering::Relaxed);
        stats.sample(1500);
        assert_eq!(stats.rates(), Rates { commands: 100, input_bytes: 2048, output_bytes: 1024 });
        stats.reset();
        assert_eq!(stats.command(1).calls.load(Ordering::Relaxed), 0);
        assert!(stats.errors().is_empty());
    }
}
