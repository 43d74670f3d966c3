//! The task that proposes attempts for those who wait at a leader. It lives while somebody waits.

use super::queue::Waiters;
use super::surroundings::Surroundings;
use crate::commands::blocking;
use crate::planted::{Bug, planted};
use crate::raft::ANY_TERM;
use crate::raft::partition::{Partition, PartitionState, Role};
use crate::raft::share::{Share, ShareOutcome};
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Attempts in a round.
const ROUND_COMMANDS_MAX: usize = 256;
/// Pause after a round that was refused while this copy still leads: its lease is over for a moment, say.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// Sees to it that somebody looks after `waiters`, those of `partition`, whose lock is held.
pub(super) fn attend(partition: &Arc<Partition>, waiters: &mut Waiters) {
    if let Some(wake) = waiters.appoint() {
        let surroundings = waiters.surroundings;
        (surroundings.spawn)(Box::pin(run(Arc::clone(partition), wake, surroundings)));
    }
    waiters.wake();
}

/// What the steward does next.
enum Step {
    /// Nobody waits.
    Go,
    /// Nothing until it is woken.
    Rest,
    /// These attempts.
    Round { ids: Vec<u64>, share: Share, outcome: oneshot::Receiver<ShareOutcome> },
}

async fn run(partition: Arc<Partition>, wake: Arc<Notify>, surroundings: Surroundings) {
    loop {
        let step = partition.lock().next_step(&partition);
        match step {
            Step::Go => return,
            Step::Rest => wake.notified().await,
            Step::Round { ids, share, outcome } => {
                partition.propose(share);
                let outcome = outcome.await.unwrap_or(ShareOutcome::Uncertain);
                let refused = matches!(outcome, ShareOutcome::Refused(_));
                {
                    let mut guard = partition.lock();
                    let state = &mut *guard;
                    state.waiters.end_round(&ids, outcome, &mut state.keyspace);
                }
                if refused {
                    (surroundings.sleep)(REFUSED_PAUSE).await;
                }
            }
        }
    }
}

impl PartitionState {
    fn next_step(&mut self, partition: &Partition) -> Step {
        if self.waiters.is_empty() {
            self.waiters.retire();
            return Step::Go;
        }
        if self.role != Role::Leader || !self.waiters.is_between_rounds() {
            return Step::Rest;
        }
        let clocks = self.waiters.surroundings.clocks;
        let now = clocks.unix_ms().max(self.clock);
        let mut chosen: BTreeSet<u64> = BTreeSet::new();
        let pending: Vec<u64> = self.waiters.pending().collect();
        let mut touched = self.keyspace.take_touched();
        // Those who came earlier come before one whose first attempt is due, on every key of his.
        for id in pending {
            if let Some(wanted) = self.waiters.wanted(id) {
                chosen.insert(id);
                if self.waiters.is_first(id) {
                    touched.extend(wanted.keys.iter().map(|key| (wanted.database, Arc::clone(key))));
                }
            }
        }
        for awaited in touched {
            for worth in self.waiters.lines(&awaited) {
                // Each takes one element at least.
                let mut left = self.worth_of(&awaited, worth, now);
                let mut from = 0;
                while let Some(id) = self.waiters.next_in_line(&awaited, worth, from).filter(|_| left > 0) {
                    from = id + 1;
                    if self.waiters.wanted(id).is_some() {
                        left -= 1;
                        chosen.insert(id);
                    }
                }
            }
        }
        let mut chosen: Vec<u64> = chosen.into_iter().collect();
        if planted(Bug::LastWaiterFirst) {
            chosen.reverse();
        }
        let alone = partition.lease_holds((clocks.boot_ns)());
        let (mut ids, mut bytes, mut grows) = (Vec::new(), BytesMut::new(), false);
        for id in chosen {
            let Some(wanted) = self.waiters.wanted(id) else { continue };
            if ids.len() == ROUND_COMMANDS_MAX {
                // The next round begins with them.
                self.waiters.postpone(id);
                continue;
            }
            if alone && !wanted.writes {
                // What has been applied is enough to tell.
                let reply = wanted.attempt(self, now, id);
                if !blocking::is_null(&reply) {
                    let reply = ShareOutcome::Applied(super::one_reply(reply));
                    self.waiters.answer(id, reply, &mut self.keyspace);
                } else {
                    self.waiters.in_vain(id, &mut self.keyspace);
                }
                continue;
            }
            bytes.extend_from_slice(&wanted.block);
            grows |= wanted.grows;
            ids.push(id);
        }
        if ids.is_empty() {
            return Step::Rest;
        }
        self.waiters.begin_round(&ids);
        let (done, outcome) = oneshot::channel();
        let share =
            Share { block: bytes.freeze(), count: ids.len() as u32, grows, watch: None, term_max: ANY_TERM, done };
        Step::Round { ids, share, outcome }
    }
}
