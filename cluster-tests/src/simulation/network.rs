//! The network between nodes: delay and so reordering, loss, duplication, and links that are cut one way or both.
//!
//! A message that is under way belongs to the world: that its sender is paused or dead does not stop it. Messages of Raft
//! groups may be lost, late and doubled. What travels over a link as a request with an answer (forwarded commands, orders)
//! may be lost with its link, but is not doubled: a stream delivers once.

use super::judge::{Event, Judge};
use super::node::Node;
use super::runtime::{Pid, Sim, WORLD, current, ms, sleep, spawn_on};
use super::statistics::Counters;
use bytes::Bytes;
use larder::ids::NodeNo;
use openraft::AsyncRuntime;
use parking_lot::Mutex;
use rand::RngExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A message of a partition's group.
    Group,
    /// Commands for the leader's copy.
    Forward,
    /// Several that only read, in one message.
    Reads,
    /// An order of the directory's leader.
    Order,
    /// A hint of who leads.
    Leaders,
    /// What the clock shows.
    Clock,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// It was certainly not sent.
    NotSent,
    /// It may have arrived.
    Lost,
}

/// What the network does to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// Longest ordinary delay of one way, microseconds.
    pub delay_us_max: u64,
    /// Messages that take much longer, of a thousand.
    pub late_permille: u32,
    /// Messages lost, of a thousand.
    pub lost_permille: u32,
    /// Messages delivered twice, of a thousand.
    pub doubled_permille: u32,
}

impl Weather {
    /// Nothing but short delays.
    pub const FAIR: Self = Self { delay_us_max: 400, late_permille: 0, lost_permille: 0, doubled_permille: 0 };
}

struct State {
    weather: Weather,
    nodes: BTreeMap<NodeNo, Arc<Node>>,
    /// Processes of nodes that run, whether or not they have registered.
    processes: BTreeMap<NodeNo, Pid>,
    /// Directed pairs that do not hear each other.
    cut: BTreeSet<(NodeNo, NodeNo)>,
}

/// The network. Nodes that are not attached are dead.
pub struct Network {
    state: Mutex<State>,
    pub(super) counters: Arc<Counters>,
    pub(super) judge: Arc<Judge>,
}

impl Network {
    /// A network without nodes.
    pub fn new(weather: Weather, counters: Arc<Counters>, judge: Arc<Judge>) -> Arc<Self> {
        let state = State { weather, nodes: BTreeMap::new(), processes: BTreeMap::new(), cut: BTreeSet::new() };
        Arc::new(Self { state: Mutex::new(state), counters, judge })
    }

    /// A node's process has started.
    pub fn starts(&self, no: NodeNo, pid: Pid) {
        self.state.lock().processes.insert(no, pid);
    }

    /// A node can be reached from now on.
    pub fn attach(&self, node: Arc<Node>) {
        let mut state = self.state.lock();
        state.processes.insert(node.me.node, node.pid);
        state.nodes.insert(node.me.node, node);
    }

    /// A node has stopped.
    pub fn detach(&self, no: NodeNo) -> Option<Arc<Node>> {
        let mut state = self.state.lock();
        state.processes.remove(&no);
        state.nodes.remove(&no)
    }

    /// A node that can be reached.
    pub fn node(&self, no: NodeNo) -> Option<Arc<Node>> {
        self.state.lock().nodes.get(&no).cloned()
    }

