//! The program: command line, wiring, start and stop. It implements the ports through which lower modules reach upward.

mod addresses;
mod allocator;
mod cli;
mod descriptors;
mod dev;
mod huge_pages;
mod metrics;
mod node;
mod operator;
mod sampler;
mod serve;
mod stop;
mod system;
mod waiting;

use std::io::Write;
use std::process::ExitCode;

/// How a command ends, beside 0 for success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// It was refused, or failed.
    Failed = 1,
    /// The command line is wrong, or the configuration file; also clap's code for it.
    Misconfigured = 2,
    /// The node cannot be reached.
    Unreachable = 3,
    /// The cluster is not well (`larder status`).
    Unwell = 4,
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(failure as u8)
    }
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let matches = cli::command().get_matches();
    let result = match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        Some(("dev", matches)) => dev::run(matches),
        Some((name, matches)) => operator::run(name, matches),
        None => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err((failure, reason)) => {
            if !reason.is_empty() {
                let _ = writeln!(std::io::stderr(), "larder: {reason}");
            }
            failure.into()
        }
    }
}

/// What a command returns: on failure, how the process ends and what it says.
type Outcome = Result<(), (Failure, String)>;

/// Something that failed, in its own words.
fn failed(reason: impl std::fmt::Display) -> (Failure, String) {
    (Failure::Failed, reason.to_string())
}

/// A setting that cannot be meant so.
fn misconfigured(reason: impl std::fmt::Display) -> (Failure, String) {
    (Failure::Misconfigured, reason.to_string())
}

/// Writes to standard output; a reader that has gone away is no error.
fn say(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
