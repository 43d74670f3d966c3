//! Waiting before something is tried again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use tokio::time::Instant;

use crate::Options;

/// Waits that double up to a cap, each shortened at random by up to half, so that clients that failed together do not
/// come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    deadline: Instant,
}

impl Backoff {
    /// For one command, from now on.
    pub(crate) fn new(options: &Options) -> Self {
        Self { next: options.backoff_min, max: options.backoff_max, deadline: Instant::now() + options.deadline }
    }

    /// The next wait, unless it would end after the deadline.
    fn delay(&mut self) -> Option<Duration> {
        let full = self.next.min(self.max);
        self.next = (full * 2).min(self.max);
        // A hasher with random keys is the source of randomness that the standard library has.
        let random = RandomState::new().hash_one(0) as u32;
        let delay = full / 2 + (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX));
        (Instant::now() + delay < self.deadline).then_some(delay)
    }

    /// Waits, or returns false because the deadline is too near.
    pub(crate) async fn wait(&mut self) -> bool {
        let Some(delay) = self.delay() else { return false };
        tracing::debug!(?delay, "waiting before trying again");
        tokio::time::sleep(delay).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_end_at_the_deadline() {
        let options = Options {
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_millis(80),
            ..Options::default()
        };
        let mut backoff = Backoff::new(&options);
        for full in [10, 20, 40, 80, 80] {
            let delay = backoff.delay().unwrap();
            let full = Duration::from_millis(full);
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
        }
        backoff.deadline = Instant::now();
        assert_eq!(backoff.delay(), None);
    }
}
