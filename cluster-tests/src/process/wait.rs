//! Waiting for a condition, never for a time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
const POLL: Duration = Duration::from_millis(5);

/// Looks at `condition` until it gives a value; returns it and how long that took.
///
/// # Panics
/// When `limit` has passed, with the last reason that `condition` gave.
pub fn wait_until<T, E: Display>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<T, E>,
) -> (T, Duration) {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(value) => return (value, start.elapsed()),
            Err(reason) if start.elapsed() > limit => panic!("{what}: not within {limit:?}: {reason}"),
            Err(_) => std::thread::sleep(POLL),
        }
    }
}
