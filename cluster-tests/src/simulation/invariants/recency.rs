//! The leader knows exactly in which order items were used: what was read first of all that may be evicted goes first.

use super::{Evidence, Invariant, partition_of};
use crate::linearizability::{Outcome, StringOutput};
use crate::simulation::client::KeyKind;
use larder::raft::Role;

/// The invariant.
pub struct Recency;

impl Invariant for Recency {
    fn name(&self) -> &'static str {
        "the order of use at the leader"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        for id in evidence.stable {
            let leads = |node: &&std::sync::Arc<_>| {
                let node: &crate::simulation::node::Node = node;
                matches!(node.routes.partitions()[id.index()].lock().role, Role::Leader | Role::Solo)
            };
            let Some(leader) = evidence.nodes.iter().find(leads) else { continue };
            // The last reads, in order, of what was there.
            let expected: Vec<&str> = evidence
                .commands
                .iter()
                .filter(|command| command.connection == evidence.last_connection)
                .filter(|command| KeyKind::of(&command.key) == KeyKind::Bulky)
                .filter(|command| partition_of(&command.key, evidence.directory) == *id)
                .filter(|command| matches!(command.outcome, Outcome::Ok(StringOutput::Value(Some(_)))))
                .map(|command| command.key.as_str())
                .collect();
            let mut found = Vec::new();
            leader.routes.partitions()[id.index()].lock().keyspace.victims(&mut |victim| {
                found.extend(std::str::from_utf8(victim.key).ok().map(str::to_owned));
                true
            });
            found.retain(|key| KeyKind::of(key) == KeyKind::Bulky);
            // What was evicted since it was read is not there any more.
            let expected: Vec<&str> =
                expected.into_iter().filter(|key| found.iter().any(|other| other == key)).collect();
            if found != expected {
                return Err(format!("partition {id}: read as {expected:?}, to be evicted as {found:?}"));
            }
        }
        Ok(())
    }
}
