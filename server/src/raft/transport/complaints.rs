//! Warnings about peers, no more than one in a while: whoever knocks again and again must not fill the log.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Between two warnings.
const PERIOD: Duration = Duration::from_secs(10);

/// Decides which warnings are written.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Instant, String)>,
    silent: u64,
}

impl Complaints {
    /// Whether to warn of `what` now; if so, how many warnings were left out since the last one. Another text than the
    /// last one is news.
    pub fn may_warn(&self, what: &str, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let old = matches!(&state.last, Some((at, last)) if last == what && now.duration_since(*at) < PERIOD);
        if old {
            state.silent += 1;
            return None;
        }
        state.last = Some((now, what.to_owned()));
        Some(std::mem::take(&mut state.silent))
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
}
