//! Resident memory per key.

use crate::cpu::resident_bytes;
use crate::generator::{self, Mix, Plan, Requests};
use crate::target::Target;
use std::io;

/// Keys that are stored.
pub const KEYS: u32 = 1_000_000;
/// Bytes of each value; keys have 16.
pub const VALUE_BYTES: usize = 10;

/// Stores [`KEYS`] keys in a server that holds none yet; growth of its resident memory for each.
///
/// # Errors
/// Where it cannot be filled.
pub fn resident_bytes_per_key(target: &Target) -> io::Result<f64> {
    let [pid] = target.pids[..] else { return Err(io::Error::other("not one process on this machine")) };
    let before = resident_bytes(pid)?;
    fill(target, KEYS, VALUE_BYTES)?;
    Ok(resident_bytes(pid)?.saturating_sub(before) as f64 / f64::from(KEYS))
}

/// Stores keys 0 to `keys` with values of `value_bytes`.
///
/// # Errors
/// Where a reply is an error.
pub fn fill(target: &Target, keys: u32, value_bytes: usize) -> io::Result<()> {
    let requests = Requests::new(Mix::Fill, keys, value_bytes);
    let shards = vec![(target.address, None)];
    generator::run(&Plan { shards, connections: 10, pipeline: 100, operations: u64::from(keys), requests })?;
    let client = cluster_tests::process::Client::connect(target.address, std::time::Duration::from_secs(30));
    let size = client?.words("DBSIZE")?.integer();
    if size < i64::from(keys) {
        return Err(io::Error::other(format!("{} holds {size} of {keys} keys", target.name)));
    }
    Ok(())
}
