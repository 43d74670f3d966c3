//! The directory's state machine: a command, the state, and the rules between them. No clock, no dice, no I/O.

use super::command::{Applied, DirectoryCommand, DirectoryResponse, Refused, Registration};
use super::state::{Cluster, ClusterId, DirectoryState, MembershipId, NodeRecord, PartitionRecord, Settings, quorum};
use crate::ids::{CopyId, Incarnation, NodeNo};
use crate::planted::{Bug, planted};
use crate::topology::NodeState;
use std::collections::BTreeSet;

/// The most nodes of a cluster.
pub const NODES_MAX: usize = 1000;
/// The most copies of a partition.
pub const REPLICAS_MAX: u8 = 9;
/// The most partitions.
pub const PARTITIONS_MAX: u16 = 4096;

impl DirectoryState {
    /// Applies a command. A refused one leaves the state as it was.
    pub fn apply(&mut self, command: DirectoryCommand) -> DirectoryResponse {
        use DirectoryCommand as C;
        if let C::CreateCluster { id, settings } = command {
            return self.create(id, settings);
        }
        if self.cluster.is_none() {
            return Err(Refused::NoCluster);
        }
        match command {
            C::CreateCluster { .. } => unreachable!("handled above"),
            C::RegisterNode(registration) => self.register(registration),
            C::SetNodeState { no, state } => self.set_node_state(no, state),
            C::ForgetNode { no } => self.forget(no),
            C::SetTarget { expected, targets } => self.set_target(expected, targets),
            C::PlanVoters { partition, generation, expected, voters } => {
                self.plan(partition, generation, expected, voters)
            }
            C::SettlePartition { partition, generation, membership, voters } => {
                self.settle(partition, generation, membership, voters)
            }
            C::StartGeneration { partition, generation, survivor, planned_unseen, sealed } => {
                self.start_generation(partition, generation, survivor, planned_unseen, &sealed)
            }
            C::AcquireStop { copy, unavailable } => self.acquire_stop(copy, &unavailable),
            C::ReleaseStop { no, incarnation } => self.release_stop(no, incarnation),
            C::ChangeSettings { replicas } => self.change_settings(replicas),
        }
    }

    fn create(&mut self, id: ClusterId, settings: Settings) -> DirectoryResponse {
        if let Some(cluster) = &self.cluster {
            return if cluster.id == id { Ok(Applied::Done) } else { Err(Refused::AnotherCluster) };
        }
        if !(1..=PARTITIONS_MAX).contains(&settings.partitions) {
            return Err(Refused::BadSetting(format!("partitions {}", settings.partitions)));
        }
        check_replicas(settings.replicas)?;
        self.partitions = vec![PartitionRecord::new(); usize::from(settings.partitions)];
        self.cluster = Some(Cluster { id, settings });
        self.epoch += 1;
        Ok(Applied::Done)
    }

    fn register(&mut self, new: Registration) -> DirectoryResponse {
        let id = self.cluster.as_ref().map(|cluster| cluster.id);
        if new.cluster.is_some() && new.cluster != id {
            return Err(Refused::AnotherCluster);
        }
        let known = self.node_named(new.name);
        let known_no = known.map(|node| node.no);
        if let Some(node) = known
            && node.incarnation == new.incarnation
            && node.token == new.token
        {
            return Ok(Applied::Registered { no: node.no });
        }
        let highest = known.map(|node| node.incarnation).into_iter().chain(self.departed.get(&new.name).copied()).max();
        if let Some(highest) = highest
            && new.incarnation <= highest
        {
            return Err(Refused::StaleIncarnation { found: new.incarnation.0, known: highest.0 });
        }
        // A node that was declared dead or has left comes back as another: its old number may be in use as proof.
        let member = known.filter(|node| !matches!(node.state, NodeState::Down | NodeState::Left));
        let (no, state) = match member {
            Some(node) => (node.no, node.state),
            // Its data directory is of the past. (A cluster that has only just been created has no nodes.)
            None if new.cluster.is_some() && self.last_node != NodeNo(0) => return Err(Refused::NotMember),
            None => {
                if self.nodes.len() >= NODES_MAX {
                    return Err(Refused::TooManyNodes(NODES_MAX));
                }
                self.last_node = NodeNo(self.last_node.0 + 1);
                (self.last_node, NodeState::Joining)
            }
        };
        if let Some(old) = known_no
            && old != no
            && self.nodes[&old].state == NodeState::Left
        {
            self.nodes.remove(&old);
        }
        self.departed.remove(&new.name);
        let record = NodeRecord {
            no,
            name: new.name,
            incarnation: new.incarnation,
            token: new.token,
            state,
            client: new.client,
            cluster: new.cluster_address,
            peer: new.peer,
            weight: new.weight,
            zone: new.zone,
            version: new.version,
        };
        self.nodes.insert(no, record);
        self.epoch += 1;
        Ok(Applied::Registered { no })
    }

