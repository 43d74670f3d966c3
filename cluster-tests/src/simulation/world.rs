//! The nodes of a simulated cluster and what happens to them.

use super::network::{Faults, Network, Port};
use larder::clock::UnixMs;
use larder::ids::{CopyId, Incarnation, NodeNo, PartitionId};
use larder::keyspace::HashSeed;
use larder::raft::{Group, GroupHost, Partition, Role, Start, Timing};
use openraft::AsyncRuntime;
use openraft_rt_sim::{SimInstant, SimRuntime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Virtual nanoseconds since the run began: what leases and histories are measured with.
pub fn now_ns() -> u64 {
    SimInstant::try_now().map_or(0, |now| now.elapsed_since_start().as_nanos() as u64) + 1_000_000_000
}

fn wall() -> UnixMs {
    1_700_000_000_000 + now_ns() / 1_000_000
}

/// A partition of one group over several nodes.
pub struct World {
    pub(super) network: Arc<Network>,
    incarnations: BTreeMap<NodeNo, u32>,
}

impl World {
    /// `nodes` copies of one partition, one of which forms the group.
    pub async fn new(nodes: u32, faults: Faults) -> Self {
        let network = Network::new(faults);
        let mut world = Self { network, incarnations: (1..=nodes).map(|no| (NodeNo(no), 0)).collect() };
        let numbers: Vec<NodeNo> = world.incarnations.keys().copied().collect();
        let mut members = BTreeSet::new();
        for no in numbers {
            members.insert(world.start(no).await.copy().pack());
        }
        let first = world.network.groups()[0].clone();
        first.raft().initialize(members).await.expect("a group of empty copies can be initialized");
        world
    }

    /// Starts a node under its next incarnation, empty.
    pub async fn start(&mut self, no: NodeNo) -> Arc<Group<SimRuntime>> {
        let incarnation = self.incarnations.entry(no).or_default();
        *incarnation += 1;
        let me = CopyId { node: no, incarnation: Incarnation(*incarnation) };
        let host = Arc::new(GroupHost {
            room: Arc::default(),
            rpc: Arc::new(Port { network: Arc::downgrade(&self.network), me }),
            timing: Timing::default(),
            snapshot_permits: Arc::new(Semaphore::new(1)),
            wall,
        });
        let partition = Arc::new(Partition::new(PartitionId(0), HashSeed([7; 16]), Role::Absent));
        let group = Group::start(host, partition, 1, me, Start::Empty).await.expect("a copy starts");
        self.network.attach(Arc::clone(&group));
        let sampled = Arc::clone(&group);
        drop(SimRuntime::spawn(async move {
            while sampled.is_running() {
                SimRuntime::sleep(Duration::from_millis(10)).await;
                sampled.sample_lease(now_ns(), false);
            }
        }));
        group
    }

    /// Kills a node: memory, log and vote are gone.
    pub async fn kill(&mut self, no: NodeNo) {
        if let Some(group) = self.network.detach(no) {
            drop(SimRuntime::spawn(async move { group.stop().await }));
        }
    }

    /// The nodes that live.
    pub fn alive(&self) -> Vec<NodeNo> {
        self.network.groups().iter().map(|group| group.copy().node).collect()
    }

    /// Asks the leader to put the node's new incarnation in the place of what it was, until it is so.
    pub async fn readmit(&self, copy: CopyId) {
        loop {
            for group in self.network.groups() {
                if group.leads()
                    && let Some((settled, voters)) = group.settled()
                {
                    let mut target: BTreeSet<CopyId> = voters.into_iter().filter(|one| one.node != copy.node).collect();
                    target.insert(copy);
                    if !target.contains(&group.copy()) {
                        continue;
                    }
                    if group
                        .reshape((settled.leader_id.term, settled.index), &target, false, Duration::from_secs(20))
                        .await
                        .is_ok()
                    {
                        return;
                    }
                }
            }
            SimRuntime::sleep(Duration::from_millis(50)).await;
        }
    }
}
