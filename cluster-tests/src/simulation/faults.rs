//! What is done to a cluster: one fault after another, drawn by the seed from those that the run allows.

use super::cluster::Cluster;
use super::judge::Event;
use super::network::{Weather, below, chance};
use super::runtime::{MachineClock, Pid, Sim, WORLD, current, ms, sleep, spawn_on};
use larder::cluster::directory::DirectoryCommand;
use larder::ids::NodeNo;
use larder::topology::NodeState;
use openraft::AsyncRuntime;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed, and started again after a while.
    Crash,
    /// Two nodes are killed at once.
    CrashTwo,
    /// A process is stopped for a while; its clocks go on.
    Pause,
    /// A machine is suspended: monotonic time stands still, boot time goes on.
    Suspend,
    /// A process stops again and again, for a moment each.
    Slow,
    /// One node does not hear another one.
    CutOneWay,
    /// Two nodes do not hear each other.
    CutPair,
    /// A node is cut off from all others, one way or both.
    CutOff,
    /// A wall clock jumps.
    ClockJump,
    /// A machine's clocks run at another rate.
    ClockDrift,
    /// Leaders hand over.
    Transfer,
    /// Another node joins.
    Join,
    /// A node is drained.
    Drain,
    /// Nodes ask for leave to stop, and are started again.
    Stop,
    /// The directory gets another leader.
    DirectoryElection,
    /// Messages are late, lost and doubled.
    Storm,
}

/// All of them.
pub const FAULTS: [Fault; 16] = [
    Fault::Crash,
    Fault::CrashTwo,
    Fault::Pause,
    Fault::Suspend,
    Fault::Slow,
    Fault::CutOneWay,
    Fault::CutPair,
    Fault::CutOff,
    Fault::ClockJump,
    Fault::ClockDrift,
    Fault::Transfer,
    Fault::Join,
    Fault::Drain,
    Fault::Stop,
    Fault::DirectoryElection,
    Fault::Storm,
];

impl Fault {
    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::CrashTwo => "crash-two",
            Self::Pause => "pause",
            Self::Suspend => "suspend",
            Self::Slow => "slow",
            Self::CutOneWay => "cut-one-way",
            Self::CutPair => "cut-pair",
            Self::CutOff => "cut-off",
            Self::ClockJump => "clock-jump",
            Self::ClockDrift => "clock-drift",
            Self::Transfer => "transfer",
            Self::Join => "join",
            Self::Drain => "drain",
            Self::Stop => "stop",
            Self::DirectoryElection => "directory-election",
            Self::Storm => "storm",
        }
    }
}

/// What a run allows.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Kinds of faults, drawn from evenly.
    pub kinds: Vec<Fault>,
    /// How many.
    pub count: u32,
    /// Longest pause between them.
    pub pause_ms_max: u64,
    /// The most machines.
    pub machines_max: usize,
    /// What the weather is when there is no storm.
    pub weather: Weather,
}

/// Does what is planned.
pub async fn run(cluster: Arc<Cluster>, plan: Plan) {
    for _ in 0..plan.count {
        sleep(ms(below(plan.pause_ms_max + 1))).await;
        if plan.kinds.is_empty() || cluster.network.judge.is_broken() {
            continue;
        }
        let fault = plan.kinds[below(plan.kinds.len() as u64) as usize];
        commit(&cluster, fault, &plan).await;
    }
}

fn tell(cluster: &Cluster, what: impl AsRef<str>) {
    cluster.network.judge.hear(&Event::Fault(what.as_ref()));
}

/// Whether every partition keeps a majority of copies that run if one more node dies: losses of a majority at once are for
/// [`Fault::CrashTwo`].
fn bears_a_crash(cluster: &Cluster, no: NodeNo) -> bool {
    let state = cluster.directory.truth();
    let runs: BTreeSet<_> = cluster.network.nodes().iter().map(|node| node.me).filter(|me| me.node != no).collect();
    state.partitions.iter().all(|record| {
        [Some(&record.voters), record.planned.as_ref()].into_iter().flatten().all(|voters| {
            let left = voters.iter().filter(|copy| runs.contains(copy) && !state.is_dead(**copy)).count();
            voters.len() >= 3 && left > voters.len() / 2
        })
    })
}

