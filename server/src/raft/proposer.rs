//! Group commit: what waits, from all connections, goes into one log entry.
//!
//! ```text
//! connections --Share--> inbox --(one entry at a time)--> Raft --apply--> each share's `done`
//! ```
//! A log entry costs about the same whatever it holds (OPENRAFT.md), so entries are made as full as the load allows:
//! while one is in flight, shares gather in the inbox.

use super::early;
use super::machine::Machine;
use super::partition::Partition;
use super::room::Room;
use super::share::{ANY_TERM, Refusal, Share, ShareOutcome};
use super::types::{self, GroupTypes, Mutations, ShareResponder, Waiting};
use crate::clock::{Tick, UnixMs, tick_of, ticks_in};
use crate::keyspace::collections::limits::Limits;
use crate::planted::{Bug, planted};
use crossbeam::queue::SegQueue;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{AsyncRuntime, Instant, Raft};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// Turns of the loop in which connections that are ready add their shares before an entry is made. A turn of an idle loop
/// is over at once; a busy one has that much more to gather.
const GATHERING_TURNS: usize = 3;
/// Commands in an entry, about: a share is never split.
const ENTRY_COMMANDS_MAX: u32 = 256;
/// Bytes in an entry, about.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// How long writes wait for memory while something may be evicted; then they are answered OOM.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);
/// How often they look whether there is some.
const ROOM_LOOK_PERIOD: Duration = Duration::from_millis(2);

/// Where shares wait for their entry. Any thread may push.
#[derive(Default)]
pub struct Inbox {
    shares: SegQueue<Share>,
    /// What frees memory: others may be waiting for it.
    first: SegQueue<Share>,
    wake: Notify,
    /// Whether an entry is under way: what comes meanwhile makes the next one together (decision 0017).
    in_flight: AtomicBool,
    /// Who waits for entries that are not answered yet.
    proposed: Mutex<Vec<Weak<Waiting>>>,
    closed: AtomicBool,
}

impl Inbox {
    /// Hands a share over.
    pub fn push(&self, share: Share) {
        self.shares.push(share);
        self.pushed();
    }

    /// Hands over a share that does not wait for the others.
    pub fn push_first(&self, share: Share) {
        self.first.push(share);
        self.pushed();
    }

    fn pushed(&self) {
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

    fn note(&self, waiting: &Arc<Waiting>) {
        let mut proposed = self.proposed.lock();
        proposed.retain(|waiting| waiting.strong_count() > 0);
        proposed.push(Arc::downgrade(waiting));
    }

    /// The leader has not heard from a quorum for long: openraft keeps what it has appended for as long as it leads, but
    /// whoever waits is told that the fate of it is unknown, or that it was not appended.
    pub fn give_up(&self) {
        for waiting in self.proposed.lock().iter().filter_map(Weak::upgrade) {
            waiting.answer_all(|| ShareOutcome::Uncertain);
        }
        self.refuse_all();
    }

    fn refuse_all(&self) {
        while let Some(share) = self.first.pop().or_else(|| self.shares.pop()) {
            let _ = share.done.send(ShareOutcome::Refused(Refusal::NotLeader(None)));
        }
    }
}

/// The partition's clock as its leader advances it: the wall clock, but never backwards, and by monotonic time where
/// the wall clock is behind.
struct EntryClock<I> {
    last: Tick,
    at: I,
}

impl<I: Instant> EntryClock<I> {
    fn next(&mut self, applied: UnixMs, wall: Tick) -> Tick {
        let now = I::now();
        let steady = self.last + ticks_in(now - self.at);
        let next = wall.max(tick_of(applied)).max(if self.last == 0 { 0 } else { steady });
        (self.last, self.at) = (next, now);
        next
    }
}

/// Proposes what arrives in `inbox` for the group `raft`.
pub(super) struct Proposer<RT: AsyncRuntime> {
    pub raft: Raft<GroupTypes<RT>, Machine>,
    pub partition: Arc<Partition>,
    pub inbox: Arc<Inbox>,
    pub room: Arc<Room>,
    pub tick: fn() -> Tick,
    pub boot_ns: fn() -> u64,
    pub seed: u64,
}

/// The shares of the next entry.
struct Draft {
    shares: Vec<Share>,
    commands: u32,
    bytes: usize,
}

impl Draft {
    /// Takes what comes next: what frees memory alone and first, a share that is checked against watched keys alone, of
    /// all others as many as an entry holds.
    fn next(inbox: &Inbox, waiting: &mut VecDeque<Share>) -> Option<Self> {
        if let Some(share) = inbox.first.pop() {
            return Some(Self::of(share));
        }
        let mut draft = Self::of(waiting.pop_front().or_else(|| inbox.shares.pop())?);
        if draft.shares[0].watch.is_some() {
            return Some(draft);
        }
        while draft.commands < ENTRY_COMMANDS_MAX && draft.bytes < ENTRY_BYTES_MAX {
            let Some(share) = waiting.pop_front().or_else(|| inbox.shares.pop()) else { break };
            if share.watch.is_some() {
                waiting.push_front(share);
                break;
            }
            draft.commands += share.count;
            draft.bytes += share.block.len();
            draft.shares.push(share);
        }
        Some(draft)
    }

