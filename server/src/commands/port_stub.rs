//! A node for the tests of connection commands: one member, twelve partitions, settings that work.

use super::port::*;
use super::session::{Clients, PortKind, ReplyMode, Session};
use super::{CommandSpec, Handler};
use crate::config::Settings;
use crate::ids::{DatabaseNo, Incarnation, NodeName, NodeNo};
use crate::keyspace::DatabaseFigures;
use crate::telemetry::Stats;
use crate::topology::{HostPort, NodeInfo, NodeState, Owners, Topology};
use futures::FutureExt;
use futures::future::BoxFuture;
use larder_protocol::{Args, ProtocolVersion, ReplyBuffer};
use parking_lot::Mutex;
use std::sync::Arc;

pub(crate) struct StubNode {
    pub clients: Clients,
    pub settings: Settings,
    pub topology: Mutex<Arc<Topology>>,
    pub stats: Stats,
    facts: NodeFacts,
}

pub(crate) fn node_info(no: u32) -> NodeInfo {
    let address = |port: u16| HostPort { host: "127.0.0.1".into(), port: port + no as u16 };
    NodeInfo {
        no: NodeNo(no),
        name: NodeName([no as u8; 20]),
        incarnation: Incarnation(1),
        client: address(6378),
        cluster: address(7378),
        peer: address(16378),
        state: NodeState::Up,
        zone: None,
        connected: true,
    }
}

pub(crate) fn topology(nodes: u32, leaders: &[u32]) -> Topology {
    let owners = leaders.iter().map(|no| Owners { leader: Some(NodeNo(*no)), copies: vec![NodeNo(*no)] });
    Topology { epoch: 3, me: NodeNo(1), nodes: (1..=nodes).map(node_info).collect(), owners: owners.collect() }
}

impl StubNode {
    pub fn new() -> Arc<Self> {
        let facts = NodeFacts {
            run_id: "ab".repeat(20),
            started_ms: 1,
            started_boot_ns: 1,
            bind: vec!["127.0.0.1".into()],
            client_port: 6379,
            cluster_port: 7379,
        };
        Arc::new(Self {
            clients: Clients::default(),
            settings: Settings::default(),
            topology: Mutex::new(Arc::new(topology(1, &[1; 12]))),
            stats: Stats::new(super::table::named().len()),
            facts,
        })
    }

    /// A connection through `port`.
    pub fn connect(&self, port: PortKind) -> Session {
        let (address, local) = ("127.0.0.1:50000".parse().unwrap(), "127.0.0.1:6379".parse().unwrap());
        Session {
            client: self.clients.register(address, local, 1),
            port,
            version: ProtocolVersion::Resp2,
            database: DatabaseNo::FIRST,
            authenticated: true,
            readonly: false,
            asking: false,
            no_touch: false,
            reply_mode: ReplyMode::default(),
            reset: false,
        }
    }

    /// Runs the words of `line` as a command of `session` and returns its reply.
    pub fn run(self: &Arc<Self>, session: &mut Session, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run_words(session, &words).0
    }

    /// As [`StubNode::run`]; also says whether the connection is to be closed.
    pub fn run_words(self: &Arc<Self>, session: &mut Session, words: &[&[u8]]) -> (String, bool) {
        let buffer = words.concat();
        let mut ranges = Vec::new();
        let mut at = 0;
        for word in words {
            ranges.push((at, at + word.len() as u32));
            at += word.len() as u32;
        }
        let args = Args::new(&buffer, &ranges);
        let spec = find(args).expect("a command");
        let Handler::Connection(handler) = spec.handler else { panic!("not a connection command") };
        let mut reply = ReplyBuffer::new(session.version);
        let node: Arc<dyn NodePort> = Arc::clone(self) as _;
        if !spec.arity.allows(args.len()) {
            return ("arity".into(), false);
        }
        let mut close = false;
        match handler(&mut ConnectionContext { session, node: &node }, args, &mut reply) {
            Ok(Flow::Done) => {}
            Ok(Flow::Close) => close = true,
            Ok(Flow::Wait(later)) => reply.raw(&later.now_or_never().expect("the stub answers at once")),
            Err(error) => error.write(&mut reply),
        }
        (String::from_utf8_lossy(reply.as_slice()).into_owned(), close)
    }
}

fn find(args: Args<'_>) -> Option<&'static CommandSpec> {
    let is = |spec: &&CommandSpec, word: &[u8]| spec.name.as_bytes().eq_ignore_ascii_case(word);
    let spec = super::table::all().find(|spec| is(spec, &args[0]))?;
    let Handler::Container(subcommands) = spec.handler else { return Some(spec) };
    subcommands.iter().copied().find(|sub| is(sub, args.get(1).unwrap_or_default()))
}

impl NodePort for StubNode {
    fn clients(&self) -> &Clients {
        &self.clients
    }
    fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.lock())
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
        let first = DatabaseFigures { keys: 3, expires: 1, subexpiry: 0, ttl_sum_ms: 500 };
        let fifth = DatabaseFigures { keys: 1, ..DatabaseFigures::default() };
        let databases = [(DatabaseNo(0), first), (DatabaseNo(5), fifth)].into();
        KeyspaceFigures { databases, bytes: 300 }
    }
    fn peer_messages(&self) -> (u64, u64) {
        (7, 5)
    }
    fn memory(&self) -> MemoryFigures {
        MemoryFigures {
            used: 2048,
            peak: 4096,
            dataset: 300,
            startup: 248,
            resident: Some(8192),
            ..MemoryFigures::default()
        }
    }
    fn readiness(&self) -> Result<(), String> {
        Ok(())
    }
    fn shutdown(&self, mode: ShutdownMode) -> BoxFuture<'static, Result<(), String>> {
        futures::future::ready(Err(format!("ERR {mode:?}"))).boxed()
    }
    fn abort_shutdown(&self) -> bool {
        false
    }
    fn slot_keys(&self, _: DatabaseNo, slot: u16, limit: Option<usize>) -> BoxFuture<'static, SlotKeys> {
        let keys = vec![format!("key{slot}").into_bytes(); limit.unwrap_or(0).min(2)];
        futures::future::ready(SlotKeys { count: 2, keys }).boxed()
    }
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
    fn status(&self) -> BoxFuture<'static, ClusterStatus> {
        futures::future::ready(ClusterStatus::default()).boxed()
    }
    fn drain(&self, node: String) -> BoxFuture<'static, Result<(), String>> {
        futures::future::ready(resolve_node(&self.topology(), &node).map(drop)).boxed()
    }
    fn remove(&self, node: String, _force_quorum: bool) -> BoxFuture<'static, Result<(), String>> {
        self.drain(node)
    }
    fn meet(&self, _other: HostPort, _peer_port: Option<u16>) -> BoxFuture<'static, Result<(), String>> {
        futures::future::ready(Ok(())).boxed()
    }
}
