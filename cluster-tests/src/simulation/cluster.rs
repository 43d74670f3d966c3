//! A cluster: machines that come and go, the network between them, the directory, and what clients have recorded.

use super::client::{Command, PORT, exchange};
use super::directory::Directory;
use super::judge::{Event, Scene};
use super::network::{Network, Weather, below};
use super::node::{self, Connection, Identity, Node, NodeSettings};
use super::runtime::{MachineClock, Pid, Sim, WORLD, current, ms, sleep, spawn_on};
use crate::linearizability::{
    History, Operation, Outcome, PairInput, PairOutput, QueueInput, QueueOutput, StringInput,
};
use larder::clock::Judgement;
use larder::cluster::directory::{DirectoryCommand, DirectoryState};
use larder::cluster::reconciler::Conductor;
use larder::ids::{CopyId, Incarnation, NodeName, NodeNo, PartitionId};
use larder::planted::{Bug, planted};
use larder::raft::Role;
use larder::topology::NodeState;
use openraft::AsyncRuntime;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long a cluster may take to come to rest once nothing is done to it any more.
const SETTLE_MS_MAX: u64 = 90_000;

/// A machine and what is on its disk.
#[derive(Debug)]
struct Machine {
    identity: Identity,
    clock: MachineClock,
    pid: Option<Pid>,
    /// It has left the cluster, or was never meant to come back.
    gone: bool,
}

/// A cluster.
pub struct Cluster {
    /// Its network.
    pub network: Arc<Network>,
    /// Its directory.
    pub directory: Arc<Directory>,
    settings: NodeSettings,
    machines: Mutex<Vec<Machine>>,
    commands: Mutex<Vec<Command>>,
    pairs: Mutex<History<PairInput, PairOutput>>,
    queues: Mutex<History<QueueInput, QueueOutput>>,
    connections: AtomicU64,
    over: AtomicBool,
}

