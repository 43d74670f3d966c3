//! Memory is counted: at rest nothing is promised to entries that are no more, what a node shows is what its partitions
//! hold, and no node is over its limit.

use super::{Evidence, Invariant, Scene};

/// What may be over the limit for a moment: what is proposed whether there is room or not (evictions, reaps, snapshots).
const SLACK_BYTES: usize = 128 * 1024;

/// The invariant.
pub struct Memory;

impl Invariant for Memory {
    fn name(&self) -> &'static str {
        "memory is counted"
    }

    fn look(&mut self, scene: &Scene<'_>) -> Result<(), String> {
        for node in scene.nodes {
            let (limit, used) = (node.room.limit_bytes(), node.room.used_bytes());
            if limit > 0 && used > limit + SLACK_BYTES {
                return Err(format!("node {} uses {used} of {limit} bytes", node.me.node));
            }
        }
        Ok(())
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        if evidence.unsettled.is_some() {
            return Ok(());
        }
        // One that was drained and forgotten while it was cut off knows of neither, and what it proposed is never decided.
        let members = evidence.nodes.iter().filter(|node| evidence.directory.nodes.contains_key(&node.me.node));
        for node in members {
            let mut held = 0;
            for partition in node.routes.partitions().iter() {
                let (shown, log) = (partition.memory_bytes(), partition.log_bytes());
                let state = partition.lock();
                if shown != state.keyspace.memory_bytes() {
                    return Err(format!(
                        "node {}, partition {}: {shown} bytes are shown, {} held",
                        node.me.node,
                        partition.id(),
                        state.keyspace.memory_bytes()
                    ));
                }
                held += shown + log;
            }
            let used = node.room.used_bytes();
            if used != held {
                return Err(format!("node {} shows {used} bytes and holds {held}", node.me.node));
            }
            let limit = node.room.limit_bytes();
            if limit > 0 && node.room.free_bytes() != limit.saturating_sub(used) as u64 {
                let free = node.room.free_bytes();
                return Err(format!("node {}: {used} of {limit} bytes are used, yet {free} are free", node.me.node));
            }
        }
        Ok(())
    }
}