    /// All of them.
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.state.lock().nodes.values().cloned().collect()
    }

    /// Cuts the way from one node to another.
    pub fn cut(&self, from: NodeNo, to: NodeNo) {
        self.state.lock().cut.insert((from, to));
    }

    /// Mends all that was cut.
    pub fn heal(&self) {
        self.state.lock().cut.clear();
    }

    /// Mends one way.
    pub fn mend(&self, from: NodeNo, to: NodeNo) {
        self.state.lock().cut.remove(&(from, to));
    }

    /// Changes the weather.
    pub fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// Whether two nodes hear each other, and the other one is at work.
    pub fn reaches(&self, from: NodeNo, to: NodeNo) -> bool {
        let state = self.state.lock();
        let works = |no| state.processes.get(&no).is_some_and(|pid| !current().is_paused(*pid));
        works(to) && (from == to || !state.cut.contains(&(from, to)) && !state.cut.contains(&(to, from)))
    }

    /// Whether a link between two nodes stands: a pause does not break it.
    pub fn is_linked(&self, from: NodeNo, to: NodeNo) -> bool {
        let state = self.state.lock();
        state.processes.contains_key(&to) && !state.cut.contains(&(from, to)) && !state.cut.contains(&(to, from))
    }

    fn is_suspended(&self, no: NodeNo) -> bool {
        let pid = self.state.lock().processes.get(&no).copied();
        pid.is_some_and(|pid| current().clock_of(pid, |clock, _| clock.suspended_at_ns.is_some()))
    }

    /// Whether a message gets through now.
    fn passes(&self, from: NodeNo, to: NodeNo) -> bool {
        let state = self.state.lock();
        if state.cut.contains(&(from, to)) {
            self.counters.message_cut.add(1);
            return false;
        }
        let lost = chance(state.weather.lost_permille);
        if lost {
            self.counters.message_lost.add(1);
        }
        !lost
    }

    /// How long a message takes.
    pub fn delay(&self) -> Duration {
        let weather = self.state.lock().weather;
        let late = chance(weather.late_permille);
        if late {
            self.counters.message_late.add(1);
        }
        let longest = if late { 60_000 } else { weather.delay_us_max };
        Duration::from_micros(current().draw(|rng| rng.random_range(20..=longest.max(21))))
    }

    /// Sends `body` from a node to another and waits for the answer.
    pub async fn call(
        self: Arc<Self>,
        from: NodeNo,
        to: NodeNo,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, NoAnswer> {
        let (done, answer) = oneshot::channel();
        spawn_on(WORLD, self.transit(from, to, service, body, done));
        match Sim::timeout(timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Lost),
        }
    }

    async fn transit(
        self: Arc<Self>,
        from: NodeNo,
        to: NodeNo,
        service: Service,
        body: Bytes,
        done: oneshot::Sender<Result<Bytes, NoAnswer>>,
    ) {
        self.counters.messages.add(1);
        if !self.is_linked(from, to) && service != Service::Group {
            sleep(ms(2)).await;
            let _ = done.send(Err(NoAnswer::NotSent));
            return;
        }
        if service == Service::Group {
            self.judge.hear(&Event::GroupMessage { body: &body });
        }
        sleep(self.delay()).await;
        // What comes for a machine that is suspended is sent again some time after it goes on.
        let mut missed = false;
        while self.is_suspended(to) {
            missed = true;
            sleep(ms(5)).await;
        }
        if missed {
            sleep(ms(below(400))).await;
        }
        if !self.passes(from, to) {
            return self.lose(service, done).await;
        }
        let doubled = self.state.lock().weather.doubled_permille;
        if service == Service::Group && chance(doubled) {
            self.counters.message_doubled.add(1);
            let (network, body, delay) = (Arc::clone(&self), body.clone(), self.delay() + self.delay());
            spawn_on(WORLD, async move {
                sleep(delay).await;
                drop(network.deliver(from, to, service, body));
            });
        }
        let Some(answer) = self.deliver(from, to, service, body) else {
            let _ = done.send(Err(NoAnswer::Lost));
            return;
        };
        // A node that dies lets go of what it was at.
        let Ok(answer) = answer.await else {
            sleep(self.delay()).await;
            let _ = done.send(Err(NoAnswer::Lost));
            return;
        };
        sleep(self.delay()).await;
        if !self.passes(to, from) {
            return self.lose(service, done).await;
        }
        let _ = done.send(Ok(answer));
    }

    /// It takes a while until a link is known to be dead.
    async fn lose(&self, service: Service, done: oneshot::Sender<Result<Bytes, NoAnswer>>) {
        sleep(ms(if service == Service::Group { 3000 } else { 800 })).await;
        let _ = done.send(Err(NoAnswer::Lost));
    }

    fn deliver(&self, from: NodeNo, to: NodeNo, service: Service, body: Bytes) -> Option<oneshot::Receiver<Bytes>> {
        let node = self.node(to)?;
        let (done, answer) = oneshot::channel();
        spawn_on(node.pid, async move {
            let _ = done.send(node.serve(from, service, body).await);
        });
        Some(answer)
    }
}

/// Whether something happens that happens so often.
pub fn chance(permille: u32) -> bool {
    permille > 0 && current().draw(|rng| rng.random_range(0..1000)) < permille
}

/// A number below `end`.
pub fn below(end: u64) -> u64 {
    current().draw(|rng| rng.random_range(0..end.max(1)))
}
