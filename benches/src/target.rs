//! Servers under test.

use crate::leaders::{Shards, leaders, settled};
use cluster_tests::process::{Client, Cluster, Node, NodeOptions, RedisServer};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for a server that was started here.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for a reply to a question about the server.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// What keeps a server alive.
enum Keeper {
    Larder { node: Box<Node>, _directory: TempDir },
    Cluster { _nodes: Cluster },
    Redis { _servers: Vec<RedisServer> },
    Nobody,
}

/// A server.
pub struct Target {
    /// How tables name it.
    pub name: String,
    /// What it says of itself.
    pub version: String,
    /// Where it listens; of a cluster any client port, which takes every key.
    pub address: SocketAddr,
    /// Where load goes, with the keys that belong there; `None`: all.
    pub shards: Shards,
    /// Its processes, where they are on this machine.
    pub pids: Vec<u32>,
    keeper: Keeper,
}

impl Target {
    /// Starts a Larder node by itself.
    ///
    /// # Errors
    /// Where it does not say what it is.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn spawn_larder() -> io::Result<Self> {
        Self::spawn_larder_with(&[])
    }

    /// The same, with further flags of `larder serve`.
    ///
    /// # Errors
    /// Where it does not say what it is.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn spawn_larder_with(flags: &[&str]) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let flags = ["--loglevel", "warning"].iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
        let mut node = Node::start("larder", directory.path(), NodeOptions { flags, ..NodeOptions::default() });
        node.wait_ready(START_LIMIT);
        let address = node.address();
        Self::new("larder", address, Keeper::Larder { node: Box::new(node), _directory: directory })
    }

    /// Starts a Larder node with a limit that is not reached: it keeps the exact order in which to evict, which a node without
    /// a limit does not.
    ///
    /// # Errors
    /// Where it does not say what it is.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn spawn_limited_larder() -> io::Result<Self> {
        let target = Self::spawn_larder_with(&["--maxmemory", "1000gb"])?;
        Ok(Self { name: "larder, limited".into(), ..target })
    }

    /// Starts a Larder node that is asked through its cluster port, where cluster-aware clients go.
    ///
    /// # Errors
    /// Where it does not say what it is.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn spawn_larder_by_cluster_port() -> io::Result<Self> {
        let Self { address, keeper, .. } = Self::spawn_larder()?;
        let Keeper::Larder { node, .. } = &keeper else { return Err(io::Error::other("no node of its own")) };
        let address = SocketAddr::new(address.ip(), node.ports().cluster);
        Self::new("larder, cluster port", address, keeper)
    }

    /// Starts redis-server.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn spawn_redis() -> io::Result<Self> {
        let server = RedisServer::start(false)?;
        Self::new("redis-server", server.address(), Keeper::Redis { _servers: vec![server] })
    }

    /// Starts redis-server with replicas, which follow it asynchronously.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn spawn_redis_with_replicas(count: usize) -> io::Result<Self> {
        let mut servers = vec![RedisServer::start(false)?];
        for _ in 0..count {
            let replica = RedisServer::start(false)?;
            replica.replicate(&servers[0])?;
            servers.push(replica);
        }
        let addresses: Vec<SocketAddr> = servers.iter().map(RedisServer::address).collect();
        let name = format!("redis-server, {count} replicas");
        let mut target = Self::new(&name, addresses[0], Keeper::Redis { _servers: servers })?;
        for replica in &addresses[1..] {
            target.pids.extend(identify(*replica)?.1);
        }
        Ok(target)
    }

    /// Starts a cluster of `nodes`. Load of `keys` keys goes to the cluster ports of their leaders.
    ///
    /// # Errors
    /// Where it does not say who leads.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn spawn_cluster(nodes: usize, keys: u32) -> io::Result<Self> {
        Self::spawn_cluster_with(nodes, keys, &[])
    }

    /// The same, with further flags of `larder serve`.
    ///
    /// # Errors
    /// Where it does not say who leads.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn spawn_cluster_with(nodes: usize, keys: u32, flags: &[&str]) -> io::Result<Self> {
        let nodes = Cluster::start(nodes, &[&["--loglevel", "warning"], flags].concat());
        let seed = nodes.addresses()[0];
        Self::cluster(seed, keys, Keeper::Cluster { _nodes: nodes })
    }

    /// A cluster that runs, known by any client port of it.
    ///
    /// # Errors
    /// Where a node does not answer, or a slot has no leader.
    pub fn running_cluster(seed: SocketAddr, keys: u32) -> io::Result<Self> {
        Self::cluster(seed, keys, Keeper::Nobody)
    }

    fn cluster(seed: SocketAddr, keys: u32, keeper: Keeper) -> io::Result<Self> {
        let ranges = settled(seed)?;
        let nodes = ranges.iter().flat_map(|range| &range.ports).map(|port| SocketAddr::new(seed.ip(), *port));
        let nodes: BTreeSet<SocketAddr> = nodes.collect();
        let mut target = Self::new(&format!("larder, {} nodes", nodes.len()), seed, keeper)?;
        target.shards = leaders(seed.ip(), &ranges, keys)?;
        target.pids.clear();
        for node in nodes.into_iter().filter(|node| node.ip().is_loopback()) {
            target.pids.extend(identify(node)?.1);
        }
        Ok(target)
    }

    /// Two ways to what one node of this cluster leads, both through client ports: another node, which forwards, and the
    /// node itself. Their processes are those of these two nodes.
    ///
    /// # Errors
    /// Where a node does not say where it listens, or there is but one.
    pub fn forwarding(&self) -> io::Result<[Self; 2]> {
        let [(leader, keys), (other, _), ..] = &self.shards[..] else {
            return Err(io::Error::other("one node leads everything: nothing is forwarded"));
        };
        let pids: Vec<u32> = match leader.ip().is_loopback() && other.ip().is_loopback() {
            true => [identify(*leader)?.1, identify(*other)?.1].into_iter().flatten().collect(),
            false => Vec::new(),
        };
        let by = |name: &str, node: SocketAddr| -> io::Result<Self> {
            let address = client_port(node)?;
            let (name, version, pids) = (name.to_owned(), self.version.clone(), pids.clone());
            Ok(Self { name, version, address, shards: vec![(address, keys.clone())], pids, keeper: Keeper::Nobody })
        };
        Ok([by("forwarded", *other)?, by("local", *leader)?])
    }

    /// A server that runs.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn running(name: &str, address: SocketAddr) -> io::Result<Self> {
        Self::new(name, address, Keeper::Nobody)
    }

    /// Where other nodes may join a node that was started here.
    pub fn peer(&self) -> Option<SocketAddr> {
        if let Keeper::Larder { node, .. } = &self.keeper { Some(node.peer_address()) } else { None }
    }

    fn new(name: &str, address: SocketAddr, keeper: Keeper) -> io::Result<Self> {
        let (version, pid) = identify(address)?;
        // A process number of another machine would name a stranger here.
        let pids = if address.ip().is_loopback() { pid.into_iter().collect() } else { Vec::new() };
        Ok(Self { name: name.into(), version, address, shards: vec![(address, None)], pids, keeper })
    }
}