fn some_node(cluster: &Cluster) -> Option<(usize, NodeNo, Pid)> {
    let running = cluster.running();
    let (index, no) = *running.get(below(running.len() as u64) as usize)?;
    Some((index, no, cluster.pid(index)?))
}

async fn commit(cluster: &Arc<Cluster>, fault: Fault, plan: &Plan) {
    let Some((index, no, pid)) = some_node(cluster) else { return };
    let counters = &cluster.network.counters;
    match fault {
        Fault::Crash => {
            if bears_a_crash(cluster, no) {
                counters.crash.add(1);
                crash(cluster, index, no, ms(below(1500)));
            }
        }
        Fault::CrashTwo => {
            let Some((other, other_no, _)) = some_node(cluster).filter(|(other, ..)| *other != index) else { return };
            counters.crash_double.add(1);
            crash(cluster, index, no, ms(below(1500)));
            sleep(ms(below(50))).await;
            crash(cluster, other, other_no, ms(below(1500)));
        }
        Fault::Pause => {
            counters.pause.add(1);
            let time = ms(50 + below(2500));
            tell(cluster, format!("node {no} is paused for {time:?}"));
            current().pause(pid);
            spawn_on(WORLD, async move {
                sleep(time).await;
                current().resume(pid);
            });
        }
        // Not twice: a clock stands still or not.
        Fault::Suspend if current().clock_of(pid, |clock, _| clock.suspended_at_ns.is_some()) => {}
        Fault::Suspend => {
            counters.suspend.add(1);
            let time = ms(50 + below(2500));
            tell(cluster, format!("the machine of node {no} is suspended for {time:?}"));
            current().pause(pid);
            current().set_clock(pid, MachineClock::suspend);
            spawn_on(WORLD, async move {
                sleep(time).await;
                current().set_clock(pid, MachineClock::resume);
                current().resume(pid);
            });
        }
        Fault::Slow => {
            counters.slow.add(1);
            tell(cluster, format!("node {no} is slow"));
            spawn_on(WORLD, async move {
                for _ in 0..40 {
                    current().pause(pid);
                    sleep(ms(5 + below(40))).await;
                    current().resume(pid);
                    sleep(ms(1 + below(5))).await;
                }
            });
        }
        Fault::CutOneWay | Fault::CutPair | Fault::CutOff => cut(cluster, fault, no),
        Fault::ClockJump => {
            counters.clock_jump.add(1);
            // A little, or so far ahead that it must not be followed.
            let to_ms = if chance(500) { below(800) as i64 - 400 } else { 2_000 + below(60_000) as i64 };
            tell(cluster, format!("the wall clock of node {no} jumps to {to_ms} ms off"));
            current().set_clock(pid, |clock, _| clock.wall_offset_ms = to_ms);
        }
        Fault::ClockDrift => {
            counters.clock_drift.add(1);
            let ppm = below(100_000) as i64 - 50_000;
            tell(cluster, format!("the clocks of node {no} run {ppm} ppm fast for a while"));
            current().set_clock(pid, |clock, now_ns| clock.set_rate(now_ns, ppm));
            spawn_on(WORLD, async move {
                // So that the wall clock does not come to be too far off.
                sleep(ms(3000)).await;
                current().set_clock(pid, |clock, now_ns| {
                    clock.set_rate(now_ns, 0);
                    clock.wall_offset_ms -= 3 * ppm / 1000;
                });
            });
        }
        Fault::Transfer => transfer(cluster),
        Fault::Join => {
            if cluster.machine_count() < plan.machines_max {
                counters.join.add(1);
                tell(cluster, "a machine joins");
                cluster.add_machine(MachineClock::default());
            }
        }
        Fault::Drain => drain(cluster, no),
        Fault::Stop => {
            for (index, no) in cluster.running().into_iter().take(2) {
                spawn_on(WORLD, stop(Arc::clone(cluster), index, no));
            }
        }
        Fault::DirectoryElection => {
            tell(cluster, "the directory gets another leader");
            cluster.directory.depose(cluster.directory.leader());
        }
        Fault::Storm => {
            counters.storm.add(1);
            tell(cluster, "a storm");
            let bad = Weather { delay_us_max: 8_000, late_permille: 60, lost_permille: 80, doubled_permille: 60 };
            cluster.network.set_weather(bad);
            let (network, weather) = (Arc::clone(&cluster.network), plan.weather);
            spawn_on(WORLD, async move {
                sleep(ms(200 + below(1500))).await;
                network.set_weather(weather);
            });
        }
    }
}

