//! What commands need from the node they run on, as a trait that `app` implements: so INFO, CONFIG and CLUSTER reach
//! upward without a circle.

use super::session::{Clients, PortKind, Session};
use crate::config::Settings;
use crate::ids::{DatabaseNo, NodeName};
use crate::keyspace::DatabaseFigures;
use crate::telemetry::Stats;
use crate::topology::{HostPort, NodeState, Topology};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a connection handler works on.
pub struct ConnectionContext<'a> {
    /// The connection.
    pub session: &'a mut Session,
    /// Its node.
    pub node: &'a Arc<dyn NodePort>,
}

/// How a connection goes on after a handler.
pub enum Flow {
    /// The reply is written.
    Done,
    /// The reply comes later, encoded; the connection's next commands wait for it.
    Wait(BoxFuture<'static, Bytes>),
    /// The reply is written; close the connection once it is sent.
    Close,
}

/// What does not change while a node runs.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// 40 random hex digits of this run (INFO `run_id`).
    pub run_id: String,
    /// Wall clock at start.
    pub started_ms: u64,
    /// Boot time at start, by which uptime is measured.
    pub started_boot_ns: u64,
    /// Addresses that it listens on.
    pub bind: Vec<String>,
    /// The client port.
    pub client_port: u16,
    /// The cluster port.
    pub cluster_port: u16,
}

/// Items, as INFO counts them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyspaceFigures {
    /// The databases that have items in the partitions that are here.
    pub databases: BTreeMap<DatabaseNo, DatabaseFigures>,
    /// Bytes that the partitions hold.
    pub bytes: u64,
}

impl KeyspaceFigures {
    /// All databases together.
    pub fn total(&self) -> DatabaseFigures {
        self.databases.values().fold(DatabaseFigures::default(), |mut total, figures| {
            total.add(figures);
            total
        })
    }
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryFigures {
    /// What counts against `maxmemory`: items and buffers.
    pub used: u64,
    /// The highest `used` so far, as far as it was sampled.
    pub peak: u64,
    /// The part of `used` that is items.
    pub dataset: u64,
    /// What was used at start, before any item.
    pub startup: u64,
    /// Buffers of client connections.
    pub clients: u64,
    /// Resident memory of the process, where the system tells.
    pub resident: Option<u64>,
    /// Memory of the machine, where the system tells.
    pub machine: Option<u64>,
}

impl MemoryFigures {
    /// What is not data: what the process began with included, as in Redis.
    pub fn overhead(&self) -> u64 {
        self.used.saturating_sub(self.dataset).max(self.startup).min(self.used)
    }

    /// The rest of what is used. Less than `dataset`, where items have taken pages that the process had from its start.
    pub fn net_dataset(&self) -> u64 {
        self.used - self.overhead()
    }

    /// What was used since the start.
    pub fn net(&self) -> u64 {
        self.used.saturating_sub(self.startup)
    }
}

/// One connection to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whether the other node connected to us.
    pub inbound: bool,
    /// The other node.
    pub node: NodeName,
    /// Wall clock when it was made, where that is known.
    pub created_ms: Option<u64>,
    /// Bytes that wait to be sent, where that is known.
    pub waiting_bytes: Option<u64>,
}

/// How SHUTDOWN was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownMode {
    /// Do not wait for a stop permit, nor for leaderships to move.
    pub now: bool,
    /// Stop even where partitions lose their majority.
    pub force: bool,
}

/// What LARDER STATUS shows beside the topology.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Why this node is not ready; `None` where it is.
    pub unready: Option<String>,
    /// Copies that each node holds or is getting, by its number, moves included.
    pub moves: Vec<Move>,
}

/// A copy on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Move {
    /// Its partition.
    pub partition: u16,
    /// The node that gives it up, if one does.
    pub from: Option<u32>,
    /// The node that gets it, if one does.
    pub to: Option<u32>,
}

/// Keys of a slot on this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotKeys {
    /// How many.
    pub count: u64,
    /// Some of them, where they were asked for.
    pub keys: Vec<Vec<u8>>,
}

