//! Servers side by side: turn by turn, the same operations to each.

use crate::figures::{Figures, Run, measure};
use crate::generator::{Mix, Plan, Requests};
use crate::machine::Machine;
use crate::memory::{self, fill};
use crate::plot::{self, Chart};
use crate::target::Target;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

/// One kind of run.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Kind {
    /// Which commands.
    pub mix: Mix,
    /// How many of them a connection sends at once.
    pub pipeline: usize,
    /// How many connections.
    pub connections: usize,
}

impl Kind {
    /// Of one node: GET, SET and 90:10 at three depths.
    pub fn of_a_node() -> Vec<Self> {
        let mixes = [Mix::Get, Mix::Set, Mix::NineToOne].into_iter();
        mixes.flat_map(|mix| [1, 16, 64].map(|pipeline| Self { mix, pipeline, connections: CONNECTIONS })).collect()
    }

    /// Of a cluster: writes that a majority has, reads that are never stale, and how long one of each takes.
    pub fn of_a_cluster() -> Vec<Self> {
        let of = |mix: Mix| {
            [(1, 1), (1, CONNECTIONS), (16, CONNECTIONS)].map(|(pipeline, connections)| Self {
                mix,
                pipeline,
                connections,
            })
        };
        [Mix::Set, Mix::Get].into_iter().flat_map(of).collect()
    }

    /// Operations of a run: long enough for the ticks that CPU time is counted in.
    fn operations(self, effort: Effort) -> u64 {
        let operations = match (self.pipeline, self.connections) {
            (0..=1, 1) => 40_000,
            (0..=1, _) => 200_000,
            (2..=16, _) => 1_000_000,
            _ => 1_600_000,
        };
        operations / effort.divisor
    }
}

/// Connections, but where one alone is measured.
const CONNECTIONS: usize = 50;

/// How much is done.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Effort {
    /// Keys that are stored beforehand.
    pub keys: u32,
    /// Bytes of every value; keys have 16.
    pub value_bytes: usize,
    /// Rounds, each of which runs everything once.
    pub rounds: usize,
    /// Divides the operations of every run.
    pub divisor: u64,
}

impl Effort {
    /// Figures to quote.
    pub const FULL: Self = Self { keys: 1_000_000, value_bytes: 64, rounds: 5, divisor: 1 };
    /// Figures to look at while working.
    pub const QUICK: Self = Self { keys: 1_000_000, value_bytes: 64, rounds: 3, divisor: 4 };
}

/// Everything that was measured.
#[derive(serde::Serialize)]
pub struct Report {
    machine: Machine,
    effort: Effort,
    targets: Vec<Subject>,
    rows: Vec<Row>,
}

/// A server and its memory.
#[derive(serde::Serialize)]
struct Subject {
    name: String,
    version: String,
    resident_bytes_per_key: Option<f64>,
}

impl Subject {
    fn of(target: &Target) -> Self {
        Self { name: target.name.clone(), version: target.version.clone(), resident_bytes_per_key: None }
    }
}

/// What came of one kind of run.
#[derive(serde::Serialize)]
struct Row {
    kind: Kind,
    /// By target.
    figures: Vec<Figures>,
}

/// Runs every kind against every target. `fresh` starts another server like the target at a position, to weigh its
/// memory; `None` for those that were not started here. Progress goes to stderr.
///
/// # Errors
/// Where a server cannot be measured.
pub fn compare(
    targets: &[Target],
    fresh: &dyn Fn(usize) -> Option<io::Result<Target>>,
    kinds: &[Kind],
    effort: Effort,
) -> io::Result<Report> {
    let mut subjects = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        let resident_bytes_per_key = match fresh(index) {
            Some(server) => {
                eprintln!("{}: weighing a key", target.name);
                Some(memory::resident_bytes_per_key(&server?)?)
            }
            None => None,
        };
        eprintln!("{}: storing {} keys", target.name, effort.keys);
        fill(target, effort.keys, effort.value_bytes)?;
        subjects.push(Subject { resident_bytes_per_key, ..Subject::of(target) });
    }
    Ok(Report { targets: subjects, ..alternate(targets, kinds, effort)? })
}

/// Runs every kind against every target, turn by turn; they hold what is asked for.
///
/// # Errors
/// Where a server cannot be measured.
pub fn alternate(targets: &[Target], kinds: &[Kind], effort: Effort) -> io::Result<Report> {
    let mut runs: Vec<Vec<Vec<Run>>> = vec![vec![Vec::new(); targets.len()]; kinds.len()];
    for round in 0..effort.rounds {
        eprintln!("round {} of {}", round + 1, effort.rounds);
        for (position, kind) in kinds.iter().enumerate() {
            for turn in 0..targets.len() {
                // Who goes first changes from round to round.
                let index = (turn + round) % targets.len();
                let target = &targets[index];
                let plan = Plan {
                    shards: target.shards.clone(),
                    connections: kind.connections,
                    pipeline: kind.pipeline,
                    operations: kind.operations(effort),
                    requests: Requests::new(kind.mix, effort.keys, effort.value_bytes),
                };
                let run = measure(&plan, &target.pids)
                    .map_err(|error| io::Error::other(format!("{}, {}: {error}", target.name, kind.mix.name())))?;
                runs[position][index].push(run);
            }
        }
    }
    let rows = kinds
        .iter()
        .zip(runs)
        .map(|(kind, runs)| Row { kind: *kind, figures: runs.into_iter().map(Figures::of).collect() })
        .collect();
    Ok(Report { machine: Machine::here(), effort, targets: targets.iter().map(Subject::of).collect(), rows })
}

