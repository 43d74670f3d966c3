//! Figures that need looking at again and again: the rate of commands, and memory, its peak and what it is worth.

use super::huge_pages;
use super::node::Node;
use crate::clock;
use crate::commands::port::NodePort;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);

/// Samples until the task is dropped.
pub(super) async fn run(node: Arc<Node>) {
    let mut huge_pages = false;
    loop {
        node.stats.sample(clock::boot_ns() / 1_000_000);
        // Remembers the peak.
        let memory = node.memory();
        huge_pages = huge_pages || huge_pages::allow_if_worth(memory.used);
        clock::beat(PERIOD).await;
    }
}
