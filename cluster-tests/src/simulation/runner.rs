//! Many seeds, on all cores.

use super::{Counters, Fault, Run, simulate};
use larder::planted::Bug;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What many runs left.
pub struct Report {
    /// Seeds that ran.
    pub seeds: u64,
    /// What happened in all of them.
    pub counters: Counters,
    /// Runs that broke a promise, by seed.
    pub failed: Vec<(u64, Run)>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Seeds a second.
    pub fn seeds_per_second(&self) -> f64 {
        self.seeds as f64 / self.took.as_secs_f64()
    }
}

/// Runs seeds on so many threads, with faults of the kinds in `focus` alone where there are any, with a bug planted or none, until all are done or so many have failed.
pub fn run(seeds: Range<u64>, focus: &[Fault], threads: usize, bug: Option<Bug>, failures_max: usize) -> Report {
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let done = AtomicU64::new(0);
    let counters = Counters::default();
    let failed = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                plant(bug);
                while failed.lock().len() < failures_max {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let run = simulate(seed, focus, false);
                    done.fetch_add(1, Ordering::Relaxed);
                    counters.take(&run.counters);
                    if run.violation.is_some() {
                        failed.lock().push((seed, Run { counters: Arc::default(), ..run }));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner();
    failed.sort_by_key(|(seed, _)| *seed);
    Report { seeds: done.into_inner(), counters, failed, took: begun.elapsed() }
}

/// Plants a fault on this thread.
///
/// # Panics
/// In a build without the feature `planted-bugs`.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    larder::planted::plant(bug);
}

/// Plants a fault on this thread.
///
/// # Panics
/// In a build without the feature `planted-bugs`, as this one, if there is one to be planted.
#[cfg(not(feature = "planted-bugs"))]
pub fn plant(bug: Option<Bug>) {
    assert!(bug.is_none(), "faults can be planted only with the feature planted-bugs");
}
