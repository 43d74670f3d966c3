//! One node: the server's copies, routes, reconciler, upkeep and dispatch, on the simulated runtime.
//!
//! Wired as `ClusterNode::start` and `app::serve` wire them. What is not the server's own: the links, the directory's
//! group, and the sockets of clients.

use super::directory::Directory;
use super::network::{Network, NoAnswer, Service};
use super::port::Port;
use super::runtime::{MachineClock, Pid, Sim, boot_ns, clocks, current, ms, sleep, spawn, spawn_on, tick, wall_ms};
use bytes::Bytes;
use futures::future::BoxFuture;
use larder::cluster::copies::{Assignment, Copies};
use larder::cluster::directory::{
    Applied, DirectoryCommand, DirectoryError, DirectoryState, Registration, Settings as ClusterSettings,
};
use larder::cluster::forwarding;
use larder::cluster::orders::{Order, OrderReply};
use larder::cluster::picture::topology;
use larder::cluster::reach::{self, Reach};
use larder::cluster::reconciler::{self, Conductor};
use larder::cluster::routes::{Forward, Forwarder, Reads, Routes, Succession};
use larder::cluster::skew::{Reading, Skew};
use larder::commands::port::NodePort;
use larder::commands::session::{PortKind, Session};
use larder::commands::table;
use larder::dispatch::{Conversation, Dispatcher, MemoryGate};
use larder::ids::{CopyId, Incarnation, NodeName, NodeNo, PartitionId};
use larder::keyspace::{EvictionPolicy, HashSeed, LfuParameters};
use larder::planted::{Bug, planted};
use larder::raft::upkeep::{Admission, Upkeep};
use larder::raft::{
    GroupHost, GroupRpc, Partition, PeerUnreachable, Refusal, Role, Room, ShareOutcome, Surroundings, Timing,
};
use larder::telemetry::Stats;
use larder::topology::HostPort;
use larder_protocol::{CommandBatch, ReplyBuffer, RequestDecoder};
use openraft::AsyncRuntime;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

/// Commands that a connection takes at once.
const BATCH_COMMANDS_MAX: usize = 64;
/// How long a node waits for an order to be carried out.
const ORDER_TIMEOUT: Duration = Duration::from_secs(130);

/// A node that runs.
pub struct Node {
    /// Its process.
    pub pid: Pid,
    /// Who it is.
    pub me: CopyId,
    /// Its copies.
    pub copies: Arc<Copies<Sim>>,
    /// Its routes.
    pub routes: Arc<Routes>,
    /// Its memory.
    pub room: Arc<Room>,
    upkeep: Arc<Upkeep>,
    dispatcher: Arc<Dispatcher>,
    port: Arc<dyn NodePort>,
    network: Weak<Network>,
    directory: Arc<Directory>,
    work: Mutex<BTreeSet<PartitionId>>,
    skew: Mutex<Skew>,
    reach: Mutex<Reach>,
}

/// What a machine's disk says of its node.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: NodeName,
    /// How often it has started.
    pub incarnation: Incarnation,
    /// The cluster, once it has joined.
    pub cluster: Option<[u8; 20]>,
    /// Its number, once it has one.
    pub no: Option<NodeNo>,
}

/// What all nodes of a run are started with.
#[derive(Debug, Clone, Copy)]
pub struct NodeSettings {
    /// Memory limit in bytes; 0: none.
    pub memory_bytes: usize,
    /// Eviction policy.
    pub policy: EvictionPolicy,
}