impl Cluster {
    /// A cluster of one machine that has just been made.
    pub fn new(network: Arc<Network>, create: DirectoryCommand, settings: NodeSettings) -> Arc<Self> {
        let directory = Directory::new(&network, create);
        spawn_on(WORLD, Arc::clone(&directory).run());
        let cluster = Arc::new(Self {
            network,
            directory,
            settings,
            machines: Mutex::default(),
            commands: Mutex::default(),
            pairs: Mutex::default(),
            queues: Mutex::default(),
            connections: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let watched = Arc::clone(&cluster);
        spawn_on(WORLD, async move {
            loop {
                sleep(ms(5)).await;
                watched.look();
            }
        });
        cluster
    }

    /// A new machine, and its clock; it starts at once.
    pub fn add_machine(self: &Arc<Self>, clock: MachineClock) -> usize {
        let index = {
            let mut machines = self.machines.lock();
            let name = NodeName([machines.len() as u8 + 1; 20]);
            let identity = Identity { name, incarnation: Incarnation(0), cluster: None, no: None };
            machines.push(Machine { identity, clock, pid: None, gone: false });
            machines.len() - 1
        };
        self.boot(index);
        index
    }

    /// Starts a machine that is off.
    pub fn boot(self: &Arc<Self>, index: usize) {
        let (pid, identity) = {
            let mut machines = self.machines.lock();
            let machine = &mut machines[index];
            if machine.pid.is_some() || machine.gone {
                return;
            }
            // Fsynced before anything else.
            if !(planted(Bug::RestartReusesId) && machine.identity.incarnation.0 > 0) {
                machine.identity.incarnation.0 += 1;
            }
            let mut clock = machine.clock;
            clock.judgement = Judgement::default();
            let pid = current().new_process(clock);
            machine.pid = Some(pid);
            (pid, machine.identity.clone())
        };
        if let Some(no) = identity.no.or((index == 0).then_some(NodeNo(1))) {
            self.network.starts(no, pid);
        }
        let cluster = Arc::clone(self);
        spawn_on(pid, async move {
            let (network, directory) = (Arc::clone(&cluster.network), Arc::clone(&cluster.directory));
            match node::start(network, directory, identity, cluster.settings).await {
                Some(node) => cluster.has_joined(index, &node),
                None => cluster.machines.lock()[index].gone = true,
            }
        });
    }

    fn has_joined(&self, index: usize, node: &Node) {
        let state = Conductor::state(node);
        let identity = &mut self.machines.lock()[index].identity;
        identity.no = Some(node.me.node);
        identity.cluster = state.cluster.as_ref().map(|cluster| cluster.id);
        self.network.judge.hear(&Event::Back(node.me.node));
    }

    /// Kills the process of a machine: its memory is gone, its disk is not.
    pub fn kill(&self, index: usize) {
        let (pid, no) = {
            let mut machines = self.machines.lock();
            let machine = &mut machines[index];
            let Some(pid) = machine.pid.take() else { return };
            machine.clock = current().clock_of(pid, |clock, _| *clock);
            (pid, machine.identity.no)
        };
        let node = no.and_then(|no| self.network.detach(no));
        current().kill(pid);
        // With its process as the current one no more: all that it held goes.
        drop(node);
    }

    /// Machines that run and have joined, with their numbers.
    pub fn running(&self) -> Vec<(usize, NodeNo)> {
        let machines = self.machines.lock();
        let running = machines.iter().enumerate().filter(|(_, machine)| machine.pid.is_some() && !machine.gone);
        running.filter_map(|(index, machine)| Some((index, machine.identity.no?))).collect()
    }

    /// Machines that are off and may come back.
    pub fn off(&self) -> Vec<usize> {
        let machines = self.machines.lock();
        (0..machines.len()).filter(|index| machines[*index].pid.is_none() && !machines[*index].gone).collect()
    }

    /// Machines in all.
    pub fn machine_count(&self) -> usize {
        self.machines.lock().len()
    }

    /// The process of a machine.
    pub fn pid(&self, index: usize) -> Option<Pid> {
        self.machines.lock()[index].pid
    }

    /// The node of a machine, once it serves.
    pub fn node(&self, index: usize) -> Option<Arc<Node>> {
        let no = self.machines.lock()[index].identity.no?;
        self.network.node(no)
    }

    /// A connection to some node.
    pub fn connect(&self) -> Option<Connection> {
        self.connect_by(below)
    }

    /// A connection to the node that `choose` picks among so many.
    pub fn connect_by(&self, choose: impl FnOnce(u64) -> u64) -> Option<Connection> {
        let nodes = self.network.nodes();
        let node = nodes.get(choose(nodes.len() as u64) as usize)?;
        Some(node.connect(PORT))
    }

    /// The number of the next connection.
    pub fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes down what became of commands.
    pub fn record(&self, commands: Vec<Command>) {
        self.commands.lock().extend(commands);
    }

    /// Writes down what became of a transaction.
    pub fn record_pair(&self, pair: &str, operation: Operation<PairInput, PairOutput>) {
        self.network.judge.note(|| format!("client {pair} {operation:?}"));
        if matches!(operation.outcome, Outcome::Ok(_)) {
            self.network.counters.transaction.add(1);
        }
        self.pairs.lock().push(pair, operation);
    }

    /// Writes down what became of a command on a queue.
    pub fn record_queue(&self, key: &str, operation: Operation<QueueInput, QueueOutput>) {
        self.network.judge.note(|| format!("client {key} {operation:?}"));
        if let Outcome::Ok(QueueOutput::Popped(Some(_))) = operation.outcome {
            self.network.counters.pop.add(1);
        }
        self.queues.lock().push(key, operation);
    }

    /// What was written down of transactions and queues.
    pub fn take_histories(&self) -> (History<PairInput, PairOutput>, History<QueueInput, QueueOutput>) {
        (std::mem::take(&mut *self.pairs.lock()), std::mem::take(&mut *self.queues.lock()))
    }

    /// All that was written down.
    pub fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock())
    }

