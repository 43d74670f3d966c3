//! Whether a node is a full member.

use super::node::ClusterNode;
use super::reconciler;
use crate::ids::PartitionId;
use crate::raft::Role;
use crate::topology::NodeState;

impl ClusterNode {
    /// Whether all copies of this node are caught-up voters, as `/readyz` wants; if not, why.
    ///
    /// # Errors
    /// The reason.
    pub fn readiness(&self) -> Result<(), String> {
        if let Err(error) = self.directory.check_running() {
            return Err(format!("{error}; mend that, then restart this node"));
        }
        let state = self.directory.state();
        let Some(record) = state.nodes.get(&self.me.node) else {
            return Err("this node is not a member of the cluster".into());
        };
        match record.state {
            NodeState::Joining => return Err("joining".into()),
            NodeState::Down => return Err("removed by an operator".into()),
            NodeState::Left => return Ok(()),
            NodeState::Up | NodeState::Draining => {}
        }
        if self.directory.leader().is_none() {
            return Err("the directory has no leader".into());
        }
        // A node that has just come up is in no target yet: that is not the same as having nothing to hold.
        let placed = reconciler::wanted_targets(&state)
            .is_some_and(|wanted| state.partitions.iter().map(|record| &record.target).eq(&wanted));
        if !placed {
            return Err("placement is changing".into());
        }
        if record.state == NodeState::Up && !state.is_settled(self.me.node) {
            let mut others = state.nodes.iter().filter(|(no, _)| **no != self.me.node);
            let lost = others.find(|(no, node)| node.state == NodeState::Up && !self.is_heard(**no));
            return Err(match lost {
                // Nothing moves where placement still counts on a node that does not answer.
                Some((no, _)) => format!("copies wait for node {}, which is out of reach", self.label(*no)),
                None => "copies are still on their way".into(),
            });
        }
        let topology = self.routes.topology();
        let mut mine = topology.owners.iter().enumerate().filter(|(_, owners)| owners.copies.contains(&self.me.node));
        if let Some((index, _)) = mine.find(|(_, owners)| !topology.is_served(owners)) {
            return Err(format!(
                "partition {index} takes no writes: its leader or most of its copies cannot be reached"
            ));
        }
        let held = state.partitions.iter().enumerate().filter(|(_, record)| record.voters.contains(&self.me));
        for (index, _) in held {
            let id = PartitionId(index as u16);
            let ready = match self.copies.group(id) {
                Some(group) => group.is_caught_up_voter(),
                None => self.routes.partitions()[id.index()].lock().role == Role::Solo,
            };
            if !ready {
                return Err(format!("the copy of partition {id} is not a caught-up voter"));
            }
        }
        Ok(())
    }
}
