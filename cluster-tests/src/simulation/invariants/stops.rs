//! One node at a time has leave to stop: until it is a full member again, as the directory has it, no other one stops
//! with leave.
//!
//! What counts is the directory's record and not whether a process is at work: a node that holds no copies is a full
//! member as soon as it is registered anew, a moment before it serves; and one that serves is none until its copies vote.

use super::{Event, Invariant};
use larder::cluster::directory::DirectoryState;
use larder::ids::{CopyId, NodeNo};
use larder::topology::NodeState;
use std::sync::Arc;

/// The invariant.
#[derive(Default)]
pub struct Stops {
    state: Option<Arc<DirectoryState>>,
    /// Who stopped with leave and is not back.
    away: Option<CopyId>,
}

impl Stops {
    /// Whether a node that stopped is not waited for any longer: it is back, or does not come back, or holds nothing.
    fn is_over(stopped: CopyId, state: &DirectoryState) -> bool {
        state.nodes.get(&stopped.node).is_none_or(|node| {
            matches!(node.state, NodeState::Down | NodeState::Left)
                || node.incarnation > stopped.incarnation && state.is_settled(stopped.node)
        })
    }

    fn stops(&mut self, no: NodeNo) -> Result<(), String> {
        let record = self.state.as_ref().and_then(|state| state.nodes.get(&no));
        let stopped = record.map(|record| CopyId { node: no, incarnation: record.incarnation });
        match std::mem::replace(&mut self.away, stopped) {
            Some(other) if other.node != no => Err(format!("node {no} stops while node {} is away", other.node)),
            _ => Ok(()),
        }
    }
}

impl Invariant for Stops {
    fn name(&self) -> &'static str {
        "one stop at a time"
    }

    fn hear(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::StopsWithLeave(no) => self.stops(*no),
            Event::Decided { state, .. } => {
                self.away.take_if(|stopped| Self::is_over(*stopped, state));
                self.state = Some(Arc::clone(state));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