/// Registers, and serves from then on. Runs in the node's own process; `None` where the directory does not take it.
pub async fn start(
    network: Arc<Network>,
    directory: Arc<Directory>,
    identity: Identity,
    settings: NodeSettings,
) -> Option<Arc<Node>> {
    let address = |port| HostPort { host: "sim".into(), port };
    let registration = Registration {
        cluster: identity.cluster,
        name: identity.name,
        incarnation: identity.incarnation,
        // By its token the directory tells a second process with the same data from an answer that was lost.
        token: match planted(Bug::RestartReusesId) {
            true => u64::from(identity.name.0[0]),
            false => current().draw(rand::Rng::next_u64),
        },
        client: address(6379),
        cluster_address: address(7379),
        peer: address(16379),
        weight: 1 << 30,
        zone: None,
        version: "simulated".into(),
    };
    let no = loop {
        match directory.propose(identity.no, DirectoryCommand::RegisterNode(registration.clone())).await {
            Ok(Applied::Registered { no }) => break no,
            Ok(_) | Err(DirectoryError::Refused(_)) => return None,
            Err(_) => sleep(ms(200)).await,
        }
    };
    let pid = current().process();
    network.starts(no, pid);
    let me = CopyId { node: no, incarnation: identity.incarnation };
    let state = loop {
        let state = directory.state(no);
        if state.nodes.get(&no).is_some_and(|node| node.incarnation == me.incarnation) {
            break state;
        }
        sleep(ms(20)).await;
    };
    let cluster = state.cluster.as_ref()?.settings.clone();
    let node = build(&network, directory, me, pid, &cluster, settings, &state);
    network.attach(Arc::clone(&node));
    node.run();
    Some(node)
}

fn build(
    network: &Arc<Network>,
    directory: Arc<Directory>,
    me: CopyId,
    pid: Pid,
    cluster: &ClusterSettings,
    settings: NodeSettings,
    state: &DirectoryState,
) -> Arc<Node> {
    let seed = HashSeed(cluster.hash_seed);
    let around = Surroundings { clocks: clocks(), sleep: |time| Box::pin(sleep(time)), spawn: |task| spawn(task) };
    let partition = |index| Arc::new(Partition::within(around, PartitionId(index), seed, Role::Absent));
    let partitions: Arc<[Arc<Partition>]> = (0..cluster.partitions).map(partition).collect();
    let link = Link { network: Arc::downgrade(network), me: me.node };
    let picture = topology(state, me.node, &|_| None, &|_| false);
    let routes = Arc::new(Routes::new(partitions, picture).with_forwarder(Arc::new(link.clone())));
    let room = Room::new(routes.partitions());
    let host = Arc::new(GroupHost {
        rpc: Arc::new(link),
        timing: Timing::default(),
        snapshot_permits: Arc::new(Semaphore::new(1)),
        tick,
        boot_ns,
        until_beat: |period| period,
        roles_changed: Notify::new(),
        room: Arc::clone(&room),
    });
    let copies = Copies::<Sim>::on(me, host, Arc::clone(&routes), vec![Box::new(|task| spawn(task))]);
    let stats = Arc::new(Stats::new(table::named().len()));
    let upkeep = Upkeep::with_clocks(
        Arc::clone(routes.partitions()),
        Arc::clone(&room),
        Arc::clone(&stats),
        clocks(),
        Box::new(|task| spawn(task)),
    );
    upkeep.configure(settings.memory_bytes, settings.policy, LfuParameters::default());
    let port: Arc<dyn NodePort> = Arc::new(Port::new(Arc::clone(&routes), Arc::clone(&stats)));
    let dispatcher = Dispatcher::with_clocks(
        Arc::clone(&routes),
        Arc::clone(&port),
        Arc::new(Gate(Arc::clone(&upkeep))),
        stats,
        current().draw(rand::Rng::next_u64),
        clocks(),
        Box::new(|time| Box::pin(sleep(time))),
    );
    Arc::new(Node {
        pid,
        me,
        copies,
        routes,
        room,
        upkeep,
        dispatcher,
        port,
        network: Arc::downgrade(network),
        directory,
        work: Mutex::default(),
        skew: Mutex::default(),
        reach: Mutex::default(),
    })
}

/// Asks upkeep whether there is room, as `app::serve` does.
struct Gate(Arc<Upkeep>);

impl MemoryGate for Gate {
    fn admit(&self, partition: &Partition) -> bool {
        self.0.admit() != Admission::Refused || !matches!(partition.lock().role, Role::Solo | Role::Leader)
    }
}

