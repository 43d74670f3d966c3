//! The node as commands and the HTTP port see it.

use super::addresses::{Advertised, Unreachable};
use super::stop::{self, StopSwitch};
use super::{metrics, system};
use crate::clock;
use crate::cluster::node::ClusterNode;
use crate::commands::port::{
    ClusterStatus, KeyspaceFigures, Link, MemoryFigures, Move, NodeFacts, NodePort, ShutdownMode, SlotKeys,
    resolve_node,
};
use crate::commands::session::{Client, Clients};
use crate::config::{Settings, parse_host_port};
use crate::ids::{DatabaseNo, NodeNo};
use crate::keyspace::collections::limits::Limits;
use crate::keyspace::{EvictionPolicy, LfuParameters};
use crate::raft::Partition;
use crate::raft::upkeep::Upkeep;
use crate::telemetry::{Probe, Stats, set_level};
use crate::topology::{HostPort, Topology};
use futures::FutureExt;
use futures::future::BoxFuture;
use larder_client::{Address, Connection, Options};
use larder_protocol::slot_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;

/// Items that a pass over a partition looks at under one lock hold.
const SLICE_ITEMS: usize = 512;
/// Distance of the peer port from the client port unless set.
const PEER_OFFSET: u16 = 10_000;

/// A running node.
pub(super) struct Node {
    pub settings: Arc<Settings>,
    pub clients: Clients,
    pub stats: Arc<Stats>,
    pub facts: NodeFacts,
    pub cluster: Arc<ClusterNode>,
    /// Expiry and eviction.
    pub upkeep: Arc<Upkeep>,
    pub advertised: Advertised,
    pub stop: Arc<StopSwitch>,
    /// The core that the cluster's tasks live on.
    pub core: Handle,
    pub startup_bytes: u64,
    pub peak_bytes: AtomicU64,
    /// Advertised addresses at which the node cannot reach itself.
    pub unreachable: Unreachable,
}

impl Node {
    fn partitions(&self) -> &[Arc<Partition>] {
        self.cluster.routes().partitions()
    }

    /// Brings memory limit and eviction policy to what the settings say.
    pub fn apply_memory_settings(&self) {
        let live = self.settings.live();
        let lfu = LfuParameters {
            log_factor: self.settings.number("lfu-log-factor") as u32,
            decay_minutes: self.settings.number("lfu-decay-time") as u32,
        };
        // A node without a limit makes room for its partitions' copies at nodes that have one.
        let policy = if self.settings.is_given("maxmemory-policy") || live.maxmemory() > 0 {
            policy_of(live.policy())
        } else {
            EvictionPolicy::AllKeysLru
        };
        self.upkeep.configure(live.maxmemory() as usize, policy, lfu);
    }

    /// Brings the sizes up to which collections are small to what the settings say.
    pub fn apply_limits(&self) {
        let limits = Limits::of(&self.settings);
        for partition in self.partitions() {
            partition.lock().keyspace.set_limits(limits);
        }
    }

    /// The number of the node that `name` means.
    fn number_of(&self, name: &str) -> Result<NodeNo, String> {
        let topology = self.topology();
        let found = resolve_node(&topology, name)?;
        let node = topology.nodes.iter().find(|node| node.name == found);
        node.map(|node| node.no).ok_or_else(|| format!("ERR Unknown node {name}"))
    }

    /// Runs work of the cluster where its timers are.
    fn on_core(
        &self,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> BoxFuture<'static, Result<(), String>> {
        let running = self.core.spawn(work);
        async move { running.await.unwrap_or_else(|_| Err("ERR the node is stopping".into())) }.boxed()
    }
}

/// The policy that a value of `maxmemory-policy` names.
fn policy_of(word: &str) -> EvictionPolicy {
    match word {
        "allkeys-lru" => EvictionPolicy::AllKeysLru,
        "volatile-lru" => EvictionPolicy::VolatileLru,
        "volatile-ttl" => EvictionPolicy::VolatileTtl,
        "allkeys-lfu" => EvictionPolicy::AllKeysLfu,
        "volatile-lfu" => EvictionPolicy::VolatileLfu,
        "allkeys-gdsf" => EvictionPolicy::AllKeysGdsf,
        "volatile-gdsf" => EvictionPolicy::VolatileGdsf,
        "allkeys-random" => EvictionPolicy::AllKeysRandom,
        "volatile-random" => EvictionPolicy::VolatileRandom,
        _ => EvictionPolicy::NoEviction,
    }
}

impl NodePort for Node {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn topology(&self) -> Arc<Topology> {
        self.cluster.routes().topology()
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn settings_changed(&self) {
        set_level(&self.settings.get("loglevel"));
        self.apply_memory_settings();
        self.apply_limits();
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }

    fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    fn keyspace(&self) -> KeyspaceFigures {
        let now = clock::unix_ms();
        let mut sum = KeyspaceFigures::default();
        for partition in self.partitions() {
            let state = partition.lock();
            sum.bytes += state.keyspace.memory_bytes() as u64;
            for (database, figures) in state.keyspace.figures(now) {
                sum.databases.entry(database).or_default().add(&figures);
            }
        }
        sum
    }

