//! What an operation costs as work grows: connections, keys, partitions, nodes.
//!
//! One thing grows at a time; the rest is as in `compare` and `cluster`. A row's growth is against the first row of its kind,
//! so that the figures of one run belong together.

use crate::figures::{Figures, measure};
use crate::generator::{Mix, Plan, Requests};
use crate::machine::Machine;
use crate::memory::fill;
use crate::target::Target;
use std::fmt;
use std::io;

/// Bytes of every value; keys have 16.
const VALUE_BYTES: usize = 64;
/// Connections where something else grows.
const CONNECTIONS: usize = 50;
/// Keys where something else grows.
const KEYS: u32 = 1_000_000;

/// How far things grow.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Size {
    /// Connections, unpipelined, to one node.
    pub connections: Vec<usize>,
    /// Keys of one node, at pipeline 16.
    pub keys: Vec<u32>,
    /// Partitions of three nodes, at pipeline 16.
    pub partitions: Vec<usize>,
    /// Nodes, at pipeline 16.
    pub nodes: Vec<usize>,
    /// Rounds of each row.
    pub rounds: usize,
    /// Operations of a run.
    pub operations: u64,
}

/// Everything that was measured.
#[derive(serde::Serialize)]
pub struct Report {
    machine: Machine,
    size: Size,
    rows: Vec<Row>,
}

/// One step of growth.
#[derive(serde::Serialize)]
struct Row {
    what: String,
    mix: Mix,
    figures: Figures,
    /// Server CPU and 99.9th percentile, against the first row of its kind.
    growth: Option<(f64, f64)>,
}

/// A kind of row: what runs against a target, and what came of its first row.
struct Growing<'a> {
    size: &'a Size,
    rows: &'a mut Vec<Row>,
    first: Vec<(Mix, f64, f64)>,
}

impl Growing<'_> {
    fn measure(&mut self, what: &str, target: &Target, plan: &Plan) -> io::Result<()> {
        eprintln!("{what}: {}", plan.requests.mix.name());
        let runs = (0..self.size.rounds.max(1)).map(|_| measure(plan, &target.pids)).collect::<io::Result<Vec<_>>>()?;
        let figures = Figures::of(runs);
        let mix = plan.requests.mix;
        let (cpu, tail) = (figures.median.server_cpu_us.unwrap_or(0.0), figures.median.p999_us);
        let first = self.first.iter().find(|(other, ..)| *other == mix).copied();
        if first.is_none() {
            self.first.push((mix, cpu, tail));
        }
        let growth = first.map(|(_, first_cpu, first_tail)| (cpu / first_cpu, tail / first_tail));
        self.rows.push(Row { what: what.into(), mix, figures, growth });
        Ok(())
    }
}

fn plan(target: &Target, mix: Mix, keys: u32, connections: usize, pipeline: usize, operations: u64) -> Plan {
    let requests = Requests::new(mix, keys, VALUE_BYTES);
    Plan { shards: target.shards.clone(), connections, pipeline, operations, requests }
}

/// Measures every step.
///
/// # Errors
/// Where a node cannot be measured.
pub fn scale(size: Size) -> io::Result<Report> {
    let mut rows = Vec::new();
    let operations = size.operations;
    let mixes = [Mix::Get, Mix::Set];

    if let Some(most) = size.connections.iter().max() {
        crate::load::raise_descriptors(*most)?;
        let target = Target::spawn_larder()?;
        fill(&target, KEYS, VALUE_BYTES)?;
        let mut growing = Growing { size: &size, rows: &mut rows, first: Vec::new() };
        for &connections in &size.connections {
            for mix in mixes {
                let plan = plan(&target, mix, KEYS, connections, 1, operations / 4);
                growing.measure(&format!("{connections} connections, pipeline 1"), &target, &plan)?;
            }
        }
    }
    if !size.keys.is_empty() {
        let mut growing = Growing { size: &size, rows: &mut rows, first: Vec::new() };
        for &keys in &size.keys {
            let target = Target::spawn_larder()?;
            fill(&target, keys, VALUE_BYTES)?;
            for mix in mixes {
                let plan = plan(&target, mix, keys, CONNECTIONS, 16, operations);
                growing.measure(&format!("{keys} keys, pipeline 16"), &target, &plan)?;
            }
        }
    }
    if let Some(&keys) = size.keys.iter().max() {
        // Nothing pauses while tables grow: new keys, unpipelined, beside keys that are there.
        let target = Target::spawn_larder()?;
        fill(&target, KEYS, VALUE_BYTES)?;
        let once = Size { rounds: 1, ..size.clone() };
        let mut growing = Growing { size: &once, rows: &mut rows, first: Vec::new() };
        let quiet = plan(&target, Mix::Set, KEYS, CONNECTIONS, 1, operations);
        growing.measure("overwriting 1000000 keys, pipeline 1", &target, &quiet)?;
        growing.first[0].0 = Mix::Fill;
        let load = plan(&target, Mix::Fill, keys, CONNECTIONS, 1, u64::from(keys));
        growing.measure(&format!("storing {keys} new keys, pipeline 1"), &target, &load)?;
    }
    let mut growing = Growing { size: &size, rows: &mut rows, first: Vec::new() };
    for &partitions in &size.partitions {
        let target = Target::spawn_cluster_with(3, KEYS, &["--partitions", &partitions.to_string()])?;
        fill(&target, KEYS, VALUE_BYTES)?;
        for mix in mixes {
            let plan = plan(&target, mix, KEYS, CONNECTIONS, 16, operations);
            growing.measure(&format!("3 nodes, {partitions} partitions, pipeline 16"), &target, &plan)?;
        }
    }
    let mut growing = Growing { size: &size, rows: &mut rows, first: Vec::new() };
    for &nodes in &size.nodes {
        let target = Target::spawn_cluster(nodes, KEYS)?;
        fill(&target, KEYS, VALUE_BYTES)?;
        for mix in mixes {
            let plan = plan(&target, mix, KEYS, CONNECTIONS, 16, operations);
            growing.measure(&format!("{nodes} nodes, pipeline 16"), &target, &plan)?;
        }
    }
    Ok(Report { machine: Machine::here(), size, rows })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "median of {} rounds; growth against the first row of its kind\n", self.size.rounds)?;
        writeln!(f, "| | | operations/s | p99 us | p99.9 us | server CPU us/op | CPU | p99.9 |\n|-|-|-|-|-|-|-|-|")?;
        for Row { what, mix, figures, growth } in &self.rows {
            let run = figures.median;
            write!(f, "| {what} | {} | {:.0} | {:.0}", mix.name(), run.operations_per_second, run.p99_us)?;
            write!(f, " | {:.0} | {:.2}", run.p999_us, run.server_cpu_us.unwrap_or(f64::NAN))?;
            match growth {
                Some((cpu, tail)) => writeln!(f, " | {cpu:.2} x | {tail:.2} x |")?,
                None => writeln!(f, " | | |")?,
            }
        }
        Ok(())
    }
}
