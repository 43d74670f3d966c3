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

use super::control::{ControlReply, ControlRequest};
use super::copies::{Assignment, Copies};
use super::directory::{
    Applied, ClusterId, Directory, DirectoryCommand, DirectoryError, DirectoryState, DirectoryTiming, PeerRpc,
    PeerUnreachable as DirectoryPeerUnreachable, Refused, Registration, Settings,
};
use super::forwarding;
use super::identity::{ClusterMembership, DataDir, DataDirError};
use super::orders::{Order, OrderReply};
use super::reconciler;
use super::routes::{Forward, Routes};
use super::service;
use crate::clock;
use crate::ids::{CopyId, NodeNo, PartitionId};
use crate::keyspace::HashSeed;
use crate::raft::transport::{ClusterSecret, PeerIdentity, PeerService, Peers};
use crate::raft::{GroupHost, GroupRpc, Partition, PeerUnreachable, Role, ShareOutcome, Timing};
use crate::topology::{HostPort, NodeInfo, NodeState, Owners, Topology};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How long one try to join may take.
const JOIN_TIMEOUT: Duration = Duration::from_secs(12);
/// First and longest pause between tries to join.
const JOIN_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
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
    /// The runtimes of its cores; links and the directory live on the first.
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
    /// Randomness of the system.
    #[error("no random numbers: {0}")]
    Random(std::io::Error),
}

/// What runs the commands that other nodes forward.
pub trait ForwardServer: Send + Sync + 'static {
    /// Runs them at this node's copy.
    fn serve(&self, from: NodeNo, request: Forward) -> BoxFuture<'static, ShareOutcome>;

    /// The link to a node is gone: what its connections watch is forgotten.
    fn link_lost(&self, node: NodeNo);
}

/// A node of a cluster.
pub struct ClusterNode {
    pub(super) me: CopyId,
    pub(super) peers: Arc<Peers>,
    pub(super) directory: Directory,
    pub(super) copies: Arc<Copies>,
    pub(super) routes: Arc<Routes>,
    cluster: ClusterId,
    forward: OnceLock<Arc<dyn ForwardServer>>,
    /// Asked to join another cluster: what to do is the application's (it starts the node anew).
    rejoin: OnceLock<Box<dyn Fn(HostPort) + Send + Sync>>,
    stopping: AtomicBool,
    /// Partitions whose voters are being changed on this node's orders.
    pub(super) work: Mutex<BTreeSet<PartitionId>>,
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
}

