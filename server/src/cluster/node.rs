//! A node of a cluster: its place in the directory, its links, its copies.
//!
//! ```text
//! peers --frames--> ClusterNode --GROUP--> Copies --> groups
//!                       |  |  |---DIRECTORY--> Directory
//!                       |  |------FORWARD----> dispatch (ForwardServer)
//!                       |---------ORDER------> Copies
//! Directory --states--> follow: links, topology, copies
//! Directory leader ---> Reconciler
//! ```

use super::copies::{Assignment, Copies};
use super::directory::{
    ClusterId, Directory, DirectoryError, DirectoryState, DirectoryTiming, PeerRpc,
    PeerUnreachable as DirectoryPeerUnreachable, Registration, Settings,
};
use super::gate::Gate;
use super::identity::{ClusterMembership, DataDir, DataDirError};
use super::joining::{join, register, until_state};
use super::orders::{Order, OrderReply};
use super::picture::{label, members, topology};
use super::reach::{self, Reach};
use super::reconciler;
use super::routes::{Forward, Routes};
use super::service;
use super::skew::{self, Skew};
use super::waiting::{Stage, Waiting};
use crate::clock;
use crate::ids::{CopyId, NodeNo, PartitionId};
use crate::keyspace::HashSeed;
use crate::raft::transport::{ClusterSecret, PeerIdentity, PeerService, Peers};
use crate::raft::{GroupHost, GroupRpc, Partition, PeerUnreachable, Role, Room, ShareOutcome, Timing};
use crate::topology::{HostPort, NodeState};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

/// Between looks at who leads what, for the topology.
const TOPOLOGY_PERIOD: Duration = Duration::from_millis(25);

/// What a node starts with.
pub struct ClusterConfig {
    /// Its data directory, locked.
    pub data_dir: DataDir,
    /// Advertised client address.
    pub client: HostPort,
    /// Advertised cluster address.
    pub cluster: HostPort,
    /// Advertised peer address.
    pub peer: HostPort,
    /// Peer addresses of nodes whose cluster it is to join, where it has none yet.
    pub join: Vec<HostPort>,
    /// Partitions, where it makes a cluster.
    pub partitions: u16,
    /// Copies of each, where it makes a cluster.
    pub replicas: u8,
    /// Bytes of memory that it offers: its weight in placement.
    pub weight: u64,
    /// Its zone.
    pub zone: Option<String>,
    /// The cluster's secret.
    pub secret: ClusterSecret,
    /// Where peers connect.
    pub listener: TcpListener,
    /// What others are told while the node has no place yet.
    pub waiting: Arc<Waiting>,
    /// The runtimes of the cores that groups live on; links and the directory live on the first.
    pub cores: Vec<Handle>,
}

/// Why a node cannot start, or has no place.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Its data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The cluster does not take it.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    /// A node that it was told of is of another cluster, or no node.
    #[error("{at} cannot be joined: {reason}")]
    Stranger {
        /// Where.
        at: HostPort,
        /// Why.
        reason: String,
    },
    /// Randomness of the system.
    #[error("no random numbers: {0}")]
    Random(std::io::Error),
}

/// What runs the commands that other nodes forward.
pub trait ForwardServer: Send + Sync + 'static {
    /// Runs them at this node's copy.
    fn serve(&self, from: NodeNo, request: Forward) -> BoxFuture<'static, ShareOutcome>;

    /// The same for several requests that only read and came together: their outcomes, in order.
    fn serve_reads(&self, from: NodeNo, requests: Vec<Forward>) -> BoxFuture<'static, Vec<ShareOutcome>>;

    /// The link to a node is gone: what its connections watch is forgotten.
    fn link_lost(&self, node: NodeNo);
}

