//! Resident memory per key.

use crate::cpu::resident_bytes;
use crate::generator::{self, Mix, Plan, Requests};
use crate::machine::Machine;
use crate::target::Target;
use std::fmt;
use std::io;

/// Keys that are stored unless told otherwise.
pub const KEYS: u32 = 1_000_000;
/// Bytes of each value in [`compare`](crate::compare); keys have 16.
pub const VALUE_BYTES: usize = 10;

/// What is stored: bytes of each value, and whether each item has a time to live.
const STORED: [(usize, bool); 4] = [(10, false), (10, true), (64, false), (64, true)];

/// One server's figures.
#[derive(Debug, serde::Serialize)]
struct Row {
    name: String,
    version: String,
    idle_bytes: u64,
    /// Resident bytes a key, in the order of [`STORED`].
    bytes_per_key: Vec<f64>,
}

/// All of them.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    machine: Machine,
    keys: u32,
    rows: Vec<Row>,
}

/// Fills each kind of server, started anew for each kind of item, with `keys` keys.
///
/// # Errors
/// Where a server does not start or cannot be filled. One that is not installed is left out.
pub fn report(servers: &[fn() -> io::Result<Target>], keys: u32) -> io::Result<Report> {
    let mut rows = Vec::new();
    for spawn in servers {
        match row(*spawn, keys) {
            Ok(row) => rows.push(row),
            Err(error) if error.kind() == io::ErrorKind::NotFound => eprintln!("{error}: left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(Report { machine: Machine::here(), keys, rows })
}

fn row(spawn: fn() -> io::Result<Target>, keys: u32) -> io::Result<Row> {
    let mut row: Option<Row> = None;
    for (value_bytes, expiring) in STORED {
        let target = spawn()?;
        let idle_bytes = resident_bytes(pid(&target)?)?;
        let bytes = growth_per_key(&target, &Requests::new(Mix::Fill, keys, value_bytes).expiring(expiring))?;
        let Target { name, version, .. } = &target;
        let (name, version) = (name.clone(), version.clone());
        row.get_or_insert(Row { name, version, idle_bytes, bytes_per_key: Vec::new() }).bytes_per_key.push(bytes);
    }
    row.ok_or_else(|| io::Error::other("nothing was stored"))
}

fn pid(target: &Target) -> io::Result<u32> {
    match target.pids[..] {
        [pid] => Ok(pid),
        _ => Err(io::Error::other("not one process on this machine")),
    }
}

/// Carries out [`Mix::Fill`] on a server that holds nothing yet; growth of its resident memory for each key.
fn growth_per_key(target: &Target, requests: &Requests) -> io::Result<f64> {
    let pid = pid(target)?;
    let before = resident_bytes(pid)?;
    run(target, requests)?;
    Ok(resident_bytes(pid)?.saturating_sub(before) as f64 / f64::from(requests.keys))
}

/// Stores [`KEYS`] keys in a server that holds none yet; growth of its resident memory for each.
///
/// # Errors
/// Where it cannot be filled.
pub fn resident_bytes_per_key(target: &Target) -> io::Result<f64> {
    growth_per_key(target, &Requests::new(Mix::Fill, KEYS, VALUE_BYTES))
}

/// Stores keys 0 to `keys` with values of `value_bytes`.
///
/// # Errors
/// Where a reply is an error.
pub fn fill(target: &Target, keys: u32, value_bytes: usize) -> io::Result<()> {
    run(target, &Requests::new(Mix::Fill, keys, value_bytes))
}

fn run(target: &Target, requests: &Requests) -> io::Result<()> {
    let (keys, requests) = (requests.keys, requests.clone());
    let shards = vec![(target.address, None)];
    generator::run(&Plan { shards, connections: 10, pipeline: 100, operations: u64::from(keys), requests })?;
    let client = cluster_tests::process::Client::connect(target.address, std::time::Duration::from_secs(30));
    let size = client?.words("DBSIZE")?.integer();
    if size < i64::from(keys) {
        return Err(io::Error::other(format!("{} holds {size} of {keys} keys", target.name)));
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "resident bytes a key, of {} keys of 16 bytes each\n", self.keys)?;
        write!(f, "| server | idle RSS MiB")?;
        for (value_bytes, expiring) in STORED {
            write!(f, " | {value_bytes} B{}", if expiring { ", TTL" } else { "" })?;
        }
        writeln!(f, " |\n|-|-{}|", "|-".repeat(STORED.len()))?;
        for row in &self.rows {
            write!(f, "| {} ({}) | {:.1}", row.name, row.version, row.idle_bytes as f64 / 1024.0 / 1024.0)?;
            for bytes in &row.bytes_per_key {
                write!(f, " | {bytes:.1}")?;
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }
}
