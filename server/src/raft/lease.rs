//! The leader's lease: until when it may answer reads alone.
//!
//! A quorum that acknowledged the leader at time t does not elect another before t + `election_timeout_max` (its own
//! clock; clocks are taken to run at rates within 20 % of each other), so reads are safe until t + 0.8 x that.
//! openraft knows t in monotonic time; the lease is measured in boot time, which counts suspension.

use super::group::Timing;
use super::machine::Machine;
use super::network::GroupRaft;
use super::partition::Partition;
use super::types::{GroupTypes, LeaderId};
use crate::planted::{Bug, planted};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{AsyncRuntime, Instant};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Whether, and how, the lease of one group is renewed.
#[derive(Debug, Default)]
pub(super) struct LeaseSampler {
    /// While above zero the lease is not renewed (a membership change of a sole voter).
    held: AtomicUsize,
    /// The lease is not renewed in this term or an earlier one (a transfer was asked for).
    barred_term: AtomicU64,
    /// Boot time of the last suspension: acknowledgements from before are not trusted.
    jumped_ns: AtomicU64,
}

/// Keeps the lease from being renewed until dropped.
pub(super) struct Held<'a>(&'a LeaseSampler);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl LeaseSampler {
    pub(super) fn hold(&self) -> Held<'_> {
        self.held.fetch_add(1, Ordering::SeqCst);
        Held(self)
    }

    pub(super) fn hold_until_term_changes(&self, term: u64) {
        self.barred_term.fetch_max(term, Ordering::SeqCst);
    }

    /// Whether there may be no lease in `term` now.
    pub(super) fn is_barred(&self, term: u64) -> bool {
        let barred = self.held.load(Ordering::SeqCst) > 0 || term <= self.barred_term.load(Ordering::SeqCst);
        barred && !planted(Bug::LeaseDuringTransfer)
    }

    /// The end of the lease in boot time, or 0 where there is none.
    pub(super) fn sample<RT: AsyncRuntime>(
        &self,
        raft: &GroupRaft<RT>,
        partition: &Partition,
        timing: Timing,
        boot_ns: u64,
        jumped: bool,
    ) -> u64 {
        if jumped && !planted(Bug::LeaseIgnoresSuspension) {
            self.jumped_ns.store(boot_ns, Ordering::Release);
        }
        let Ok(leader) = raft.as_leader() else { return 0 };
        let leader_id: LeaderId = *leader.leader_id();
        let applied = planted(Bug::LeaseBeforeOwnEntry) || applied_own_entry(partition, leader_id);
        if self.is_barred(leader_id.term) || !applied {
            return 0;
        }
        let span_ns = timing.election_ms.1 * if planted(Bug::LeaseTooLong) { 2_500_000 } else { 800_000 };
        let acked_ns = match leader.last_quorum_acked() {
            Some(at) => boot_ns.saturating_sub(at.elapsed().as_nanos() as u64),
            // Nobody to acknowledge: the only voter is its own quorum.
            None if is_sole_voter::<RT>(raft, leader_id) => boot_ns,
            None => return 0,
        };
        if acked_ns <= self.jumped_ns.load(Ordering::Acquire) {
            return 0;
        }
        acked_ns + span_ns
    }
}

/// Whether the copy has applied an entry of its own leadership, and so everything that was committed before it.
fn applied_own_entry(partition: &Partition, leader_id: LeaderId) -> bool {
    partition.lock().applied().is_some_and(|id| id.leader_id == leader_id)
}

fn is_sole_voter<RT: AsyncRuntime>(raft: &openraft::Raft<GroupTypes<RT>, Machine>, leader_id: LeaderId) -> bool {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let effective = metrics.membership_config.membership();
    let committed = metrics.committed_membership_config.membership();
    let alone = |membership: &super::types::Membership| membership.voter_ids().eq([leader_id.node_id]);
    alone(effective) && alone(committed)
}