/// The node, as commands see it.
pub trait NodePort: Send + Sync + 'static {
    /// Its connections.
    fn clients(&self) -> &Clients;

    /// The cluster as of now.
    fn topology(&self) -> Arc<Topology>;

    /// Its settings.
    fn settings(&self) -> &Settings;

    /// Carries out what CONFIG SET has just changed (log level, eviction policy and the like).
    fn settings_changed(&self);

    /// Its counters.
    fn stats(&self) -> &Stats;

    /// What does not change.
    fn facts(&self) -> &NodeFacts;

    /// Items. Takes each partition's lock for a moment.
    fn keyspace(&self) -> KeyspaceFigures;

    /// Keys that commands wait for in the partitions that are led here, and how many of them also for their going
    /// (XREADGROUP).
    fn blocking_keys(&self) -> (usize, usize) {
        (0, 0)
    }

    /// Messages to other nodes, and from them, since the start.
    fn peer_messages(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Memory. Takes each partition's lock for a moment.
    fn memory(&self) -> MemoryFigures;

    /// Whether it has no place in a cluster yet: then what works on data is refused.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Whether all of its copies are caught-up voters, or why not (`/readyz`).
    fn readiness(&self) -> Result<(), String>;

    /// Stops the node. Resolves once it is about to close its connections, or with the reason why it does not stop.
    fn shutdown(&self, mode: ShutdownMode) -> BoxFuture<'static, Result<(), String>>;

    /// Calls off a shutdown that waits; false where none does.
    fn abort_shutdown(&self) -> bool;

    /// Counts the keys of `slot` in a database on this node and gathers at most `limit` of them, or only counts them. In
    /// bounded slices, each under the partition's lock.
    fn slot_keys(&self, database: DatabaseNo, slot: u16, limit: Option<usize>) -> BoxFuture<'static, SlotKeys>;

    /// Connections to other nodes.
    fn links(&self) -> Vec<Link>;

    /// What LARDER STATUS shows beside the topology.
    fn status(&self) -> BoxFuture<'static, ClusterStatus>;

    /// Starts to empty a node, by a unique beginning of its name or its client address. LARDER STATUS shows how far it is.
    fn drain(&self, node: String) -> BoxFuture<'static, Result<(), String>>;

    /// Removes a dead node; `force_quorum` also where the directory has lost its majority.
    fn remove(&self, node: String, force_quorum: bool) -> BoxFuture<'static, Result<(), String>>;

    /// Joins this node and the one at `other` (its client port, or its peer port where given) into one cluster.
    fn meet(&self, other: HostPort, peer_port: Option<u16>) -> BoxFuture<'static, Result<(), String>>;

    /// Removes a dead node, by a unique beginning of its name or its client address.
    fn forget(&self, node: String) -> BoxFuture<'static, Result<(), String>> {
        self.remove(node, false)
    }

    /// Which `redis_mode` a connection is told.
    fn mode(&self, port: PortKind) -> &'static str {
        match port {
            PortKind::Client => "standalone",
            PortKind::Cluster => "cluster",
        }
    }
}

/// The node of `topology` that `name` means: a unique beginning of its name, or its client address.
///
/// # Errors
/// Where no node, or more than one, is meant; the text says so.
pub fn resolve_node(topology: &Topology, name: &str) -> Result<NodeName, String> {
    let by_address = topology.nodes.iter().find(|node| node.client.to_string() == name);
    if let Some(node) = by_address {
        return Ok(node.name);
    }
    let lower = name.to_ascii_lowercase();
    let mut found = topology.nodes.iter().filter(|node| !lower.is_empty() && node.name.to_string().starts_with(&lower));
    match (found.next(), found.next()) {
        (Some(node), None) => Ok(node.name),
        (Some(_), Some(_)) => Err(format!("ERR More than one node's id begins with {name}")),
        (None, _) => Err(format!("ERR Unknown node {name}")),
    }
}

/// The word for a node's state.
pub fn state_word(state: NodeState) -> &'static str {
    match state {
        NodeState::Joining => "joining",
        NodeState::Up => "up",
        NodeState::Draining => "draining",
        NodeState::Down => "down",
        NodeState::Left => "left",
    }
}
