//! Which node leads which keys.

use cluster_tests::process::{Client, SlotRange, slot_ranges};
use larder_protocol::slot_of;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Addresses, each with the keys that may be sent to it; `None`: all.
pub type Shards = Vec<(SocketAddr, Option<Vec<u32>>)>;

/// The slot map, once it has stayed the same for a while: a cluster that has just started still evens its leaders out,
/// and what is measured is a cluster at rest.
pub(crate) fn settled(seed: SocketAddr) -> io::Result<Vec<SlotRange>> {
    const LOOKS: usize = 6;
    const PAUSE: Duration = Duration::from_millis(500);
    const LOOKS_MAX: usize = 120;
    let mut client = Client::connect(seed, Duration::from_secs(10))?;
    let mut ranges = slot_ranges(&mut client)?;
    let mut same = 0;
    for _ in 0..LOOKS_MAX {
        if same == LOOKS {
            return Ok(ranges);
        }
        std::thread::sleep(PAUSE);
        let now = slot_ranges(&mut client)?;
        same = if now == ranges { same + 1 } else { 0 };
        ranges = now;
    }
    Err(io::Error::other("the slot map does not come to rest"))
}

/// Keys 0 to `keys`, each at the address that leads its slot. Only the ports are taken from the map: the nodes are at `ip`.
pub(crate) fn leaders(ip: IpAddr, ranges: &[SlotRange], keys: u32) -> io::Result<Shards> {
    let mut leader_of_slot = vec![None; usize::from(larder_protocol::SLOTS)];
    for range in ranges {
        let leader = range.ports.first().map(|port| SocketAddr::new(ip, *port));
        leader_of_slot[usize::from(range.start)..=usize::from(range.end)].fill(leader);
    }
    let mut shards: BTreeMap<SocketAddr, Vec<u32>> = BTreeMap::new();
    for key in 0..keys {
        let slot = slot_of(crate::generator::key_name(key).as_bytes());
        let leader =
            leader_of_slot[usize::from(slot)].ok_or_else(|| io::Error::other(format!("slot {slot} has no leader")))?;
        shards.entry(leader).or_default().push(key);
    }
    Ok(shards.into_iter().map(|(address, keys)| (address, Some(keys))).collect())
}
