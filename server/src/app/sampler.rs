//! Figures that need looking at again and again: the rate of commands, and memory, its peak and what it is worth.

use super::huge_pages;
use super::node::Node;
use super::system;
use crate::clock;
use crate::commands::port::NodePort;
use crate::keyspace::reclaim;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);
/// How often a node with a limit looks at what is resident: while that changes, and is near the limit;
const PERIOD_CHANGING: Duration = Duration::from_millis(10);
/// near the limit, but as it was;
const PERIOD_NEAR: Duration = Duration::from_millis(25);
/// and else.
const PERIOD_LIMITED: Duration = Duration::from_millis(100);

/// Tells the room what is resident, until the task is dropped.
pub(super) async fn watch_resident(node: Arc<Node>) {
    let room = node.cluster.room();
    // What is counted may be there already: a node that joins starts with its copies.
    let at_start = system::own_resident_bytes().unwrap_or(0).saturating_sub(room.used_bytes());
    let mut before = 0;
    loop {
        let limit = room.limit_bytes();
        let near = limit != 0 && room.used_bytes() > limit / 4 * 3;
        let resident = if near { system::own_resident_bytes().unwrap_or(0) } else { 0 };
        if room.hear_resident_bytes(resident.saturating_sub(at_start)) {
            reclaim::give_back();
        }
        let changed = std::mem::replace(&mut before, resident) != resident;
        clock::beat(match limit {
            0 => PERIOD,
            _ if near && changed => PERIOD_CHANGING,
            _ if near => PERIOD_NEAR,
            _ => PERIOD_LIMITED,
        })
        .await;
    }
}

/// Samples until the task is dropped.
pub(super) async fn run(node: Arc<Node>) {
    let mut huge_pages = false;
    loop {
        node.stats.sample(clock::boot_ns() / 1_000_000);
        // Remembers the peak.
        let memory = node.memory();
        huge_pages = huge_pages::settle(huge_pages, memory.used, node.cluster.room().limit_bytes() as u64);
        clock::beat(PERIOD).await;
    }
}
