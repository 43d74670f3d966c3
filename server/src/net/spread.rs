//! Which cores connections are on: as few as can carry them.
//!
//! Threads that share what one could do wake up more often, find less to do each time, and pass the partitions' cache
//! lines to and fro: an unpipelined GET costs a tenth more on two threads than on one. So connections gather on the
//! first core while it can carry them, and spread when it cannot. Ten times a second it is looked at how busy the cores
//! are; a connection that is to move does so between two batches, when nothing of it is under way.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Between two looks while there is something to do.
const PERIOD: Duration = Duration::from_millis(100);
/// Between two looks while there is hardly anything to do.
const PERIOD_IDLE: Duration = Duration::from_millis(500);
/// Cores that are busier than this in the mean get help.
const BUSY: f64 = 0.9;
/// Cores that would be less busy than this with one core fewer do without it.
const CALM: f64 = 0.8;
/// How many looks in a row must say so.
const CALM_PERIODS: u32 = 5;
/// Where the threads spend more of their time than this waiting for a processor, there are too many of them.
const CROWDED: f64 = 0.1;
/// How many looks go by before more threads are tried again after that; doubled each time, up to the second number.
const CROWDED_PERIODS: (u32, u32) = (50, 600);
/// What connections of one core may be busier than those of another.
const IMBALANCE: f64 = 0.5;
/// Looks after a change of the active cores during which connections seek a core with few of them. Later only a core
/// that is overloaded gives some away: connections that are equal in number need not be in what they do.
const SETTLING_PERIODS: u32 = 5;
/// No core.
const NONE: usize = usize::MAX;

/// Where the connections of a node are.
pub(super) struct Spread {
    cores: Vec<CoreState>,
    /// Connections belong on the first so many cores.
    active: AtomicUsize,
    /// Counts the looks.
    period: AtomicU32,
    /// Looks during which numbers are still evened out.
    settling: AtomicU32,
    /// A core that is to give one of its connections away.
    overloaded: AtomicUsize,
}

struct CoreState {
    runtime: Handle,
    /// The kernel's account of the thread: nanoseconds on a processor, nanoseconds of waiting for one, and more.
    account: Option<File>,
    connections: AtomicUsize,
    /// Connections that had something to do since the last look.
    busy: AtomicIsize,
    /// Those of the period before.
    was_busy: AtomicIsize,
}

impl Spread {
    /// For these cores: runtime and thread id of each. Where the kernel does not tell how busy threads are, connections
    /// are spread over all cores from the beginning.
    pub fn new(cores: Vec<(Handle, i32)>) -> Arc<Self> {
        let cores: Vec<CoreState> = cores
            .into_iter()
            .map(|(runtime, thread)| CoreState {
                runtime,
                account: File::open(format!("/proc/self/task/{thread}/schedstat")).ok(),
                connections: AtomicUsize::new(0),
                busy: AtomicIsize::new(0),
                was_busy: AtomicIsize::new(0),
            })
            .collect();
        let measured = cores.iter().all(|core| core.used().is_some_and(|used| used.running_ns > 0));
        let active = if measured { 1 } else { cores.len() };
        Arc::new(Self {
            cores,
            active: AtomicUsize::new(active),
            period: AtomicU32::new(0),
            settling: AtomicU32::new(0),
            overloaded: AtomicUsize::new(NONE),
        })
    }

    /// A place for a new connection: on the active core that has the fewest.
    pub fn place(self: &Arc<Self>) -> Place {
        let active = &self.cores[..self.active.load(Relaxed)];
        let fewest = active.iter().enumerate().min_by_key(|(_, core)| core.connections.load(Relaxed));
        self.place_on(fewest.map_or(0, |(number, _)| number))
    }

    fn place_on(self: &Arc<Self>, core: usize) -> Place {
        self.cores[core].connections.fetch_add(1, Relaxed);
        Place { spread: Arc::clone(self), core, period: self.period.load(Relaxed) }
    }

    /// Where a busy connection of `core` should rather be.
    fn better(&self, core: usize) -> Option<usize> {
        let active = &self.cores[..self.active.load(Relaxed)];
        let others = active.iter().map(|core| core.was_busy.load(Relaxed)).enumerate();
        let (calmest, least) = others.filter(|(number, _)| *number != core).min_by_key(|(_, busy)| *busy)?;
        let here = self.cores[core].was_busy.load(Relaxed);
        let moves = core >= active.len() || {
            let all: isize = self.cores.iter().map(|core| core.was_busy.load(Relaxed)).sum();
            let share = all.cdiv(active.len() as isize);
            self.settling.load(Relaxed) > 0 && here > share && least < share
        };
        let moves = moves
            || here > 1
                && self.overloaded.load(Relaxed) == core
                && self.overloaded.compare_exchange(core, NONE, Relaxed, Relaxed).is_ok();
        if !moves {
            return None;
        }
        self.cores[core].was_busy.fetch_sub(1, Relaxed);
        self.cores[calmest].was_busy.fetch_add(1, Relaxed);
        Some(calmest)
    }

