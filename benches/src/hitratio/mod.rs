//! What a cache is bought for: hits, at equal memory.
//!
//! Every contestant, a server with a policy, replays the same trace as a look-aside cache. Its limit is found by
//! bisection, so that its resident memory peaks where it is allowed to: what a server needs besides its items, idle or
//! by fragmentation, counts against it.

mod replay;
pub mod trace;

use crate::cpu::resident_bytes;
use crate::machine::Machine;
use crate::target::Target;
use cluster_tests::process::Client;
use replay::{Replayed, replay};
use std::fmt;
use std::io;
use std::time::Duration;
use trace::Trace;

/// Looks for the limit.
const STEPS: usize = 6;
/// A peak so close under what is allowed is good enough.
const CLOSE: f64 = 0.01;
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// A server, started anew for each try, and its policy.
pub struct Contestant {
    /// Starts it.
    pub spawn: fn() -> io::Result<Target>,
    /// Its `maxmemory-policy`.
    pub policy: &'static str,
}

/// How one of them did.
#[derive(Debug, serde::Serialize)]
struct Row {
    name: String,
    version: String,
    policy: &'static str,
    limit_bytes: u64,
    idle_bytes: u64,
    keys: i64,
    #[serde(flatten)]
    replayed: Replayed,
}

/// How all did.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    machine: Machine,
    trace: String,
    requests: usize,
    keys: u32,
    /// Peak of resident memory that was allowed.
    allowed_bytes: u64,
    rows: Vec<Row>,
}

/// Replays `trace` against each contestant within `allowed_bytes` of resident memory.
///
/// # Errors
/// Where a server does not start, cannot be limited, or fails. One that is not installed is left out.
pub fn run(trace: &Trace, contestants: &[Contestant], allowed_bytes: u64) -> io::Result<Report> {
    let mut rows = Vec::new();
    for contestant in contestants {
        match best(trace, contestant, allowed_bytes) {
            Ok(row) => rows.push(row),
            Err(error) if error.kind() == io::ErrorKind::NotFound => eprintln!("{error}: left out"),
            Err(error) => return Err(error),
        }
    }
    let Trace { name, accesses, keys } = trace;
    Ok(Report {
        machine: Machine::here(),
        trace: name.clone(),
        requests: accesses.len(),
        keys: *keys,
        allowed_bytes,
        rows,
    })
}

/// The largest limit whose peak is allowed, and what it brings.
fn best(trace: &Trace, contestant: &Contestant, allowed_bytes: u64) -> io::Result<Row> {
    let (mut low, mut high) = (0, allowed_bytes);
    let mut best: Option<Row> = None;
    let mut limit = allowed_bytes * 3 / 4;
    for _ in 0..STEPS {
        let row = attempt(trace, contestant, limit)?;
        let peak = row.replayed.peak_bytes;
        if peak <= allowed_bytes {
            low = limit;
            best = Some(row);
            if peak as f64 > allowed_bytes as f64 * (1.0 - CLOSE) {
                break;
            }
        } else {
            high = limit;
        }
        // The peak moves about as the limit does; a guess from where it is, kept between what is known.
        let guess =
            (limit as i128 + i128::from(allowed_bytes) - i128::from(peak)).clamp(0, i128::from(u64::MAX)) as u64;
        limit = if guess > low && guess < high { guess } else { (low + high) / 2 };
        if high - low < allowed_bytes / 200 {
            break;
        }
    }
    best.ok_or_else(|| io::Error::other(format!("{}: no limit keeps it in {allowed_bytes} bytes", contestant.policy)))
}

fn attempt(trace: &Trace, contestant: &Contestant, limit_bytes: u64) -> io::Result<Row> {
    let target = (contestant.spawn)()?;
    let mut client = Client::connect(target.address, REPLY_TIMEOUT)?;
    for (name, value) in [("maxmemory", limit_bytes.to_string()), ("maxmemory-policy", contestant.policy.to_string())] {
        let reply = client.words(&format!("CONFIG SET {name} {value}"))?.text();
        if reply != "OK" {
            return Err(io::Error::other(format!("{}: CONFIG SET {name} {value}: {reply}", target.name)));
        }
    }
    let pid = target.pids.first().copied();
    let idle_bytes = pid.map_or(Ok(0), resident_bytes)?;
    let replayed = replay(trace, target.address, pid)?;
    let keys = client.words("DBSIZE")?.integer();
    let (name, version) = (target.name.clone(), target.version.clone());
    Ok(Row { name, version, policy: contestant.policy, limit_bytes, idle_bytes, keys, replayed })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = 1024.0 * 1024.0;
        let mib = |bytes: u64| bytes as f64 / MIB;
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "trace {}: {} requests for {} keys; resident memory at most {:.0} MiB\n",
            self.trace,
            self.requests,
            self.keys,
            mib(self.allowed_bytes)
        )?;
        writeln!(
            f,
            "| server | policy | hit ratio | keys | limit MiB | idle RSS MiB | peak RSS MiB |\n|-|-|-|-|-|-|-|"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "| {} ({}) | {} | {:.2} % | {} | {:.1} | {:.1} | {:.1} |",
                row.name,
                row.version,
                row.policy,
                100.0 * row.replayed.hit_ratio,
                row.keys,
                mib(row.limit_bytes),
                mib(row.idle_bytes),
                mib(row.replayed.peak_bytes)
            )?;
        }
        Ok(())
    }
}
