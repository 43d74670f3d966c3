//! How a copy stands in its group, and its end before a generation that is begun while it lives.

use super::Group;
use crate::ids::CopyId;
use crate::planted::{Bug, planted};
use crate::raft::partition::Role;
use crate::raft::types::LogId;
use openraft::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// How a copy stands in its group: from this of all living copies follows whether the group can decide anything, and which
/// copy has everything that was ever committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its last entry: the term, the leader that made it, the index; zeros where it has none. The leader belongs to it: two
    /// may have led in one term, the greater one later.
    pub last: (u64, u64, u64),
    /// The voters of the last membership in its log, committed or not: two sets while a change is under way, none where it
    /// has no membership.
    pub configs: Vec<Vec<CopyId>>,
    /// Whether it leads and that membership is committed: then it can end a change under way though nobody could be elected.
    pub leads_on: bool,
    /// Whether it takes part no more.
    pub sealed: bool,
}

impl<RT: AsyncRuntime> Group<RT> {
    /// How this copy stands now.
    pub fn standing(&self) -> Standing {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = &metrics.membership_config;
        let configs = membership.membership().get_joint_config();
        let copies = |config: &std::collections::BTreeSet<u64>| config.iter().copied().map(CopyId::unpack).collect();
        Standing {
            last: self.last().map_or((0, 0, 0), |id| (id.leader_id.term, id.leader_id.node_id, id.index)),
            configs: configs.iter().map(copies).collect(),
            leads_on: self.leads() && membership.log_id() == metrics.committed_membership_config.log_id(),
            sealed: self.is_sealed(),
        }
    }

    /// The last entry that this copy could begin a generation with.
    fn last(&self) -> Option<LogId> {
        let (purged, last) = self.log.ends();
        let applied = self.partition.lock().applied();
        // A copy that was stopped while a snapshot came has cut its log for it, and may not have its items.
        if self.is_sealed() && purged > applied { applied } else { last.max(applied) }
    }

    /// Whether this copy takes part no more.
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Takes this copy out of its group for good: from here on it neither votes nor takes, acknowledges or answers anything,
    /// in this generation. It keeps log and items, for it may be the one that the next generation begins with. False where
    /// it is not at its end yet: ask again.
    ///
    /// Must be called where the group lives, so that its observer does not see half of it.
    pub async fn seal(&self) -> bool {
        self.sealed.store(true, Ordering::SeqCst);
        if planted(Bug::SealIsForgotten) {
            return true;
        }
        self.stop().await;
        self.partition.lock().role = Role::Follower(None);
        self.until_machine_ends().await
    }
}