    fn set_node_state(&mut self, no: NodeNo, to: NodeState) -> DirectoryResponse {
        use NodeState::{Down, Draining, Joining, Left, Up};
        let holds_copies = self.holds_copies(no);
        let node = self.nodes.get_mut(&no).ok_or(Refused::UnknownNode(no))?;
        let from = node.state;
        if from == to {
            return Ok(Applied::Done);
        }
        let allowed = match to {
            Joining => false,
            Up => matches!(from, Joining | Draining),
            Draining => matches!(from, Joining | Up),
            Down => from != Left,
            Left => matches!(from, Joining | Draining | Down),
        };
        if !allowed {
            return Err(Refused::BadTransition { no, from, to });
        }
        if to == Left && holds_copies {
            return Err(Refused::HoldsCopies(no));
        }
        node.state = to;
        if matches!(to, Down | Left) && self.stop_permit.is_some_and(|holder| holder.node == no) {
            self.stop_permit = None;
        }
        self.epoch += 1;
        Ok(Applied::Done)
    }

    fn forget(&mut self, no: NodeNo) -> DirectoryResponse {
        let Some(node) = self.nodes.get(&no) else { return Ok(Applied::Done) };
        if node.state != NodeState::Left {
            return Err(Refused::BadTransition { no, from: node.state, to: NodeState::Left });
        }
        let highest = self.departed.entry(node.name).or_default();
        *highest = (*highest).max(node.incarnation);
        self.nodes.remove(&no);
        self.epoch += 1;
        Ok(Applied::Done)
    }

    fn set_target(&mut self, expected: u64, targets: Vec<Vec<NodeNo>>) -> DirectoryResponse {
        if expected != self.target_epoch {
            return Err(stale(expected, self.target_epoch));
        }
        let replicas = self.cluster.as_ref().map_or(0, |cluster| usize::from(cluster.settings.replicas));
        if targets.len() != self.partitions.len() {
            return Err(stale(targets.len(), self.partitions.len()));
        }
        for (partition, target) in targets.iter().enumerate() {
            let bad = |reason: String| Refused::BadCopies { partition: partition as u16, reason };
            if target.is_empty() || target.len() > replicas {
                return Err(bad(format!("{} copies where there may be 1 to {replicas}", target.len())));
            }
            if target.iter().collect::<BTreeSet<_>>().len() != target.len() {
                return Err(bad("two copies on one node".to_owned()));
            }
            if let Some(no) = target.iter().find(|no| self.nodes.get(no).is_none_or(|n| n.state != NodeState::Up)) {
                return Err(bad(format!("node {no} is not up")));
            }
        }
        for (partition, target) in self.partitions.iter_mut().zip(targets) {
            partition.target = target;
        }
        self.target_epoch += 1;
        self.epoch += 1;
        Ok(Applied::TargetSet { epoch: self.target_epoch })
    }