    fn blocking_keys(&self) -> (usize, usize) {
        let each = self.partitions().iter().map(|partition| partition.blocking_keys());
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    fn peer_messages(&self) -> (u64, u64) {
        let traffic = self.cluster.peers().traffic();
        (traffic.messages(), traffic.received())
    }

    fn memory(&self) -> MemoryFigures {
        let dataset: u64 =
            self.partitions().iter().map(|partition| partition.lock().keyspace.memory_bytes() as u64).sum();
        let logs: u64 = self.cluster.copies().groups().iter().map(|group| group.log_bytes() as u64).sum();
        let buffers = |client: &Arc<Client>| {
            let waiting = client.query_bytes.load(Ordering::Relaxed) + client.output_bytes.load(Ordering::Relaxed);
            waiting + size_of::<Client>() as u64
        };
        let waiting: u64 = self.partitions().iter().map(|partition| partition.waiting().1 as u64).sum();
        let clients: u64 = waiting + self.clients.list().iter().map(buffers).sum::<u64>();
        self.cluster.room().set_overhead_bytes(clients as usize);
        let used = dataset + logs + clients;
        let peak = self.peak_bytes.fetch_max(used, Ordering::Relaxed).max(used);
        MemoryFigures {
            used,
            peak,
            dataset,
            startup: self.startup_bytes,
            clients,
            resident: system::resident_bytes(),
            machine: system::machine_bytes(),
        }
    }

    fn readiness(&self) -> Result<(), String> {
        self.cluster.readiness()
    }

    fn shutdown(&self, mode: ShutdownMode) -> BoxFuture<'static, Result<(), String>> {
        let stage = self.stop.subscribe();
        self.stop.ask(mode);
        stop::outcome(stage).boxed()
    }

    fn abort_shutdown(&self) -> bool {
        self.stop.call_off()
    }

    fn slot_keys(&self, database: DatabaseNo, slot: u16, limit: Option<usize>) -> BoxFuture<'static, SlotKeys> {
        let partition = Arc::clone(self.cluster.routes().partition_of(slot));
        async move {
            let mut found = SlotKeys::default();
            let mut position = 0;
            loop {
                let mut visit = |key: &[u8]| {
                    if slot_of(key) == slot {
                        found.count += 1;
                        if limit.is_some_and(|limit| found.keys.len() < limit) {
                            found.keys.push(key.to_vec());
                        }
                    }
                };
                {
                    let mut state = partition.lock();
                    state.keyspace.select(database);
                    position = state.keyspace.scan(position, SLICE_ITEMS, clock::unix_ms(), &mut |key, _| visit(key));
                }
                if position == 0 || limit.is_some_and(|limit| found.keys.len() >= limit) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        }
        .boxed()
    }

    fn links(&self) -> Vec<Link> {
        let topology = self.topology();
        let connected = self.cluster.peers().connected().into_iter();
        let link =
            |no| Some(Link { inbound: false, node: topology.node(no)?.name, created_ms: None, waiting_bytes: None });
        connected.filter_map(link).collect()
    }

    fn status(&self) -> BoxFuture<'static, ClusterStatus> {
        let state = self.cluster.state();
        let mut moves = Vec::new();
        for (partition, record) in (0..).zip(&state.partitions) {
            // A copy is on its way where the nodes that vote and those that should hold a copy differ.
            let holders: Vec<NodeNo> = record.voters.iter().map(|copy| copy.node).collect();
            let mut leaving = holders.iter().filter(|no| !record.target.contains(no));
            let mut coming = record.target.iter().filter(|no| !holders.contains(no));
            loop {
                let (from, to) = (leaving.next().map(|no| no.0), coming.next().map(|no| no.0));
                if from.is_none() && to.is_none() {
                    break;
                }
                moves.push(Move { partition, from, to });
            }
        }
        let unready = self.readiness().err().or_else(|| self.unreachable.reason());
        async move { ClusterStatus { unready, moves } }.boxed()
    }

    fn drain(&self, node: String) -> BoxFuture<'static, Result<(), String>> {
        let (cluster, no) = (Arc::clone(&self.cluster), self.number_of(&node));
        self.on_core(async move { cluster.drain(no?).await })
    }

    fn remove(&self, node: String, force_quorum: bool) -> BoxFuture<'static, Result<(), String>> {
        let (cluster, no) = (Arc::clone(&self.cluster), self.number_of(&node));
        self.on_core(async move { cluster.remove(no?, force_quorum).await })
    }

    fn meet(&self, other: HostPort, peer_port: Option<u16>) -> BoxFuture<'static, Result<(), String>> {
        let cluster = Arc::clone(&self.cluster);
        let password = self.settings.text("requirepass");
        self.on_core(async move {
            let peer = match peer_port {
                Some(port) => HostPort { host: other.host, port },
                None => peer_address(&other, password).await?,
            };
            cluster.meet(&peer).await
        })
    }
}

/// The peer address of the node whose client port is at `client`: what it says itself, else the usual distance away.
async fn peer_address(client: &HostPort, password: Option<String>) -> Result<HostPort, String> {
    #[derive(serde::Deserialize)]
    struct Status {
        me: String,
        nodes: Vec<Peer>,
    }
    #[derive(serde::Deserialize)]
    struct Peer {
        id: String,
        peer: String,
    }
    let ask = async {
        let address = Address::new(client.host.clone(), client.port);
        let options = Options { password, ..Options::default() };
        let mut connection = Connection::connect(&address, &options).await.ok()?;
        let reply = connection.call(&[b"LARDER", b"STATUS", b"JSON"]).await.ok()?;
        let status: Status = serde_json::from_slice(reply.as_bytes()?).ok()?;
        let me = status.nodes.into_iter().find(|node| node.id == status.me)?;
        parse_host_port(&me.peer)
    };
    if let Some(peer) = ask.await {
        return Ok(peer);
    }
    let port = client.port.checked_add(PEER_OFFSET);
    let port = port.ok_or_else(|| format!("ERR Invalid bus port specified: {client} + {PEER_OFFSET}"))?;
    Ok(HostPort { host: client.host.clone(), port })
}

impl Probe for Node {
    fn metrics(&self) -> String {
        metrics::render(self)
    }

    fn ready(&self) -> Result<(), String> {
        self.readiness()
    }

    fn token(&self) -> String {
        self.settings.get("http-token")
    }
}