    fn of(share: Share) -> Self {
        Self { commands: share.count, bytes: share.block.len(), shares: vec![share] }
    }

    /// Puts the shares back to where they were.
    fn undo(self, waiting: &mut VecDeque<Share>) {
        self.shares.into_iter().rev().for_each(|share| waiting.push_front(share));
    }

    /// Refuses the shares that may not be appended in `term` any more.
    fn refuse_later_than(&mut self, term: u64) {
        if self.shares.iter().all(|share| share.term_max >= term) {
            return;
        }
        for share in std::mem::take(&mut self.shares) {
            if share.term_max >= term {
                self.shares.push(share);
            } else {
                self.commands -= share.count;
                self.bytes -= share.block.len();
                let _ = share.done.send(ShareOutcome::Refused(Refusal::NotLeader(None)));
            }
        }
    }

    fn cost(&self) -> usize {
        Room::cost(self.bytes, self.commands)
    }

    fn grows(&self) -> bool {
        self.shares.iter().any(|share| share.grows)
    }

    /// Refuses the shares that need memory; the others wait on.
    fn refuse(self, waiting: &mut VecDeque<Share>) {
        let (grow, rest): (Vec<_>, Vec<_>) = self.shares.into_iter().partition(|share| share.grows);
        for share in grow {
            let _ = share.done.send(ShareOutcome::Refused(Refusal::OutOfMemory));
        }
        rest.into_iter().rev().for_each(|share| waiting.push_front(share));
    }
}

/// Proposes until the inbox is closed.
pub(super) async fn run<RT: AsyncRuntime>(proposer: Proposer<RT>) {
    let Proposer { raft, partition, inbox, room, tick, boot_ns, seed } = proposer;
    let mut clock = EntryClock { last: 0, at: RT::Instant::now() };
    let mut number = 0u64;
    let mut waiting = VecDeque::new();
    // Since when nothing was proposed for want of memory.
    let mut starved: Option<RT::Instant> = None;
    while !inbox.closed.load(Ordering::Acquire) {
        let mut short = false;
        if !inbox.in_flight.load(Ordering::Acquire) {
            for _ in 0..GATHERING_TURNS {
                tokio::task::yield_now().await;
            }
        }
        while !inbox.in_flight.load(Ordering::Acquire) {
            let Some(mut draft) = Draft::next(&inbox, &mut waiting) else { break };
            let leader = raft.server_metrics().borrow_watched().vote.leader_id;
            draft.refuse_later_than(leader.term);
            if draft.shares.is_empty() {
                continue;
            }
            let mut expects = None;
            if let Some(token) = draft.shares[0].watch.clone()
                && !planted(Bug::WatchIsCheckedTooEarly)
            {
                // All before it is applied.
                let state = partition.lock();
                if token.load(Ordering::Acquire) {
                    drop(state);
                    let _ = draft.shares.remove(0).done.send(ShareOutcome::Dirty);
                    continue;
                }
                expects = state.applied;
            }
            let cost = draft.cost();
            if !draft.grows() {
                room.take_anyway(cost);
            } else if room.take(&partition, cost, boot_ns()) {
                starved = None;
            } else if room.may_be_freed() && starved.get_or_insert_with(RT::Instant::now).elapsed() < ROOM_PATIENCE {
                draft.undo(&mut waiting);
                short = true;
                break;
            } else {
                draft.refuse(&mut waiting);
                continue;
            }
            number += 1;
            inbox.in_flight.store(true, Ordering::Release);
            let (applied_clock, limits) = {
                let state = partition.lock();
                (state.clock, *state.keyspace.limits())
            };
            let limits = (limits != Limits::DEFAULT).then(|| Box::new(limits));
            let fenced = draft.shares.iter().any(|share| share.term_max != ANY_TERM);
            let (blocks, mut done) = types::split(draft.shares);
            early::answer(&partition, &blocks, &mut done);
            let tick = clock.next(applied_clock, tick());
            let mutations = Mutations { tick, seed: seed ^ number, expects, limits, blocks };
            let finished = {
                let (inbox, room) = (Arc::clone(&inbox), Arc::clone(&room));
                move || {
                    if !planted(Bug::RoomIsNotGivenBack) {
                        room.give_back(cost);
                    }
                    inbox.in_flight.store(false, Ordering::Release);
                    inbox.wake.notify_one();
                }
            };
            // An error means that the group has stopped; the dropped responder answers.
            let mut write = raft.write(Arc::new(mutations));
            if fenced {
                write = write.with_leader(leader);
            }
            let responder = ShareResponder::new(done, Box::new(finished));
            inbox.note(responder.waiting());
            let _ = write.responder(responder).await;
        }
        if short {
            room.press();
            let _ = RT::timeout(ROOM_LOOK_PERIOD, inbox.wake.notified()).await;
        } else {
            inbox.wake.notified().await;
        }
    }
    for share in waiting {
        let _ = share.done.send(ShareOutcome::Refused(Refusal::NotLeader(None)));
    }
    inbox.refuse_all();
}
