//! Once a second: which connections have been idle for too long, and which have read too slowly for too long.

use crate::clock;
use crate::commands::port::NodePort;
use crate::commands::session::Activity;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);

/// Sweeps until the task is dropped.
pub(super) async fn sweep(node: Arc<dyn NodePort>) {
    let mut over_soft: HashMap<u64, Instant> = HashMap::new();
    loop {
        clock::beat(PERIOD).await;
        let live = node.settings().live();
        let (timeout, limit) = (live.timeout_seconds(), live.output_limit());
        if timeout == 0 && limit.soft_bytes == 0 {
            over_soft.clear();
            continue;
        }
        let now_ms = clock::unix_ms();
        let mut still_over = HashMap::new();
        for client in node.clients().list() {
            let idle_ms = now_ms.saturating_sub(client.last_active_ms.load(Ordering::Relaxed));
            // One that waits for a reply of ours is not idle.
            if timeout > 0 && idle_ms > timeout * 1000 && client.activity() != Activity::Working {
                tracing::debug!(client = client.id, idle_ms, "closing an idle client");
                client.kill();
            }
            if limit.soft_bytes > 0 && client.output_bytes.load(Ordering::Relaxed) > limit.soft_bytes {
                let since = over_soft.get(&client.id).copied().unwrap_or_else(Instant::now);
                still_over.insert(client.id, since);
                if since.elapsed() >= Duration::from_secs(limit.soft_seconds) {
                    tracing::warn!(client = client.id, address = %client.address, "closing a client that reads too slowly");
                    node.stats().output_limit_disconnections.fetch_add(1, Ordering::Relaxed);
                    client.kill();
                }
            }
        }
        over_soft = still_over;
    }
}
