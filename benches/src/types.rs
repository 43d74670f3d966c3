//! Commands on collections, and what collections weigh, beside redis-server.
//!
//! One collection of each type, as in `redis-benchmark`, at pipeline 16. CPU time of the server is what is compared: it
//! holds still where throughput does not.

use crate::cpu::resident_bytes;
use crate::figures::{Figures, Run, measure};
use crate::generator::{self, Plan, Requests};
use crate::machine::Machine;
use crate::memory::fill;
use crate::target::Target;
use cluster_tests::process::Client;
use std::fmt;
use std::io;
use std::time::Duration;

/// Commands that a connection sends at once.
const PIPELINE: usize = 16;
/// Connections.
const CONNECTIONS: usize = 50;
/// Strings that are there for MSET, and numbers that `#` stands for.
const KEYS: u32 = 1_000_000;
/// Elements of what is weighed.
const ELEMENTS: u32 = 1_000_000;
/// Elements that come and go before.
const WARM_UP: u64 = 2_000;

/// A command that is measured. Each run of `#` is a random number of so many digits.
struct Command {
    name: &'static str,
    words: &'static [&'static str],
    /// Of how many operations one is done.
    divisor: u64,
}

/// In this order: those that read and remove find what those before them have stored.
const COMMANDS: &[Command] = &[
    Command { name: "LPUSH", words: &["LPUSH", "types:list", "element:############"], divisor: 1 },
    Command { name: "LRANGE 100", words: &["LRANGE", "types:list", "0", "99"], divisor: 10 },
    Command { name: "LPOP", words: &["LPOP", "types:list"], divisor: 1 },
    Command { name: "SADD", words: &["SADD", "types:set", "element:############"], divisor: 1 },
    Command { name: "SPOP", words: &["SPOP", "types:set"], divisor: 2 },
    Command { name: "HSET", words: &["HSET", "types:hash", "element:############", "some-value"], divisor: 1 },
    Command { name: "ZADD", words: &["ZADD", "types:zset", "######", "element:############"], divisor: 1 },
    Command { name: "ZRANGE 100", words: &["ZRANGE", "types:zset", "0", "99"], divisor: 10 },
    Command { name: "XADD", words: &["XADD", "types:stream", "*", "field", "some-value"], divisor: 1 },
    Command {
        name: "MSET 10",
        words: &[
            "MSET",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
            "key:############",
            "some-value",
        ],
        divisor: 5,
    },
];

/// What is weighed: a server is filled with it by this command, once a number.
const WEIGHED: &[(&str, &[&str])] = &[
    ("hash of 1M fields", &["HSET", "big", "##########", "some-value"]),
    ("set of 1M members", &["SADD", "big", "m#########"]),
    ("sorted set of 1M members", &["ZADD", "big", "########", "m#########"]),
    ("list of 1M elements", &["RPUSH", "big", "e#########"]),
    (
        "1M hashes of 5 fields",
        &[
            "HSET",
            "key:############",
            "f1",
            "some-value",
            "f2",
            "some-value",
            "f3",
            "some-value",
            "f4",
            "some-value",
            "f5",
            "some-value",
        ],
    ),
];

/// How much is done.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Effort {
    /// Rounds, each of which runs everything once.
    pub rounds: usize,
    /// Operations of a run, before a command's own divisor.
    pub operations: u64,
}

impl Effort {
    /// Figures to quote.
    pub const FULL: Self = Self { rounds: 5, operations: 1_000_000 };
    /// Figures to look at while working.
    pub const QUICK: Self = Self { rounds: 3, operations: 300_000 };
}

