//! What do clients wait while a server has heavy work to do?
//!
//! Ten thousand connections are idle and a thousand busy, at a rate that a quiet server bears with ease. Beside them comes
//! what stops servers: eviction, a million keys that are due in the same second, large values that go, another node that
//! joins. A line each, beside the quiet one.

mod trouble;

use crate::generator::{Mix, Pace, Paced, Requests, Seen};
use crate::machine::Machine;
use crate::memory::fill;
use crate::target::Target;
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::time::Duration;
pub use trouble::Trouble;

/// Bytes of the values that busy connections read and write.
const VALUE_BYTES: usize = 64;
/// Keys that they use.
const KEYS: u32 = 100_000;
/// Descriptors beside those of the connections.
const DESCRIPTORS_BESIDE: u64 = 200;

/// How much of everything.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Size {
    /// Connections that do nothing.
    pub idle: usize,
    /// Connections that take turns.
    pub busy: usize,
    /// Commands a second of all busy ones, a tenth of them SET, the others GET.
    pub rate: u64,
    /// Keys that are due in the same second.
    pub expiring: u64,
    /// Bytes of the value that is deleted.
    pub value_bytes: usize,
    /// Members of the set that is deleted.
    pub members: u64,
    /// Keys of 1,000 bytes that are written at a full node.
    pub evicting: u64,
    /// How long the quiet server is measured.
    pub quiet: Duration,
}

/// What clients waited.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Line {
    /// During what.
    pub during: String,
    /// How long that took.
    pub seconds: f64,
    /// Commands.
    pub commands: u64,
    /// Those that were answered with an error.
    pub errors: u64,
    /// What some of them said.
    pub samples: Vec<String>,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// The worst.
    pub worst_us: f64,
}

/// All lines, the quiet one first.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    machine: Machine,
    version: String,
    size: Size,
    lines: Vec<Line>,
}

/// Measures a Larder node that is started for it.
///
/// # Errors
/// Where a connection fails or a reply is an error.
pub fn load(size: Size) -> io::Result<Report> {
    raise_descriptors(size.idle + size.busy)?;
    let connections = (size.idle + size.busy + 100).to_string();
    let target = Target::spawn_larder_with(&["--maxclients", &connections, "--maxmemory-policy", "allkeys-lru"])?;
    fill(&target, KEYS, VALUE_BYTES)?;
    let idle: Vec<TcpStream> = (0..size.idle).map(|_| TcpStream::connect(target.address)).collect::<io::Result<_>>()?;
    let mut lines = vec![line("nothing else", &target, size, || {
        std::thread::sleep(size.quiet);
        Ok(())
    })?];
    for trouble in Trouble::ALL {
        eprintln!("{}", trouble.name());
        let prepared = trouble.prepare(&target, size)?;
        lines.push(line(trouble.name(), &target, size, || prepared.happen())?);
    }
    drop(idle);
    Ok(Report { machine: Machine::here(), version: target.version.clone(), size, lines })
}

/// What busy connections wait while something happens.
fn line<K>(during: &str, target: &Target, size: Size, happen: impl FnOnce() -> io::Result<K>) -> io::Result<Line> {
    let requests = Requests::new(Mix::NineToOne, KEYS, VALUE_BYTES);
    let pace = Pace { address: target.address, connections: size.busy, rate: size.rate, requests };
    let paced = Paced::start(&pace)?;
    let begun = std::time::Instant::now();
    let happened = happen();
    let seconds = begun.elapsed().as_secs_f64();
    let Seen { latency_ns, errors, samples } = paced.stop()?;
    // What was started goes only now.
    drop(happened?);
    let us = |quantile: f64| latency_ns.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Line {
        during: during.into(),
        seconds,
        commands: latency_ns.len(),
        errors,
        samples,
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        worst_us: latency_ns.max() as f64 / 1000.0,
    })
}

/// Lets this process, and those that it starts, have so many connections.
pub(crate) fn raise_descriptors(connections: usize) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = connections as u64 + DESCRIPTORS_BESIDE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })?;
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { idle, busy, rate, .. } = self.size;
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "{}; {idle} idle connections, {busy} busy ones, {rate} commands a second", self.version)?;
        writeln!(f, "latency in microseconds, from when a command was due\n")?;
        let head = ["seconds", "commands", "errors", "p50", "p99", "p99.9", "worst", "p99.9 x quiet"];
        write!(f, "{:<32}", "during")?;
        head.iter().try_for_each(|word| write!(f, "{word:>14}"))?;
        let quiet = self.lines.first().map_or(1.0, |line| line.p999_us);
        for line in &self.lines {
            write!(f, "\n{:<32}{:>14.1}{:>14}{:>14}", line.during, line.seconds, line.commands, line.errors)?;
            for figure in [line.p50_us, line.p99_us, line.p999_us, line.worst_us] {
                write!(f, "{figure:>14.0}")?;
            }
            write!(f, "{:>14.1}", line.p999_us / quiet)?;
        }
        for line in &self.lines {
            line.samples.iter().try_for_each(|error| write!(f, "\n{}: {error}", line.during))?;
        }
        Ok(())
    }
}
