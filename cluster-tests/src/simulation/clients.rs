//! Clients of the simulated partition, the faults around them, and the history that they leave.

use super::network::Faults;
use super::world::{World, now_ns};
use crate::linearizability::{History, Operation, Outcome, StringInput, StringOutput};
use bytes::{Bytes, BytesMut};
use larder::commands::block::{self, CommandOptions};
use larder::commands::{CommandSpec, Handler, table};
use larder::ids::NodeNo;
use larder::raft::{Group, Role, Share, ShareOutcome};
use larder_protocol::{Args, ReplyBuffer};
use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

/// What one run does.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Nodes, one copy each.
    pub nodes: u32,
    /// Clients.
    pub clients: u32,
    /// Operations of each.
    pub operations: u32,
    /// Keys.
    pub keys: u32,
    /// Kills and cuts, one after another.
    pub faults: u32,
    /// What the network does.
    pub network: Faults,
}

impl Default for Settings {
    fn default() -> Self {
        let network = Faults { delay_us_max: 3_000, lost_permille: 10, doubled_permille: 10 };
        Self { nodes: 3, clients: 4, operations: 60, keys: 4, faults: 3, network }
    }
}

/// What a run left.
pub struct Run {
    /// What the clients saw.
    pub history: History<StringInput, StringOutput>,
    /// One digest a copy at the end, when all had applied the same.
    pub digests: Vec<u64>,
    /// Events of the simulated runtime, where they were recorded.
    pub trace: Vec<String>,
}

/// Runs one seed.
pub fn simulate(seed: u64, settings: Settings, record: bool) -> Run {
    let mut runtime = SimRuntime::with_seed(seed);
    runtime.record_trace(record);
    let (history, digests) = runtime.block_on(run(settings));
    let trace = runtime.take_trace();
    Run { history, digests, trace }
}

async fn run(settings: Settings) -> (History<StringInput, StringOutput>, Vec<u64>) {
    let mut world = World::new(settings.nodes, settings.network).await;
    let history = Arc::new(Mutex::new(History::default()));
    let mut clients = Vec::new();
    for client in 0..settings.clients {
        let network = Arc::clone(&world.network);
        let history = Arc::clone(&history);
        clients.push(SimRuntime::spawn(async move {
            for number in 0..settings.operations {
                let key = format!("key{}", random(settings.keys));
                let input = choose(client, number);
                // Mostly at a node that says it leads, now and then at any: both may be wrong.
                let leader = network.groups().into_iter().find(|group| group.leads()).map(|group| group.copy().node);
                let node = leader.filter(|_| random(4) > 0).unwrap_or(NodeNo(1 + random(settings.nodes)));
                let invoked_ns = now_ns();
                let outcome = match network.group(node) {
                    Some(group) => execute(&group, &key, &input).await,
                    None => Outcome::Failed,
                };
                let returned_ns = now_ns();
                history.lock().push(&key, Operation { client, input, outcome, invoked_ns, returned_ns });
                SimRuntime::sleep(Duration::from_micros(u64::from(random(40_000)))).await;
            }
        }));
    }
    for _ in 0..settings.faults {
        SimRuntime::sleep(Duration::from_millis(200 + u64::from(random(400)))).await;
        let alive = world.alive();
        let victim = alive[random(alive.len() as u32) as usize];
        if random(2) == 0 {
            world.kill(victim).await;
            SimRuntime::sleep(Duration::from_millis(u64::from(random(1500)))).await;
            let copy = world.start(victim).await.copy();
            world.readmit(copy).await;
        } else {
            for other in alive.into_iter().filter(|other| *other != victim) {
                // One way, the other, or both.
                let ways = random(3);
                if ways != 1 {
                    world.network.cut(victim, other);
                }
                if ways != 0 {
                    world.network.cut(other, victim);
                }
            }
            SimRuntime::sleep(Duration::from_millis(u64::from(random(2000)))).await;
            world.network.heal();
        }
    }
    for client in clients {
        let _ = client.await;
    }
    let digests = settle(&world).await;
    let history = std::mem::take(&mut *history.lock());
    (history, digests)
}

