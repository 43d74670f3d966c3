//! What a cluster promises, one promise a file.

mod connection_order;
mod digests;
mod expiry;
mod generations;
mod leases;
mod linearizable;
mod lost_writes;
mod memory;
mod moves;
mod one_leader;
mod one_owner;
mod queues;
mod recency;
mod stops;
mod transactions;

use super::client::{Command, KeyKind};
use super::judge::{Event, Evidence, Scene};
use crate::linearizability::{Operation, StringInput, StringOutput};
use larder::cluster::directory::DirectoryState;
use larder::ids::PartitionId;
use larder_protocol::slot_of;
use std::collections::BTreeMap;

/// A promise. `Err` says how it was broken.
pub trait Invariant: Send {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Something happened.
    fn hear(&mut self, _event: &Event<'_>) -> Result<(), String> {
        Ok(())
    }

    /// A look at the nodes, every few milliseconds.
    fn look(&mut self, _scene: &Scene<'_>) -> Result<(), String> {
        Ok(())
    }

    /// The run is over, the cluster at rest, and every key has been read once more.
    fn finish(&mut self, _evidence: &Evidence<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// All of them.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(one_leader::OneLeader::default()),
        Box::new(leases::Leases),
        Box::new(digests::Digests::default()),
        Box::new(one_owner::OneOwner::default()),
        Box::new(generations::Generations::default()),
        Box::new(stops::Stops::default()),
        Box::new(memory::Memory),
        Box::new(moves::Moves),
        Box::new(lost_writes::LostWrites),
        Box::new(connection_order::ConnectionOrder),
        Box::new(linearizable::Linearizable),
        Box::new(transactions::Transactions),
        Box::new(queues::Queues),
        Box::new(expiry::Expiry),
        Box::new(recency::Recency),
    ]
}

/// The partition of a key.
fn partition_of(key: &str, state: &DirectoryState) -> PartitionId {
    PartitionId::of_slot(slot_of(key.as_bytes()), state.partitions.len() as u16)
}

/// Whether promises cover what became of a key: not where a majority of its partition's copies was lost, at once and for
/// good. That is told.
fn is_covered(key: &str, evidence: &Evidence<'_>) -> bool {
    let partition = partition_of(key, evidence.directory);
    evidence.directory.partition(partition).is_some_and(|record| record.losses == 0)
}

/// The commands of each key that promises cover.
fn by_key<'a>(evidence: &Evidence<'a>) -> BTreeMap<&'a str, Vec<&'a Command>> {
    let mut keys: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    for command in evidence.commands {
        if is_covered(&command.key, evidence) {
            keys.entry(&command.key).or_default().push(command);
        }
    }
    keys
}

/// What the checkers of histories want to see.
fn history(commands: &[&Command]) -> Vec<Operation<StringInput, StringOutput>> {
    let operation = |command: &&Command| Operation {
        client: command.connection as u32,
        input: command.input.clone(),
        outcome: command.outcome.clone(),
        invoked_ns: command.invoked_ns,
        returned_ns: command.returned_ns,
    };
    commands.iter().map(operation).collect()
}

/// The commands of each key that keeps its value.
fn kept<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = (&'a str, Vec<&'a Command>)> {
    by_key(evidence).into_iter().filter(|(key, _)| KeyKind::of(key).is_kept())
}
