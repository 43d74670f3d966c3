//! What Raft promises of leaders, with leader ids as the groups have them.
//!
//! An id is a term and a copy, and ids are ordered by both (openraft's `leader_id_adv`). A copy that has voted for one
//! may vote for a greater one in the same term, so two copies may lead in one term, one after the other, as they may in
//! two terms of Raft's paper: there "one leader a term" follows from the one vote that a copy has in a term, here one
//! leader an id does. What that is good for is looked at itself, in every message that carries entries:
//!
//! - a copy leads under its own id alone;
//! - under one id there is one entry at an index, whoever sends it, and whenever (Raft's log matching): two processes that
//!   took one id for theirs would put two there;
//! - what a leader says to be committed at an index is one entry for good, whoever leads (state machine safety).

use super::{Event, Invariant};
use crate::simulation::runtime::Sim;
use larder::ids::{CopyId, PartitionId};
use larder::raft::codec::Reader;
use larder::raft::read_address;
use larder::raft::types::{LeaderId, LogId, Payload};
use std::collections::BTreeMap;

/// The kind of a message that carries entries, or a heartbeat.
const APPEND: u8 = 1;

/// A group: a partition and its generation.
type GroupId = (PartitionId, u32);

/// The invariant.
#[derive(Default)]
pub struct OneLeader {
    entries: BTreeMap<(GroupId, LogId), Payload>,
    committed: BTreeMap<(GroupId, u64), LeaderId>,
}

impl Invariant for OneLeader {
    fn name(&self) -> &'static str {
        "one leader, one log"
    }

    fn hear(&mut self, event: &Event<'_>) -> Result<(), String> {
        let Event::GroupMessage { body } = event else { return Ok(()) };
        let mut reader = Reader((*body).clone());
        let (partition, generation, from, _, kind) =
            read_address(&mut reader).map_err(|_| "a message that does not decode".to_owned())?;
        if kind != APPEND {
            return Ok(());
        }
        let request = reader.append_request::<Sim>().map_err(|_| "entries that do not decode".to_owned())?;
        let group = (partition, generation);
        let at = |what: String| Err(format!("partition {partition}, generation {generation}: {what}"));
        let leader = request.vote.leader_id;
        if CopyId::unpack(leader.node_id) != from || !request.vote.committed {
            return at(format!("{from:?} leads as {leader}, committed: {}", request.vote.committed));
        }
        for entry in request.entries {
            let known = self.entries.entry((group, entry.log_id)).or_insert_with(|| entry.payload.clone());
            if *known != entry.payload {
                return at(format!("two entries {}: {known} and {}", entry.log_id, entry.payload));
            }
        }
        if let Some(commit) = request.leader_commit {
            let known = *self.committed.entry((group, commit.index)).or_insert(commit.leader_id);
            if known != commit.leader_id {
                return at(format!("entry {} was committed of {known} and of {}", commit.index, commit.leader_id));
            }
        }
        Ok(())
    }
}
