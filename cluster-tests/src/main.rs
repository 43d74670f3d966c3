//! Runs simulated clusters, and a cluster of real nodes, from the command line, for as long as one likes.

#![allow(clippy::print_stdout)]

use clap::{Parser, Subcommand};
use cluster_tests::simulation::{FAULTS, Fault, Run, runner, simulate};
use cluster_tests::soak;
use larder::planted::Bug;
use std::ops::Range;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Tests of many nodes")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run simulated clusters, one a seed, and say which broke a promise
    Simulate {
        /// Seeds, as A..B, or one
        #[arg(long, default_value = "0..1000", value_parser = seeds)]
        seeds: Range<u64>,
        /// Threads; all cores unless given
        #[arg(long)]
        threads: Option<usize>,
        /// Stop after so many seeds that fail
        #[arg(long, default_value_t = 1)]
        failures: usize,
        /// Print what happens in the first seed of the range, or in the first that fails
        #[arg(long)]
        trace: bool,
        /// Only faults of these kinds, and more of them
        #[arg(long, value_delimiter = ',', value_parser = fault)]
        faults: Vec<Fault>,
        /// Plant a bug (in a build with the feature planted-bugs)
        #[arg(long, value_parser = bug)]
        bug: Option<Bug>,
    },
    /// Keep a cluster of real nodes at work, with kills, restarts and drains, and see whether it stays what it was
    Soak {
        /// Answered operations, at least
        #[arg(long, default_value_t = 1_000_000)]
        operations: u64,
    },
    /// List the bugs that can be planted
    Bugs,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| format!("{text}: {error}"));
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => number(text).map(|seed| seed..seed + 1),
    }
}

fn bug(name: &str) -> Result<Bug, String> {
    Bug::ALL.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| "no such fault: `bugs` lists them".into())
}

fn fault(name: &str) -> Result<Fault, String> {
    let names = || FAULTS.map(Fault::name).join(", ");
    FAULTS.into_iter().find(|fault| fault.name() == name).ok_or_else(|| format!("one of {}", names()))
}

fn main() -> ExitCode {
    if let Ok(level) = std::env::var("LARDER_LOG") {
        larder::telemetry::init_logs(false, &level);
    }
    match Arguments::parse().command {
        Command::Bugs => {
            Bug::ALL.iter().for_each(|bug| println!("{}", bug.name()));
            ExitCode::SUCCESS
        }
        Command::Soak { operations } => {
            let findings = soak::run(operations, |round| println!("{round}"));
            if let Some((first, last)) = findings.ends() {
                println!("warm, the first third:  {first}\nwarm, the last third:   {last}");
            }
            match findings.check() {
                Ok(()) => ExitCode::SUCCESS,
                Err(reason) => {
                    println!("{reason}");
                    ExitCode::FAILURE
                }
            }
        }
        Command::Simulate { seeds, threads, failures, trace, faults, bug } => {
            let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
            if trace && seeds.end == seeds.start + 1 {
                return replay(seeds.start, &faults, bug);
            }
            let report = runner::run(seeds, &faults, threads, bug, failures);
            print!("{}", report.counters);
            println!(
                "{} seeds in {:.1} s on {threads} threads: {:.1} a second",
                report.seeds,
                report.took.as_secs_f64(),
                report.seeds_per_second()
            );
            for (seed, run) in &report.failed {
                say(*seed, run);
            }
            match report.failed.first() {
                Some((seed, _)) if trace => replay(*seed, &faults, bug),
                Some(_) => ExitCode::FAILURE,
                None => ExitCode::SUCCESS,
            }
        }
    }
}

fn replay(seed: u64, faults: &[Fault], bug: Option<Bug>) -> ExitCode {
    runner::plant(bug);
    let run = simulate(seed, faults, true);
    run.trace.iter().for_each(|line| println!("{line}"));
    say(seed, &run);
    if run.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn say(seed: u64, run: &Run) {
    match &run.violation {
        Some(violation) => println!("seed {seed}: {violation}"),
        None => println!("seed {seed}: all promises kept"),
    }
}
