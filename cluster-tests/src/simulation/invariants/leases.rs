//! Leases do not overlap: at no time may two copies answer reads of a partition alone.

use super::{Invariant, Scene};
use crate::simulation::runtime::{MachineClock, current};
use larder::raft::Role;

/// The invariant.
pub struct Leases;

impl Invariant for Leases {
    fn name(&self) -> &'static str {
        "leases do not overlap"
    }

    fn look(&mut self, scene: &Scene<'_>) -> Result<(), String> {
        let Some(first) = scene.nodes.first() else { return Ok(()) };
        for index in 0..first.routes.partitions().len() {
            let mut holder = None;
            for node in scene.nodes {
                let partition = &node.routes.partitions()[index];
                let boot_ns = current().clock_of(node.pid, MachineClock::boot_ns);
                let holds = match partition.lock().role {
                    Role::Solo => true,
                    Role::Leader => partition.lease_holds(boot_ns),
                    Role::Follower(_) | Role::Absent => false,
                };
                if !holds {
                    continue;
                }
                if let Some(other) = holder.replace(node.me) {
                    return Err(format!("partition {index}: {other:?} and {:?} hold one", node.me));
                }
            }
        }
        Ok(())
    }
}
