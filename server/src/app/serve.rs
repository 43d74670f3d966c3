//! `larder serve`: one node, from its settings to its end.
//!
//! ```text
//! main thread: settings, logs, sockets -> signals -> graceful stop
//! core 0:      the cluster's links and directory, HTTP, accepting
//! every core:  connections, Raft groups
//! ```

use super::addresses::{self, Advertised, Bound, Unreachable};
use super::node::Node;
use super::stop::{self, Stage, StopSwitch};
use super::waiting::{self, WaitingNode};
use super::{Outcome, allocator, descriptors, failed, huge_pages, misconfigured, sampler, system};
use crate::clock;
use crate::cluster::Waiting;
use crate::cluster::identity::DataDir;
use crate::cluster::node::{ClusterConfig, ClusterNode, ForwardServer};
use crate::cluster::routes::Forward;
use crate::commands::port::{NodeFacts, NodePort, ShutdownMode};
use crate::commands::session::{Clients, PortKind};
use crate::commands::table;
use crate::config::{Settings, explicit, parse_host_port};
use crate::dispatch::{Dispatcher, MemoryGate};
use crate::ids::NodeNo;
use crate::net::{Cores, Listener, Server};
use crate::raft::transport::ClusterSecret;
use crate::raft::upkeep::{Admission, Upkeep};
use crate::raft::{Partition, Role, ShareOutcome};
use crate::telemetry::{Probe, Stats, init_logs, serve_http};
use crate::topology::HostPort;
use clap::ArgMatches;
use futures::future::BoxFuture;
use std::net::{IpAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Set when the process was started anew to join a cluster: the peer address of a member (CLUSTER MEET).
const REJOIN: &str = "LARDER_REJOIN";
/// Set by `larder dev`: stop when the process that started this one ends.
pub(super) const STOP_WITH_PARENT: &str = "LARDER_STOP_WITH_PARENT";
/// How long connections may take to finish what they are at.
pub(super) const CONNECTIONS_GRACE: Duration = Duration::from_secs(5);
/// Weight of a node in placement where it has no memory limit: that of one with 1 GiB, so that nodes without limits are
/// alike.
const WEIGHT_BYTES: u64 = 1 << 30;

/// Runs a node until it is stopped.
pub(super) fn run(matches: &ArgMatches) -> Outcome {
    huge_pages::forbid();
    let settled = allocator::settle();
    let file = matches.get_one::<String>("config").map(PathBuf::from);
    let settings = Settings::load(file.as_deref(), &explicit(matches)).map_err(misconfigured)?;
    init_logs(settings.get("log-format") == "json", &settings.get("loglevel"));
    if let Err(error) = settled {
        tracing::debug!(%error, "the allocator keeps its own settings");
    }
    if std::env::var_os(STOP_WITH_PARENT).is_some() {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
    // Before ports are taken.
    seeds(&settings).map_err(misconfigured)?;
    descriptors::provide(&settings);
    let secret = secret(&settings).map_err(failed)?;
    let bound = addresses::bind(&settings)?;
    if secret.is_empty() && !bound.addresses.iter().all(IpAddr::is_loopback) {
        return Err(failed(
            "the peer port would be open to other machines without a cluster secret. Set LARDER_CLUSTER_SECRET or \
             --cluster-secret-file, the same on all nodes, or bind loopback addresses only",
        ));
    }
    let advertised = addresses::advertise(&settings, &bound.addresses);
    let data_dir = data_dir(&settings).map_err(failed)?;
    let cores = Cores::start(0).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(serve(Arc::new(settings), secret, bound, advertised, data_dir, Arc::new(cores)))
}

fn secret(settings: &Settings) -> Result<ClusterSecret, String> {
    if let Some(path) = settings.text("cluster-secret-file") {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("cluster-secret-file {path}: {error}"))?;
        return match text.trim() {
            "" => Err(format!("cluster-secret-file {path}: it is empty")),
            secret => Ok(ClusterSecret::new(secret)),
        };
    }
    Ok(std::env::var("LARDER_CLUSTER_SECRET").map(|secret| ClusterSecret::new(secret.trim())).unwrap_or_default())
}

fn data_dir(settings: &Settings) -> Result<DataDir, String> {
    if settings.text("data-dir").is_none() {
        settings.settle("data-dir", &format!("./larder-data-{}", settings.get("port")));
    }
    let path = settings.get("data-dir");
    let mut directory = DataDir::open(Path::new(&path)).map_err(|error| error.to_string())?;
    if std::env::var_os(REJOIN).is_some() && directory.identity().membership.is_some() {
        // This process takes the place of one whose cluster of one node was given up.
        forget_cluster(&mut directory).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(directory)
}

fn forget_cluster(directory: &mut DataDir) -> Result<(), Box<dyn std::error::Error>> {
    match std::fs::remove_file(directory.path().join("directory.redb")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(directory.set_membership(None)?)
}

async fn serve(
    settings: Arc<Settings>,
    secret: ClusterSecret,
    bound: Bound,
    advertised: Advertised,
    data_dir: DataDir,
    cores: Arc<Cores>,
) -> Outcome {
    // Before anything else, so that a signal during a long join is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let facts = facts(&settings, &bound).map_err(failed)?;
    announce(&settings, &bound);
    let core = cores.handle(0).clone();
    let probe = Arc::new(StartingProbe::default());
    for listener in bound.http {
        let probe = Arc::clone(&probe) as Arc<dyn Probe>;
        core.spawn(async move {
            serve_http(TcpListener::from_std(listener)?, probe).await;
            std::io::Result::Ok(())
        });
    }
    let mut peer = bound.peer.into_iter();
    let listener = peer.next().ok_or_else(|| failed("no peer port"))?;
    let join = join_addresses(&settings, &advertised.peer).map_err(misconfigured)?;
    let unreachable = Unreachable::default();
    core.spawn(unreachable.clone().check(advertised.clone()));
    let (stop, stats) = (Arc::new(StopSwitch::new()), Arc::new(Stats::new(table::named().len())));
    let client = bound.client.into_iter().map(|socket| Listener::new(socket, PortKind::Client));
    let listeners: Vec<_> =
        client.chain(bound.cluster.into_iter().map(|socket| Listener::new(socket, PortKind::Cluster))).collect();
    let identity = data_dir.identity();
    let waiting = Arc::new(WaitingNode {
        waiting: Arc::clone(&probe.waiting),
        me: waiting::myself(identity.name, identity.incarnation, &advertised, settings.text("zone")),
        settings: Arc::clone(&settings),
        clients: Clients::default(),
        stats: Arc::clone(&stats),
        facts: facts.clone(),
        stop: Arc::clone(&stop),
        unreachable: unreachable.clone(),
        core: core.clone(),
    });
    let starting =
        start_cluster(&settings, join, secret, &advertised, data_dir, listener, &cores, Arc::clone(&waiting.waiting));
    let started = tokio::select! {
        started = waiting.until(starting, &cores, &listeners) => started.map_err(failed)?,
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    // Told to stop: there is nothing to hand over.
    let Some(cluster) = started else {
        tracing::info!("stopping: this node had no place in a cluster yet");
        return Ok(());
    };
    let cluster = cluster.map_err(failed)?;
    for listener in peer {
        let peers = Arc::clone(cluster.peers());
        core.spawn(async move {
            peers.listen(TcpListener::from_std(listener)?).await;
            std::io::Result::Ok(())
        });
    }
    let upkeep = Upkeep::new(
        Arc::clone(cluster.routes().partitions()),
        Arc::clone(cluster.room()),
        Arc::clone(&stats),
        core.clone(),
    );
    // Tables of empty partitions: what is used before any item.
    let startup_bytes = cluster.routes().partitions().iter().map(|p| p.lock().keyspace.memory_bytes() as u64).sum();
    let node = Arc::new(Node {
        settings,
        clients: Clients::default(),
        stats: Arc::clone(&stats),
        facts,
        cluster: Arc::clone(&cluster),
        upkeep: Arc::clone(&upkeep),
        advertised,
        stop: Arc::clone(&stop),
        core: core.clone(),
        startup_bytes,
        peak_bytes: Default::default(),
        unreachable,
    });
    node.apply_memory_settings();
    node.apply_limits();
    core.spawn(Arc::clone(&upkeep).run());
    let routes = Arc::clone(cluster.routes());
    let dispatcher = Dispatcher::new(routes, Arc::clone(&node) as Arc<dyn NodePort>, Arc::new(Gate(upkeep)), stats);
    cluster.set_forward_server(Arc::new(Forwarded(Arc::clone(&dispatcher))));
    let (rejoin, mut rejoined) = watch::channel(None);
    cluster.set_rejoin(Box::new(move |other| drop(rejoin.send(Some(other)))));
    let server = Server::start(dispatcher, Arc::clone(&cores), listeners).map_err(failed)?;
    let _ = probe.node.set(Arc::clone(&node));
    core.spawn(sampler::run(Arc::clone(&node)));
    core.spawn(sampler::watch_resident(Arc::clone(&node)));
    tracing::info!(node = %cluster.no(), client = %node.advertised.client, "ready to accept connections");

    let mut stage = stop.subscribe();
    loop {
        let mode = tokio::select! {
            _ = terminate.recv() => ShutdownMode::default(),
            _ = interrupt.recv() => ShutdownMode::default(),
            mode = stop::asked(&mut stage) => mode,
            other = other_cluster(&mut rejoined) => {
                server.stop(CONNECTIONS_GRACE).await;
                end_cluster(&cores, cluster).await;
                return Err(failed(start_anew(&node, &other)));
            }
        };
        stop.ask(mode);
        tokio::select! {
            _ = terminate.recv() => return at_once(),
            _ = interrupt.recv() => return at_once(),
            _ = prepare(&cores, &node, &stop, mode) => {}
        }
        if stop.close() {
            break;
        }
        tracing::info!("the shutdown was called off");
        stop.resume();
    }
    tokio::select! {
        _ = terminate.recv() => return at_once(),
        _ = interrupt.recv() => return at_once(),
        _ = server.stop(CONNECTIONS_GRACE) => {}
    }
    end_cluster(&cores, cluster).await;
    tracing::info!("bye");
    Ok(())
}

fn at_once() -> Outcome {
    Err(failed("a second signal: stopping at once"))
}

async fn other_cluster(rejoined: &mut watch::Receiver<Option<HostPort>>) -> HostPort {
    loop {
        if let Some(other) = rejoined.borrow_and_update().clone() {
            return other;
        }
        if rejoined.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for leave to stop and hands leaderships over, unless FORCE says not to; ends early when it is called off.
async fn prepare(cores: &Cores, node: &Arc<Node>, stop: &StopSwitch, mode: ShutdownMode) {
    let how = match (mode.force, mode.now) {
        (true, _) => "at once, whatever becomes of partitions",
        (false, true) => "without waiting for leave",
        (false, false) => "once it has leave",
    };
    tracing::info!(how, "stopping");
    if mode.force {
        return;
    }
    let grace = if mode.now { 0 } else { node.settings.live().shutdown_grace_seconds() };
    let cluster = Arc::clone(&node.cluster);
    let mut preparing = cores.handle(0).spawn(async move { cluster.prepare_stop(Duration::from_secs(grace)).await });
    let mut stage = stop.subscribe();
    let called_off = async move {
        // A more urgent order, too, ends the wait.
        let _ = stage.wait_for(|stage| *stage != Stage::Asked(mode)).await;
    };
    tokio::select! {
        _ = &mut preparing => {}
        _ = called_off => {
            preparing.abort();
            let _ = preparing.await;
        }
    }
}

async fn end_cluster(cores: &Cores, cluster: Arc<ClusterNode>) {
    let _ = cores.handle(0).spawn(async move { cluster.stop().await }).await;
}

/// Starts this program anew, in this process, as a node that joins the cluster at `other`. Returns only where that fails.
fn start_anew(node: &Node, other: &HostPort) -> String {
    use std::os::unix::process::CommandExt;
    tracing::info!(%other, "starting anew to join another cluster");
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return format!("cannot start anew: {error}"),
    };
    let mut command = std::process::Command::new(program);
    command.args(std::env::args_os().skip(1)).env(REJOIN, other.to_string());
    // Ports that were picked stay what they are, and so does the directory that is named after one.
    let settings = &node.settings;
    for name in ["port", "cluster-port", "peer-port", "http-port"].into_iter().filter(|name| settings.was_picked(name))
    {
        command.arg(format!("--{name}={}", settings.get(name)));
    }
    format!("cannot start anew: {}", command.exec())
}

fn facts(settings: &Settings, bound: &Bound) -> std::io::Result<NodeFacts> {
    Ok(NodeFacts {
        run_id: system::random_hex(20)?,
        started_ms: clock::unix_ms(),
        started_boot_ns: clock::boot_ns(),
        bind: bound.addresses.iter().map(ToString::to_string).collect(),
        client_port: settings.number("port") as u16,
        cluster_port: settings.number("cluster-port") as u16,
    })
}

/// Says where it listens: on standard output where a port was left to the system, so that scripts can read it.
fn announce(settings: &Settings, bound: &Bound) {
    let [client, cluster, peer, http] =
        ["port", "cluster-port", "peer-port", "http-port"].map(|name| settings.get(name));
    let bind: Vec<String> = bound.addresses.iter().map(ToString::to_string).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        bind = bind.join(" "),
        client,
        cluster,
        peer,
        http,
        "larder starts"
    );
    if ["port", "cluster-port", "peer-port", "http-port"].iter().any(|name| settings.was_picked(name)) {
        super::say(format_args!("client port {client}, cluster port {cluster}, peer port {peer}, HTTP port {http}"));
    }
}

/// The addresses of `join`.
fn seeds(settings: &Settings) -> Result<Vec<HostPort>, String> {
    let join = std::env::var(REJOIN).map_or_else(|_| settings.words("join"), |seed| vec![seed]);
    join.iter().map(|seed| parse_host_port(seed).ok_or_else(|| format!("join: {seed} is not HOST:PEERPORT"))).collect()
}

/// Whom to ask to be taken in.
fn join_addresses(settings: &Settings, own: &HostPort) -> Result<Vec<HostPort>, String> {
    let seeds = seeds(settings)?;
    match seeds.contains(own) {
        true => Err(format!("join: {own} is this node's own peer address")),
        false => Ok(seeds),
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a node before it is one")]
fn start_cluster(
    settings: &Settings,
    join: Vec<HostPort>,
    secret: ClusterSecret,
    advertised: &Advertised,
    data_dir: DataDir,
    listener: StdListener,
    cores: &Cores,
    waiting: Arc<Waiting>,
) -> impl Future<Output = Result<Arc<ClusterNode>, String>> + use<> {
    let partitions = settings.number("partitions") as u16;
    let replicas = settings.number("replicas") as u8;
    let limit = settings.live().maxmemory();
    let zone = settings.text("zone");
    let weight = if limit > 0 { limit } else { WEIGHT_BYTES };
    let Advertised { client, cluster, peer } = advertised.clone();
    let handles = (0..group_cores(cores.len())).map(|number| cores.handle(number).clone()).collect();
    let starting = cores.handle(0).spawn(async move {
        let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
        let config = ClusterConfig {
            data_dir,
            client,
            cluster,
            peer,
            join,
            partitions,
            replicas,
            weight,
            zone,
            secret,
            listener,
            waiting,
            cores: handles,
        };
        ClusterNode::start(config).await.map_err(|error| error.to_string())
    });
    async move { starting.await.unwrap_or_else(|error| Err(error.to_string())) }
}

/// How many of a node's cores Raft groups live on: what goes from one core to another costs a system call and a switch, so
/// groups are close together, and connections have the rest (decision 0014).
fn group_cores(cores: usize) -> usize {
    cores.div_ceil(2)
}

/// The HTTP port's view of a node that is still taking its place.
#[derive(Default)]
struct StartingProbe {
    waiting: Arc<Waiting>,
    node: OnceLock<Arc<Node>>,
}

impl Probe for StartingProbe {
    fn metrics(&self) -> String {
        self.node.get().map(|node| node.metrics()).unwrap_or_default()
    }

    fn ready(&self) -> Result<(), String> {
        self.node.get().ok_or_else(|| self.waiting.reason())?.ready()
    }

    fn token(&self) -> String {
        self.node.get().map(|node| node.token()).unwrap_or_default()
    }
}

/// Runs what other nodes forward.
struct Forwarded(Arc<Dispatcher>);

/// Asks upkeep whether there is room.
struct Gate(Arc<Upkeep>);

impl MemoryGate for Gate {
    fn admit(&self, partition: &Partition) -> bool {
        // While evictions are on their way the write goes on: it waits for them before it enters the log. What is led
        // elsewhere its leader decides.
        self.0.admit() != Admission::Refused || !matches!(partition.lock().role, Role::Solo | Role::Leader)
    }

    fn has_room(&self) -> bool {
        self.0.has_room()
    }
}

impl ForwardServer for Forwarded {
    fn serve(&self, from: NodeNo, request: Forward) -> BoxFuture<'static, ShareOutcome> {
        let dispatcher = Arc::clone(&self.0);
        Box::pin(async move { dispatcher.serve_forward(request, from).await })
    }

    fn serve_reads(&self, from: NodeNo, requests: Vec<Forward>) -> BoxFuture<'static, Vec<ShareOutcome>> {
        let dispatcher = Arc::clone(&self.0);
        Box::pin(async move { dispatcher.serve_reads(requests, from).await })
    }

    fn link_lost(&self, node: NodeNo) {
        self.0.drop_watches_of(node);
        self.0.drop_waits_of(node);
    }
}
