//! How long until every slot takes writes again.

use super::resp::{Client, Value};
use larder_protocol::{SLOTS, slot_of};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections that probe, each a run of slots, so that a slot that waits holds up few others.
const PROBES: u16 = 24;
/// Longest wait for a probe's reply before it is asked anew.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Writes to each of the 16,384 slots through `address` until every one has succeeded; how long after `since` the last
/// did.
///
/// # Panics
/// Where that takes longer than `limit`.
pub fn every_slot_writable(address: SocketAddr, since: Instant, limit: Duration) -> Duration {
    let keys = key_of_each_slot();
    std::thread::scope(|scope| {
        let probes: Vec<_> = (0..PROBES)
            .map(|probe| {
                let per_probe = usize::from(SLOTS.div_ceil(PROBES));
                let start = usize::from(probe) * per_probe;
                let keys = &keys[start.min(keys.len())..(start + per_probe).min(keys.len())];
                scope.spawn(move || run_of_slots_writable(address, keys, since, limit))
            })
            .collect();
        probes.into_iter().map(|probe| probe.join().expect("a probe")).max().unwrap_or_default()
    })
}

fn run_of_slots_writable(address: SocketAddr, keys: &[String], since: Instant, limit: Duration) -> Duration {
    let mut waiting: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut reason = String::new();
    while !waiting.is_empty() {
        assert!(since.elapsed() < limit, "{} of the slots take no writes after {limit:?}: {reason}", waiting.len());
        match write_all(address, &waiting) {
            Ok(refused) => {
                reason = refused.first().map_or(String::new(), |(_, reason)| reason.clone());
                waiting = refused.into_iter().map(|(key, _)| key).collect();
            }
            Err(error) => reason = error.to_string(),
        }
    }
    since.elapsed()
}

/// Writes to `keys` in one pipeline; those that were refused, and why.
fn write_all<'a>(address: SocketAddr, keys: &[&'a str]) -> std::io::Result<Vec<(&'a str, String)>> {
    let mut client = Client::connect(address, PROBE_TIMEOUT)?;
    keys.iter().for_each(|key| client.queue(&[b"SET", key.as_bytes(), b"probe"]));
    client.flush()?;
    let mut refused = Vec::new();
    for key in keys {
        let reply = client.read()?;
        if reply != Value::Simple("OK".into()) {
            refused.push((*key, format!("{reply:?}")));
        }
    }
    Ok(refused)
}

/// One key in each slot, by slot.
fn key_of_each_slot() -> Vec<String> {
    let mut keys = vec![String::new(); usize::from(SLOTS)];
    let mut missing = keys.len();
    for number in 0u64.. {
        let key = format!("probe:{number}");
        let place = &mut keys[usize::from(slot_of(key.as_bytes()))];
        if place.is_empty() {
            *place = key;
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    keys
}
