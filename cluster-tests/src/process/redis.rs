//! redis-server, where it is installed: the reference that the tests themselves are held against.

use super::{Client, free_ports, wait_until, watchdog};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for it to answer.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A redis-server that ends with the test.
pub struct RedisServer {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl RedisServer {
    /// Starts one, as a cluster of one node that owns all slots where `cluster` says so.
    ///
    /// # Errors
    /// Where it is not installed.
    ///
    /// # Panics
    /// Where it does not answer.
    pub fn start(cluster: bool) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = free_ports(1)[0].to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--repl-diskless-sync-delay", "0"]);
        command.arg("--dir").arg(directory.path());
        if cluster {
            let bus = free_ports(1)[0].to_string();
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus]);
            command.args(["--cluster-announce-ip", "127.0.0.1"]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        watchdog::guard(child.id());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().map_err(io::Error::other)?));
        let redis = Self { child, address, _directory: directory };
        wait_until("redis-server listens", START_LIMIT, || redis.connect().map(drop));
        if cluster {
            redis.connect()?.words("CLUSTER ADDSLOTSRANGE 0 16383")?;
            wait_until("redis-server's cluster is up", START_LIMIT, || {
                let info = redis.connect()?.words("CLUSTER INFO")?.text();
                if info.contains("cluster_state:ok") { Ok(()) } else { Err(io::Error::other(info)) }
            });
        }
        Ok(redis)
    }

    /// Makes it a replica of `primary`, and waits until it follows.
    ///
    /// # Errors
    /// Where one of them does not answer.
    ///
    /// # Panics
    /// Where it does not follow.
    pub fn replicate(&self, primary: &Self) -> io::Result<()> {
        let port = primary.address.port();
        self.connect()?.words(&format!("REPLICAOF {} {port}", primary.address.ip()))?;
        wait_until("the replica follows", START_LIMIT, || {
            let info = self.connect()?.words("INFO replication")?.text();
            if info.contains("master_link_status:up") { Ok(()) } else { Err(io::Error::other(info)) }
        });
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection.
    pub fn connect(&self) -> io::Result<Client> {
        Client::connect(self.address, Duration::from_secs(5))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        watchdog::forget(self.child.id());
    }
}
