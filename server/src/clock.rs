//! The clocks that Larder reads, each for one purpose.
//!
//! Wall time for deadlines, boot time for leases (it counts suspension), a fine tick for recency.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Milliseconds since 1970, as in PEXPIREAT.
pub type UnixMs = u64;

/// A fine clock for recency: units of 100 ns since 1970. No two uses that follow each other have the same.
pub type Tick = u64;

/// [`Tick`]s in a millisecond.
pub const TICKS_PER_MS: u64 = 10_000;

const NS_PER_TICK: u64 = 1_000_000 / TICKS_PER_MS;

/// By how much the wall clock may gain on boot time before anybody has judged that: clocks show milliseconds, and drift a
/// little between two looks.
const UNJUDGED_MS: u64 = 10;

/// What was found of the system's wall clock when it was looked at last (`cluster::skew`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judgement {
    /// By how much it is not followed.
    pub held_back_ms: u64,
    /// By how much it was ahead of boot time then. None before the first look.
    pub ahead_of_boot_ms: Option<u64>,
}

impl Judgement {
    /// The wall clock, where the system's and boot time show this: the system's, held back where that is ahead of the
    /// other nodes'. A jump ahead is not followed before it was judged: until then the clock goes on by boot time.
    pub fn wall_ms(self, system_ms: UnixMs, boot_ns: u64) -> UnixMs {
        ms_of(self.wall(tick_of(system_ms), boot_ns))
    }

    /// The same in ticks.
    fn wall(self, system: Tick, boot_ns: u64) -> Tick {
        let limit =
            |ahead_ms: u64| (boot_ns / NS_PER_TICK).saturating_add(tick_of(ahead_ms.saturating_add(UNJUDGED_MS)));
        let followed = self.ahead_of_boot_ms.map_or(system, |ahead_ms| system.min(limit(ahead_ms)));
        followed.saturating_sub(tick_of(self.held_back_ms))
    }
}

/// The last [`Judgement`] of this process's clock.
static HELD_BACK_MS: AtomicU64 = AtomicU64::new(0);
/// `u64::MAX`: none.
static AHEAD_OF_BOOT_MS: AtomicU64 = AtomicU64::new(u64::MAX);

/// The wall clock, as far as it is trusted: see [`Judgement::wall_ms`].
pub fn unix_ms() -> UnixMs {
    ms_of(tick())
}

/// The same in ticks.
pub fn tick() -> Tick {
    // In this order: who sees by how much the clock may be ahead sees by how much it is held back for that.
    let ahead_ms = AHEAD_OF_BOOT_MS.load(Ordering::Acquire);
    let held_back_ms = HELD_BACK_MS.load(Ordering::Acquire);
    let judged = Judgement { held_back_ms, ahead_of_boot_ms: (ahead_ms != u64::MAX).then_some(ahead_ms) };
    judged.wall(system_tick(), boot_ns())
}

/// The system's wall clock, right or wrong.
pub fn system_ms() -> UnixMs {
    ms_of(system_tick())
}

fn system_tick() -> Tick {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| (elapsed.as_nanos() / u128::from(NS_PER_TICK)) as u64)
}

/// By how much the wall clock is held back now.
pub fn held_back_ms() -> u64 {
    HELD_BACK_MS.load(Ordering::Relaxed)
}

/// From now on the wall clock goes by this judgement.
pub fn judge(judgement: Judgement) {
    HELD_BACK_MS.store(judgement.held_back_ms, Ordering::Release);
    AHEAD_OF_BOOT_MS.store(judgement.ahead_of_boot_ms.unwrap_or(u64::MAX), Ordering::Release);
}

/// The tick of a wall-clock instant.
pub fn tick_of(now: UnixMs) -> Tick {
    now.saturating_mul(TICKS_PER_MS)
}

/// Ticks of a time.
pub fn ticks_in(time: Duration) -> Tick {
    (time.as_nanos() / u128::from(NS_PER_TICK)) as Tick
}

/// The wall-clock instant of a tick.
pub fn ms_of(tick: Tick) -> UnixMs {
    tick / TICKS_PER_MS
}

/// The two clocks that a node goes by; a simulated node has its own.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The wall clock, finely.
    pub tick: fn() -> Tick,
    /// Boot time.
    pub boot_ns: fn() -> u64,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { tick, boot_ns }
    }
}

impl Clocks {
    /// The wall clock.
    pub fn unix_ms(&self) -> UnixMs {
        ms_of((self.tick)())
    }
}

/// Nanoseconds since boot, suspension included (CLOCK_BOOTTIME): what leases are measured with.
pub fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// When the process began to beat.
static FIRST_BEAT: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The first beat of `period` that is not before `wait` from now is over. Beats are whole periods since one instant of the
/// process, so what waits for them wakes up together.
pub fn beat_after(wait: Duration, period: Duration) -> Instant {
    let due = Instant::now() + wait;
    let since = due.saturating_duration_since(*FIRST_BEAT).as_nanos() as u64;
    let period = (period.as_nanos() as u64).max(1);
    due + Duration::from_nanos(since.next_multiple_of(period) - since)
}

/// The time until the next beat of `period`: how long every loop waits that looks at something now and then, so that an
/// idle core wakes up once for all of them.
pub fn until_beat(period: Duration) -> Duration {
    beat_after(Duration::from_nanos(1), period).saturating_duration_since(Instant::now())
}

/// Waits for the next beat of `period`.
pub async fn beat(period: Duration) {
    tokio::time::sleep_until(beat_after(Duration::from_nanos(1), period)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT_NS: u64 = 3_600_000_000_000;
    const AHEAD_MS: u64 = 1_700_000_000_000;
    const THEN: UnixMs = AHEAD_MS + BOOT_NS / 1_000_000;

    fn judged(held_back_ms: u64) -> Judgement {
        Judgement { held_back_ms, ahead_of_boot_ms: Some(AHEAD_MS) }
    }

    #[test]
    fn a_jump_ahead_is_not_followed_before_it_was_judged() {
        assert_eq!(Judgement::default().wall_ms(THEN + 60_000, BOOT_NS), THEN + 60_000, "nobody has looked yet");
        assert_eq!(judged(0).wall_ms(THEN, BOOT_NS), THEN);
        assert_eq!(judged(0).wall_ms(THEN + 60_000, BOOT_NS), THEN + UNJUDGED_MS);
        // It goes on by boot time meanwhile.
        assert_eq!(judged(0).wall_ms(THEN + 60_040, BOOT_NS + 40_000_000), THEN + 40 + UNJUDGED_MS);
    }

    #[test]
    fn what_was_judged_is_held_back_and_a_step_back_is_followed_at_once() {
        let held = Judgement { held_back_ms: 60_000, ahead_of_boot_ms: Some(AHEAD_MS + 60_000) };
        assert_eq!(held.wall_ms(THEN + 60_000, BOOT_NS), THEN);
        assert_eq!(held.wall_ms(THEN, BOOT_NS), THEN - 60_000);
        assert_eq!(judged(0).wall_ms(THEN - 5_000, BOOT_NS), THEN - 5_000);
    }
}
