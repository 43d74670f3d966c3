//! One run: everything that a seed decides, from the size of the cluster to the last fault.

use super::client::{self, KINDS, Load};
use super::cluster::Cluster;
use super::extras::Extras;
use super::faults::{self, FAULTS, Fault, Plan};
use super::judge::{Evidence, Judge, Violation};
use super::network::{Network, Weather, below, chance};
use super::node::NodeSettings;
use super::runtime::{Handle, MachineClock, Sim, current, executor, ms, sleep};
use super::statistics::Counters;
use larder::cluster::directory::{DirectoryCommand, Settings};
use larder::ids::{NodeNo, PartitionId};
use larder::keyspace::EvictionPolicy;
use larder::raft::Role;
use openraft::AsyncRuntime;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Memory of each node in runs with a limit: a flat part, and what the log of a partition may take.
const MEMORY_BYTES: (usize, usize) = (120_000, 80_000);
/// By how much wall clocks may be wrong without a jump, either way.
const SKEW_MS: u64 = 400;

/// What a run left.
pub struct Run {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// What happened, by kind.
    pub counters: Arc<Counters>,
    /// What happened, line by line, where that was asked for.
    pub trace: Vec<String>,
    /// A number that equal runs share.
    pub digest: u64,
}

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Machines at the beginning.
    pub machines: usize,
    /// Partitions.
    pub partitions: u16,
    /// Whether memory has a limit.
    pub limited: bool,
    /// Whether clocks are wrong.
    pub skewed: bool,
    /// The clients.
    pub load: Load,
    /// How long they go on, at least.
    pub load_ms: u64,
    /// What is done to the cluster.
    pub plan: Plan,
}

impl Shape {
    /// Drawn by the seed: each run has a few kinds of faults out of all, so that many of one kind come together in some.
    fn draw(focus: &[Fault]) -> Self {
        let plenty = chance(300);
        let drawn = FAULTS.into_iter().filter(|_| chance(if plenty { 500 } else { 200 })).collect();
        let mut kinds: Vec<Fault> = if focus.is_empty() { drawn } else { focus.to_vec() };
        if kinds.is_empty() {
            kinds.push(FAULTS[below(FAULTS.len() as u64) as usize]);
        }
        let weather = match below(3) {
            0 => Weather::FAIR,
            1 => Weather { delay_us_max: 3_000, late_permille: 5, lost_permille: 5, doubled_permille: 5 },
            _ => Weather { delay_us_max: 1_000, late_permille: 20, lost_permille: 0, doubled_permille: 30 },
        };
        let machines = 3 + below(2) as usize;
        let limited = chance(250);
        let mut used = KINDS.map(|_| chance(600));
        used[below(KINDS.len() as u64) as usize] = true;
        used[KINDS.len() - 1] |= limited;
        let load = Load {
            clients: 2 + below(4) as u32,
            keys: 1 + below(4),
            pipeline_max: 1 + below(5),
            pause_ms_max: 10 + below(60),
            kinds: used,
        };
        let count = if focus.is_empty() { 2 + below(5) as u32 } else { 8 };
        let plan = Plan { kinds, count, pause_ms_max: 900, machines_max: machines + 2, weather };
        let skewed = plan.kinds.iter().any(|kind| matches!(kind, Fault::ClockJump | Fault::ClockDrift)) || chance(200);
        Self { machines, partitions: 1 + below(3) as u16, limited, skewed, load, load_ms: 1_500, plan }
    }

    fn memory_bytes(&self) -> usize {
        if self.limited { MEMORY_BYTES.0 + MEMORY_BYTES.1 * usize::from(self.partitions) } else { 0 }
    }

    fn jumps(&self) -> bool {
        self.plan.kinds.contains(&Fault::ClockJump)
    }

    fn clock(&self) -> MachineClock {
        let mut clock = MachineClock::default();
        if self.skewed {
            clock.wall_offset_ms = below(2 * SKEW_MS) as i64 - SKEW_MS as i64;
        }
        clock
    }
}

/// Runs one seed, with faults of the kinds in `focus` alone where there are any; with `trace`, what happens is written
/// down.
pub fn simulate(seed: u64, focus: &[Fault], trace: bool) -> Run {
    panics::hear();
    let judge = Judge::new(trace);
    let counters: Arc<Counters> = Arc::default();
    let focus = focus.to_vec();
    let (told, counted) = (Arc::clone(&judge), Arc::clone(&counters));
    let result = catch_unwind(AssertUnwindSafe(|| {
        executor::block_on(seed, async move {
            run(seed, told, counted, &focus).await;
            current().digest()
        })
    }));
    let (digest, panic) = match result {
        Ok((digest, polls)) => {
            counters.polls.add(polls);
            (digest, None)
        }
        Err(_) => (0, Some(Violation { invariant: "no panic", reason: panics::take(), at_ns: 0 })),
    };
    Run { violation: judge.violation().or(panic), counters, trace: judge.take_trace(), digest }
}

