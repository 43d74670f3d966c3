//! A solo node in this process, and a client that speaks bytes.

use bytes::Bytes;
use futures::future::BoxFuture;
use larder::cluster::routes::Routes;
use larder::commands::port::{
    ClusterStatus, KeyspaceFigures, Link, MemoryFigures, NodeFacts, NodePort, ShutdownMode, SlotKeys,
};
use larder::commands::session::{Clients, PortKind};
use larder::commands::table;
use larder::config::Settings;
use larder::dispatch::{Dispatcher, MemoryGate};
use larder::ids::{Incarnation, NodeName, NodeNo, PartitionId};
use larder::keyspace::HashSeed;
use larder::net::{Cores, Server, listen};
use larder::raft::{Partition, Role};
use larder::telemetry::Stats;
use larder::topology::{HostPort, NodeInfo, NodeState, Owners, Topology};
use parking_lot::RwLock;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest wait for anything that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Partitions of the node.
const PARTITIONS: u16 = 12;

/// What commands see of the node.
pub struct StubNode {
    clients: Clients,
    settings: Settings,
    stats: Arc<Stats>,
    facts: NodeFacts,
    topology: RwLock<Arc<Topology>>,
    pub waiting: AtomicBool,
}

impl NodePort for StubNode {
    fn clients(&self) -> &Clients {
        &self.clients
    }
    fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.read())
    }
    fn settings(&self) -> &Settings {
        &self.settings
    }
    fn settings_changed(&self) {}
    fn stats(&self) -> &Stats {
        &self.stats
    }
    fn facts(&self) -> &NodeFacts {
        &self.facts
    }
    fn keyspace(&self) -> KeyspaceFigures {
        KeyspaceFigures::default()
    }
    fn memory(&self) -> MemoryFigures {
        MemoryFigures::default()
    }
    fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
    fn readiness(&self) -> Result<(), String> {
        Ok(())
    }
    fn shutdown(&self, _: ShutdownMode) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err(String::from("ERR not here")) })
    }
    fn abort_shutdown(&self) -> bool {
        false
    }
    fn slot_keys(&self, _: larder::ids::DatabaseNo, _: u16, _: Option<usize>) -> BoxFuture<'static, SlotKeys> {
        Box::pin(async { SlotKeys::default() })
    }
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
    fn status(&self) -> BoxFuture<'static, ClusterStatus> {
        Box::pin(async { ClusterStatus::default() })
    }
    fn drain(&self, _: String) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
    fn remove(&self, _: String, _: bool) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
    fn meet(&self, _: HostPort, _: Option<u16>) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// Memory that is full when a test says so.
#[derive(Default)]
pub struct Gate {
    pub full: AtomicBool,
}

impl MemoryGate for Gate {
    fn admit(&self, _: &Partition) -> bool {
        !self.full.load(Ordering::Relaxed)
    }
}

/// A node under test.
pub struct Node {
    pub node: Arc<StubNode>,
    pub memory: Arc<Gate>,
    pub routes: Arc<Routes>,
    pub dispatcher: Arc<Dispatcher>,
    pub server: Server,
    _cores: Arc<Cores>,
}

fn node_info(no: u32, port: u16) -> NodeInfo {
    let at = |port| HostPort { host: "127.0.0.1".into(), port };
    NodeInfo {
        no: NodeNo(no),
        name: NodeName([no as u8; 20]),
        incarnation: Incarnation(1),
        client: at(port),
        cluster: at(port + 1000),
        peer: at(port + 10000),
        state: NodeState::Up,
        zone: None,
        connected: true,
    }
}

impl Node {
    /// A solo node with these settings.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::with_roles(settings, |_| Role::Solo)
    }

    /// A node whose partitions have the roles given; node 2 leads what it follows.
    pub fn with_roles(settings: &[(&str, &str)], role: impl Fn(u16) -> Role) -> Self {
        let pairs: Vec<_> = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let settings = Settings::load(None, &pairs).expect("settings");
        let seed = HashSeed([7; 16]);
        let partition = |id| Arc::new(Partition::new(PartitionId(id), seed, role(id)));
        let owners = (0..PARTITIONS).map(|id| match role(id) {
            Role::Follower(leader) => Owners { leader, copies: leader.into_iter().collect() },
            _ => Owners { leader: Some(NodeNo(1)), copies: vec![NodeNo(1)] },
        });
        let nodes = vec![node_info(1, 7001), node_info(2, 7002)];
        let topology = Topology { epoch: 1, me: NodeNo(1), nodes, owners: owners.collect() };
        let routes = Arc::new(Routes::new((0..PARTITIONS).map(partition).collect::<Vec<_>>(), topology.clone()));
        let stats = Arc::new(Stats::new(table::named().len()));
        let facts = NodeFacts {
            run_id: "0".repeat(40),
            started_ms: 0,
            started_boot_ns: 0,
            bind: Vec::new(),
            client_port: 0,
            cluster_port: 0,
        };
        let node = Arc::new(StubNode {
            clients: Clients::default(),
            settings,
            stats: Arc::clone(&stats),
            facts,
            topology: RwLock::new(Arc::new(topology)),
            waiting: AtomicBool::new(false),
        });
        let memory = Arc::new(Gate::default());
        let port: Arc<dyn NodePort> = node.clone();
        let dispatcher = Dispatcher::new(Arc::clone(&routes), port, memory.clone(), stats);
        let cores = Arc::new(Cores::start(2).expect("cores"));
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let listeners = [PortKind::Client, PortKind::Cluster].map(|kind| listen(any, kind).expect("a free port"));
        let server = Server::start(Arc::clone(&dispatcher), Arc::clone(&cores), listeners.into()).expect("a server");
        Self { node, memory, routes, dispatcher, server, _cores: cores }
    }

    pub fn address(&self, kind: PortKind) -> SocketAddr {
        self.server.addresses().iter().find(|(other, _)| *other == kind).expect("both ports are served").1
    }

    /// A connection to the client port.
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address(PortKind::Client))
    }

    /// A connection to the cluster port.
    pub fn connect_cluster(&self) -> Wire {
        Wire::connect(self.address(PortKind::Cluster))
    }

    /// Runs `work` to its end.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work)
    }
}

/// Bytes in, bytes out.
pub struct Wire {
    pub socket: TcpStream,
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the server accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Self { socket }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server reads");
    }

    /// Reads exactly as many bytes as `reply` has and compares.
    #[track_caller]
    pub fn expect(&mut self, reply: &[u8]) {
        let mut bytes = vec![0; reply.len()];
        let mut got = 0;
        while got < reply.len() {
            match self.socket.read(&mut bytes[got..]) {
                Ok(0) => break,
                Ok(length) => got += length,
                Err(error) => panic!("{error} after {}", bytes[..got].escape_ascii()),
            }
            if bytes[..got] != reply[..got] {
                break;
            }
        }
        assert_eq!(bytes[..got].escape_ascii().to_string(), reply.escape_ascii().to_string());
    }

    /// Sends and compares.
    #[track_caller]
    pub fn ask(&mut self, request: &[u8], reply: &[u8]) {
        self.send(request);
        self.expect(reply);
    }

    /// One line, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            assert_eq!(self.socket.read(&mut byte).expect("a line"), 1, "closed after {}", line.escape_ascii());
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line[..line.len() - 2]).into_owned()
    }

    /// Everything until the server closes.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.socket.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("{error} after {}", bytes.escape_ascii()),
        }
    }
}

/// Waits until `met`.
#[track_caller]
pub fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !met() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A command as an array of bulk strings.
pub fn array(args: &[&[u8]]) -> Bytes {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.into()
}
