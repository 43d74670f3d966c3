//! Unreachable is never gone: a group is begun anew only where a majority of its copies is proven dead, by a later
//! incarnation of their nodes or by an operator; or a majority of those that it was moving to, and then only after every
//! copy that lives has been taken out of it.
//!
//! And the generation begins with all that there is: no living copy has applied more, and while a majority of the voters
//! lives, so does all that a leader has committed by them.

use super::{Event, Invariant, Scene};
use crate::simulation::node::Node;
use larder::cluster::directory::{DirectoryCommand, DirectoryState};
use larder::ids::{CopyId, PartitionId};
use larder::topology::NodeState;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// An entry: its term, the leader that made it, its index.
type EntryId = (u64, u64, u64);

/// The invariant.
#[derive(Default)]
pub struct Generations {
    before: Option<Arc<DirectoryState>>,
    /// As of the last look.
    nodes: Vec<Weak<Node>>,
    /// By partition and generation: the last entry that a leader has applied while the voters on record counted.
    committed: BTreeMap<(PartitionId, u32), EntryId>,
}

fn is_proven_dead(state: &DirectoryState, copy: CopyId) -> bool {
    state.nodes.get(&copy.node).is_none_or(|node| {
        node.incarnation > copy.incarnation || matches!(node.state, NodeState::Down | NodeState::Left)
    })
}

fn has_majority(state: &DirectoryState, voters: &[CopyId]) -> bool {
    voters.iter().filter(|copy| !is_proven_dead(state, **copy)).count() > voters.len() / 2
}

/// The last entry that the node has applied to its copy of a partition, if that is of this generation.
fn applied(node: &Node, partition: PartitionId, generation: u32) -> EntryId {
    let group = node.copies.group(partition).filter(|group| group.generation() == generation);
    let id = group.and_then(|group| group.partition().lock().applied());
    id.map_or((0, 0, 0), |id| (id.leader_id.term, id.leader_id.node_id, id.index))
}

impl Generations {
    fn check(&self, before: &DirectoryState, id: PartitionId, survivor: Option<CopyId>) -> Result<(), String> {
        let record = &before.partitions[id.index()];
        let voters_live = has_majority(before, &record.voters);
        if voters_live && record.planned.as_ref().is_none_or(|planned| has_majority(before, planned)) {
            let voters = &record.voters;
            let living: Vec<_> = voters.iter().filter(|copy| !is_proven_dead(before, **copy)).collect();
            return Err(format!("partition {id} is begun anew while {living:?} of {voters:?} may live"));
        }
        let nodes: Vec<Arc<Node>> = self.nodes.iter().filter_map(Weak::upgrade).collect();
        let may_act = |copy: CopyId| record.copies().any(|one| one == copy) && !is_proven_dead(before, copy);
        let living = || nodes.iter().filter(|node| may_act(node.me));
        let group = |node: &Node| node.copies.group(id).filter(|group| group.generation() == record.generation);
        if record.planned.is_some()
            && let Some(node) = living().find(|node| group(node).is_some_and(|it| it.is_running()))
        {
            return Err(format!("partition {id} is begun anew while the copy of {:?} takes part in it", node.me));
        }
        let survivor_node = nodes.iter().find(|node| Some(node.me) == survivor);
        let Some(survivor_group) = survivor_node.and_then(|node| group(node)) else { return Ok(()) };
        let most = living().map(|node| applied(node, id, record.generation)).max();
        let committed = self.committed.get(&(id, record.generation)).copied().filter(|_| voters_live);
        let last = survivor_group.standing().last;
        match most.max(committed) {
            Some(more) if more > last => Err(format!(
                "partition {id} is begun anew with {survivor:?}, whose last entry is {last:?}, not {more:?}"
            )),
            _ => Ok(()),
        }
    }
}

impl Invariant for Generations {
    fn name(&self) -> &'static str {
        "only a proven loss begins a generation"
    }

    fn hear(&mut self, event: &Event<'_>) -> Result<(), String> {
        let Event::Decided { command, response, state } = event else { return Ok(()) };
        let before = self.before.replace(Arc::clone(state));
        match (command, response, before) {
            (DirectoryCommand::StartGeneration { partition, survivor, .. }, Ok(_), Some(before)) => {
                self.check(&before, PartitionId(*partition), *survivor)
            }
            _ => Ok(()),
        }
    }

    fn look(&mut self, scene: &Scene<'_>) -> Result<(), String> {
        self.nodes = scene.nodes.iter().map(Arc::downgrade).collect();
        let Some(state) = &self.before else { return Ok(()) };
        for node in scene.nodes {
            for group in node.copies.groups().into_iter().filter(|group| group.leads()) {
                let (id, generation) = (group.partition().id(), group.generation());
                let planned = state.partition(id).and_then(|record| record.planned.clone());
                // What the planned voters have committed since they took over is theirs alone.
                if planned.is_some_and(|planned| group.standing().configs == [planned]) {
                    continue;
                }
                let most = self.committed.entry((id, generation)).or_default();
                *most = (*most).max(applied(node, id, generation));
            }
        }
        Ok(())
    }
}