/// A node of a cluster.
pub struct ClusterNode {
    pub(super) me: CopyId,
    pub(super) peers: Arc<Peers>,
    pub(super) directory: Directory,
    pub(super) copies: Arc<Copies>,
    pub(super) room: Arc<Room>,
    pub(super) routes: Arc<Routes>,
    pub(super) cluster: ClusterId,
    pub(super) forward: OnceLock<Arc<dyn ForwardServer>>,
    /// Asked to join another cluster: what to do is the application's (it starts the node anew).
    pub(super) rejoin: OnceLock<Box<dyn Fn(HostPort) + Send + Sync>>,
    pub(super) stopping: AtomicBool,
    /// Partitions whose voters are being changed on this node's orders.
    pub(super) work: Mutex<BTreeSet<PartitionId>>,
    /// What is known of the peers' clocks.
    pub(super) skew: Mutex<Skew>,
    /// What is known of whom they hear.
    pub(super) reach: Mutex<Reach>,
}

/// Carries the directory's messages.
struct DirectoryLink(Arc<Peers>);

impl PeerRpc for DirectoryLink {
    fn call(
        &self,
        to: NodeNo,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, DirectoryPeerUnreachable>> {
        let peers = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = peers.call(to, service::DIRECTORY, body, timeout).await;
            answer.map_err(|error| DirectoryPeerUnreachable { to, reason: error.to_string() })
        })
    }
}

/// Carries the groups' messages.
struct GroupLink(Arc<Peers>);

impl GroupRpc for GroupLink {
    fn call(&self, to: NodeNo, body: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        let peers = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = peers.call(to, service::GROUP, body, timeout).await;
            answer.map_err(|error| PeerUnreachable(error.to_string()))
        })
    }

    fn call_patiently(
        &self,
        to: NodeNo,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        let peers = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = peers.call_patiently(to, service::GROUP, body, timeout).await;
            answer.map_err(|error| PeerUnreachable(error.to_string()))
        })
    }
}

impl ClusterNode {
    /// Takes the node's place in its cluster: makes one, joins one or comes back to its own. Returns once its incarnation
    /// is registered; before that nothing may be served.
    ///
    /// # Errors
    /// Where that is refused, or the data directory fails. A peer that is out of reach is no error: it is tried again.
    pub async fn start(config: ClusterConfig) -> Result<Arc<Self>, ClusterError> {
        let waiting = Arc::clone(&config.waiting);
        tokio::select! {
            started = Self::take_place(config) => started,
            () = waiting.tell() => unreachable!("it is told until the node has started"),
        }
    }