impl Report {
    /// Draws server CPU and 99th percentile into an SVG file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn draw(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let servers: Vec<String> =
            self.targets.iter().map(|target| format!("{} ({})", target.name, target.version)).collect();
        let chart = |title, of: fn(&Run) -> f64| {
            let label = |kind: &Kind| match kind.connections {
                CONNECTIONS => format!("{} P{}", kind.mix.name(), kind.pipeline),
                connections => format!("{} P{}, {connections} conn.", kind.mix.name(), kind.pipeline),
            };
            let group = |row: &Row| (label(&row.kind), row.figures.iter().map(|figures| of(&figures.median)).collect());
            Chart { title, groups: self.rows.iter().map(group).collect() }
        };
        let charts = [
            chart("server CPU, us an operation", |run| run.server_cpu_us.unwrap_or(0.0)),
            chart("99th percentile of latency, us", |run| run.p99_us),
        ];
        plot::draw(path, &servers, &charts)
    }

    /// The target that ratios are against: the last.
    fn base(&self) -> usize {
        self.targets.len() - 1
    }

    fn name_width(&self) -> usize {
        self.targets.iter().map(|target| target.name.len()).max().unwrap_or(0)
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, row: &Row, index: usize) -> fmt::Result {
        let (figures, base) = (&row.figures[index], &row.figures[self.base()]);
        let run = figures.median;
        let Kind { mix, pipeline, connections } = row.kind;
        write!(f, "{:<6}{connections:>5} {pipeline:>4}  ", mix.name())?;
        write!(f, "{:<width$}", self.targets[index].name, width = self.name_width())?;
        write!(f, "{:>10.0} {:>4.0}%", run.operations_per_second, 100.0 * figures.throughput_spread)?;
        write!(f, "{:>8.0} {:>7.0} {:>7.0}", run.p50_us, run.p99_us, run.p999_us)?;
        match (run.server_cpu_us, figures.cpu_spread) {
            (Some(cpu), Some(spread)) => write!(f, "{cpu:>9.2} {:>4.0}%", 100.0 * spread)?,
            _ => write!(f, "{:>9} {:>5}", "-", "")?,
        }
        write!(f, "{:>8.2}", run.client_cpu_us)?;
        if index != self.base() {
            write!(f, "{:>8.2} x", run.operations_per_second / base.median.operations_per_second)?;
            if let (Some(cpu), Some(base)) = (run.server_cpu_us, base.median.server_cpu_us) {
                write!(f, "{:>7.2} x", cpu / base)?;
            }
        }
        writeln!(f)
    }
}

/// A cluster beside other servers, and the ways into it beside each other.
#[derive(serde::Serialize)]
pub struct ClusterReport {
    /// Load goes to the leaders.
    #[serde(flatten)]
    pub cluster: Report,
    /// What one node leads, asked for at another one (`forwarded`) and at itself (`local`): server CPU is that of both nodes.
    pub forwarding: Option<Report>,
}

impl fmt::Display for ClusterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cluster)?;
        if let Some(forwarding) = &self.forwarding {
            writeln!(f, "\nWhat one node leads, asked for at another and at itself; server CPU of these two nodes:\n")?;
            forwarding.table(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Effort { keys, value_bytes, rounds, .. } = self.effort;
        let width = self.name_width();
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "{keys} random keys of 16 bytes, values of {value_bytes};")?;
        writeln!(f, "median of {rounds} alternating rounds, spread = (largest - smallest) / median\n")?;
        for target in &self.targets {
            write!(f, "{:<width$}  {}", target.name, target.version)?;
            if let Some(bytes) = target.resident_bytes_per_key {
                write!(f, "; {bytes:.1} B resident a key (16 + {} B, {} keys)", memory::VALUE_BYTES, memory::KEYS)?;
                let base = self.targets[self.base()].resident_bytes_per_key;
                if let Some(base) = base.filter(|base| *base != bytes) {
                    write!(f, ", {:.2} x", bytes / base)?;
                }
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        self.table(f)
    }
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.name_width();
        writeln!(
            f,
            "{:<18}{:<width$}{:>16}{:>24}{:>15}{:>8}",
            "", "", "operations/s", "latency, us", "server CPU", "client"
        )?;
        write!(f, "{:<6}{:>5} {:>4}  {:<width$}{:>10} {:>5}", "", "conns", "pipe", "", "", "")?;
        writeln!(
            f,
            "{:>8} {:>7} {:>7}{:>9} {:>5}{:>8}{:>10}{:>9}",
            "p50", "p99", "p99.9", "us/op", "", "us/op", "ops", "CPU"
        )?;
        for row in &self.rows {
            for index in 0..row.figures.len() {
                self.line(f, row, index)?;
            }
        }
        Ok(())
    }
}