    /// Looks at the cores again and again, until the task is dropped.
    pub async fn watch(self: Arc<Self>) {
        if self.cores.len() == 1 || self.active.load(Relaxed) == self.cores.len() {
            return;
        }
        let mut tuner = Tuner::default();
        let mut last: Vec<Used> = self.cores.iter().map(|core| core.used().unwrap_or_default()).collect();
        let mut looked = Instant::now();
        let mut period = PERIOD;
        loop {
            crate::clock::beat(period).await;
            let elapsed_ns = looked.elapsed().as_nanos().max(1) as f64;
            looked = Instant::now();
            let share = |now: u64, last: u64| now.saturating_sub(last) as f64 / elapsed_ns;
            let mut load = Vec::with_capacity(self.cores.len());
            let mut waiting = 0.0;
            let active = self.active.load(Relaxed);
            for (number, (core, last)) in self.cores.iter().zip(&mut last).enumerate() {
                let used = core.used().unwrap_or(*last);
                load.push(share(used.running_ns, last.running_ns));
                waiting += if number < active { share(used.waiting_ns, last.waiting_ns) } else { 0.0 };
                *last = used;
            }
            let wanted = tuner.wanted(active, &load, waiting);
            self.next_period(wanted, &load);
            period = if load.iter().sum::<f64>() < 0.05 { PERIOD_IDLE } else { PERIOD };
        }
    }

    fn next_period(&self, active: usize, load: &[f64]) {
        for core in &self.cores {
            core.was_busy.store(core.busy.swap(0, Relaxed), Relaxed);
        }
        let hottest = (0..active).max_by(|one, other| load[*one].total_cmp(&load[*other])).unwrap_or(0);
        let calmest = load[..active].iter().copied().fold(f64::INFINITY, f64::min);
        let unfair = active == self.active.load(Relaxed) && load[hottest] > BUSY && load[hottest] - calmest > IMBALANCE;
        self.overloaded.store(if unfair { hottest } else { NONE }, Relaxed);
        if self.active.swap(active, Relaxed) != active {
            tracing::debug!(cores = active, "cores that serve connections");
            self.settling.store(SETTLING_PERIODS, Relaxed);
        } else {
            // Only this task writes it.
            self.settling.store(self.settling.load(Relaxed).saturating_sub(1), Relaxed);
        }
        self.period.fetch_add(1, Relaxed);
    }
}

/// What a thread has had of the processors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Used {
    running_ns: u64,
    waiting_ns: u64,
}

impl CoreState {
    fn used(&self) -> Option<Used> {
        let mut text = [0; 96];
        let length = self.account.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut fields = text[..length].split(u8::is_ascii_whitespace);
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        Some(Used { running_ns: number()?, waiting_ns: number()? })
    }
}

/// Decides how many cores are active.
#[derive(Debug, Default)]
struct Tuner {
    /// Looks in a row that asked for fewer.
    calm: u32,
    /// Looks in a row in which threads waited for processors.
    crowded: u32,
    /// Looks to go by before there may be more.
    held: u32,
    /// How many that will be the next time.
    hold: u32,
}

impl Tuner {
    /// How many cores should be active under this load of each, while the active ones waited for a processor for this
    /// share of the time, all together.
    fn wanted(&mut self, active: usize, load: &[f64], waiting: f64) -> usize {
        let sum: f64 = load[..active].iter().sum();
        self.held = self.held.saturating_sub(1);
        self.calm = if active > 1 && sum < CALM * (active - 1) as f64 { self.calm + 1 } else { 0 };
        self.crowded = if active > 1 && waiting > CROWDED * (sum + waiting) { self.crowded + 1 } else { 0 };
        if self.crowded >= CALM_PERIODS {
            // More threads than processors that are free for them: they only take turns.
            self.crowded = 0;
            self.hold = (self.hold * 2).clamp(CROWDED_PERIODS.0, CROWDED_PERIODS.1);
            self.held = self.hold;
            active.div_ceil(2)
        } else if self.calm >= CALM_PERIODS {
            (self.calm, self.hold) = (0, 0);
            active - 1
        } else if sum > BUSY * active as f64 && self.held == 0 {
            // By doubling, so that a node of many cores is not slow for long.
            (active * 2).min(load.len())
        } else {
            active
        }
    }
}

