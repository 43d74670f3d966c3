//! Figures that need looking at again and again: the rate of commands, and the peak of memory.

use super::node::Node;
use crate::clock;
use crate::commands::port::NodePort;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);

/// Samples until the task is dropped.
pub(super) async fn run(node: Arc<Node>) {
    loop {
        node.stats.sample(clock::boot_ns() / 1_000_000);
        // Remembers the peak.
        node.memory();
        tokio::time::sleep(PERIOD).await;
    }
}
