//! One node at a time has leave to stop: until it is back no other one stops with leave.

use super::{Event, Invariant};
use larder::ids::NodeNo;

/// The invariant.
#[derive(Default)]
pub struct Stops {
    away: Option<NodeNo>,
}

impl Invariant for Stops {
    fn name(&self) -> &'static str {
        "one stop at a time"
    }

    fn hear(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::StopsWithLeave(no) => match self.away.replace(*no) {
                Some(other) if other != *no => Err(format!("node {no} stops while node {other} is away")),
                _ => Ok(()),
            },
            Event::Back(no) => {
                self.away.take_if(|away| away == no);
                Ok(())
            }
            // One that was drained and stopped is not waited for: it holds nothing and does not come back.
            Event::Decided { state, .. } => {
                self.away.take_if(|away| !state.nodes.contains_key(away));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
