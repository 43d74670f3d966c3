//! Servers under test.

use cluster_tests::process::{Client, Node, NodeOptions, RedisServer};
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
    Redis { _server: RedisServer },
    Nobody,
}

/// A server.
pub struct Target {
    /// How tables name it.
    pub name: String,
    /// What it says of itself.
    pub version: String,
    /// Where it listens.
    pub address: SocketAddr,
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

    /// Starts redis-server.
    ///
    /// # Errors
    /// Where it is not installed.
    pub fn spawn_redis() -> io::Result<Self> {
        let server = RedisServer::start(false)?;
        Self::new("redis-server", server.address(), Keeper::Redis { _server: server })
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
        Ok(Self { name: name.into(), version, address, pids, keeper })
    }
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