async fn run(seed: u64, judge: Arc<Judge>, counters: Arc<Counters>, focus: &[Fault]) {
    let shape = Shape::draw(focus);
    let extras = Extras::draw(seed, shape.limited, shape.jumps());
    judge.note(|| format!("{shape:?} {extras:?}"));
    let network = Network::new(Weather::FAIR, Arc::clone(&counters), Arc::clone(&judge));
    let settings = Settings { partitions: shape.partitions, replicas: 3, hash_seed: [7; 16] };
    let policy = if shape.limited { EvictionPolicy::VolatileLru } else { EvictionPolicy::NoEviction };
    let node_settings = NodeSettings { memory_bytes: shape.memory_bytes(), policy };
    let create = DirectoryCommand::CreateCluster { id: [9; 20], settings };
    let cluster = Cluster::new(Arc::clone(&network), create, node_settings);
    // Clients are there from the first node on: joins are part of what they live through.
    for _ in 0..shape.machines {
        cluster.add_machine(shape.clock());
        sleep(ms(below(200))).await;
    }
    let mut clients: Vec<Handle<()>> =
        (0..shape.load.clients).map(|_| Sim::spawn(client::run(Arc::clone(&cluster), shape.load))).collect();
    clients.extend(extras.start(&cluster));
    let formed = cluster.until_up(shape.machines).await;
    network.set_weather(shape.plan.weather);
    faults::run(Arc::clone(&cluster), shape.plan.clone()).await;
    sleep(ms(shape.load_ms)).await;
    cluster.mend();
    cluster.end_load();
    for client in clients {
        let _ = client.await;
    }
    let settled = if formed { cluster.settle().await } else { Err("the cluster did not form".into()) };
    let before = leaders(&cluster);
    let read = match &settled {
        Ok(()) if !judge.is_broken() => read_all(&cluster, extras).await,
        _ => Ok(0),
    };
    // What is under way to followers arrives.
    sleep(ms(300)).await;
    let after = leaders(&cluster);
    let stable: BTreeSet<PartitionId> =
        before.iter().filter(|(id, leader)| after.get(id) == Some(leader)).map(|(id, _)| *id).collect();
    let line = match &read {
        Ok(_) if settled.is_ok() && !judge.is_broken() => extras.wait_in_line(&cluster).await,
        _ => Ok(()),
    };
    cluster.until_nothing_is_proposed().await;
    let commands = cluster.take_commands();
    let (pairs, queues) = cluster.take_histories();
    let directory = cluster.directory.truth();
    let nodes = network.nodes();
    judge.finish(&Evidence {
        commands: &commands,
        pairs: &pairs,
        queues: &queues,
        line: line.as_ref().err().map(String::as_str),
        directory: &directory,
        nodes: &nodes,
        unsettled: settled.as_ref().err().or(read.as_ref().err()).map(String::as_str),
        skew_ms: match (shape.skewed, shape.jumps()) {
            (false, _) => 0,
            // Twice what each may be wrong, drift, and what is followed ahead.
            (true, false) => 2 * SKEW_MS + 300,
            (true, true) => 2 * SKEW_MS + 1300,
        },
        evicts: shape.limited,
        last_connection: *read.as_ref().unwrap_or(&0),
        stable: &stable,
    });
    counters.virtual_ms.add(current().now_ns() / 1_000_000);
}

/// Looks at all that clients left; the number of the connection that read the keys, after everything else.
async fn read_all(cluster: &Cluster, extras: Extras) -> Result<u64, String> {
    extras.finish(cluster).await?;
    cluster.read_all().await
}

/// Who leads what, in which term.
fn leaders(cluster: &Cluster) -> BTreeMap<PartitionId, (NodeNo, u64)> {
    let mut leaders = BTreeMap::new();
    for node in cluster.network.nodes() {
        for partition in node.routes.partitions().iter() {
            if matches!(partition.lock().role, Role::Leader | Role::Solo) {
                let term = node.copies.group(partition.id()).map_or(0, |group| group.term());
                leaders.insert(partition.id(), (node.me.node, term));
            }
        }
    }
    leaders
}

/// What a run panics with, and where; nothing is printed of it.
mod panics {
    use super::executor;
    use std::cell::RefCell;
    use std::sync::Once;

    thread_local! {
        static LAST: RefCell<String> = const { RefCell::new(String::new()) };
    }

    /// From now on panics of runs are kept.
    pub fn hear() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let otherwise = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| match executor::is_running() {
                true => LAST.with(|last| *last.borrow_mut() = info.to_string().replace('\n', " ")),
                false => otherwise(info),
            }));
        });
    }

    /// The last one of this thread.
    pub fn take() -> String {
        LAST.with(RefCell::take)
    }
}
