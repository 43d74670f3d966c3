//! Every slot has exactly one owner an epoch: nodes that know the same epoch of the directory name the same copies for it.

use super::{Event, Invariant, Scene};
use larder::cluster::directory::DirectoryState;
use larder::cluster::reconciler::Conductor;
use larder::ids::{NodeNo, PartitionId};
use larder_protocol::SLOTS;
use std::collections::{BTreeMap, BTreeSet};

/// The invariant.
#[derive(Default)]
pub struct OneOwner {
    /// The voters of every partition, by epoch.
    epochs: BTreeMap<u64, Vec<Vec<NodeNo>>>,
    looks: u64,
}

fn voters(state: &DirectoryState) -> Vec<Vec<NodeNo>> {
    state.partitions.iter().map(|record| record.voters.iter().map(|copy| copy.node).collect()).collect()
}

impl OneOwner {
    fn check(&mut self, state: &DirectoryState) -> Result<(), String> {
        let now = voters(state);
        let count = state.partitions.len() as u16;
        for partition in &now {
            let distinct: BTreeSet<_> = partition.iter().collect();
            if distinct.len() != partition.len() {
                return Err(format!("epoch {}: two voters of one partition on one node: {partition:?}", state.epoch));
            }
        }
        let covered: u32 = (0..count)
            .map(|id| u32::from(PartitionId(id + 1).first_slot(count)) - u32::from(PartitionId(id).first_slot(count)))
            .sum();
        if count > 0 && covered != u32::from(SLOTS) {
            return Err(format!("epoch {}: {covered} slots have an owner", state.epoch));
        }
        let known = self.epochs.entry(state.epoch).or_insert_with(|| now.clone());
        if *known != now {
            return Err(format!("epoch {} is {known:?} and {now:?}", state.epoch));
        }
        Ok(())
    }
}

impl Invariant for OneOwner {
    fn name(&self) -> &'static str {
        "one owner a slot and epoch"
    }

    fn hear(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Decided { state, .. } => self.check(state),
            _ => Ok(()),
        }
    }

    fn look(&mut self, scene: &Scene<'_>) -> Result<(), String> {
        self.looks += 1;
        if !self.looks.is_multiple_of(20) {
            return Ok(());
        }
        for node in scene.nodes {
            self.check(&Conductor::state(&**node))?;
            let topology = node.routes.topology();
            if topology.owners.len() != node.routes.partitions().len() {
                return Err(format!("node {} shows owners of {} partitions", node.me.node, topology.owners.len()));
            }
        }
        Ok(())
    }
}