impl Node {
    /// Starts what runs for the life of the node.
    fn run(self: &Arc<Self>) {
        let (network, me) = (Weak::clone(&self.network), self.me.node);
        self.copies.run(Arc::new(move |hints: &Bytes| {
            let Some(network) = network.upgrade() else { return };
            for other in network.nodes().into_iter().filter(|other| other.me.node != me) {
                let call = Arc::clone(&network).call(me, other.me.node, Service::Leaders, hints.clone(), ms(500));
                spawn(async move { drop(call.await) });
            }
        }));
        spawn(Arc::clone(self).follow());
        spawn(Arc::clone(self).refresh_topology());
        spawn(reconciler::run(Arc::clone(self)));
        spawn(Arc::clone(self).mind_the_clock());
        spawn(Arc::clone(self).keep_up());
    }

    async fn follow(self: Arc<Self>) {
        loop {
            let state = Conductor::state(&*self);
            for (index, record) in state.partitions.iter().enumerate() {
                self.copies.follow(PartitionId(index as u16), &Assignment::from(record)).await;
            }
            self.changed(&state, Duration::from_secs(1)).await;
        }
    }

    async fn refresh_topology(self: Arc<Self>) {
        loop {
            let state = Conductor::state(&*self);
            let connected = |no| self.is_connected(no);
            let next = topology(&state, self.me.node, &|id| self.routes.leader(id), &connected);
            if *self.routes.topology() != next {
                self.routes.set_topology(next);
            }
            sleep(ms(25)).await;
        }
    }

    /// As `skew::run`: the clock is looked at twenty times a second, the peers are asked once, and new ones at once.
    async fn mind_the_clock(self: Arc<Self>) {
        for look in 0u64.. {
            let system_ms = current().clock(MachineClock::system_ms);
            let judgement = self.skew.lock().judge(system_ms, boot_ns());
            current().judge_clock(self.pid, judgement);
            let in_turn = look.is_multiple_of(20);
            let network = self.network.upgrade();
            for other in network.iter().flat_map(|network| network.nodes()) {
                if other.me.node != self.me.node && (in_turn || !self.skew.lock().knows(other.me.node)) {
                    spawn(Arc::clone(&self).ask_for_the_time(other.me.node));
                }
            }
            if in_turn {
                let apart = self.look_who_is_apart();
                if judgement.held_back_ms > 0 {
                    self.copies.hand_over().await;
                } else if apart.contains(&self.me.node) {
                    self.copies.give_way(&apart).await;
                }
            }
            sleep(ms(50)).await;
        }
    }

    async fn ask_for_the_time(self: Arc<Self>, peer: NodeNo) {
        let Some(network) = self.network.upgrade() else { return };
        let asked = (current().clock(MachineClock::system_ms), boot_ns());
        let answer = network.call(self.me.node, peer, Service::Clock, Bytes::new(), ms(1000)).await;
        if let Some(reading) = answer.ok().and_then(Reading::decode) {
            {
                let mut skew = self.skew.lock();
                skew.heard(peer, asked, &reading, boot_ns());
                if !skew.has_compared() {
                    let judgement = skew.judge(current().clock(MachineClock::system_ms), boot_ns());
                    current().judge_clock(self.pid, judgement);
                }
            }
            self.reach.lock().heard(peer, reading.unheard, boot_ns());
        }
    }

    fn unheard(&self) -> BTreeSet<NodeNo> {
        reach::unheard(&Conductor::state(self), self.me.node, |no| self.is_connected(no))
    }

    fn look_who_is_apart(&self) -> BTreeSet<NodeNo> {
        let unheard = self.unheard();
        let mut reach = self.reach.lock();
        reach.heard(self.me.node, unheard, boot_ns());
        reach.look(boot_ns());
        reach.apart().clone()
    }

    /// As `Upkeep::run`.
    async fn keep_up(self: Arc<Self>) {
        loop {
            let pause = if self.upkeep.look() { ms(1) } else { ms(100) };
            let _ = Sim::timeout(pause, self.room.pressed()).await;
        }
    }