    fn plan(
        &mut self,
        partition: u16,
        generation: u32,
        expected: MembershipId,
        voters: Vec<CopyId>,
    ) -> DirectoryResponse {
        self.check_voters(partition, &voters)?;
        if let Some(copy) = voters.iter().find(|copy| self.is_dead(**copy)) {
            let reason = format!("the copy of node {}, incarnation {}, is dead", copy.node, copy.incarnation.0);
            return Err(Refused::BadCopies { partition, reason });
        }
        let record = self.record(partition, generation)?;
        if record.membership != expected {
            return Err(stale_membership(expected, record.membership));
        }
        // What an earlier plan began may still come about, until a later membership is settled.
        if record.planned.as_ref().is_some_and(|planned| *planned != voters) {
            return Err(Refused::BadCopies { partition, reason: "another change is under way".to_owned() });
        }
        // What is so already needs no change, and would never be settled as one.
        record.planned = (record.voters != voters).then_some(voters);
        Ok(Applied::Done)
    }

    fn settle(
        &mut self,
        partition: u16,
        generation: u32,
        membership: MembershipId,
        voters: Vec<CopyId>,
    ) -> DirectoryResponse {
        self.check_voters(partition, &voters)?;
        let record = self.record(partition, generation)?;
        if record.membership == membership && record.voters == voters {
            return Ok(Applied::Done);
        }
        if membership <= record.membership {
            return Err(stale_membership(membership, record.membership));
        }
        record.voters = voters;
        record.membership = membership;
        record.planned = None;
        self.epoch += u64::from(!planted(Bug::EpochStandsStill));
        Ok(Applied::Done)
    }

    fn start_generation(
        &mut self,
        partition: u16,
        generation: u32,
        survivor: Option<CopyId>,
        planned_unseen: bool,
        sealed: &[CopyId],
    ) -> DirectoryResponse {
        let record = self.partitions.get(usize::from(partition)).ok_or(Refused::UnknownPartition(partition))?;
        if record.generation.checked_add(1) != Some(generation) {
            return Err(stale(generation, u64::from(record.generation) + 1));
        }
        let planned_may_decide =
            record.planned.as_ref().is_some_and(|planned| !planned_unseen && !self.has_lost_quorum(planned));
        let lost = self.has_lost_quorum(&record.voters) || planted(Bug::UnreachableIsDead);
        let living: BTreeSet<CopyId> = record.copies().filter(|copy| !self.is_dead(*copy)).collect();
        // Whatever majorities live: with every living copy out of it, nobody can decide anything more (decision 0019).
        let is_over = !sealed.is_empty()
            && self.may_be_stuck(record)
            && (living.iter().all(|copy| sealed.contains(copy)) || planted(Bug::UnreachableIsDead));
        if record.voters.is_empty() || !(is_over || lost && !planned_may_decide) {
            return Err(Refused::QuorumLives(partition));
        }
        let bad = |reason: &str| Refused::BadCopies { partition, reason: reason.to_owned() };
        match survivor {
            Some(copy) if !living.contains(&copy) && !planted(Bug::UnreachableIsDead) => {
                return Err(bad("the survivor is no living copy"));
            }
            None if !living.is_empty() && !planted(Bug::UnreachableIsDead) => return Err(bad("a copy lives")),
            _ => {}
        }
        // Every answered write is on a quorum: where the dead are fewer, one of the living has it, and the survivor is the
        // one with the longest log. So half of an even number may die without loss, one of two above all.
        let dead = record.voters.iter().filter(|copy| self.is_dead(**copy)).count();
        let loss_possible = dead >= quorum(&record.voters) || record.planned.is_some();
        let record = &mut self.partitions[usize::from(partition)];
        record.generation = generation;
        record.voters = survivor.into_iter().collect();
        record.membership = MembershipId::default();
        record.planned = None;
        record.losses += u32::from(loss_possible);
        self.epoch += 1;
        Ok(Applied::GenerationStarted { loss_possible })
    }

