//! What was done: counters of commands, lookups, connections and bytes, one shard a core, so that no two cores write
//! the same cache line.

use super::lookup::{Entry, Lookup};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What INFO's `commandstats` shows of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommandFigures {
    /// Times it was carried out.
    pub calls: u64,
    /// Microseconds that took.
    pub usec: u64,
    /// Times a gate refused it.
    pub rejected: u64,
    /// Times it answered an error.
    pub failed: u64,
}

/// Sums over the whole node since its start, or since CONFIG RESETSTAT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Commands carried out.
    pub commands: u64,
    /// Lookups that found a key.
    pub keyspace_hits: u64,
    /// Lookups that found none.
    pub keyspace_misses: u64,
    /// Bytes read from clients.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused over `maxclients`.
    pub rejected_connections: u64,
    /// Connections closed at an output limit.
    pub output_limit_closes: u64,
    /// Error replies.
    pub errors: u64,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident => $field:ident;)*) => {
        /// A sum of [`Totals`].
        #[derive(Debug, Clone, Copy)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }
        const COUNTERS: usize = [$(Counter::$variant),*].len();
        impl Totals {
            fn add(&mut self, values: &[AtomicU64; COUNTERS]) {
                $(self.$field += values[Counter::$variant as usize].load(Relaxed);)*
            }
        }
    };
}

counters! {
    /// Commands carried out.
    Commands => commands;
    /// Lookups that found a key.
    Hits => keyspace_hits;
    /// Lookups that found none.
    Misses => keyspace_misses;
    /// Bytes read from clients.
    Input => input_bytes;
    /// Bytes written to clients.
    Output => output_bytes;
    /// Connections accepted.
    Connections => connections;
    /// Connections refused over `maxclients`.
    RejectedConnections => rejected_connections;
    /// Connections closed at an output limit.
    OutputLimitCloses => output_limit_closes;
    /// Error replies.
    Errors => errors;
}

#[derive(Debug, Default)]
struct CommandCounters {
    calls: AtomicU64,
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
}

/// What one core counts.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    commands: Box<[CommandCounters]>,
    totals: [AtomicU64; COUNTERS],
}

/// All counters of a node.
#[derive(Debug)]
pub struct Stats {
    shards: Box<[Shard]>,
}

impl Stats {
    /// Counters for `cores` cores.
    pub fn new(cores: usize) -> Self {
        let commands = Lookup::global().names().len();
        let shard = || Shard {
            commands: (0..commands).map(|_| CommandCounters::default()).collect(),
            totals: Default::default(),
        };
        Self { shards: (0..cores.max(1)).map(|_| shard()).collect() }
    }

    /// Adds to a sum, at `core`.
    pub fn add(&self, core: usize, counter: Counter, amount: u64) {
        self.shards[core % self.shards.len()].totals[counter as usize].fetch_add(amount, Relaxed);
    }

    fn command(&self, core: usize, index: usize) -> &CommandCounters {
        &self.shards[core % self.shards.len()].commands[index]
    }

    /// Counts a command that a gate refused.
    pub fn reject(&self, core: usize, entry: &Entry) {
        self.command(core, entry.index).rejected.fetch_add(1, Relaxed);
    }

    /// The commands that were asked for at all, by name.
    pub fn commands(&self) -> Vec<(&'static str, CommandFigures)> {
        let figures = |index: usize| {
            self.shards.iter().fold(CommandFigures::default(), |sum, shard| {
                let counters = &shard.commands[index];
                CommandFigures {
                    calls: sum.calls + counters.calls.load(Relaxed),
                    usec: sum.usec + counters.nanos.load(Relaxed) / 1000,
                    rejected: sum.rejected + counters.rejected.load(Relaxed),
                    failed: sum.failed + counters.failed.load(Relaxed),
                }
            })
        };
        let names = Lookup::global().names().iter().enumerate();
        names.map(|(index, name)| (*name, figures(index))).filter(|(_, f)| f.calls + f.rejected + f.failed > 0).collect()
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.shards.iter().for_each(|shard| totals.add(&shard.totals));
        totals
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&self) {
        for shard in &self.shards {
            for counters in &shard.commands {
                let all = [&counters.calls, &counters.nanos, &counters.rejected, &counters.failed];
                all.iter().for_each(|counter| counter.store(0, Relaxed));
            }
            shard.totals.iter().for_each(|counter| counter.store(0, Relaxed));
        }
    }
}

/// Counts the commands of one connection, a run of equal ones at a time: a clock is read only where the command
/// changes, and shared counters are touched only there.
#[derive(Debug)]
pub(super) struct Meter {
    core: usize,
    run: Option<usize>,
    calls: u64,
    failed: u64,
    pub hits: u64,
    pub misses: u64,
    started: Instant,
}

impl Meter {
    pub fn new(core: usize) -> Self {
        Self { core, run: None, calls: 0, failed: 0, hits: 0, misses: 0, started: Instant::now() }
    }

    pub fn core(&self) -> usize {
        self.core
    }

    /// A command begins.
    pub fn begin(&mut self, stats: &Stats, entry: &Entry) {
        if self.run != Some(entry.index) {
            let now = Instant::now();
            self.settle(stats, now);
            self.run = Some(entry.index);
            self.started = now;
        }
        self.calls += 1;
    }

    /// The command that began last answers an error.
    pub fn fail(&mut self) {
        self.failed += 1;
    }

    /// The batch ends, or is about to wait: waiting is not work.
    pub fn stop(&mut self, stats: &Stats) {
        if self.run.is_some() {
            self.settle(stats, Instant::now());
            self.run = None;
        }
        for (counter, amount) in [(Counter::Hits, &mut self.hits), (Counter::Misses, &mut self.misses)] {
            if *amount > 0 {
                stats.add(self.core, counter, std::mem::take(amount));
            }
        }
    }

    fn settle(&mut self, stats: &Stats, now: Instant) {
        let Some(index) = self.run else { return };
        let counters = stats.command(self.core, index);
        counters.calls.fetch_add(self.calls, Relaxed);
        counters.nanos.fetch_add(now.duration_since(self.started).as_nanos() as u64, Relaxed);
        stats.add(self.core, Counter::Commands, self.calls);
        if self.failed > 0 {
            counters.failed.fetch_add(self.failed, Relaxed);
            stats.add(self.core, Counter::Errors, self.failed);
        }
        self.calls = 0;
        self.failed = 0;
    }
}
