//! Free TCP ports.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex};

/// Where picked ports lie: below what Linux gives outgoing connections, so that a port stays free while its node is
/// down.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// The four ports of a node.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// RESP for any client.
    pub client: u16,
    /// RESP with MOVED and ASK.
    pub cluster: u16,
    /// Other nodes.
    pub peer: u16,
    /// Metrics and health.
    pub http: u16,
}

impl Ports {
    /// Four free ports.
    pub fn pick() -> Self {
        let ports = free_ports(4);
        Self { client: ports[0], cluster: ports[1], peer: ports[2], http: ports[3] }
    }
}

/// Ports of 127.0.0.1 that nothing listens on, each given once a process. Where in the range it begins depends on the
/// process, so that test binaries that run side by side hardly meet.
pub fn free_ports(count: usize) -> Vec<u16> {
    static GIVEN: LazyLock<Mutex<(u16, HashSet<u16>)>> = LazyLock::new(|| {
        let length = u32::from(PORTS.end - PORTS.start);
        let start = PORTS.start + (std::process::id().wrapping_mul(7919) % length) as u16;
        Mutex::new((start, HashSet::new()))
    });
    let mut guard = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (next, given) = &mut *guard;
    let mut ports = Vec::new();
    while ports.len() < count {
        assert!(given.len() < usize::from(PORTS.end - PORTS.start), "no free ports are left");
        let port = *next;
        *next = if port + 1 == PORTS.end { PORTS.start } else { port + 1 };
        if given.insert(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
    }
    ports
}
