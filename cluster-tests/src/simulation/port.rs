//! A simulated node as commands see it: only what data commands ask for is there.

use futures::future::BoxFuture;
use larder::cluster::routes::Routes;
use larder::commands::port::{
    ClusterStatus, KeyspaceFigures, Link, MemoryFigures, NodeFacts, NodePort, ShutdownMode, SlotKeys,
};
use larder::commands::session::Clients;
use larder::config::Settings;
use larder::ids::DatabaseNo;
use larder::telemetry::Stats;
use larder::topology::{HostPort, Topology};
use std::sync::Arc;

/// The port of one node.
pub struct Port {
    clients: Clients,
    settings: Settings,
    stats: Arc<Stats>,
    facts: NodeFacts,
    routes: Arc<Routes>,
}

impl Port {
    /// A port onto these routes, which counts into `stats`.
    pub fn new(routes: Arc<Routes>, stats: Arc<Stats>) -> Self {
        let facts = NodeFacts {
            run_id: "0".repeat(40),
            started_ms: 0,
            started_boot_ns: 0,
            bind: Vec::new(),
            client_port: 6379,
            cluster_port: 7379,
        };
        Self { clients: Clients::default(), settings: Settings::default(), stats, facts, routes }
    }
}

/// What no simulated client asks for.
fn not_here<T: Send + 'static>() -> BoxFuture<'static, Result<T, String>> {
    Box::pin(async { Err("ERR not in a simulation".into()) })
}

impl NodePort for Port {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn topology(&self) -> Arc<Topology> {
        self.routes.topology()
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

    fn readiness(&self) -> Result<(), String> {
        Ok(())
    }

    fn shutdown(&self, _mode: ShutdownMode) -> BoxFuture<'static, Result<(), String>> {
        not_here()
    }

    fn abort_shutdown(&self) -> bool {
        false
    }

    fn slot_keys(&self, _database: DatabaseNo, _slot: u16, _limit: Option<usize>) -> BoxFuture<'static, SlotKeys> {
        Box::pin(async { SlotKeys::default() })
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn status(&self) -> BoxFuture<'static, ClusterStatus> {
        Box::pin(async { ClusterStatus::default() })
    }

    fn drain(&self, _node: String) -> BoxFuture<'static, Result<(), String>> {
        not_here()
    }

    fn remove(&self, _node: String, _force_quorum: bool) -> BoxFuture<'static, Result<(), String>> {
        not_here()
    }

    fn meet(&self, _other: HostPort, _peer_port: Option<u16>) -> BoxFuture<'static, Result<(), String>> {
        not_here()
    }
}
