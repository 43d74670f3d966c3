//! One node: a process, its data directory, its log.

use super::binary::larder_binary;
use super::ports::Ports;
use super::resp::Client;
use super::{wait_until, watchdog};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// Lines of a node's log that a failed test shows.
const LOG_LINES_SHOWN: usize = 200;
/// Longest wait for a reply that a test asks for by itself.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How a node is started, besides its ports and directory.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Peer addresses of nodes to join.
    pub join: Vec<SocketAddr>,
    /// Further flags of `larder serve`.
    pub flags: Vec<String>,
    /// Where it runs.
    pub place: Place,
}

/// Where a node runs: on loopback unless said otherwise.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address that it listens on.
    pub host: Ipv4Addr,
    /// Words before the program's name: a program that becomes the node, as `ip netns exec` does.
    pub launcher: Vec<String>,
    /// Its data directory; one beside its log unless given.
    pub data: Option<PathBuf>,
}

impl Default for Place {
    fn default() -> Self {
        Self { host: Ipv4Addr::LOCALHOST, launcher: Vec::new(), data: None }
    }
}

impl Place {
    /// The node's command line as far as its place decides it.
    fn command(&self) -> Command {
        let mut words: Vec<OsString> = self.launcher.iter().map(OsString::from).collect();
        words.push(larder_binary().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["serve", "--bind", &self.host.to_string()]);
        if !self.host.is_loopback() {
            // Clients are elsewhere, and so are the other nodes.
            command.args(["--protected-mode", "no"]).env("LARDER_CLUSTER_SECRET", "correct horse");
        }
        command
    }
}

/// A node that runs, or can be started again.
pub struct Node {
    name: String,
    ports: Ports,
    directory: PathBuf,
    options: NodeOptions,
    child: Option<Child>,
}

impl Node {
    /// Starts a node called `name` with free ports and a directory of its own in `directory`.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn start(name: &str, directory: &Path, options: NodeOptions) -> Self {
        let directory = directory.join(name);
        fs::create_dir_all(&directory).expect("a directory for the node");
        let mut node = Self { name: name.into(), ports: Ports::pick(), directory, options, child: None };
        node.start_again();
        node
    }

    /// Starts the node again, with the ports and the data directory that it had.
    ///
    /// # Panics
    /// If it still runs or cannot be started.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.name);
        let log = || -> io::Result<File> { OpenOptions::new().create(true).append(true).open(self.log_path()) };
        let mut command = self.options.place.command();
        command.args(["--log-format", "text"]);
        if !self.options.flags.iter().any(|flag| flag == "--loglevel") {
            command.args(["--loglevel", "verbose"]);
        }
        let ports = self.ports;
        for (flag, port) in [
            ("--port", ports.client),
            ("--cluster-port", ports.cluster),
            ("--peer-port", ports.peer),
            ("--http-port", ports.http),
        ] {
            command.args([flag, &port.to_string()]);
        }
        for peer in &self.options.join {
            command.args(["--join", &peer.to_string()]);
        }
        let data = self.options.place.data.clone().unwrap_or_else(|| self.directory.join("data"));
        command.arg("--data-dir").arg(data).args(&self.options.flags);
        command.current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(log().expect("a log file")).stderr(log().expect("a log file"));
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        watchdog::guard(child.id());
        self.child = Some(child);
    }

    /// Sets the peer addresses of the nodes that it joins at its next start.
    pub fn join(&mut self, peers: Vec<SocketAddr>) {
        self.options.join = peers;
    }

    /// Its name in this test.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where any client may connect.
    pub fn address(&self) -> SocketAddr {
        (self.options.place.host, self.ports.client).into()
    }

    /// Where other nodes may connect.
    pub fn peer_address(&self) -> SocketAddr {
        (self.options.place.host, self.ports.peer).into()
    }

    /// A connection to its client port.
    pub fn connect(&self) -> io::Result<Client> {
        Client::connect(self.address(), REPLY_TIMEOUT)
    }

    /// The status of a path on its HTTP port, with the body.
    pub fn http(&self, path: &str) -> io::Result<(u16, String)> {
        let address = SocketAddr::from((self.options.place.host, self.ports.http));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        status.map(|status| (status, body)).ok_or_else(|| io::Error::other("not an HTTP answer"))
    }

    /// Waits until `/readyz` says that the node is a full member; how long that took.
    ///
    /// # Panics
    /// If it exits, or is not ready within `limit`.
    pub fn wait_ready(&mut self, limit: Duration) -> Duration {
        let name = self.name.clone();
        wait_until(&format!("{name} is ready"), limit, || {
            if let Some(status) = self.try_wait() {
                panic!("{name} exited: {status}");
            }
            match self.http("/readyz") {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{status} {}", body.trim())),
                Err(error) => Err(error.to_string()),
            }
        })
        .1
    }

    /// Sends a signal: SIGTERM, SIGSTOP, SIGCONT. After SIGSTOP no thread of the node runs any more.
    ///
    /// # Panics
    /// If the node does not run.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name));
        let pid = Pid::from_raw(child.id() as i32).expect("a pid");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
        if signal == Signal::STOP {
            // Where the processors are taken, threads go on for a while: the first that is scheduled stops the others.
            wait_until("all threads stop", Duration::from_secs(30), || {
                if is_stopped(child.id()) { Ok(()) } else { Err("some run") }
            });
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            watchdog::forget(child.id());
        }
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        if let Some(child) = self.child.take() {
            watchdog::forget(child.id());
        }
        Some(status)
    }

    /// Sends SIGTERM and waits for a clean end; how long that took.
    ///
    /// # Panics
    /// If it does not end within `limit`, or not with success.
    pub fn stop(&mut self, limit: Duration) -> Duration {
        self.signal(Signal::TERM);
        self.wait_exit(limit)
    }

    /// Waits for a clean end.
    ///
    /// # Panics
    /// If it does not end within `limit`, or not with success.
    pub fn wait_exit(&mut self, limit: Duration) -> Duration {
        let name = self.name.clone();
        let (status, took) = wait_until(&format!("{name} ends"), limit, || self.try_wait().ok_or("it runs"));
        assert!(status.success(), "{name}: {status}");
        took
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("node.out")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("\n--- log of {}, last {} of {} lines", self.name, shown.len(), lines.len());
            shown.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Whether all threads of a process are stopped.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    // What follows the name, which is in parentheses and may hold any byte, begins with the state.
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

/// Runs `larder ARGS` to its end: the operator's commands.
pub fn run_larder(args: &[&str]) -> io::Result<Output> {
    Command::new(larder_binary()).args(args).stdin(Stdio::null()).output()
}