/// Everything that was measured.
#[derive(serde::Serialize)]
pub struct Report {
    machine: Machine,
    effort: Effort,
    /// Names and versions.
    targets: Vec<(String, String)>,
    /// By command, then by target.
    commands: Vec<(&'static str, Vec<Figures>)>,
    /// Resident bytes of an element, by what was weighed, then by target.
    weights: Vec<(&'static str, Vec<Option<f64>>)>,
}

/// Runs everything against every target. `fresh` is as in [`compare`](crate::compare::compare).
///
/// # Errors
/// Where a server cannot be measured.
pub fn compare(
    targets: &[Target],
    fresh: &dyn Fn(usize) -> Option<io::Result<Target>>,
    effort: Effort,
) -> io::Result<Report> {
    let mut weights = Vec::new();
    for (name, words) in WEIGHED {
        eprintln!("weighing a {name}");
        let weighed = (0..targets.len()).map(|index| fresh(index).map(|server| weight(&server?, words)).transpose());
        weights.push((*name, weighed.collect::<io::Result<Vec<_>>>()?));
    }
    for target in targets {
        eprintln!("{}: storing {KEYS} keys", target.name);
        fill(target, KEYS, "some-value".len())?;
    }
    let mut runs: Vec<Vec<Vec<Run>>> = vec![vec![Vec::new(); targets.len()]; COMMANDS.len()];
    for round in 0..effort.rounds {
        eprintln!("round {} of {}", round + 1, effort.rounds);
        for target in targets {
            clear(target)?;
        }
        for (number, command) in COMMANDS.iter().enumerate() {
            for turn in 0..targets.len() {
                // Who goes first changes from round to round.
                let index = (turn + round) % targets.len();
                let target = &targets[index];
                let run = measure(&plan(target, command, effort), &target.pids)
                    .map_err(|error| io::Error::other(format!("{}, {}: {error}", target.name, command.name)))?;
                runs[number][index].push(run);
            }
        }
    }
    let figures = runs.into_iter().map(|runs| runs.into_iter().map(Figures::of).collect());
    let commands = COMMANDS.iter().map(|command| command.name).zip(figures).collect();
    let targets = targets.iter().map(|target| (target.name.clone(), target.version.clone())).collect();
    Ok(Report { machine: Machine::here(), effort, targets, commands, weights })
}

fn plan(target: &Target, command: &Command, effort: Effort) -> Plan {
    Plan {
        shards: vec![(target.address, None)],
        connections: CONNECTIONS,
        pipeline: PIPELINE,
        operations: effort.operations / command.divisor,
        requests: Requests::of(command.words, KEYS, false),
    }
}

fn clear(target: &Target) -> io::Result<()> {
    let mut client = Client::connect(target.address, Duration::from_secs(60))?;
    for command in COMMANDS.iter().filter(|command| command.words[1].starts_with("types:")) {
        client.words(&format!("DEL {}", command.words[1]))?;
    }
    Ok(())
}

/// Growth of a server's resident memory for each element.
fn weight(target: &Target, words: &'static [&'static str]) -> io::Result<f64> {
    let [pid] = target.pids[..] else { return Err(io::Error::other("not one process on this machine")) };
    let load = |operations: u64| {
        let requests = Requests::of(words, ELEMENTS, true);
        generator::run(&Plan {
            shards: vec![(target.address, None)],
            connections: 10,
            pipeline: 100,
            operations,
            requests,
        })
    };
    // A little at first, so that buffers of connections, and the parts of the program that this uses, are no weight.
    load(WARM_UP)?;
    Client::connect(target.address, Duration::from_secs(60))?.words("FLUSHALL")?;
    let before = resident_bytes(pid)?;
    load(u64::from(ELEMENTS))?;
    Ok(resident_bytes(pid)?.saturating_sub(before) as f64 / f64::from(ELEMENTS))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.targets.len() - 1;
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "pipeline {PIPELINE}, {CONNECTIONS} connections, {} rounds; CPU of the server, us an operation",
            self.effort.rounds
        )?;
        for (name, version) in &self.targets {
            writeln!(f, "{name:<13} {version}")?;
        }
        write!(f, "\n{:<26}", "")?;
        self.targets.iter().try_for_each(|(name, _)| write!(f, "{name:>14} {:>6}", "spread"))?;
        writeln!(f, "{:>10}", "ratio")?;
        for (name, figures) in &self.commands {
            write!(f, "{name:<26}")?;
            let cpu = |figures: &Figures| figures.median.server_cpu_us;
            for figures in figures {
                match (cpu(figures), figures.cpu_spread) {
                    (Some(cpu), Some(spread)) => write!(f, "{cpu:>14.2} {:>5.0}%", 100.0 * spread)?,
                    _ => write!(f, "{:>14} {:>6}", "-", "")?,
                }
            }
            if let (true, Some(ours), Some(theirs)) = (base > 0, cpu(&figures[0]), cpu(&figures[base])) {
                write!(f, "{:>8.2} x", ours / theirs)?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nresident bytes an element, members of 10 bytes")?;
        for (name, weights) in &self.weights {
            write!(f, "{name:<26}")?;
            for weight in weights {
                match weight {
                    Some(bytes) => write!(f, "{bytes:>14.1} {:>6}", "")?,
                    None => write!(f, "{:>14} {:>6}", "-", "")?,
                }
            }
            if let (true, Some(ours), Some(theirs)) = (base > 0, weights[0], weights[base]) {
                write!(f, "{:>8.2} x", ours / theirs)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