    /// Answers another node; runs in this node's process.
    pub async fn serve(self: Arc<Self>, from: NodeNo, service: Service, body: Bytes) -> Bytes {
        match service {
            Service::Group => self.copies.handle(body).await,
            Service::Forward => {
                let outcome = match forwarding::decode_request(body) {
                    Ok(request) => self.dispatcher.serve_forward(request, from).await,
                    Err(_) => ShareOutcome::Refused(Refusal::NoCopy),
                };
                forwarding::encode_outcome(&outcome)
            }
            Service::Reads => {
                let requests = forwarding::decode_requests(body).expect("messages come whole");
                forwarding::encode_outcomes(&self.dispatcher.serve_reads(requests, from).await)
            }
            Service::Order => {
                let order: Order = serde_json::from_slice(&body).expect("orders come whole");
                serde_json::to_vec(&Arc::clone(&self.copies).order(order).await).expect("numbers and texts").into()
            }
            Service::Leaders => {
                self.copies.hear(from, body);
                Bytes::new()
            }
            Service::Clock => {
                let held_back_ms = current().clock(|clock, _| clock.judgement.held_back_ms);
                let compared = self.skew.lock().has_compared();
                let unheard = self.unheard();
                Reading { system_ms: wall_ms() + held_back_ms, held_back_ms, compared, unheard }.encode()
            }
        }
    }

    /// A client connects. What it sends is a whole batch each time; what comes back are the replies to one.
    pub fn connect(self: &Arc<Self>, port: PortKind) -> Connection {
        let (requests, mut incoming) = mpsc::unbounded_channel::<Vec<u8>>();
        let (outgoing, replies) = mpsc::unbounded_channel();
        let node = Arc::clone(self);
        spawn_on(self.pid, async move {
            let address = ([127, 0, 0, 1], 1).into();
            let client = node.port.clients().register(address, address, wall_ms());
            let session = Session::new(Arc::clone(&client), port, true);
            let mut conversation = Conversation::new(Arc::clone(&node.dispatcher), session);
            let (mut decoder, mut batch) = (RequestDecoder::default(), CommandBatch::default());
            let mut out = ReplyBuffer::default();
            decoder.set_authenticated(true);
            while let Some(input) = incoming.recv().await {
                let mut from = 0;
                while from < input.len() {
                    let used =
                        decoder.decode(&input[from..], &mut batch, BATCH_COMMANDS_MAX).expect("it is well-formed");
                    let mut at = 0;
                    while at < batch.len() {
                        at = conversation.execute(&input[from..], &batch, at, &mut out).await;
                        if conversation.is_parked() {
                            tokio::select! {
                                biased;
                                () = conversation.finish_wait(&mut out) => {}
                                more = incoming.recv() => {
                                    assert!(more.is_none(), "nothing is sent behind a command that waits");
                                    return;
                                }
                            }
                        }
                    }
                    from += used;
                }
                if outgoing.send(out.take()).is_err() {
                    return;
                }
            }
        });
        Connection { requests, replies }
    }
}

/// A client's end.
pub struct Connection {
    /// Batches to the node.
    pub requests: mpsc::UnboundedSender<Vec<u8>>,
    /// Their replies.
    pub replies: mpsc::UnboundedReceiver<Bytes>,
}

impl Conductor for Node {
    fn no(&self) -> NodeNo {
        self.me.node
    }

    fn state(&self) -> Arc<DirectoryState> {
        self.directory.state(self.me.node)
    }

