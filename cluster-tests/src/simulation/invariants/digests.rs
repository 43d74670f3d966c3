//! Copies that have applied the same entry hold the same items.

use super::{Invariant, Scene};
use larder::ids::{CopyId, PartitionId};
use std::collections::BTreeMap;

/// Looks between digests.
const PERIOD: u64 = 10;

/// The invariant.
#[derive(Default)]
pub struct Digests {
    looks: u64,
    /// By partition, generation and index of the entry: its term, the digest after it, and whose it was.
    seen: BTreeMap<(PartitionId, u32, u64), (u64, u64, CopyId)>,
}

impl Invariant for Digests {
    fn name(&self) -> &'static str {
        "copies are alike"
    }

    fn look(&mut self, scene: &Scene<'_>) -> Result<(), String> {
        self.looks += 1;
        if !self.looks.is_multiple_of(PERIOD) {
            return Ok(());
        }
        for node in scene.nodes {
            for group in node.copies.groups() {
                let id = group.partition().id();
                let state = group.partition().lock();
                let Some(applied) = state.applied() else { continue };
                let here = (applied.leader_id.term, state.keyspace.digest(), node.me);
                drop(state);
                let at = (id, group.generation(), applied.index);
                let known = *self.seen.entry(at).or_insert(here);
                if (known.0, known.1) != (here.0, here.1) {
                    return Err(format!(
                        "partition {id}, entry {}: {:?} has {:x} of term {}, {:?} has {:x} of term {}",
                        applied.index, known.2, known.1, known.0, here.2, here.1, here.0
                    ));
                }
            }
        }
        Ok(())
    }
}
