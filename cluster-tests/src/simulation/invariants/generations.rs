//! Unreachable is never gone: a group is begun anew only where a majority of its copies is proven dead, by a later
//! incarnation of their nodes or by an operator.

use super::{Event, Invariant};
use larder::cluster::directory::{DirectoryCommand, DirectoryState};
use larder::ids::CopyId;
use larder::topology::NodeState;
use std::sync::Arc;

/// The invariant.
#[derive(Default)]
pub struct Generations {
    before: Option<Arc<DirectoryState>>,
}

fn is_proven_dead(state: &DirectoryState, copy: CopyId) -> bool {
    state.nodes.get(&copy.node).is_none_or(|node| {
        node.incarnation > copy.incarnation || matches!(node.state, NodeState::Down | NodeState::Left)
    })
}

impl Invariant for Generations {
    fn name(&self) -> &'static str {
        "only a proven loss begins a generation"
    }

    fn hear(&mut self, event: &Event<'_>) -> Result<(), String> {
        let Event::Decided { command, response, state } = event else { return Ok(()) };
        let before = self.before.replace(Arc::clone(state));
        if let (DirectoryCommand::StartGeneration { partition, .. }, Ok(_), Some(before)) = (command, response, before)
        {
            let voters = &before.partitions[usize::from(*partition)].voters;
            let living: Vec<_> = voters.iter().filter(|copy| !is_proven_dead(&before, **copy)).collect();
            if living.len() > voters.len() / 2 {
                return Err(format!("partition {partition} is begun anew while {living:?} of {voters:?} may live"));
            }
        }
        Ok(())
    }
}