fn crash(cluster: &Arc<Cluster>, index: usize, no: NodeNo, off: std::time::Duration) {
    tell(cluster, format!("node {no} is killed, and comes back after {off:?}"));
    cluster.kill(index);
    let cluster = Arc::clone(cluster);
    spawn_on(WORLD, async move {
        sleep(off).await;
        cluster.boot(index);
    });
}

fn cut(cluster: &Arc<Cluster>, fault: Fault, no: NodeNo) {
    let others: Vec<NodeNo> =
        cluster.running().into_iter().map(|(_, other)| other).filter(|other| *other != no).collect();
    let Some(other) = others.get(below(others.len() as u64) as usize).copied() else { return };
    let counters = &cluster.network.counters;
    let (counter, ways): (_, Vec<(NodeNo, NodeNo)>) = match fault {
        Fault::CutOneWay => (&counters.cut_one_way, vec![(no, other)]),
        Fault::CutPair => (&counters.cut_pair, vec![(no, other), (other, no)]),
        _ => {
            let (out, back) = [(true, true), (true, false), (false, true)][below(3) as usize];
            let out = others.iter().filter(|_| out).map(|other| (no, *other));
            let back = others.iter().filter(|_| back).map(|other| (*other, no));
            (&counters.cut_off, out.chain(back).collect())
        }
    };
    counter.add(1);
    let time = ms(50 + below(3000));
    tell(cluster, format!("cut for {time:?}: {ways:?}"));
    ways.iter().for_each(|(from, to)| cluster.network.cut(*from, *to));
    let network = Arc::clone(&cluster.network);
    spawn_on(WORLD, async move {
        sleep(time).await;
        ways.iter().for_each(|(from, to)| network.mend(*from, *to));
    });
}

fn transfer(cluster: &Cluster) {
    for node in cluster.network.nodes() {
        if chance(500) {
            cluster.network.counters.transfer.add(1);
            tell(cluster, format!("node {} hands its leaderships over", node.me.node));
            spawn_on(node.pid, async move {
                node.copies.hand_over().await;
            });
        }
    }
}

fn drain(cluster: &Arc<Cluster>, no: NodeNo) {
    let state = cluster.directory.truth();
    let up = state.nodes.values().filter(|node| node.state == NodeState::Up).count();
    if up < 4 || state.nodes.get(&no).is_none_or(|node| node.state != NodeState::Up) {
        return;
    }
    cluster.network.counters.drain.add(1);
    tell(cluster, format!("node {no} is drained"));
    let directory = Arc::clone(&cluster.directory);
    spawn_on(WORLD, async move {
        let command = DirectoryCommand::SetNodeState { no, state: NodeState::Draining };
        let _ = directory.propose(None, command).await;
    });
}

/// As `ClusterNode::prepare_stop`: leave is asked for, leaderships are handed over, the process ends; and it is started
/// again, as an orchestrator does in a rolling restart.
async fn stop(cluster: Arc<Cluster>, index: usize, no: NodeNo) {
    let Some(node) = cluster.node(index) else { return };
    let (asked, pid) = (Arc::clone(&cluster), node.pid);
    let (leave, granted) = tokio::sync::oneshot::channel();
    spawn_on(pid, async move {
        for _ in 0..30 {
            let state = asked.directory.state(no);
            let settled = |other: &NodeNo| state.is_settled(*other) && asked.network.is_linked(no, *other);
            let unavailable: BTreeSet<NodeNo> =
                state.nodes.keys().copied().filter(|other| *other != no && !settled(other)).collect();
            let command = DirectoryCommand::AcquireStop { copy: node.me, unavailable };
            if asked.directory.propose(Some(no), command).await.is_ok() {
                for _ in 0..20 {
                    if node.copies.hand_over().await {
                        break;
                    }
                    sleep(ms(50)).await;
                }
                let _ = leave.send(());
                return;
            }
            sleep(ms(100)).await;
        }
    });
    let granted = matches!(Sim::timeout(ms(8_000), granted).await, Ok(Ok(())));
    if granted && cluster.pid(index) == Some(pid) {
        cluster.network.counters.stop.add(1);
        cluster.network.judge.hear(&Event::StopsWithLeave(no));
        cluster.kill(index);
        sleep(ms(100 + below(500))).await;
        cluster.boot(index);
    }
}
