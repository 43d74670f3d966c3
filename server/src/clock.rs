//! The clocks that Larder reads, each for one purpose.
//!
//! Wall time for deadlines, boot time for leases (it counts suspension), a coarse tick for recency.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Milliseconds since 1970, as in PEXPIREAT.
pub type UnixMs = u64;

/// A coarse clock for recency: units of [`TICK_MS`] since 1970, wrapping every 16 months.
pub type Tick = u32;

/// Milliseconds in a [`Tick`].
pub const TICK_MS: u64 = 10;

/// By how much the system's clock is not followed.
static HELD_BACK_MS: AtomicU64 = AtomicU64::new(0);

/// The wall clock: the system's, held back where that is ahead of the other nodes'.
pub fn unix_ms() -> UnixMs {
    system_ms().saturating_sub(held_back_ms())
}

/// The system's wall clock, right or wrong.
pub fn system_ms() -> UnixMs {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// By how much the wall clock is held back now.
pub fn held_back_ms() -> u64 {
    HELD_BACK_MS.load(Ordering::Relaxed)
}

/// Holds the wall clock back from now on.
pub fn hold_back(ms: u64) {
    HELD_BACK_MS.store(ms, Ordering::Relaxed);
}

/// The tick of a wall-clock instant.
pub fn tick_of(now: UnixMs) -> Tick {
    (now / TICK_MS) as Tick
}

/// Milliseconds between two ticks, the later one first, across the wrap.
pub fn ticks_between_ms(later: Tick, earlier: Tick) -> u64 {
    u64::from(later.wrapping_sub(earlier)) * TICK_MS
}

/// The two clocks that a node goes by; a simulated node has its own.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The wall clock.
    pub unix_ms: fn() -> UnixMs,
    /// Boot time.
    pub boot_ns: fn() -> u64,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { unix_ms, boot_ns }
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