    fn acquire_stop(&mut self, copy: CopyId, unavailable: &BTreeSet<NodeNo>) -> DirectoryResponse {
        let node = self.nodes.get(&copy.node).ok_or(Refused::UnknownNode(copy.node))?;
        if node.incarnation != copy.incarnation {
            return Err(stale(copy.incarnation.0, node.incarnation.0));
        }
        match self.stop_permit {
            Some(holder) if holder == copy => return Ok(Applied::Done),
            Some(holder) if holder.node != copy.node && !planted(Bug::SecondStopPermit) => {
                return Err(Refused::StopPermitHeld(holder.node));
            }
            _ => {}
        }
        let is_member = |node: &&NodeRecord| !matches!(node.state, NodeState::Down | NodeState::Left);
        let alone = self.nodes.values().filter(is_member).all(|node| node.no == copy.node);
        // Nobody is served while the only node is down, whatever it waits for.
        if !alone {
            self.check_majorities_without(copy.node, unavailable)?;
        }
        self.stop_permit = Some(copy);
        Ok(Applied::Done)
    }

    fn check_majorities_without(&self, no: NodeNo, unavailable: &BTreeSet<NodeNo>) -> Result<(), Refused> {
        let counts = |copy: &&CopyId| copy.node != no && !unavailable.contains(&copy.node) && !self.is_dead(**copy);
        for (partition, record) in self.partitions.iter().enumerate() {
            for voters in [Some(&record.voters), record.planned.as_ref()].into_iter().flatten() {
                let needed = voters.iter().any(|copy| copy.node == no);
                if needed && voters.iter().filter(counts).count() < quorum(voters) {
                    return Err(Refused::NoMajorityWithout(partition as u16));
                }
            }
        }
        Ok(())
    }

    fn release_stop(&mut self, no: NodeNo, incarnation: Option<Incarnation>) -> DirectoryResponse {
        match self.stop_permit {
            Some(holder) if holder.node == no && incarnation.is_none_or(|it| it == holder.incarnation) => {
                if !self.is_settled(no) {
                    return Err(Refused::NotSettled(no));
                }
                self.stop_permit = None;
                Ok(Applied::Done)
            }
            _ => Ok(Applied::Done),
        }
    }

    fn change_settings(&mut self, replicas: u8) -> DirectoryResponse {
        check_replicas(replicas)?;
        if let Some(cluster) = &mut self.cluster {
            cluster.settings.replicas = replicas;
        }
        self.epoch += 1;
        Ok(Applied::Done)
    }

    /// The record of a partition, if `generation` is its current one.
    fn record(&mut self, partition: u16, generation: u32) -> Result<&mut PartitionRecord, Refused> {
        let record = self.partitions.get_mut(usize::from(partition)).ok_or(Refused::UnknownPartition(partition))?;
        if record.generation != generation {
            return Err(stale(generation, record.generation));
        }
        Ok(record)
    }

    fn check_voters(&self, partition: u16, voters: &[CopyId]) -> Result<(), Refused> {
        let bad = |reason: String| Err(Refused::BadCopies { partition, reason });
        if voters.is_empty() || voters.len() > 2 * usize::from(REPLICAS_MAX) {
            return bad(format!("{} voters", voters.len()));
        }
        if voters.iter().collect::<BTreeSet<_>>().len() != voters.len() {
            return bad("a copy votes twice".to_owned());
        }
        let unknown =
            |copy: &&CopyId| self.nodes.get(&copy.node).is_none_or(|node| copy.incarnation > node.incarnation);
        match voters.iter().find(unknown) {
            Some(copy) => bad(format!("incarnation {} of node {} is not known", copy.incarnation.0, copy.node)),
            None => Ok(()),
        }
    }
}

fn check_replicas(replicas: u8) -> Result<(), Refused> {
    if (1..=REPLICAS_MAX).contains(&replicas) {
        Ok(())
    } else {
        Err(Refused::BadSetting(format!("replicas {replicas}")))
    }
}

fn stale(expected: impl ToString, actual: impl ToString) -> Refused {
    Refused::Stale { expected: expected.to_string(), actual: actual.to_string() }
}

fn stale_membership(expected: MembershipId, actual: MembershipId) -> Refused {
    let text = |id: MembershipId| format!("membership {}-{}", id.term, id.index);
    stale(text(expected), text(actual))
}
