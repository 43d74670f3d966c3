//! The clocks of one simulated machine: they run at a rate of their own, and may stop or jump.

use larder::clock::Judgement;
use std::time::Duration;

/// Wall time at the beginning of a run, milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_700_000_000_000;
/// Boot and monotonic time at the beginning of a run: code subtracts time-outs from now.
const START_NS: u64 = 86_400 * 1_000_000_000;

/// How a machine's clocks go. True time is the executor's, in nanoseconds since the run began.
#[derive(Debug, Clone, Copy)]
pub struct MachineClock {
    /// By how many millionths they run fast.
    pub rate_ppm: i64,
    /// By how much the wall clock is wrong, milliseconds.
    pub wall_offset_ms: i64,
    /// What the node thinks of its wall clock.
    pub judgement: Judgement,
    /// How long the machine was suspended in all: monotonic time does not count it, boot time does.
    pub suspended_ns: u64,
    /// Boot time since which it is suspended.
    pub suspended_at_ns: Option<u64>,
    /// Boot time, and true time when it was that: from there on it runs at `rate_ppm`.
    base: (u64, u64),
}

impl Default for MachineClock {
    fn default() -> Self {
        Self {
            rate_ppm: 0,
            wall_offset_ms: 0,
            judgement: Judgement::default(),
            suspended_ns: 0,
            suspended_at_ns: None,
            base: (START_NS, 0),
        }
    }
}

fn scale(ns: u64, ppm: i64) -> u64 {
    (ns as i128 + ns as i128 * ppm as i128 / 1_000_000) as u64
}

impl MachineClock {
    /// Boot time at true time `now_ns`.
    pub fn boot_ns(&self, now_ns: u64) -> u64 {
        self.base.0 + scale(now_ns - self.base.1, self.rate_ppm)
    }

    /// Monotonic time, which stands still while the machine is suspended.
    pub fn monotonic_ns(&self, now_ns: u64) -> u64 {
        self.suspended_at_ns.unwrap_or_else(|| self.boot_ns(now_ns)) - self.suspended_ns
    }

    /// What the system's wall clock shows.
    pub fn system_ms(&self, now_ns: u64) -> u64 {
        let elapsed = (self.boot_ns(now_ns) - START_NS) / 1_000_000;
        (EPOCH_MS + elapsed).saturating_add_signed(self.wall_offset_ms)
    }

    /// What the node takes for the wall clock.
    pub fn wall_ms(&self, now_ns: u64) -> u64 {
        self.judgement.wall_ms(self.system_ms(now_ns), self.boot_ns(now_ns))
    }

    /// True time at which monotonic time will be `monotonic_ns`, about, if nothing changes until then.
    pub fn true_ns_at(&self, monotonic_ns: u64, now_ns: u64) -> u64 {
        let left = monotonic_ns.saturating_sub(self.monotonic_ns(now_ns));
        now_ns + (left as i128 * 1_000_000 / (1_000_000 + self.rate_ppm as i128)) as u64
    }

    /// From now on the clocks run at another rate.
    pub fn set_rate(&mut self, now_ns: u64, ppm: i64) {
        self.base = (self.boot_ns(now_ns), now_ns);
        self.rate_ppm = ppm;
    }

    /// The machine is suspended.
    pub fn suspend(&mut self, now_ns: u64) {
        let boot_ns = self.boot_ns(now_ns);
        self.suspended_at_ns.get_or_insert(boot_ns);
    }

    /// The machine goes on.
    pub fn resume(&mut self, now_ns: u64) {
        if let Some(at) = self.suspended_at_ns.take() {
            self.suspended_ns += self.boot_ns(now_ns) - at;
        }
    }
}

/// An instant of a machine's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimInstant(pub(super) u64);

impl std::ops::Add<Duration> for SimInstant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_nanos() as u64))
    }
}

impl std::ops::AddAssign<Duration> for SimInstant {
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

impl std::ops::Sub<Duration> for SimInstant {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time.as_nanos() as u64))
    }
}

impl std::ops::SubAssign<Duration> for SimInstant {
    fn sub_assign(&mut self, time: Duration) {
        *self = *self - time;
    }
}

impl std::ops::Sub for SimInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl openraft::Instant for SimInstant {
    fn now() -> Self {
        Self(super::executor::current().monotonic_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn rates_and_suspensions_add_up() {
        let mut clock = MachineClock::default();
        clock.set_rate(0, 10_000);
        assert_eq!(clock.boot_ns(SECOND) - START_NS, 1_010_000_000);
        clock.suspend(SECOND);
        assert_eq!(clock.monotonic_ns(3 * SECOND), clock.boot_ns(SECOND));
        clock.resume(3 * SECOND);
        assert_eq!(clock.boot_ns(4 * SECOND) - clock.monotonic_ns(4 * SECOND), 2 * 1_010_000_000);
        let then = clock.monotonic_ns(4 * SECOND) + 1_010_000;
        assert_eq!(clock.true_ns_at(then, 4 * SECOND), 4 * SECOND + 1_000_000);
        clock.wall_offset_ms = -500;
        assert_eq!(clock.wall_ms(0), EPOCH_MS - 500);
    }
}
