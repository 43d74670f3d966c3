//! A group's members: who they are, how far each of them is, and how they change.

use super::Group;
use crate::ids::{CopyId, NodeNo};
use crate::raft::types::LogId;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::Precondition;
use openraft::{AsyncRuntime, ChangeMembers, Instant};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A learner that is silent for so long is not waited for any more.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Why a change of a group's members did not happen (or not to its end: ask again).
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ReshapeError {
    /// Another copy leads.
    #[error("this copy does not lead the partition")]
    NotLeader,
    /// Another membership is in force than the change was to start from.
    #[error("another membership is in force")]
    Unexpected,
    /// A copy to be added did not catch up in time.
    #[error("a copy did not catch up in time")]
    Behind,
    /// Whatever else.
    #[error("{0}")]
    Other(String),
}

/// A copy as its group's leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// Which.
    pub copy: CopyId,
    /// Whether it votes.
    pub voter: bool,
    /// Entries that it lacks.
    pub behind: u64,
}

impl<RT: AsyncRuntime> Group<RT> {
    /// The voters of the membership in force, and whether a change is going on.
    pub fn voters(&self) -> (BTreeSet<CopyId>, bool) {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let changing = membership.get_joint_config().len() > 1
            || metrics.membership_config.log_id() != metrics.committed_membership_config.log_id();
        (membership.voter_ids().map(CopyId::unpack).collect(), changing)
    }

