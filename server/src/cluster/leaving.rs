//! An orderly stop: leave is waited for, leaderships are handed over.

use super::directory::DirectoryCommand;
use super::node::ClusterNode;
use crate::ids::NodeNo;
use crate::topology::NodeState;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the directory is asked for leave even where there is no grace.
const ASK_MIN: Duration = Duration::from_secs(1);

impl ClusterNode {
    /// Waits for leave to stop, then hands leaderships over, until `grace` has passed. Says why it waits.
    pub async fn prepare_stop(&self, grace: Duration) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        // Called off (the future is dropped) while it waits for leave, it may be asked for again.
        let mut waiting = Waiting(Some(&self.stopping));
        let deadline = Instant::now() + grace;
        let mut told = String::new();
        loop {
            let state = self.directory.state();
            let alone = !state
                .nodes
                .values()
                .any(|node| node.no != self.me.node && !matches!(node.state, NodeState::Down | NodeState::Left));
            let left = state.nodes.get(&self.me.node).is_none_or(|node| node.state == NodeState::Left);
            if alone || left {
                return;
            }
            let unavailable: BTreeSet<NodeNo> = state
                .nodes
                .keys()
                .filter(|no| **no != self.me.node && (!self.peers.is_connected(**no) || !state.is_settled(**no)))
                .copied()
                .collect();
            let asking = self.directory.propose(DirectoryCommand::AcquireStop { copy: self.me, unavailable });
            // A directory without a majority takes its time to say so; the grace period is a promise.
            let until = deadline.max(Instant::now() + ASK_MIN);
            match tokio::time::timeout_at(until.into(), asking).await {
                Ok(Ok(_)) => break,
                Err(_) => {}
                Ok(Err(error)) => {
                    let reason = error.to_string();
                    if reason != told {
                        tracing::warn!(reason, "waiting for leave to stop");
                        told = reason;
                    }
                }
            }
            if Instant::now() >= deadline {
                tracing::warn!("stopping without leave: the grace period is over");
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        waiting.0 = None;
        tracing::info!("handing leaderships over");
        while !self.copies.hand_over().await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if self.directory.leads() {
            let heir =
                self.directory.members().0.into_iter().find(|no| *no != self.me.node && self.peers.is_connected(*no));
            if let Some(heir) = heir {
                let _ = self.directory.transfer_leadership(heir).await;
            }
        }
    }
}

/// Clears the flag that it holds when it is dropped.
struct Waiting<'a>(Option<&'a AtomicBool>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(flag) = self.0 {
            flag.store(false, Ordering::Release);
        }
    }
}
