//! Group commit: what waits, from all connections, goes into one log entry.
//!
//! ```text
//! connections --Share--> inbox --(at most IN_FLIGHT_MAX entries)--> Raft --apply--> each share's `done`
//! ```
//! A log entry costs about the same whatever it holds (OPENRAFT.md), so entries are made as full as the load allows:
//! while the allowed number is in flight, shares gather in the inbox.

use super::machine::Machine;
use super::partition::Partition;
use super::share::{Refusal, Share, ShareOutcome};
use super::types::{self, GroupTypes, Mutations, ShareResponder};
use crate::clock::UnixMs;
use crossbeam::queue::SegQueue;
use openraft::{AsyncRuntime, Instant, Raft};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Entries in flight at once: 2 is as good as 4, 1 is worse (OPENRAFT.md).
const IN_FLIGHT_MAX: usize = 2;
/// Commands in an entry, about: a share is never split.
const ENTRY_COMMANDS_MAX: u32 = 256;
/// Bytes in an entry, about.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// Where shares wait for their entry. Any thread may push.
#[derive(Default)]
pub struct Inbox {
    shares: SegQueue<Share>,
    wake: Notify,
    in_flight: AtomicUsize,
    closed: AtomicBool,
}

impl Inbox {
    /// Hands a share over.
    pub fn push(&self, share: Share) {
        self.shares.push(share);
        self.wake.notify_one();
        if self.closed.load(Ordering::Acquire) {
            self.refuse_all();
        }
    }

    /// Refuses what waits and what comes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.refuse_all();
        self.wake.notify_one();
    }

    fn refuse_all(&self) {
        while let Some(share) = self.shares.pop() {
            let _ = share.done.send(ShareOutcome::Refused(Refusal::NotLeader(None)));
        }
    }
}

/// The partition's clock as its leader advances it: the wall clock, but never backwards, and by monotonic time where
/// the wall clock is behind.
struct EntryClock<I> {
    last: UnixMs,
    at: I,
}

impl<I: Instant> EntryClock<I> {
    fn next(&mut self, applied: UnixMs, wall: UnixMs) -> UnixMs {
        let now = I::now();
        let steady = self.last + (now - self.at).as_millis() as u64;
        let next = wall.max(applied).max(if self.last == 0 { 0 } else { steady });
        (self.last, self.at) = (next, now);
        next
    }
}

/// Proposes what arrives in `inbox` until it is closed.
pub async fn run<RT: AsyncRuntime>(
    raft: Raft<GroupTypes<RT>, Machine>,
    partition: Arc<Partition>,
    inbox: Arc<Inbox>,
    wall: fn() -> UnixMs,
    seed: u64,
) {
    let mut clock = EntryClock { last: 0, at: RT::Instant::now() };
    let mut number = 0u64;
    let finished: Arc<dyn Fn() + Send + Sync> = {
        let inbox = Arc::clone(&inbox);
        Arc::new(move || {
            inbox.in_flight.fetch_sub(1, Ordering::AcqRel);
            inbox.wake.notify_one();
        })
    };
    let mut held: Option<Share> = None;
    while !inbox.closed.load(Ordering::Acquire) {
        // Connections that become ready in the same turn of the loop add their shares first.
        tokio::task::yield_now().await;
        while inbox.in_flight.load(Ordering::Acquire) < IN_FLIGHT_MAX {
            let Some(first) = held.take().or_else(|| inbox.shares.pop()) else { break };
            let mut expects = None;
            let mut shares = vec![first];
            if let Some(token) = shares[0].watch.clone() {
                if inbox.in_flight.load(Ordering::Acquire) > 0 {
                    // Checked only when all before it is applied.
                    held = shares.pop();
                    break;
                }
                let state = partition.lock();
                if token.load(Ordering::Acquire) {
                    drop(state);
                    let _ = shares.remove(0).done.send(ShareOutcome::Dirty);
                    continue;
                }
                expects = state.applied;
            } else {
                let mut commands = shares[0].count;
                let mut bytes = shares[0].block.len();
                while commands < ENTRY_COMMANDS_MAX && bytes < ENTRY_BYTES_MAX {
                    let Some(share) = inbox.shares.pop() else { break };
                    if share.watch.is_some() {
                        held = Some(share);
                        break;
                    }
                    commands += share.count;
                    bytes += share.block.len();
                    shares.push(share);
                }
            }
            number += 1;
            inbox.in_flight.fetch_add(1, Ordering::AcqRel);
            let applied_clock = partition.lock().clock;
            let (blocks, waiting) = types::split(shares);
            let mutations =
                Mutations { clock: clock.next(applied_clock, wall()), seed: seed ^ number, expects, blocks };
            // An error means that the group has stopped; the dropped responder answers.
            let _ =
                raft.write(Arc::new(mutations)).responder(ShareResponder::new(waiting, Arc::clone(&finished))).await;
        }
        inbox.wake.notified().await;
    }
    inbox.refuse_all();
}