/// The client port of a node that listens at `address`.
fn client_port(address: SocketAddr) -> io::Result<SocketAddr> {
    let info = Client::connect(address, REPLY_TIMEOUT)?.words("INFO server")?.text();
    let listener = info.lines().find_map(|line| line.trim().strip_prefix("listener0:"));
    let port = listener.and_then(|line| line.split(',').find_map(|field| field.strip_prefix("port=")?.parse().ok()));
    let port = port.ok_or_else(|| io::Error::other(format!("{address} does not say where it listens")))?;
    Ok(SocketAddr::new(address.ip(), port))
}

/// Version and process id, from INFO.
///
/// # Errors
/// Where there is no answer.
pub fn identify(address: SocketAddr) -> io::Result<(String, Option<u32>)> {
    let info = Client::connect(address, REPLY_TIMEOUT)?.words("INFO server")?.text();
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let version = match (field("larder_version"), field("redis_version")) {
        (Some(larder), _) => format!("larder {larder}"),
        (None, Some(redis)) => format!("redis {redis}"),
        (None, None) => "unknown".into(),
    };
    Ok((version, field("process_id").and_then(|pid| pid.parse().ok())))
}

/// The address that `text` names, a host name included.
///
/// # Errors
/// Where it names none.
pub fn resolve(text: &str) -> io::Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    text.to_socket_addrs()?.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no address: {text}")))
}
