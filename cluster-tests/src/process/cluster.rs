//! Several nodes that know each other.

use super::node::{Node, NodeOptions, Place};
use super::topology::{SlotRange, slot_ranges};
use super::wait::wait_until;
use larder_protocol::SLOTS;
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for a node to become a full member.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(30);

/// Nodes in one temporary directory.
pub struct Cluster {
    nodes: Vec<Node>,
    flags: Vec<String>,
    // After the nodes: dropped after them.
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// Clusters of one test binary run one after another: the machines that tests run on have few cores, and a node that
/// gets no processor time is as good as dead.
static TURN: Mutex<()> = Mutex::new(());

impl Cluster {
    /// Starts `count` nodes on loopback, each with `flags`, and waits until all are full members.
    ///
    /// # Panics
    /// Where that does not happen.
    pub fn start(count: usize, flags: &[&str]) -> Self {
        Self::start_at(vec![Place::default(); count], flags)
    }

    /// Starts a node at each place, each with `flags`, and waits until all are full members.
    ///
    /// # Panics
    /// Where that does not happen.
    pub fn start_at(places: Vec<Place>, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let turn = TURN.lock();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut cluster = Self { nodes: Vec::new(), flags, directory, _turn: turn };
        for place in places {
            cluster.add_at(place);
        }
        cluster.wait_ready();
        cluster
    }

    /// Starts one more node on loopback, which joins by the addresses of the others, and returns its position.
    pub fn add(&mut self) -> usize {
        self.add_at(Place::default())
    }

    fn add_at(&mut self, place: Place) -> usize {
        let join = self.nodes.iter().map(Node::peer_address).collect();
        let name = format!("node-{}", self.nodes.len() + 1);
        let options = NodeOptions { join, flags: self.flags.clone(), place };
        self.nodes.push(Node::start(&name, self.directory.path(), options));
        self.nodes.len() - 1
    }

    /// Waits until every node that runs is a full member.
    ///
    /// # Panics
    /// Where that does not happen.
    pub fn wait_ready(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.pid().is_some()) {
            node.wait_ready(READY_LIMIT);
        }
    }

    /// Waits until all nodes run, agree on who leads what, and each leads its share.
    ///
    /// # Panics
    /// Where that does not happen.
    pub fn wait_even(&self) {
        let led = |ranges: &[SlotRange], port: u16| -> usize {
            let led = ranges.iter().filter(|range| range.ports.first() == Some(&port));
            led.map(|range| usize::from(range.end - range.start) + 1).sum()
        };
        wait_until("leaders are spread", READY_LIMIT, || {
            let all = (0..self.len()).map(|node| self.slots(node)).collect::<io::Result<Vec<_>>>();
            let all = all.map_err(|error| error.to_string())?;
            let leaders = |ranges: &[SlotRange]| -> Vec<_> {
                ranges.iter().map(|range| (range.start, range.ports.first().copied())).collect()
            };
            let agreed = all.iter().all(|ranges| leaders(ranges) == leaders(&all[0]));
            // Of three nodes, more than a quarter each.
            let least = self.nodes.iter().map(|node| led(&all[0], node.ports().cluster)).min().unwrap_or(0);
            if agreed && least > usize::from(SLOTS) / (self.len() + 1) { Ok(()) } else { Err(format!("{all:?}")) }
        });
    }

    /// How many nodes, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Client addresses of the nodes that run.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().filter(|node| node.pid().is_some()).map(Node::address).collect()
    }

    /// The slot map, as `node` tells it.
    pub fn slots(&self, node: usize) -> io::Result<Vec<SlotRange>> {
        slot_ranges(&mut self.nodes[node].connect()?)
    }

    /// The node that leads the most slots, as node 0 tells it.
    ///
    /// # Panics
    /// Where node 0 does not answer or names an unknown port.
    pub fn foremost_leader(&self) -> usize {
        let ranges = self.slots(0).expect("CLUSTER SLOTS");
        let led = |node: &Node| {
            let leads = |range: &&SlotRange| range.ports.first() == Some(&node.ports().cluster);
            ranges.iter().filter(leads).map(|range| u32::from(range.end - range.start) + 1).sum::<u32>()
        };
        (0..self.nodes.len()).max_by_key(|index| led(&self.nodes[*index])).expect("a node")
    }
}

impl Index<usize> for Cluster {
    type Output = Node;

    fn index(&self, index: usize) -> &Node {
        &self.nodes[index]
    }
}

impl IndexMut<usize> for Cluster {
    fn index_mut(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }
}
