//! Writes to the leaders of several nodes.

use crate::figures::{Figures, measure};
use crate::generator::{Mix, Plan, Requests};
use crate::machine::Machine;
use crate::target::identify;
use cluster_tests::process::{Client, SlotRange, slot_ranges};
use larder_protocol::slot_of;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

const KEYS: u32 = 1_000_000;
const VALUE_BYTES: usize = 64;
const CONNECTIONS: usize = 50;
const PIPELINE: usize = 16;
const OPERATIONS: u64 = 500_000;

/// What writes to a cluster cost.
#[derive(serde::Serialize)]
pub struct Report {
    machine: Machine,
    version: String,
    /// Addresses that lead slots, with how many keys belong to each.
    leaders: BTreeMap<SocketAddr, usize>,
    processes: usize,
    figures: Figures,
}

/// Sends SETs of random keys, each to the node that leads its slot, and sums up the CPU time of all nodes.
///
/// # Errors
/// Where a node does not answer, a slot has no leader, or a reply is an error.
pub fn cluster(seeds: &[SocketAddr], rounds: usize) -> io::Result<Report> {
    let seed = *seeds.first().ok_or_else(|| io::Error::other("no address"))?;
    let ranges = settled(seed)?;
    let shards = keys_by_leader(seed, &ranges)?;
    let (version, _) = identify(seed)?;
    let mut pids = Vec::new();
    let nodes = ranges.iter().flat_map(|range| &range.ports).map(|port| SocketAddr::new(seed.ip(), *port));
    for node in nodes.collect::<std::collections::BTreeSet<_>>() {
        pids.extend(identify(node)?.1);
    }
    if !seed.ip().is_loopback() {
        pids.clear();
    }
    let leaders = shards.iter().map(|(address, keys)| (*address, keys.len())).collect();
    let shards: Vec<_> = shards.into_iter().map(|(address, keys)| (address, Some(keys))).collect();
    let mut runs = Vec::new();
    // The first round stores the keys and is not counted.
    for round in 0..=rounds {
        eprintln!("round {round} of {rounds}");
        let requests = Requests::new(Mix::Set, KEYS, VALUE_BYTES);
        let operations = if round == 0 { 2 * u64::from(KEYS) } else { OPERATIONS };
        let shards = shards.clone();
        let run = measure(&Plan { shards, connections: CONNECTIONS, pipeline: PIPELINE, operations, requests }, &pids)?;
        if round > 0 {
            runs.push(run);
        }
    }
    Ok(Report { machine: Machine::here(), version, leaders, processes: pids.len(), figures: Figures::of(runs) })
}

/// The slot map, once it has stayed the same for a while: a cluster that has just started still evens its leaders out,
/// and what is measured is a cluster at rest.
fn settled(seed: SocketAddr) -> io::Result<Vec<SlotRange>> {
    const LOOKS: usize = 6;
    const PAUSE: Duration = Duration::from_millis(500);
    const LOOKS_MAX: usize = 120;
    let mut client = Client::connect(seed, Duration::from_secs(10))?;
    let mut ranges = slot_ranges(&mut client)?;
    let mut same = 0;
    for _ in 0..LOOKS_MAX {
        if same == LOOKS {
            return Ok(ranges);
        }
        std::thread::sleep(PAUSE);
        let now = slot_ranges(&mut client)?;
        same = if now == ranges { same + 1 } else { 0 };
        ranges = now;
    }
    Err(io::Error::other("the slot map does not come to rest"))
}

/// Every key at the address that leads its slot. Only the ports are taken from the map: the nodes are where the seed is.
fn keys_by_leader(seed: SocketAddr, ranges: &[SlotRange]) -> io::Result<BTreeMap<SocketAddr, Vec<u32>>> {
    let mut leader_of_slot = vec![None; usize::from(larder_protocol::SLOTS)];
    for range in ranges {
        let leader = range.ports.first().map(|port| SocketAddr::new(seed.ip(), *port));
        leader_of_slot[usize::from(range.start)..=usize::from(range.end)].fill(leader);
    }
    let mut shards: BTreeMap<SocketAddr, Vec<u32>> = BTreeMap::new();
    for key in 0..KEYS {
        let slot = slot_of(crate::generator::key_name(key).as_bytes());
        let leader =
            leader_of_slot[usize::from(slot)].ok_or_else(|| io::Error::other(format!("slot {slot} has no leader")))?;
        shards.entry(leader).or_default().push(key);
    }
    Ok(shards)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.figures.median;
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "{}; {} leaders, CPU of {} processes", self.version, self.leaders.len(), self.processes)?;
        writeln!(
            f,
            "SET, {KEYS} random keys of 16 bytes, values of {VALUE_BYTES}, {CONNECTIONS} connections, pipeline {PIPELINE};"
        )?;
        writeln!(f, "median of {} rounds of {OPERATIONS} operations\n", self.figures.runs.len())?;
        writeln!(
            f,
            "operations/s        {:>10.0}  (spread {:.0}%)",
            run.operations_per_second,
            100.0 * self.figures.throughput_spread
        )?;
        writeln!(f, "latency p50         {:>10.0} us", run.p50_us)?;
        writeln!(f, "latency p99         {:>10.0} us", run.p99_us)?;
        writeln!(f, "latency p99.9       {:>10.0} us", run.p999_us)?;
        if let Some(cpu) = run.server_cpu_us {
            writeln!(f, "CPU of all nodes    {cpu:>10.2} us/op")?;
        }
        writeln!(f, "CPU of the client   {:>10.2} us/op", run.client_cpu_us)
    }
}