    /// What the leader knows of each member; empty where this copy does not lead.
    pub fn progress(&self) -> Vec<CopyProgress> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = &metrics.replication else { return Vec::new() };
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let last = metrics.last_log_index.unwrap_or(0);
        replication
            .iter()
            .map(|(id, matched)| CopyProgress {
                copy: CopyId::unpack(*id),
                voter: voters.contains(id),
                behind: last.saturating_sub(matched.map_or(0, |id| id.index)),
            })
            .collect()
    }

    /// The committed membership: its log id, its voters. `None` while a change is under way, or before this leader has
    /// committed an entry of its own term.
    pub fn settled(&self) -> Option<(LogId, BTreeSet<CopyId>)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let committed = &metrics.committed_membership_config;
        let own = metrics.cluster_committed.is_some_and(|id| id.leader_id == metrics.vote.leader_id);
        let quiet = committed.membership().get_joint_config().len() == 1
            && committed.log_id() == metrics.membership_config.log_id();
        let id = (*committed.log_id())?;
        (own && quiet).then(|| (id, committed.voter_ids().map(CopyId::unpack).collect()))
    }

    /// Makes `target`, which this leader is part of, the voters: learners are added and caught up first, then a joint
    /// change swaps the sets. Where a change was left in the middle, this ends it; one that is still waiting for learners
    /// gives way to this one.
    ///
    /// `expected` is the term and index of the membership that the change starts from; with another one in force nothing
    /// is done. With `anew` the membership is written again even where it is `target` already.
    pub async fn reshape(
        &self,
        expected: (u64, u64),
        target: &BTreeSet<CopyId>,
        anew: bool,
        timeout: Duration,
    ) -> Result<(), ReshapeError> {
        let turn = self.reshapes.fetch_add(1, Ordering::AcqRel) + 1;
        let other = |error: &dyn std::fmt::Display| ReshapeError::Other(error.to_string());
        if !self.leads() {
            return Err(ReshapeError::NotLeader);
        }
        if !target.contains(&self.me) {
            return Err(ReshapeError::Other("the leader is not among the voters asked for".into()));
        }
        let (voters, changing) = self.voters();
        if voters == *target && !changing && !anew {
            return Ok(());
        }
        match self.settled() {
            Some((id, _)) if (id.leader_id.term, id.index) != expected => return Err(ReshapeError::Unexpected),
            None if !changing => return Err(ReshapeError::Other("the leader is new".into())),
            _ => {}
        }
        // A sole voter's lease rests on nobody else being able to elect: it ends before that changes.
        let _guard = self.sampler.hold();
        self.partition.set_lease(0);
        let added: BTreeSet<CopyId> = target.difference(&voters).copied().collect();
        for copy in &added {
            self.raft.add_learner(copy.pack(), (), false).await.map_err(|error| other(&error))?;
        }
        // Voters that stay are not waited for: one of them may be away, and the majority is what counts.
        self.until_caught_up(&added, timeout).await?;
        if self.reshapes.load(Ordering::Acquire) != turn {
            return Err(ReshapeError::Other("another change was ordered meanwhile".into()));
        }
        let ids: BTreeSet<u64> = target.iter().map(|copy| copy.pack()).collect();
        let membership_id = *self.raft.server_metrics().borrow_watched().membership_config.log_id();
        let precondition = Precondition::LastMembershipLogId { last_membership_log_id: membership_id };
        self.raft
            .change_membership_if(ChangeMembers::ReplaceAllVoters(ids), false, [precondition])
            .await
            .map_err(|error| other(&error))?;
        Ok(())
    }

    /// Waits for learners, as long as they are heard from.
    async fn until_caught_up(&self, added: &BTreeSet<CopyId>, timeout: Duration) -> Result<(), ReshapeError> {
        let begun = RT::Instant::now();
        let mut heard = begun;
        let mut metrics = self.raft.data_metrics();
        loop {
            {
                let now = metrics.borrow_and_update();
                let last = now.last_log.map_or(0, |id| id.index);
                let caught_up = added.iter().all(|copy| {
                    let matched = now.replication.as_ref().and_then(|all| all.get(&copy.pack()).copied().flatten());
                    matched.is_some_and(|id| id.index + 64 >= last)
                });
                if caught_up {
                    return Ok(());
                }
                if now.replication.is_none() {
                    return Err(ReshapeError::NotLeader);
                }
            }
            let sending = self.partition.lock().view_index.is_some();
            if sending || added.iter().all(|copy| self.acknowledged(*copy)) {
                heard = RT::Instant::now();
            }
            if begun.elapsed() > timeout || heard.elapsed() > SILENCE_MAX {
                return Err(ReshapeError::Behind);
            }
            if let Ok(Err(_)) = RT::timeout(SILENCE_MAX / 10, metrics.changed()).await {
                return Err(ReshapeError::NotLeader);
            }
        }
    }

    fn best_follower(&self, among: &BTreeSet<CopyId>) -> Option<CopyId> {
        let usable = |one: &CopyProgress| one.copy != self.me && among.contains(&one.copy) && self.hears(one.copy);
        let candidates = self.progress().into_iter().filter(usable);
        candidates.min_by_key(|one| one.behind).map(|one| one.copy)
    }

    /// Hands leadership to `to`, a voter. Returns when it was asked for, not when it has happened.
    pub async fn transfer(&self, to: CopyId) -> Result<(), ReshapeError> {
        if !self.leads() {
            return Err(ReshapeError::NotLeader);
        }
        // A transfer cannot be called off: until the target takes over, writes are refused. So it goes only to a copy that
        // has just been heard from.
        if !self.hears(to) {
            return Err(ReshapeError::Other(format!("node {} does not answer now", to.node)));
        }
        // From before the transfer is asked for until the term changes there is no lease here: the target may be
        // elected at once.
        self.sampler.hold_until_term_changes(self.raft.server_metrics().borrow_watched().vote.leader_id.term);
        self.partition.set_lease(0);
        self.raft.trigger().transfer_leader(to.pack()).await.map_err(|error| ReshapeError::Other(error.to_string()))
    }

    /// Whether a copy has acknowledged this leader within the last heartbeats.
    fn acknowledged(&self, copy: CopyId) -> bool {
        let recent = Duration::from_millis(3 * self.host.timing.heartbeat_ms);
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heartbeats = metrics.heartbeat.as_ref();
        heartbeats.and_then(|all| all.get(&copy.pack()).copied().flatten()).is_some_and(|at| at.elapsed() < recent)
    }

    /// Whether a follower has done so and lacks little.
    fn hears(&self, copy: CopyId) -> bool {
        self.acknowledged(copy) && self.progress().iter().any(|one| one.copy == copy && one.behind <= 64)
    }

    /// Hands leadership to whichever voter is most caught up; false where there is no other voter.
    pub async fn hand_over(&self) -> bool {
        self.give_way(&BTreeSet::new()).await
    }

    /// The same, to none on these nodes.
    pub async fn give_way(&self, avoided: &BTreeSet<NodeNo>) -> bool {
        let (mut voters, _) = self.voters();
        voters.retain(|copy| !avoided.contains(&copy.node));
        match self.best_follower(&voters) {
            Some(heir) => self.transfer(heir).await.is_ok(),
            None => false,
        }
    }
}