/// Rounds up.
trait CeilDiv {
    fn cdiv(self, by: Self) -> Self;
}

impl CeilDiv for isize {
    fn cdiv(self, by: Self) -> Self {
        (self + by - 1).div_euclid(by)
    }
}

/// A connection's place on a core; dropping it gives the place back.
pub(super) struct Place {
    spread: Arc<Spread>,
    core: usize,
    period: u32,
}

impl Place {
    /// The runtime of its core.
    pub fn runtime(&self) -> &Handle {
        &self.spread.cores[self.core].runtime
    }

    /// To be asked between two batches: whether the connection is to go on elsewhere, and where.
    #[inline]
    pub fn better(&mut self) -> Option<Self> {
        let period = self.spread.period.load(Relaxed);
        if period == self.period {
            return None;
        }
        self.period = period;
        let better = self.spread.better(self.core);
        self.spread.cores[better.unwrap_or(self.core)].busy.fetch_add(1, Relaxed);
        Some(self.spread.place_on(better?))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.spread.cores[self.core].connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(cores: usize) -> Arc<Spread> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let spread = Spread::new(vec![(runtime.handle().clone(), thread); cores]);
        spread.active.store(1, Relaxed);
        spread
    }

    /// Every connection is busy once; those that should, move.
    fn work(places: &mut [Place]) {
        for place in places {
            if let Some(better) = place.better() {
                *place = better;
            }
        }
    }

    fn counts(spread: &Spread) -> Vec<usize> {
        spread.cores.iter().map(|core| core.connections.load(Relaxed)).collect()
    }

    #[test]
    fn connections_spread_under_load_and_gather_again() {
        let spread = spread(4);
        let mut places: Vec<Place> = (0..40).map(|_| spread.place()).collect();
        assert_eq!(counts(&spread), [40, 0, 0, 0]);
        let mut tuner = Tuner::default();
        let mut look = |load: [f64; 4], places: &mut [Place]| {
            let wanted = tuner.wanted(spread.active.load(Relaxed), &load, 0.0);
            spread.next_period(wanted, &load);
            work(places);
            wanted
        };
        for expected in [2, 4, 4] {
            assert_eq!(look([0.99; 4], &mut places), expected);
        }
        assert_eq!(look([0.7; 4], &mut places), 4);
        assert_eq!(counts(&spread), [10; 4]);
        for _ in 0..CALM_PERIODS * 4 {
            look([0.1; 4], &mut places);
        }
        assert_eq!(counts(&spread), [40, 0, 0, 0]);
        drop(places);
        assert_eq!(counts(&spread), [0; 4]);
    }

    #[test]
    fn threads_that_only_take_turns_are_given_up() {
        let mut tuner = Tuner::default();
        assert_eq!(tuner.wanted(1, &[0.99, 0.0], 0.0), 2);
        let mut active = 2;
        for _ in 0..CALM_PERIODS {
            active = tuner.wanted(active, &[0.6, 0.6], 0.5);
        }
        assert_eq!(active, 1);
        let held = (0..).find(|_| tuner.wanted(1, &[0.99, 0.0], 0.0) == 2).unwrap();
        assert_eq!(held + 1, CROWDED_PERIODS.0);
    }

    #[test]
    fn idle_connections_stay_and_do_not_count() {
        let spread = spread(2);
        let _idle: Vec<Place> = (0..50).map(|_| spread.place()).collect();
        let mut busy: Vec<Place> = (0..2).map(|_| spread.place()).collect();
        spread.next_period(1, &[1.0, 0.0]);
        work(&mut busy);
        spread.next_period(2, &[1.0, 0.0]);
        work(&mut busy);
        assert_eq!(busy.iter().map(|place| place.core).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn an_overloaded_core_gives_one_away() {
        let spread = spread(2);
        spread.active.store(2, Relaxed);
        let mut places: Vec<Place> = (0..4).map(|_| spread.place()).collect();
        spread.next_period(2, &[0.5, 0.5]);
        work(&mut places);
        spread.next_period(2, &[0.99, 0.2]);
        work(&mut places);
        assert_eq!(counts(&spread), [1, 3]);
    }

    #[tokio::test]
    async fn the_kernel_tells_how_busy_a_thread_is() {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let spread = Spread::new(vec![(Handle::current(), thread)]);
        let core = &spread.cores[0];
        let Some(before) = core.used().filter(|used| used.running_ns > 0) else { return };
        let mut sum = 0u64;
        while core.used() == Some(before) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
