//! A network of namespaces: nodes whose links can be cut and slowed, one by one and one way.
//!
//! ```text
//! tests (10.N.M.254) ---- hub: a bridge in a namespace of its own
//!                          |-- node 1 (10.N.M.1), iptables and tc of its own
//!                          |-- node 2 (10.N.M.2)
//! ```
//! Only one end of a virtual cable is in the machine's own namespace: the machine's firewall sees nothing of the traffic
//! between nodes. What a test that was killed left behind goes when the next one begins.

use super::node::Place;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the names of namespaces begin with; the number of the process that made them follows.
const PREFIX: &str = "larder-";
/// The tests' own address in the network.
const TESTS: u8 = 254;

/// Why there is no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoNetwork {
    /// The machine does not allow it: not root, or a container without the right to.
    NotAllowed(String),
    /// A tool that could be installed is not.
    Missing(String),
}

/// A network with a namespace for each node. Goes when dropped.
pub struct Network {
    /// Names begin with it.
    name: String,
    /// `10.N.M`.
    subnet: [u8; 3],
    nodes: usize,
}

impl Network {
    /// A network for `nodes` nodes.
    ///
    /// # Errors
    /// Where there can be none.
    ///
    /// # Panics
    /// Where there could be one and something else goes wrong.
    pub fn new(nodes: usize) -> Result<Self, NoNetwork> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        for tool in [&["ip", "-Version"][..], &["tc", "-Version"], &["iptables", "--version"]] {
            run(tool).map_err(NoNetwork::Missing)?;
        }
        sweep();
        let name = format!("{PREFIX}{}-{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let network = Self { subnet: free_subnet(), name, nodes };
        let hub = network.hub();
        run(&["ip", "netns", "add", &hub]).map_err(NoNetwork::NotAllowed)?;
        network.build().map_err(NoNetwork::NotAllowed)?;
        Ok(network)
    }

    fn build(&self) -> Result<(), String> {
        let hub = self.hub();
        run(&["ip", "-n", &hub, "link", "add", "hub", "type", "bridge"])?;
        run(&["ip", "-n", &hub, "link", "set", "hub", "up"])?;
        let cable = self.cable();
        run(&["ip", "link", "add", &cable, "type", "veth", "peer", "name", "tests", "netns", &hub])?;
        self.plug("tests")?;
        run(&["ip", "addr", "add", &format!("{}/24", self.address(TESTS)), "dev", &cable])?;
        run(&["ip", "link", "set", &cable, "up"])?;
        for node in 0..self.nodes {
            let (space, end) = (self.space(node), format!("node{node}"));
            run(&["ip", "netns", "add", &space])?;
            let cable = ["ip", "-n", &space, "link", "add", "eth0", "type", "veth", "peer", "name", &end];
            run(&[&cable[..], &["netns", &hub]].concat())?;
            self.plug(&end)?;
            let address = format!("{}/24", self.host(node));
            run(&["ip", "-n", &space, "addr", "add", &address, "dev", "eth0"])?;
            run(&["ip", "-n", &space, "link", "set", "eth0", "up"])?;
            run(&["ip", "-n", &space, "link", "set", "lo", "up"])?;
            // The kernel's part of iptables may be missing, too.
            run(&["ip", "netns", "exec", &space, "iptables", "-w", "-F"])?;
        }
        Ok(())
    }

    fn plug(&self, end: &str) -> Result<(), String> {
        run(&["ip", "-n", &self.hub(), "link", "set", end, "master", "hub", "up"])
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn space(&self, node: usize) -> String {
        format!("{}-{node}", self.name)
    }

    /// The tests' end of the cable; names of interfaces have at most 15 characters.
    fn cable(&self) -> String {
        format!("lt{}", self.name.strip_prefix(PREFIX).unwrap_or(&self.name))
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, last)
    }

    /// The address of a node.
    pub fn host(&self, node: usize) -> Ipv4Addr {
        self.address(node as u8 + 1)
    }

    /// A place for each node.
    pub fn places(&self) -> Vec<Place> {
        let place = |node| Place {
            host: self.host(node),
            launcher: ["ip", "netns", "exec", &self.space(node)].map(str::to_owned).to_vec(),
            data: None,
        };
        (0..self.nodes).map(place).collect()
    }

    /// What `from` sends to `to` is dropped from now on.
    ///
    /// # Panics
    /// Where that cannot be arranged; so do the others.
    pub fn cut(&self, from: usize, to: usize) {
        let source = self.host(from).to_string();
        self.in_node(to, &["iptables", "-w", "-A", "INPUT", "-s", &source, "-j", "DROP"]);
    }

    /// Everything arrives again.
    pub fn mend(&self) {
        for node in 0..self.nodes {
            self.in_node(node, &["iptables", "-w", "-F"]);
        }
    }

    /// What a node sends goes no faster than so many kilobits a second from now on, to anybody.
    pub fn slow(&self, node: usize, kilobits: u32) {
        let rate = format!("{kilobits}kbit");
        let bucket = ["tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", &rate];
        self.in_node(node, &[&bucket[..], &["burst", "16kb", "latency", "400ms"]].concat());
    }

    /// As fast as before.
    pub fn hasten(&self, node: usize) {
        self.in_node(node, &["tc", "qdisc", "del", "dev", "eth0", "root"]);
    }

    fn in_node(&self, node: usize, command: &[&str]) {
        let space = self.space(node);
        run(&[&["ip", "netns", "exec", &space], command].concat()).expect("root commands its namespaces");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let spaces = (0..self.nodes).map(|node| self.space(node)).chain([self.hub()]);
        spaces.for_each(|space| remove(&space));
        // It goes with its other end, a little later.
        let _ = run(&["ip", "link", "del", &self.cable()]);
    }
}

fn remove(space: &str) {
    let _ = run(&["ip", "netns", "del", space]);
}

/// Removes the namespaces of processes that are gone.
fn sweep() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            remove(&name);
        }
    }
}

/// A subnet that no interface of the machine is in.
fn free_subnet() -> [u8; 3] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let taken = Command::new("ip").args(["-o", "-4", "addr"]).output().map(|output| output.stdout).unwrap_or_default();
    let taken = String::from_utf8_lossy(&taken).into_owned();
    loop {
        // Test binaries that run side by side begin at different ones.
        let number = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let subnet = [10, 213 + (number / 256 % 32) as u8, (number % 256) as u8];
        if !taken.contains(&format!(" {}.{}.{}.", subnet[0], subnet[1], subnet[2])) {
            return subnet;
        }
    }
}

/// Runs a command to its end; an error says what it said.
pub(super) fn run(words: &[&str]) -> Result<(), String> {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", words[0]))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
    }
}
