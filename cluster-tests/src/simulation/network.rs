//! The network between the copies: delay, loss, duplication of answers lost, and links that are cut one way or both.

use bytes::Bytes;
use futures::future::BoxFuture;
use larder::ids::{CopyId, NodeNo};
use larder::raft::codec::Reader;
use larder::raft::{Group, GroupRpc, PeerUnreachable, read_address, refusal};
use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What may happen to a message.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Longest delay of one way, microseconds.
    pub delay_us_max: u64,
    /// Messages lost, of a thousand.
    pub lost_permille: u32,
    /// Messages delivered twice, of a thousand.
    pub doubled_permille: u32,
}

/// How long the link may keep what is in no hurry.
const PATIENCE_US_MAX: u64 = 25_000;

#[derive(Default)]
struct State {
    groups: BTreeMap<NodeNo, Arc<Group<SimRuntime>>>,
    /// Directed pairs that do not hear each other.
    cut: BTreeSet<(NodeNo, NodeNo)>,
}

/// The network. Nodes that are not attached are dead.
pub struct Network {
    state: Mutex<State>,
    faults: Faults,
}

impl Network {
    pub(super) fn new(faults: Faults) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), faults })
    }

    pub(super) fn attach(&self, group: Arc<Group<SimRuntime>>) {
        self.state.lock().groups.insert(group.copy().node, group);
    }

    pub(super) fn detach(&self, node: NodeNo) -> Option<Arc<Group<SimRuntime>>> {
        self.state.lock().groups.remove(&node)
    }

    pub(super) fn group(&self, node: NodeNo) -> Option<Arc<Group<SimRuntime>>> {
        self.state.lock().groups.get(&node).cloned()
    }

    pub(super) fn groups(&self) -> Vec<Arc<Group<SimRuntime>>> {
        self.state.lock().groups.values().cloned().collect()
    }

    pub(super) fn cut(&self, from: NodeNo, to: NodeNo) {
        self.state.lock().cut.insert((from, to));
    }

    pub(super) fn heal(&self) {
        self.state.lock().cut.clear();
    }

    fn passes(&self, from: NodeNo, to: NodeNo) -> bool {
        !self.state.lock().cut.contains(&(from, to)) && chance() >= self.faults.lost_permille
    }

    fn delay(&self) -> Duration {
        Duration::from_micros(SimRuntime::thread_rng().random_range(20..=self.faults.delay_us_max))
    }

    async fn deliver(self: Arc<Self>, from: NodeNo, to: NodeNo, body: Bytes) -> Option<Bytes> {
        SimRuntime::sleep(self.delay()).await;
        if !self.passes(from, to) {
            return std::future::pending().await;
        }
        let group = self.group(to)?;
        let answer = handle(&group, body.clone()).await;
        if chance() < self.faults.doubled_permille {
            SimRuntime::sleep(self.delay()).await;
            let _ = handle(&group, body).await;
        }
        SimRuntime::sleep(self.delay()).await;
        if !self.passes(to, from) {
            return std::future::pending().await;
        }
        Some(answer)
    }
}

fn chance() -> u32 {
    SimRuntime::thread_rng().random_range(0..1000)
}

async fn handle(group: &Group<SimRuntime>, body: Bytes) -> Bytes {
    let mut reader = Reader(body);
    match read_address(&mut reader) {
        Ok((_, generation, from, to, kind)) if group.generation() == generation && group.copy() == to => {
            group.handle(kind, from, reader).await
        }
        _ => refusal(),
    }
}

/// One node's end of the network.
pub(super) struct Port {
    pub(super) network: Weak<Network>,
    pub(super) me: CopyId,
}

impl GroupRpc for Port {
    fn call(&self, to: NodeNo, body: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        let network = self.network.upgrade();
        let from = self.me.node;
        Box::pin(async move {
            let Some(network) = network else { return Err(PeerUnreachable("the simulation is over".into())) };
            match SimRuntime::timeout(timeout, network.deliver(from, to, body)).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(PeerUnreachable("dead".into())),
                Err(_) => Err(PeerUnreachable("timeout".into())),
            }
        })
    }

    fn call_patiently(
        &self,
        to: NodeNo,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        let call = self.call(to, body, timeout);
        Box::pin(async move {
            // It waits in the link for company.
            let wait = Duration::from_micros(SimRuntime::thread_rng().random_range(0..PATIENCE_US_MAX));
            SimRuntime::sleep(wait).await;
            call.await
        })
    }
}
