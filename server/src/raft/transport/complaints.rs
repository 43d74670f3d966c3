//! Warnings about peers, no more than one in a while: whoever knocks again and again must not fill the log.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Between two warnings.
const PERIOD: Duration = Duration::from_secs(10);
/// Different warnings in that time.
const TEXTS_MAX: usize = 8;

/// Decides which warnings are written.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was warned of in this period, and since when it runs.
    warned: Vec<String>,
    since: Option<Instant>,
    silent: u64,
}

impl Complaints {
    /// Whether to warn of `what` now; if so, how many warnings were left out since the last one. Another text than
    /// those before is news, but only so often: who knocks chooses the text.
    pub fn may_warn(&self, what: &str, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        if state.since.is_none_or(|since| now.duration_since(since) >= PERIOD) {
            state.since = Some(now);
            state.warned.clear();
        }
        if state.warned.len() == TEXTS_MAX || state.warned.iter().any(|old| old == what) {
            state.silent += 1;
            return None;
        }
        state.warned.push(what.to_owned());
        Some(std::mem::take(&mut state.silent))
    }
}

/// How long a node may be out of reach before that is worth a warning: one that restarts is back sooner.
const LOST_MIN: Duration = Duration::from_secs(5);
/// Between two warnings that it still is.
const LOST_PERIOD: Duration = Duration::from_secs(600);

/// Decides when to warn of a node that cannot be reached.
#[derive(Debug, Default)]
pub(super) struct Lost {
    since: Option<Instant>,
    warned: Option<Instant>,
}

impl Lost {
    /// Whether to warn now that it was not reached once more.
    pub fn may_warn(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let warns = match self.warned {
            None => now.duration_since(since) >= LOST_MIN,
            Some(warned) => now.duration_since(warned) >= LOST_PERIOD,
        };
        if warns {
            self.warned = Some(now);
        }
        warns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_complaint_is_made_once_in_a_while() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        assert_eq!(complaints.may_warn("a", start), Some(0));
        assert_eq!(complaints.may_warn("a", start), None);
        assert_eq!(complaints.may_warn("b", start), Some(1));
        assert_eq!(complaints.may_warn("b", start + PERIOD / 2), None);
        assert_eq!(complaints.may_warn("b", start + PERIOD), Some(1));
    }

    #[test]
    fn a_node_that_stays_out_of_reach_is_told_of_seldom() {
        let (mut lost, start) = (Lost::default(), Instant::now());
        let mut warned = (0..3600).filter(|second| lost.may_warn(start + Duration::from_secs(*second)));
        assert_eq!((warned.next(), warned.next(), warned.count()), (Some(5), Some(605), 4));
    }

    #[test]
    fn ever_new_texts_do_not_fill_the_log() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let warned = (0..1000).filter(|version| complaints.may_warn(&format!("version {version}"), start).is_some());
        assert_eq!(warned.count(), TEXTS_MAX);
        assert_eq!(complaints.may_warn("a", start + PERIOD), Some(1000 - TEXTS_MAX as u64));
    }
}
