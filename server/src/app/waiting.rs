//! A node that has no place in a cluster yet, as clients and operators see it: it answers all that needs no data, says
//! what it waits for, and may be told to stop, or to begin the directory anew.
//!
//! It has a dispatcher and a server of its own. They give way to those of the complete node: its connections are closed
//! once they are idle, and the listening sockets, of which it has copies, lose nobody meanwhile.

use super::addresses::{Advertised, Unreachable};
use super::serve::CONNECTIONS_GRACE;
use super::stop::{self, StopSwitch};
use super::system;
use crate::cluster::Waiting;
use crate::cluster::routes::Routes;
use crate::commands::port::{
    ClusterStatus, KeyspaceFigures, Link, MemoryFigures, NodeFacts, NodePort, ShutdownMode, SlotKeys, resolve_node,
};
use crate::commands::session::Clients;
use crate::config::Settings;
use crate::dispatch::{Dispatcher, Unlimited};
use crate::ids::{DatabaseNo, Incarnation, NodeName, NodeNo, PartitionId};
use crate::keyspace::HashSeed;
use crate::net::{Cores, Listener, Server};
use crate::raft::{Partition, Role};
use crate::telemetry::{Stats, set_level};
use crate::topology::{HostPort, NodeInfo, NodeState, Owners, Topology};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long clients are left waiting: most nodes have their place by then, and these clients never notice.
const PATIENCE: Duration = Duration::from_secs(2);

/// Such a node.
pub(super) struct WaitingNode {
    pub waiting: Arc<Waiting>,
    pub me: NodeInfo,
    pub settings: Arc<Settings>,
    pub clients: Clients,
    pub stats: Arc<Stats>,
    pub facts: NodeFacts,
    pub stop: Arc<StopSwitch>,
    pub unreachable: Unreachable,
    /// The core that the cluster's tasks live on.
    pub core: Handle,
}

/// What such a node says of itself.
pub(super) fn myself(
    name: NodeName,
    incarnation: Incarnation,
    advertised: &Advertised,
    zone: Option<String>,
) -> NodeInfo {
    let Advertised { client, cluster, peer } = advertised.clone();
    let (no, state) = (NodeNo(0), NodeState::Joining);
    NodeInfo { no, name, incarnation, client, cluster, peer, state, zone, connected: true }
}

impl WaitingNode {
    /// Serves clients on copies of these sockets.
    fn serve(self: &Arc<Self>, cores: &Arc<Cores>, listeners: &[Listener]) -> io::Result<Server> {
        // One partition without a copy: nothing gets as far as that.
        let absent = Arc::new(Partition::new(PartitionId(0), HashSeed::default(), Role::Absent));
        let owners = vec![Owners { leader: None, copies: Vec::new() }];
        let routes = Routes::new(vec![absent], Topology { owners, ..self.topology().as_ref().clone() });
        let node = Arc::clone(self) as Arc<dyn NodePort>;
        let dispatcher = Dispatcher::new(Arc::new(routes), node, Arc::new(Unlimited), Arc::clone(&self.stats));
        let listeners = listeners.iter().map(Listener::try_clone).collect::<io::Result<Vec<_>>>()?;
        Server::start(dispatcher, Arc::clone(cores), listeners)
    }

    /// Waits until the node has its place and serves clients meanwhile, once that takes long; nothing where it is told
    /// to stop before.
    pub async fn until<T>(
        self: &Arc<Self>,
        starting: impl Future<Output = T>,
        cores: &Arc<Cores>,
        listeners: &[Listener],
    ) -> io::Result<Option<T>> {
        let (mut starting, mut patience) = (pin!(starting), pin!(tokio::time::sleep(PATIENCE)));
        let mut stage = self.stop.subscribe();
        let mut server: Option<Server> = None;
        let started = loop {
            tokio::select! {
                started = &mut starting => break Some(started),
                _ = stop::asked(&mut stage) => break None,
                () = &mut patience, if server.is_none() => server = Some(self.serve(cores, listeners)?),
            }
        };
        match (server, &started) {
            (Some(server), Some(_)) => {
                // What is complete now serves who comes; these connections end when they are idle.
                server.close_listeners();
                self.core.spawn(async move { server.stop(CONNECTIONS_GRACE).await });
            }
            (server, None) => {
                self.stop.close();
                if let Some(server) = server {
                    server.stop(CONNECTIONS_GRACE).await;
                }
            }
            (None, Some(_)) => {}
        }
        Ok(started)
    }
}

impl NodePort for WaitingNode {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn topology(&self) -> Arc<Topology> {
        Arc::new(self.waiting.topology(&self.me))
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rest of them the complete node looks at when it starts.
    fn settings_changed(&self) {
        set_level(&self.settings.get("loglevel"));
    }

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
        let (resident, machine) = (system::resident_bytes(), system::machine_bytes());
        MemoryFigures { resident, machine, ..MemoryFigures::default() }
    }

    fn is_waiting(&self) -> bool {
        true
    }

    fn readiness(&self) -> Result<(), String> {
        Err(self.waiting.reason())
    }

    fn shutdown(&self, mode: ShutdownMode) -> BoxFuture<'static, Result<(), String>> {
        let stage = self.stop.subscribe();
        self.stop.ask(mode);
        stop::outcome(stage).boxed()
    }

    fn abort_shutdown(&self) -> bool {
        self.stop.call_off()
    }

    fn slot_keys(&self, _: DatabaseNo, _: u16, _: Option<usize>) -> BoxFuture<'static, SlotKeys> {
        futures::future::ready(SlotKeys::default()).boxed()
    }

    fn links(&self) -> Vec<Link> {
        let topology = self.topology();
        let link =
            |no| Some(Link { inbound: false, node: topology.node(no)?.name, created_ms: None, waiting_bytes: None });
        self.waiting.connected().into_iter().filter_map(link).collect()
    }

    fn status(&self) -> BoxFuture<'static, ClusterStatus> {
        let reason = [Some(self.waiting.reason()), self.unreachable.reason()];
        let unready = Some(reason.into_iter().flatten().collect::<Vec<_>>().join("; "));
        futures::future::ready(ClusterStatus { unready, moves: Vec::new() }).boxed()
    }

    fn drain(&self, _: String) -> BoxFuture<'static, Result<(), String>> {
        self.refuse()
    }

    fn remove(&self, node: String, force_quorum: bool) -> BoxFuture<'static, Result<(), String>> {
        let topology = self.topology();
        let found = resolve_node(&topology, &node);
        let no = found.and_then(|name| {
            let node = topology.nodes.iter().find(|node| node.name == name);
            node.map(|node| node.no).ok_or_else(|| format!("ERR Unknown node {name}"))
        });
        let waiting = Arc::clone(&self.waiting);
        let removing = self.core.spawn(async move { waiting.remove(no?, force_quorum).await });
        async move { removing.await.unwrap_or_else(|_| Err("ERR the node is stopping".into())) }.boxed()
    }

    fn meet(&self, _: HostPort, _: Option<u16>) -> BoxFuture<'static, Result<(), String>> {
        self.refuse()
    }
}

impl WaitingNode {
    fn refuse(&self) -> BoxFuture<'static, Result<(), String>> {
        futures::future::ready(Err(format!("ERR this node cannot do that: {}", self.waiting.reason()))).boxed()
    }
}