/// Waits until every copy has applied the same last entry, and takes their digests.
async fn settle(world: &World) -> Vec<u64> {
    loop {
        SimRuntime::sleep(Duration::from_millis(100)).await;
        let groups = world.network.groups();
        let applied: Vec<_> = groups.iter().map(|group| group.partition().lock().applied()).collect();
        let quiet = groups.iter().any(|group| group.leads())
            && groups.iter().all(|group| group.is_caught_up_voter())
            && applied.iter().all(|one| *one == applied[0]);
        if quiet {
            return groups.iter().map(|group| group.partition().lock().keyspace.digest()).collect();
        }
    }
}

fn random(below: u32) -> u32 {
    SimRuntime::thread_rng().random_range(0..below)
}

fn choose(client: u32, number: u32) -> StringInput {
    let value = Bytes::from(format!("{client}-{number};"));
    match random(12) {
        0..=3 => StringInput::Get,
        4..=6 => StringInput::Set(value),
        7..=8 => StringInput::Append(value),
        9 => StringInput::SetIfAbsent(value),
        10 => StringInput::Increment(i64::from(random(100))),
        _ => StringInput::Delete,
    }
}

/// Does what a connection does with one command at one node.
async fn execute(group: &Group<SimRuntime>, key: &str, input: &StringInput) -> Outcome<StringOutput> {
    let increment;
    let (name, arguments): (&str, Vec<&[u8]>) = match input {
        StringInput::Get => ("get", vec![key.as_bytes()]),
        StringInput::Set(value) => ("set", vec![key.as_bytes(), value]),
        StringInput::Append(value) => ("append", vec![key.as_bytes(), value]),
        StringInput::SetIfAbsent(value) => ("setnx", vec![key.as_bytes(), value]),
        StringInput::Increment(by) => {
            increment = by.to_string();
            ("incrby", vec![key.as_bytes(), increment.as_bytes()])
        }
        StringInput::Delete => ("del", vec![key.as_bytes()]),
    };
    let spec = table::all().find(|spec| spec.name == name).expect("the command exists");
    let mut buffer = Vec::new();
    let mut ranges = vec![(0, 0)];
    for argument in arguments {
        ranges.push((buffer.len() as u32, (buffer.len() + argument.len()) as u32));
        buffer.extend_from_slice(argument);
    }
    let args = Args::new(&buffer, &ranges);
    if let Handler::Read(read) = &spec.handler
        && group.partition().lease_holds(now_ns())
    {
        let mut state = group.partition().lock();
        if state.role == Role::Leader {
            let mut reply = ReplyBuffer::default();
            let _ = read(&mut state.context(0, CommandOptions::default(), 0), args, &mut reply);
            return Outcome::Ok(parse(spec, reply.as_slice()));
        }
    }
    let mut out = BytesMut::new();
    block::encode(&mut out, spec, CommandOptions::default(), args);
    let (done, outcome) = tokio::sync::oneshot::channel();
    group.partition().propose(Share { block: out.freeze(), count: 1, grows: true, watch: None, done });
    match SimRuntime::timeout(Duration::from_secs(3), outcome).await {
        Ok(Ok(ShareOutcome::Applied(replies))) => Outcome::Ok(parse(spec, replies.get(0))),
        Ok(Ok(ShareOutcome::Refused(_) | ShareOutcome::Dirty)) => Outcome::Failed,
        Ok(Ok(ShareOutcome::Uncertain) | Err(_)) | Err(_) => Outcome::Unknown,
    }
}

fn parse(spec: &CommandSpec, reply: &[u8]) -> StringOutput {
    let text = &reply[1..reply.len() - 2];
    let number = || std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("an integer reply");
    match (spec.name, reply[0]) {
        ("get", b'$') if reply == b"$-1\r\n" => StringOutput::Value(None),
        ("get", b'$') => {
            let start = reply.iter().position(|byte| *byte == b'\n').expect("a length line") + 1;
            StringOutput::Value(Some(Bytes::copy_from_slice(&reply[start..reply.len() - 2])))
        }
        ("set", b'+') => StringOutput::Done,
        ("setnx", b':') => {
            if number() == 1 {
                StringOutput::Done
            } else {
                StringOutput::Refused
            }
        }
        ("incrby", b'-') => StringOutput::NotInteger,
        ("append" | "del" | "incrby", b':') => StringOutput::Integer(number()),
        _ => panic!("unexpected reply {:?}", String::from_utf8_lossy(reply)),
    }
}