    /// Whether clients shall stop.
    pub fn load_is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.network.judge.is_broken()
    }

    /// Clients shall stop.
    pub fn end_load(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// What the judge looks at again and again; and nodes that have left stop.
    fn look(&self) {
        let nodes = self.network.nodes();
        self.network.judge.look(&Scene { nodes: &nodes });
        let truth = self.directory.truth();
        // One that was refused when it came back ends its process.
        let refused = |machine: &Machine| machine.gone && machine.pid.is_some();
        let refused: Vec<usize> = {
            let machines = self.machines.lock();
            (0..machines.len()).filter(|index| refused(&machines[*index])).collect()
        };
        refused.into_iter().for_each(|index| self.kill(index));
        for (index, no) in self.running() {
            let left = truth.nodes.get(&no).is_none_or(|node| node.state == NodeState::Left);
            if left && self.directory.state(no).nodes.get(&no).is_none_or(|node| node.state == NodeState::Left) {
                self.kill(index);
                self.machines.lock()[index].gone = true;
                self.network.judge.note(|| format!("node {no} has left and stops"));
            }
        }
    }

    /// Undoes all that was done to machines and network, but for clocks that are a little wrong.
    pub fn mend(self: &Arc<Self>) {
        self.network.heal();
        self.network.set_weather(Weather::FAIR);
        for (index, _) in self.running() {
            let Some(pid) = self.pid(index) else { continue };
            current().set_clock(pid, |clock, now_ns| {
                clock.resume(now_ns);
                clock.wall_offset_ms = clock.wall_offset_ms.clamp(-400, 400);
            });
            while current().is_paused(pid) {
                current().resume(pid);
            }
        }
        for index in self.off() {
            self.boot(index);
        }
    }

    /// Waits until the cluster has come to rest.
    pub async fn settle(&self) -> Result<(), String> {
        let deadline_ns = current().now_ns() + SETTLE_MS_MAX * 1_000_000;
        loop {
            sleep(ms(50)).await;
            let reason = match self.unrest() {
                None => return Ok(()),
                Some(reason) => reason,
            };
            if self.network.judge.is_broken() {
                return Ok(());
            }
            if current().now_ns() > deadline_ns {
                return Err(reason);
            }
        }
    }

    /// Waits until no node has an entry under way, as for clients that have gone while they waited in line; not for ever, for
    /// what is promised to entries must come back.
    pub async fn until_nothing_is_proposed(&self) {
        const LOOKS: usize = 200;
        for _ in 0..LOOKS {
            let busy = |node: &Arc<Node>| {
                let limit = node.room.limit_bytes();
                limit > 0 && node.room.free_bytes() < limit.saturating_sub(node.room.used_bytes()) as u64
            };
            if !self.network.nodes().iter().any(busy) {
                return;
            }
            sleep(ms(5)).await;
        }
    }

    /// What is not yet as it should be.
    fn unrest(&self) -> Option<String> {
        let state = self.directory.truth();
        let nodes = self.network.nodes();
        if self.machines.lock().iter().any(|machine| !machine.gone && machine.identity.no.is_none()) {
            return Some("a machine has not joined".into());
        }
        for node in state.nodes.values() {
            let runs =
                nodes.iter().any(|running| running.me == CopyId { node: node.no, incarnation: node.incarnation });
            match node.state {
                NodeState::Up if runs => {}
                state => return Some(format!("node {} is {state:?}, running: {runs}", node.no)),
            }
        }
        (0..state.partitions.len()).find_map(|index| unrest_of(&state, &nodes, PartitionId(index as u16)))
    }

    /// Reads every key of the run, each until it is answered, and gives the number of the connection that did.
    pub async fn read_all(&self) -> Result<u64, String> {
        let keys: BTreeSet<String> = self.commands.lock().iter().map(|command| command.key.clone()).collect();
        let id = self.next_connection();
        for (number, key) in (0..).zip(keys) {
            let mut tries = 0;
            loop {
                let mut command = [Command {
                    connection: id,
                    number,
                    key: key.clone(),
                    input: StringInput::Get,
                    ttl_ms: None,
                    outcome: Outcome::Unknown,
                    invoked_ns: 0,
                    returned_ns: 0,
                }];
                if let Some(mut connection) = self.connect() {
                    exchange(self, &mut connection, &mut command).await;
                }
                let [command] = command;
                if matches!(command.outcome, Outcome::Ok(_)) {
                    self.record(vec![command]);
                    break;
                }
                tries += 1;
                if tries > 20 {
                    return Err(format!("{key} cannot be read at rest: {:?}", command.outcome));
                }
            }
        }
        Ok(id)
    }

    /// Waits until so many nodes are up and every partition is settled on as many copies as there may be.
    pub async fn until_up(&self, count: usize) -> bool {
        let done = async {
            loop {
                let state = self.directory.truth();
                let up = state.nodes.values().filter(|node| node.state == NodeState::Up).count();
                if up >= count && self.unrest().is_none() {
                    return;
                }
                sleep(ms(20)).await;
            }
        };
        Sim::timeout(ms(60_000), done).await.is_ok()
    }
}

fn unrest_of(state: &DirectoryState, nodes: &[Arc<Node>], id: PartitionId) -> Option<String> {
    let record = state.partition(id)?;
    let wanted: BTreeSet<CopyId> = record
        .target
        .iter()
        .filter_map(|no| Some(CopyId { node: *no, incarnation: state.nodes.get(no)?.incarnation }))
        .collect();
    let voters: BTreeSet<CopyId> = record.voters.iter().copied().collect();
    if record.planned.is_some() || wanted != voters || wanted.is_empty() {
        return Some(format!("partition {id}: voters {voters:?}, planned {:?}, wanted {wanted:?}", record.planned));
    }
    let mut applied = BTreeMap::new();
    let mut leaders = 0;
    for node in nodes.iter().filter(|node| voters.contains(&node.me)) {
        let partition = &node.routes.partitions()[id.index()];
        let state = partition.lock();
        leaders += usize::from(matches!(state.role, Role::Leader | Role::Solo));
        applied.insert(node.me, state.applied());
        let solo = state.role == Role::Solo;
        drop(state);
        if !solo && !node.copies.group(id).is_some_and(|group| group.is_caught_up_voter()) {
            return Some(format!("partition {id}: the copy of {:?} is not caught up", node.me));
        }
    }
    let alike = applied.values().all(|one| Some(one) == applied.values().next());
    (leaders != 1 || applied.len() != voters.len() || !alike)
        .then(|| format!("partition {id}: {leaders} leaders, applied {applied:?}"))
}