impl ClusterNode {
    /// Takes the node's place in its cluster: makes one, joins one or comes back to its own. Returns once its incarnation
    /// is registered; before that nothing may be served.
    ///
    /// # Errors
    /// Where that is refused, or the data directory fails. A peer that is out of reach is no error: it is tried again.
    pub async fn start(mut config: ClusterConfig) -> Result<Arc<Self>, ClusterError> {
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
                let (cluster, no) = join(&peers, &config.join, &registration).await?;
                let membership = ClusterMembership { cluster, no };
                config.data_dir.set_membership(Some(membership))?;
                membership
            }
        };
        who.cluster = hex(&membership.cluster);
        who.no = membership.no;
        peers.set_me(who);
        let link = Arc::new(DirectoryLink(Arc::clone(&peers)));
        let directory =
            Directory::open(config.data_dir.path(), membership.no, link, DirectoryTiming::default()).await?;
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
            register(&peers, &directory, &registration).await?;
        }
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
        let host = Arc::new(GroupHost {
            rpc: Arc::new(GroupLink(Arc::clone(&peers))),
            timing: Timing::default(),
            snapshot_permits: Arc::new(Semaphore::new(1)),
            wall: clock::unix_ms,
        });
        let copies = Copies::new(me, host, Arc::clone(&routes), config.cores);
        let node = Arc::new(Self {
            me,
            peers: Arc::clone(&peers),
            directory,
            copies: Arc::clone(&copies),
            routes,
            cluster: membership.cluster,
            forward: OnceLock::new(),
            rejoin: OnceLock::new(),
            stopping: AtomicBool::new(false),
            work: Mutex::default(),
        });
        let _ = gate.node.set(Arc::clone(&node));
        copies.run(Arc::new(move |hints: &[u8]| peers.tell_all(service::LEADERS, hints)));
        tokio::spawn(Arc::clone(&node).follow());
        tokio::spawn(Arc::clone(&node).refresh_topology());
        tokio::spawn(reconciler::run(Arc::clone(&node)));
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
        loop {
            let state = Arc::clone(&states.borrow_and_update());
            self.peers.set_members(&members(&state));
            for (index, record) in state.partitions.iter().enumerate() {
                let assignment = Assignment {
                    generation: record.generation,
                    voters: record.voters.clone(),
                    target: record.target.clone(),
                    planned: record.planned.iter().flatten().copied().collect(),
                };
                self.copies.follow(PartitionId(index as u16), &assignment).await;
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    async fn refresh_topology(self: Arc<Self>) {
        loop {
            let state = self.directory.state();
            let next = topology(&state, self.me.node, &|id| self.routes.leader(id), &|no| self.peers.is_connected(no));
            if *self.routes.topology() != next {
                self.routes.set_topology(next);
            }
            tokio::time::sleep(TOPOLOGY_PERIOD).await;
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

    /// Whether all copies of this node are caught-up voters, as `/readyz` wants; if not, why.
    ///
    /// # Errors
    /// The reason.
    pub fn readiness(&self) -> Result<(), String> {
        let state = self.directory.state();
        let Some(record) = state.nodes.get(&self.me.node) else {
            return Err("this node is not a member of the cluster".into());
        };
        match record.state {
            NodeState::Joining => return Err("joining".into()),
            NodeState::Down => return Err("removed by an operator".into()),
            NodeState::Left => return Ok(()),
            NodeState::Up | NodeState::Draining => {}
        }
        if self.directory.leader().is_none() {
            return Err("the directory has no leader".into());
        }
        // A node that has just come up is in no target yet: that is not the same as having nothing to hold.
        let placed = reconciler::wanted_targets(&state)
            .is_some_and(|wanted| state.partitions.iter().map(|record| &record.target).eq(&wanted));
        if !placed {
            return Err("placement is changing".into());
        }
        if record.state == NodeState::Up && !state.is_settled(self.me.node) {
            return Err("copies are still on their way".into());
        }
        let held = state.partitions.iter().enumerate().filter(|(_, record)| record.voters.contains(&self.me));
        for (index, _) in held {
            let id = PartitionId(index as u16);
            let ready = match self.copies.group(id) {
                Some(group) => group.is_caught_up_voter(),
                None => self.routes.partitions()[id.index()].lock().role == Role::Solo,
            };
            if !ready {
                return Err(format!("the copy of partition {id} is not a caught-up voter"));
            }
        }
        Ok(())
    }

    /// Starts to empty a node.
    ///
    /// # Errors
    /// Where it is the last one, or the directory says no.
    pub async fn drain(&self, no: NodeNo) -> Result<(), String> {
        let state = self.directory.state();
        if !state.nodes.values().any(|node| node.no != no && node.state == NodeState::Up) {
            return Err("ERR the last node cannot be drained: there is no other to take its data".into());
        }
        self.propose(DirectoryCommand::SetNodeState { no, state: NodeState::Draining }).await
    }

    /// Declares a dead node dead for good.
    ///
    /// # Errors
    /// Where it is connected, or the directory says no.
    pub async fn remove(&self, no: NodeNo) -> Result<(), String> {
        if no == self.me.node || self.peers.is_connected(no) {
            return Err(format!("ERR node {no} is alive: drain it, or stop it first"));
        }
        self.propose(DirectoryCommand::SetNodeState { no, state: NodeState::Down }).await
    }

    async fn propose(&self, command: DirectoryCommand) -> Result<(), String> {
        self.directory.propose(command).await.map(|_| ()).map_err(|error| format!("ERR {error}"))
    }

    /// Waits for leave to stop, then hands leaderships over, until `grace` has passed. Says why it waits.
    pub async fn prepare_stop(&self, grace: Duration) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        // Called off (the future is dropped) while it waits for leave, it may be asked for again.
        let mut waiting = Waiting(Some(&self.stopping));
        let deadline = Instant::now() + grace;
        let mut told = String::new();
        loop {
            let state = self.directory.state();
            let alone = !state
                .nodes
                .values()
                .any(|node| node.no != self.me.node && !matches!(node.state, NodeState::Down | NodeState::Left));
            let left = state.nodes.get(&self.me.node).is_none_or(|node| node.state == NodeState::Left);
            if alone || left {
                return;
            }
            let unavailable: BTreeSet<NodeNo> = state
                .nodes
                .keys()
                .filter(|no| **no != self.me.node && (!self.peers.is_connected(**no) || !state.is_settled(**no)))
                .copied()
                .collect();
            match self.directory.propose(DirectoryCommand::AcquireStop { copy: self.me, unavailable }).await {
                Ok(_) => break,
                Err(error) => {
                    let reason = error.to_string();
                    if reason != told {
                        tracing::warn!(reason, "waiting for leave to stop");
                        told = reason;
                    }
                }
            }
            if Instant::now() >= deadline {
                tracing::warn!("stopping without leave: the grace period is over");
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        waiting.0 = None;
        tracing::info!("handing leaderships over");
        while !self.copies.hand_over().await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if self.directory.leads() {
            let heir =
                self.directory.members().0.into_iter().find(|no| *no != self.me.node && self.peers.is_connected(*no));
            if let Some(heir) = heir {
                let _ = self.directory.transfer_leadership(heir).await;
            }
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

    /// Brings this node and the one at `other` into one cluster: of the two, the one without data joins.
    ///
    /// # Errors
    /// Where both hold data, or the other cannot be reached.
    pub async fn meet(&self, other: &HostPort) -> Result<(), String> {
        let ask = serde_json::to_vec(&ControlRequest::Describe).expect("a request is JSON");
        let answer = self.control(other, &ask).await?;
        let ControlReply::Description { cluster, nodes, has_data } = answer else {
            return Err(format!("ERR unexpected answer of {other}"));
        };
        if cluster == self.cluster {
            return Ok(());
        }
        let state = self.directory.state();
        let we_are_free = state.nodes.len() == 1 && !self.has_data();
        if nodes == 1 && !has_data {
            let mine = state.nodes.get(&self.me.node).map(|node| node.peer.clone());
            let mine = mine.ok_or("ERR this node is not a member of its cluster")?;
            let join = serde_json::to_vec(&ControlRequest::Join(mine)).expect("a request is JSON");
            return match self.control(other, &join).await? {
                ControlReply::Accepted => Ok(()),
                ControlReply::Refused(reason) | ControlReply::Later(reason) => Err(format!("ERR {reason}")),
                _ => Err(format!("ERR unexpected answer of {other}")),
            };
        }
        if !we_are_free {
            return Err("ERR both nodes hold data or have a cluster: empty one of them first".into());
        }
        self.rejoin_at(other.clone())
    }

    fn has_data(&self) -> bool {
        self.routes.partitions().iter().any(|partition| !partition.lock().keyspace.is_empty())
    }

    fn rejoin_at(&self, other: HostPort) -> Result<(), String> {
        let rejoin = self.rejoin.get().ok_or("ERR this node cannot join another cluster")?;
        rejoin(other);
        Ok(())
    }

    async fn control(&self, other: &HostPort, body: &[u8]) -> Result<ControlReply, String> {
        let answer = self.peers.call_as_guest(other, service::CONTROL, body, JOIN_TIMEOUT).await;
        let answer = answer.map_err(|error| format!("ERR {other}: {error}"))?;
        serde_json::from_slice(&answer).map_err(|_| format!("ERR garbled answer of {other}"))
    }
}

/// Clears the flag that it holds when it is dropped.
struct Waiting<'a>(Option<&'a AtomicBool>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(flag) = self.0 {
            flag.store(false, Ordering::Release);
        }
    }
}

/// What answers on the links, from before the node is complete.
struct Gate {
    directory: Directory,
    peers: Arc<Peers>,
    node: OnceLock<Arc<ClusterNode>>,
}

impl PeerService for Gate {
    fn call(&self, from: &Arc<PeerIdentity>, number: u8, body: Bytes) -> BoxFuture<'static, Bytes> {
        let node = self.node.get().cloned();
        let guest = from.is_guest();
        match (number, node) {
            (service::GROUP, Some(node)) if !guest => Box::pin(async move { node.copies.handle(body).await }),
            (service::GROUP, None) if !guest => Box::pin(async { crate::raft::refusal() }),
            (service::DIRECTORY, _) if !guest => {
                let directory = self.directory.clone();
                Box::pin(async move { directory.handle(body).await })
            }
            (service::FORWARD, node) if !guest => serve_forward(node, from.no, body),
            (service::ORDER, Some(node)) if !guest => Box::pin(async move {
                let reply = match serde_json::from_slice::<Order>(&body) {
                    Ok(order) => Arc::clone(&node.copies).order(order).await,
                    Err(error) => OrderReply::Refused(error.to_string()),
                };
                serde_json::to_vec(&reply).unwrap_or_default().into()
            }),
            (service::CONTROL, node) => {
                let (directory, peers) = (self.directory.clone(), Arc::clone(&self.peers));
                Box::pin(async move {
                    let reply = match serde_json::from_slice(&body) {
                        Ok(request) => answer_control(&directory, &peers, node, request).await,
                        Err(error) => ControlReply::Refused(error.to_string()),
                    };
                    serde_json::to_vec(&reply).unwrap_or_default().into()
                })
            }
            _ => Box::pin(async { Bytes::new() }),
        }
    }

    fn tell(&self, from: &Arc<PeerIdentity>, number: u8, body: Bytes) {
        if let Some(node) = self.node.get()
            && number == service::LEADERS
            && !from.is_guest()
        {
            node.copies.hear(from.no, body);
        }
    }

    fn admit(&self, other: &PeerIdentity) -> Result<(), String> {
        let me = self.peers.me();
        if other.is_guest() {
            return Ok(());
        }
        if other.cluster != me.cluster {
            return Err(format!("this is a node of cluster {}, not of {}", me.cluster, other.cluster));
        }
        let state = self.directory.state();
        match state.nodes.get(&other.no) {
            Some(record) if record.name != other.name => {
                Err(format!("node {} is {}, not {}", other.no, record.name, other.name))
            }
            Some(record) if record.state == NodeState::Down => Err("this node was removed by an operator".into()),
            Some(record) if record.incarnation > other.incarnation => Err(format!(
                "incarnation {} of the node is over, {} is known",
                other.incarnation.0, record.incarnation.0
            )),
            // One that is not known here yet: this node may be behind.
            _ => Ok(()),
        }
    }

    fn link_changed(&self, node: NodeNo, up: bool) {
        if !up && let Some(forward) = self.node.get().and_then(|this| this.forward.get()) {
            forward.link_lost(node);
        }
    }
}

fn serve_forward(node: Option<Arc<ClusterNode>>, from: NodeNo, body: Bytes) -> BoxFuture<'static, Bytes> {
    let refused = || ShareOutcome::Refused(crate::raft::Refusal::NoCopy);
    let server = node.and_then(|node| node.forward.get().cloned());
    Box::pin(async move {
        let outcome = match (server, forwarding::decode_request(body)) {
            (Some(server), Ok(request)) => server.serve(from, request).await,
            _ => refused(),
        };
        forwarding::encode_outcome(&outcome)
    })
}

async fn answer_control(
    directory: &Directory,
    peers: &Arc<Peers>,
    node: Option<Arc<ClusterNode>>,
    request: ControlRequest,
) -> ControlReply {
    let state = directory.state();
    let Some(cluster) = state.cluster.clone() else {
        return ControlReply::Later("this node has no cluster yet".into());
    };
    match request {
        ControlRequest::Register(registration) => {
            match directory.propose(DirectoryCommand::RegisterNode(registration.clone())).await {
                Ok(Applied::Registered { no }) => {
                    // Links to it are dialed as soon as the directory's state says so; no need to wait for a look.
                    peers.set_members(&members(&directory.state()));
                    ControlReply::Registered { cluster: cluster.id, no, settings: cluster.settings.clone() }
                }
                Ok(_) => ControlReply::Later("unexpected answer of the directory".into()),
                Err(DirectoryError::Refused(reason)) => ControlReply::Refused(reason.to_string()),
                Err(error) => ControlReply::Later(error.to_string()),
            }
        }
        ControlRequest::Describe => ControlReply::Description {
            cluster: cluster.id,
            nodes: state.nodes.len(),
            has_data: node.is_some_and(|node| node.has_data()),
        },
        ControlRequest::Join(other) => match node {
            Some(node) if state.nodes.len() == 1 && !node.has_data() => match node.rejoin_at(other) {
                Ok(()) => ControlReply::Accepted,
                Err(reason) => ControlReply::Refused(reason),
            },
            _ => ControlReply::Refused("the node holds data or is in a cluster".into()),
        },
    }
}

/// Asks one seed after another until one takes the node in.
async fn join(
    peers: &Arc<Peers>,
    seeds: &[HostPort],
    registration: &Registration,
) -> Result<(ClusterId, NodeNo), ClusterError> {
    let body = serde_json::to_vec(&ControlRequest::Register(registration.clone())).expect("a request is JSON");
    let mut pause = JOIN_PAUSE.0;
    loop {
        for seed in seeds {
            let answer = peers.call_as_guest(seed, service::CONTROL, &body, JOIN_TIMEOUT).await;
            match answer.map(|answer| serde_json::from_slice(&answer)) {
                Ok(Ok(ControlReply::Registered { cluster, no, .. })) => {
                    tracing::info!(node = %no, cluster = hex(&cluster), %seed, "joined a cluster");
                    return Ok((cluster, no));
                }
                Ok(Ok(ControlReply::Refused(reason))) => return Err(ClusterError::Refused(reason)),
                Ok(Ok(ControlReply::Later(reason))) => tracing::warn!(%seed, reason, "cannot join yet"),
                Ok(_) => tracing::warn!(%seed, "garbled answer"),
                Err(error) => tracing::warn!(%seed, %error, "cannot join yet"),
            }
        }
        tracing::info!(pause_ms = pause.as_millis() as u64, "trying to join again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(JOIN_PAUSE.1);
    }
}

/// Registers the incarnation of a known node: through its own directory, and where nobody dials this node (its address
/// may have changed) as a guest of the others.
async fn register(peers: &Arc<Peers>, directory: &Directory, registration: &Registration) -> Result<(), ClusterError> {
    let body = serde_json::to_vec(&ControlRequest::Register(registration.clone())).expect("a request is JSON");
    loop {
        match directory.propose(DirectoryCommand::RegisterNode(registration.clone())).await {
            Ok(_) => return Ok(()),
            Err(DirectoryError::Refused(reason @ (Refused::StaleIncarnation { .. } | Refused::AnotherCluster))) => {
                return Err(ClusterError::Refused(reason.to_string()));
            }
            Err(DirectoryError::TimedOut(reason)) => tracing::warn!(reason, "cannot register yet"),
            Err(error) => return Err(error.into()),
        }
        for node in directory.state().nodes.values().filter(|node| node.name != registration.name) {
            let answer = peers.call_as_guest(&node.peer, service::CONTROL, &body, Duration::from_secs(3)).await;
            match answer.map(|answer| serde_json::from_slice(&answer)) {
                Ok(Ok(ControlReply::Registered { .. })) => return Ok(()),
                Ok(Ok(ControlReply::Refused(reason))) => return Err(ClusterError::Refused(reason)),
                _ => {}
            }
        }
    }
}

/// Waits until this node's directory has a state with a cluster.
async fn until_state(directory: &Directory) -> Arc<DirectoryState> {
    let mut states = directory.subscribe();
    loop {
        let state = Arc::clone(&states.borrow_and_update());
        if state.cluster.is_some() {
            return state;
        }
        if states.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The nodes to be linked with.
fn members(state: &DirectoryState) -> Vec<(NodeNo, HostPort)> {
    let linked = state.nodes.values().filter(|node| node.state != NodeState::Down);
    linked.map(|node| (node.no, node.peer.clone())).collect()
}

/// The picture that clients are given.
fn topology(
    state: &DirectoryState,
    me: NodeNo,
    leader: &dyn Fn(PartitionId) -> Option<NodeNo>,
    connected: &dyn Fn(NodeNo) -> bool,
) -> Topology {
    let nodes = state.nodes.values().filter(|node| node.state != NodeState::Left || node.no == me);
    let nodes: Vec<NodeInfo> = nodes
        .map(|node| NodeInfo {
            no: node.no,
            name: node.name,
            incarnation: node.incarnation,
            client: node.client.clone(),
            cluster: node.cluster.clone(),
            peer: node.peer.clone(),
            state: node.state,
            connected: node.no == me || connected(node.no),
        })
        .collect();
    let owners = state.partitions.iter().enumerate().map(|(index, record)| {
        let mut copies: Vec<NodeNo> = record.voters.iter().map(|copy| copy.node).collect();
        copies.retain(|no| nodes.iter().any(|node| node.no == *no));
        if copies.is_empty() {
            copies.extend(record.target.first());
        }
        Owners { leader: leader(PartitionId(index as u16)), copies }
    });
    let owners = owners.collect();
    Topology { epoch: state.epoch, me, nodes, owners }
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