    fn changed<'a>(&'a self, known: &'a Arc<DirectoryState>, at_most: Duration) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let notify = self.directory.notify(self.me.node);
            let told = notify.notified();
            if Arc::ptr_eq(&Conductor::state(self), known) {
                let _ = Sim::timeout(at_most, told).await;
            }
        })
    }

    fn leads(&self) -> bool {
        self.directory.leads(self.me.node)
    }

    fn members(&self) -> (BTreeSet<NodeNo>, BTreeSet<NodeNo>) {
        self.directory.members()
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<u64, DirectoryError>> {
        Box::pin(self.directory.confirm(self.me.node))
    }

    fn propose(&self, command: DirectoryCommand) -> BoxFuture<'_, Result<Applied, DirectoryError>> {
        Box::pin(self.directory.propose(Some(self.me.node), command))
    }

    fn add_node(&self, no: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.directory.add(self.me.node, no))
    }

    fn remove_node(&self, no: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.directory.remove(self.me.node, no))
    }

    fn balance(&self, without: Option<NodeNo>) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.directory.balance(self.me.node, without))
    }

    fn give(&self, to: NodeNo, order: Order) -> BoxFuture<'_, OrderReply> {
        Box::pin(async move {
            if to == self.me.node {
                return Arc::clone(&self.copies).order(order).await;
            }
            let Some(network) = self.network.upgrade() else { return OrderReply::Again("the end".into()) };
            let body = serde_json::to_vec(&order).expect("numbers and texts").into();
            match network.call(self.me.node, to, Service::Order, body, ORDER_TIMEOUT).await {
                Ok(answer) => serde_json::from_slice(&answer).expect("replies come whole"),
                Err(error) => OrderReply::Again(format!("{error:?}")),
            }
        })
    }

    fn is_connected(&self, no: NodeNo) -> bool {
        self.network.upgrade().is_some_and(|network| network.is_linked(self.me.node, no))
    }

    fn term_of(&self, partition: PartitionId) -> u32 {
        self.routes.term(partition)
    }

    fn leader_of(&self, partition: PartitionId) -> Option<NodeNo> {
        self.routes.leader(partition)
    }

    fn is_held_back(&self, no: NodeNo) -> bool {
        if no == self.me.node {
            return current().clock_of(self.pid, |clock, _| clock.judgement.held_back_ms) > 0;
        }
        self.skew.lock().is_held_back(no)
    }

    fn is_apart(&self, no: NodeNo) -> bool {
        self.reach.lock().apart().contains(&no)
    }

    fn work(&self) -> &Mutex<BTreeSet<PartitionId>> {
        &self.work
    }

    fn boot_ns(&self) -> u64 {
        boot_ns()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        spawn(task);
    }
}

/// A node's end of the links.
#[derive(Clone)]
struct Link {
    network: Weak<Network>,
    me: NodeNo,
}

impl GroupRpc for Link {
    fn call(&self, to: NodeNo, body: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        let Some(network) = self.network.upgrade() else {
            return Box::pin(async { Err(PeerUnreachable("the end".into())) });
        };
        let call = network.call(self.me, to, Service::Group, body, timeout);
        Box::pin(async move { call.await.map_err(|error| PeerUnreachable(format!("{error:?}"))) })
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
            sleep(Duration::from_micros(super::network::below(10_000))).await;
            call.await
        })
    }
}

impl Forwarder for Link {
    fn forward(
        &self,
        to: NodeNo,
        request: Forward,
        timeout: Duration,
        succession: Succession,
        done: oneshot::Sender<ShareOutcome>,
    ) {
        let Some(network) = self.network.upgrade() else { return };
        let call = network.call(self.me, to, Service::Forward, forwarding::encode_request(&request), timeout);
        spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = call => answer,
                () = succession.settled::<Sim>() => Err(NoAnswer::Lost),
            };
            let _ = done.send(match answer {
                Ok(body) => forwarding::decode_outcome(body),
                Err(NoAnswer::NotSent) => ShareOutcome::Refused(Refusal::Unreachable),
                Err(NoAnswer::Lost) => ShareOutcome::Uncertain,
            });
        });
    }

    fn forward_reads(&self, to: NodeNo, reads: Reads, timeout: Duration) {
        let Some(network) = self.network.upgrade() else { return };
        let body = forwarding::encode_requests(reads.requests.iter());
        let call = network.call(self.me, to, Service::Reads, body, timeout);
        spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = call => answer,
                () = Succession::any_settled::<Sim>(&reads.successions) => Err(NoAnswer::Lost),
            };
            Reads::settle(
                reads.done,
                match answer {
                    Ok(body) => Ok(body),
                    Err(NoAnswer::NotSent) => Err(Refusal::Unreachable),
                    Err(NoAnswer::Lost) => Ok(Bytes::new()),
                },
            );
        });
    }
}
