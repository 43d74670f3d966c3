//! A term of a group has one leader: only one copy sends entries in it.

use super::{Event, Invariant};
use larder::ids::{CopyId, PartitionId};
use larder::raft::codec::Reader;
use larder::raft::read_address;
use std::collections::BTreeMap;

/// The kind of a message that carries entries, or a heartbeat.
const APPEND: u8 = 1;

/// The invariant.
#[derive(Default)]
pub struct OneLeader {
    leaders: BTreeMap<(PartitionId, u32, u64), CopyId>,
}

impl Invariant for OneLeader {
    fn name(&self) -> &'static str {
        "one leader a term"
    }

    fn hear(&mut self, event: &Event<'_>) -> Result<(), String> {
        let Event::GroupMessage { body } = event else { return Ok(()) };
        let mut reader = Reader((*body).clone());
        let (partition, generation, from, _, kind) =
            read_address(&mut reader).map_err(|_| "a message that does not decode".to_owned())?;
        if kind != APPEND {
            return Ok(());
        }
        let vote = reader.vote().map_err(|_| "a vote that does not decode".to_owned())?;
        let term = vote.leader_id.term;
        let known = *self.leaders.entry((partition, generation, term)).or_insert(from);
        if known == from {
            return Ok(());
        }
        Err(format!("partition {partition}, generation {generation}, term {term}: {known:?} and {from:?} lead"))
    }
}
