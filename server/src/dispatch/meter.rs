//! Counting what one connection does, a run of equal commands at a time: a clock is read only where the command
//! changes, and counters that others share are touched only there.

use super::lookup::Entry;
use crate::telemetry::Stats;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

pub(super) struct Meter {
    stats: Arc<Stats>,
    run: Option<usize>,
    calls: u64,
    hits: u64,
    misses: u64,
    started: Instant,
    /// Nanoseconds that did not make a microsecond yet.
    rest_ns: u64,
}

impl Meter {
    pub fn new(stats: Arc<Stats>) -> Self {
        Self { stats, run: None, calls: 0, hits: 0, misses: 0, started: Instant::now(), rest_ns: 0 }
    }

    /// A command begins.
    pub fn begin(&mut self, entry: &Entry) {
        if self.run != Some(entry.index) {
            let now = Instant::now();
            self.settle(now);
            self.run = Some(entry.index);
            self.started = now;
        }
        self.calls += 1;
    }

    /// Lookups of the command that began last.
    pub fn looked_up(&mut self, hits: u64, misses: u64) {
        self.hits += hits;
        self.misses += misses;
    }

    /// The command at `index` ran, and this is its encoded reply: an error counts. Errors are rare enough to be counted
    /// one by one.
    pub fn answered(&self, index: usize, reply: &[u8]) {
        if let [b'-', text @ ..] = reply {
            self.stats.command(index).failed_calls.fetch_add(1, Relaxed);
            self.error(text);
        }
    }

    /// A gate refused a command.
    pub fn reject(&self, entry: &Entry) {
        self.stats.command(entry.index).rejected_calls.fetch_add(1, Relaxed);
    }

    /// An error of this text is answered.
    pub fn error(&self, text: &[u8]) {
        self.stats.error(&String::from_utf8_lossy(text.split(|byte| *byte == b' ').next().unwrap_or_default()));
    }

    /// The batch ends, or is about to wait: waiting is not work.
    pub fn stop(&mut self) {
        if self.run.is_some() {
            self.settle(Instant::now());
            self.run = None;
        }
        if self.hits > 0 {
            self.stats.keyspace_hits.fetch_add(std::mem::take(&mut self.hits), Relaxed);
        }
        if self.misses > 0 {
            self.stats.keyspace_misses.fetch_add(std::mem::take(&mut self.misses), Relaxed);
        }
    }

    fn settle(&mut self, now: Instant) {
        let Some(index) = self.run else { return };
        let counters = self.stats.command(index);
        self.rest_ns += now.duration_since(self.started).as_nanos() as u64;
        counters.calls.fetch_add(self.calls, Relaxed);
        counters.microseconds.fetch_add(self.rest_ns / 1000, Relaxed);
        self.rest_ns %= 1000;
        self.stats.commands_processed.fetch_add(self.calls, Relaxed);
        self.calls = 0;
    }
}