    async fn take_place(mut config: ClusterConfig) -> Result<Arc<Self>, ClusterError> {
        let waiting = Arc::clone(&config.waiting);
        let identity = config.data_dir.identity().clone();
        let mut who = PeerIdentity {
            cluster: identity.membership.map_or_else(String::new, |membership| hex(&membership.cluster)),
            no: identity.membership.map_or(NodeNo(0), |membership| membership.no),
            name: identity.name,
            incarnation: identity.incarnation,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let registration = Registration {
            cluster: identity.membership.map(|membership| membership.cluster),
            name: identity.name,
            incarnation: identity.incarnation,
            token: u64::from_le_bytes(random()?),
            client: config.client.clone(),
            cluster_address: config.cluster.clone(),
            peer: config.peer.clone(),
            weight: config.weight,
            zone: config.zone.clone(),
            version: who.version.clone(),
        };
        let peers = Peers::new(config.secret.clone(), who.clone());
        let membership = match identity.membership {
            Some(membership) => membership,
            None if config.join.is_empty() => ClusterMembership { cluster: random()?, no: NodeNo(1) },
            None => {
                let membership = join(&peers, &config.join, &registration, &waiting).await?;
                config.data_dir.set_membership(Some(membership))?;
                membership
            }
        };
        who.cluster = hex(&membership.cluster);
        who.no = membership.no;
        peers.set_me(who);
        let link = Arc::new(DirectoryLink(Arc::clone(&peers)));
        if identity.membership.is_some() && !Directory::is_in(config.data_dir.path()) {
            tracing::warn!(
                path = %config.data_dir.path().display(),
                "a member's data directory without directory.redb: this node comes back only if another member answers"
            );
        }
        let directory =
            Directory::open(config.data_dir.path(), membership.no, link, DirectoryTiming::default()).await?;
        waiting.set_member(membership.no, (config.client.clone(), config.peer.clone()), &peers, &directory);
        let gate = Arc::new(Gate { directory: directory.clone(), peers: Arc::clone(&peers), node: OnceLock::new() });
        peers.set_service(Arc::clone(&gate) as Arc<dyn PeerService>);
        tokio::spawn(Arc::clone(&peers).listen(config.listener));
        if identity.membership.is_none() && config.join.is_empty() {
            let settings = Settings { partitions: config.partitions, replicas: config.replicas, hash_seed: random()? };
            directory.bootstrap(membership.cluster, settings).await?;
            config.data_dir.set_membership(Some(membership))?;
        }
        peers.set_members(&members(&directory.state()));
        if identity.membership.is_some() || config.join.is_empty() {
            waiting.enter(Stage::Registering);
            register(&peers, &directory, &registration, &config.join).await?;
        }
        waiting.enter(Stage::Following);
        let state = until_state(&directory).await;
        let settings =
            state.cluster.as_ref().map(|cluster| cluster.settings.clone()).expect("a registered node has a cluster");
        let seed = HashSeed(settings.hash_seed);
        let partitions: Arc<[Arc<Partition>]> = (0..settings.partitions)
            .map(|index| Arc::new(Partition::new(PartitionId(index), seed, Role::Absent)))
            .collect();
        let me = CopyId { node: membership.no, incarnation: identity.incarnation };
        let topology = topology(&state, me.node, &|_| None, &|_| false);
        let routes = Arc::new(Routes::new(partitions, topology).with_peers(Arc::clone(&peers)));
        let room = Room::new(routes.partitions());
        let host = Arc::new(GroupHost {
            until_beat: clock::until_beat,
            roles_changed: Notify::new(),
            room: Arc::clone(&room),
            rpc: Arc::new(GroupLink(Arc::clone(&peers))),
            timing: Timing::default(),
            snapshot_permits: Arc::new(Semaphore::new(1)),
            tick: clock::tick,
            boot_ns: clock::boot_ns,
        });
        let copies = Copies::new(me, host, Arc::clone(&routes), config.cores);
        let node = Arc::new(Self {
            me,
            peers: Arc::clone(&peers),
            directory,
            copies: Arc::clone(&copies),
            room,
            routes,
            cluster: membership.cluster,
            forward: OnceLock::new(),
            rejoin: OnceLock::new(),
            stopping: AtomicBool::new(false),
            work: Mutex::default(),
            skew: Mutex::default(),
            reach: Mutex::default(),
        });
        let _ = gate.node.set(Arc::clone(&node));
        copies.run(Arc::new(move |hints: &Bytes| peers.tell_all(service::LEADERS, hints)));
        tokio::spawn(Arc::clone(&node).follow());
        tokio::spawn(Arc::clone(&node).refresh_topology());
        tokio::spawn(reconciler::run(Arc::clone(&node)));
        tokio::spawn(skew::run(Arc::clone(&node)));
        // The lock of the data directory is held as long as the process lives.
        std::mem::forget(config.data_dir);
        Ok(node)
    }

    /// The routes.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The copies.
    pub fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    /// The node's memory.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The links.
    pub fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// The directory's state on this node.
    pub fn state(&self) -> Arc<DirectoryState> {
        self.directory.state()
    }

    /// Who leads the directory.
    pub fn directory_leader(&self) -> Option<NodeNo> {
        self.directory.leader()
    }

    /// This node's number.
    pub fn no(&self) -> NodeNo {
        self.me.node
    }

    /// Connects what runs forwarded commands.
    pub fn set_forward_server(&self, server: Arc<dyn ForwardServer>) {
        let _ = self.forward.set(server);
    }

    /// Connects what starts this node anew as a member of the cluster at a peer address.
    pub fn set_rejoin(&self, rejoin: Box<dyn Fn(HostPort) + Send + Sync>) {
        let _ = self.rejoin.set(rejoin);
    }

    /// Keeps links and copies as the directory has them.
    async fn follow(self: Arc<Self>) {
        let mut states = self.directory.subscribe();
        let mut was = None;
        loop {
            let state = Arc::clone(&states.borrow_and_update());
            self.peers.set_members(&members(&state));
            let now = state.nodes.get(&self.me.node).map(|node| node.state);
            if now != was {
                match now {
                    Some(NodeState::Draining) => {
                        tracing::info!("this node is being drained: it gives away what it holds")
                    }
                    Some(NodeState::Left) => {
                        tracing::info!("this node was drained: it holds nothing any more and may be stopped");
                    }
                    _ => {}
                }
                was = now;
            }
            for (index, record) in state.partitions.iter().enumerate() {
                self.copies.follow(PartitionId(index as u16), &Assignment::from(record)).await;
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether another node is connected, and answers.
    pub(super) fn is_heard(&self, no: NodeNo) -> bool {
        self.peers.is_connected(no) && !self.skew.lock().is_silent(no, clock::boot_ns())
    }

    /// The nodes that should be heard and are not.
    pub(super) fn unheard(&self) -> BTreeSet<NodeNo> {
        reach::unheard(&self.directory.state(), self.me.node, |no| self.is_heard(no))
    }

    /// What this node says when it is asked for its clock, beside the clock.
    pub(super) fn knows(&self) -> (bool, BTreeSet<NodeNo>) {
        // A lock at a time: whom it hears depends on what is known of the clocks, too.
        let compared = self.skew.lock().has_compared();
        (compared, self.unheard())
    }

    /// The nodes that do not reach another one which a third node reaches.
    pub(super) fn look_who_is_apart(&self) -> BTreeSet<NodeNo> {
        let (unheard, boot_ns) = (self.unheard(), clock::boot_ns());
        let mut reach = self.reach.lock();
        let before = reach.apart().contains(&self.me.node);
        reach.heard(self.me.node, unheard, boot_ns);
        reach.look(boot_ns);
        let apart = reach.apart().clone();
        drop(reach);
        match (before, apart.contains(&self.me.node)) {
            (false, true) => {
                let unreachable: Vec<String> = self.unheard().into_iter().map(|no| self.label(no)).collect();
                tracing::warn!(
                    unreachable = unreachable.join(", "),
                    "others reach a node that this one does not: leaderships are given to those that reach all"
                );
            }
            (true, false) => tracing::info!("all nodes that others reach are within reach again"),
            _ => {}
        }
        apart
    }

    /// How messages name a node.
    pub(super) fn label(&self, no: NodeNo) -> String {
        label(&self.directory.state(), no)
    }

    async fn refresh_topology(self: Arc<Self>) {
        loop {
            let state = self.directory.state();
            let next = topology(&state, self.me.node, &|id| self.routes.leader(id), &|no| self.is_heard(no));
            if *self.routes.topology() != next {
                self.routes.set_topology(next);
            }
            clock::beat(TOPOLOGY_PERIOD).await;
        }
    }

    /// Gives an order to a node and waits for what becomes of it.
    pub(super) async fn give(&self, to: NodeNo, order: Order) -> OrderReply {
        if to == self.me.node {
            return Arc::clone(&self.copies).order(order).await;
        }
        let body = serde_json::to_vec(&order).expect("orders are numbers, which JSON can write");
        match self.peers.call(to, service::ORDER, body.into(), Duration::from_secs(130)).await {
            Ok(answer) => serde_json::from_slice(&answer).unwrap_or(OrderReply::Again("garbled answer".into())),
            Err(error) => OrderReply::Again(error.to_string()),
        }
    }

    /// Stops groups and directory; the process ends after it.
    pub async fn stop(&self) {
        for group in self.copies.groups() {
            group.stop().await;
        }
        if let Err(error) = self.directory.shutdown().await {
            tracing::warn!(%error, "the directory did not close cleanly");
        }
    }
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random<const N: usize>() -> Result<[u8; N], ClusterError> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| ClusterError::Random(error.into()))?;
    Ok(bytes)
}
