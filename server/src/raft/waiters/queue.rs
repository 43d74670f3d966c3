//! Who waits for which key, in order of arrival.

use super::surroundings::Surroundings;
use super::{Awaited, Wanted, one_reply};
use crate::commands::blocking::{self, WorthFn};
use crate::keyspace::Keyspace;
use crate::planted::{Bug, planted};
use crate::raft::share::{Refusal, Replies, ShareOutcome};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// Bytes that a command in the queues takes besides its own and its keys'.
const WAITER_BYTES: usize = 320;

/// A command that waits.
struct Waiter {
    wanted: Arc<Wanted>,
    done: oneshot::Sender<ShareOutcome>,
    /// An attempt is to be made, whatever its keys hold.
    pending: bool,
    /// An attempt is under way.
    under_way: bool,
    /// Its next attempt is its last: a null is its answer.
    last: bool,
    /// Nobody waits for its outcome any more.
    gone: bool,
}

/// Who waits for a key: those that the same values serve stand in one line. Mostly there is one.
type Queue = SmallVec<[(WorthFn, BTreeSet<u64>); 1]>;

fn line(queue: &mut Queue, worth: WorthFn) -> &mut BTreeSet<u64> {
    let at = queue.iter().position(|(other, _)| std::ptr::fn_addr_eq(*other, worth));
    let at = at.unwrap_or_else(|| {
        queue.push((worth, BTreeSet::new()));
        queue.len() - 1
    });
    &mut queue[at].1
}

/// The commands that wait at a partition.
#[derive(Default)]
pub struct Waiters {
    /// Ids grow: their order is the order of arrival.
    next_id: u64,
    waiting: BTreeMap<u64, Waiter>,
    queues: HashMap<Awaited, Queue>,
    /// Attempts that are to be made, whatever the keys hold.
    pending: BTreeSet<u64>,
    /// The first ones among those.
    fresh: BTreeSet<u64>,
    bytes: usize,
    /// Whether a round of attempts is under way.
    round: bool,
    /// Wakes the steward, where there is one.
    steward: Option<Arc<Notify>>,
    /// What it runs on.
    pub(super) surroundings: Surroundings,
}

impl Waiters {
    pub fn within(surroundings: Surroundings) -> Self {
        Self { surroundings, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// About how many bytes they hold.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys that are waited for.
    pub fn keys(&self) -> impl Iterator<Item = &Awaited> {
        self.queues.keys()
    }

    /// How many of them are waited for by a command that an absent key is worth an attempt to.
    pub fn keys_that_may_go(&self) -> usize {
        self.queues.values().filter(|queue| queue.iter().any(|(worth, _)| worth(None) > 0)).count()
    }

    /// A command takes its place; with `pending` its first attempt is still to be made.
    pub fn add(
        &mut self,
        wanted: Wanted,
        pending: bool,
        done: oneshot::Sender<ShareOutcome>,
        keyspace: &mut Keyspace,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        keyspace.select(wanted.database);
        for key in &wanted.keys {
            keyspace.expect(key);
            let awaited = (wanted.database, Arc::clone(key));
            line(self.queues.entry(awaited).or_default(), wanted.blocking.worth).insert(id);
        }
        if pending {
            self.pending.insert(id);
            self.fresh.insert(id);
        }
        self.bytes += bytes_of(&wanted);
        let wanted = Arc::new(wanted);
        self.waiting.insert(id, Waiter { wanted, done, pending, under_way: false, last: false, gone: false });
        id
    }

    fn take(&mut self, id: u64, keyspace: &mut Keyspace) -> Option<Waiter> {
        let waiter = self.waiting.remove(&id)?;
        keyspace.select(waiter.wanted.database);
        for key in &waiter.wanted.keys {
            let awaited = (waiter.wanted.database, Arc::clone(key));
            if let Some(queue) = self.queues.get_mut(&awaited) {
                line(queue, waiter.wanted.blocking.worth).remove(&id);
                queue.retain(|(_, line)| !line.is_empty());
                if queue.is_empty() {
                    self.queues.remove(&awaited);
                    keyspace.unexpect(key);
                }
            }
        }
        self.pending.remove(&id);
        self.fresh.remove(&id);
        self.bytes -= bytes_of(&waiter.wanted);
        Some(waiter)
    }

    /// Gives a command its outcome and its place up.
    pub fn answer(&mut self, id: u64, outcome: ShareOutcome, keyspace: &mut Keyspace) {
        if let Some(waiter) = self.take(id, keyspace) {
            let _ = waiter.done.send(outcome);
        }
    }

    /// Nobody waits for the outcome of a command any more.
    pub fn forget(&mut self, id: u64, keyspace: &mut Keyspace) {
        match self.waiting.get_mut(&id) {
            // Its place is held until it is known what the attempt did.
            Some(waiter) if waiter.under_way => waiter.gone = true,
            Some(_) if planted(Bug::WhoGaveUpIsServed) => {}
            Some(_) => drop(self.take(id, keyspace)),
            None => {}
        }
    }

    /// Takes a command out that will not wait any longer, and says whether that was possible. It is not where an attempt
    /// is under way, or still to be made, or where one must tell since this copy is not `sure` of its state; nor where it
    /// has its outcome already.
    pub fn withdraw(&mut self, id: u64, sure: bool, keyspace: &mut Keyspace) -> bool {
        let Some(waiter) = self.waiting.get_mut(&id) else { return false };
        if planted(Bug::NullOvertakesAttempt) && waiter.under_way {
            return true;
        }
        if waiter.under_way || waiter.pending || !sure {
            waiter.last = true;
            if !waiter.under_way {
                waiter.pending = true;
                self.pending.insert(id);
            }
            return false;
        }
        if !planted(Bug::WhoGaveUpIsServed) {
            self.take(id, keyspace);
        }
        true
    }

    /// What serves those who wait for a key, one a line.
    pub fn lines(&self, key: &Awaited) -> SmallVec<[WorthFn; 1]> {
        self.queues.get(key).map_or_else(SmallVec::new, |queue| queue.iter().map(|(worth, _)| *worth).collect())
    }

    /// The first in a line of a key who came at or after `from`.
    pub fn next_in_line(&self, key: &Awaited, worth: WorthFn, from: u64) -> Option<u64> {
        let queue = self.queues.get(key)?;
        let (_, line) = queue.iter().find(|(other, _)| std::ptr::fn_addr_eq(*other, worth))?;
        line.range(from..).next().copied()
    }

    /// What a command that waits wants; `None` where nobody waits for its outcome any more.
    pub fn wanted(&self, id: u64) -> Option<Arc<Wanted>> {
        let waiter = self.waiting.get(&id)?;
        let waits = !waiter.done.is_closed() || planted(Bug::WhoGaveUpIsServed);
        (!waiter.under_way && waits).then(|| Arc::clone(&waiter.wanted))
    }

    /// Whether attempts are to be made, whatever the keys hold.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Those, in order of arrival.
    pub fn pending(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().copied()
    }

    /// Refuses all whom no attempt is under way for: certainly nothing was done for them here.
    pub fn dismiss(&mut self, refusal: Refusal, keyspace: &mut Keyspace) {
        let idle: Vec<u64> = self.waiting.iter().filter(|(_, waiter)| !waiter.under_way).map(|(id, _)| *id).collect();
        for id in idle {
            self.answer(id, ShareOutcome::Refused(refusal), keyspace);
        }
        if self.is_empty() {
            self.wake();
        }
    }

    /// Whether a pending attempt is the first of its command.
    pub fn is_first(&self, id: u64) -> bool {
        self.fresh.contains(&id)
    }

    /// Whether a round may begin.
    pub fn is_between_rounds(&self) -> bool {
        !self.round
    }

    /// Attempts for these commands are under way.
    pub fn begin_round(&mut self, ids: &[u64]) {
        self.round = true;
        for id in ids {
            self.pending.remove(id);
            self.fresh.remove(id);
            if let Some(waiter) = self.waiting.get_mut(id) {
                waiter.under_way = true;
                waiter.pending = false;
            }
        }
    }

    /// An attempt is to be made for a command, in the next round.
    pub fn postpone(&mut self, id: u64) {
        self.fresh.remove(&id);
        if let Some(waiter) = self.waiting.get_mut(&id) {
            waiter.pending = true;
            self.pending.insert(id);
        }
    }

    /// An attempt was made without a proposal, and was null.
    pub fn in_vain(&mut self, id: u64, keyspace: &mut Keyspace) {
        let Some(waiter) = self.waiting.get_mut(&id) else { return };
        waiter.pending = false;
        self.pending.remove(&id);
        self.fresh.remove(&id);
        if waiter.last {
            let nothing = ShareOutcome::Applied(waiter.wanted.nothing());
            self.answer(id, nothing, keyspace);
        }
    }

    /// What became of the attempts of a round.
    pub fn end_round(&mut self, ids: &[u64], outcome: ShareOutcome, keyspace: &mut Keyspace) {
        self.round = false;
        for (at, id) in ids.iter().enumerate() {
            let Some(waiter) = self.waiting.get_mut(id) else { continue };
            waiter.under_way = false;
            let answer = match &outcome {
                ShareOutcome::Applied(replies) if replies.len() == ids.len() => {
                    let reply = reply_of(replies, at);
                    let null = blocking::is_null(&reply.bytes);
                    match (null, waiter.last) {
                        (true, true) => Some(ShareOutcome::Applied(waiter.wanted.nothing())),
                        (true, false) => None,
                        (false, _) => Some(ShareOutcome::Applied(reply)),
                    }
                }
                ShareOutcome::Refused(Refusal::OutOfMemory) if waiter.wanted.grows => {
                    Some(ShareOutcome::Refused(Refusal::OutOfMemory))
                }
                // Nothing was proposed: another attempt is due, here or where they are dismissed to.
                ShareOutcome::Refused(_) => {
                    waiter.pending = true;
                    self.pending.insert(*id);
                    None
                }
                ShareOutcome::Applied(_) | ShareOutcome::Dirty | ShareOutcome::Uncertain => {
                    Some(ShareOutcome::Uncertain)
                }
            };
            let gone = waiter.gone;
            match answer {
                Some(answer) => self.answer(*id, answer, keyspace),
                None if gone => drop(self.take(*id, keyspace)),
                None => {}
            }
        }
    }

    /// What wakes the steward; true where there was none yet.
    pub fn appoint(&mut self) -> Option<Arc<Notify>> {
        if self.steward.is_some() {
            return None;
        }
        let wake = Arc::new(Notify::new());
        self.steward = Some(Arc::clone(&wake));
        Some(wake)
    }

    /// The steward goes.
    pub fn retire(&mut self) {
        self.steward = None;
    }

    /// There is something for the steward to do.
    pub fn wake(&self) {
        if let Some(wake) = &self.steward {
            wake.notify_one();
        }
    }
}

fn reply_of(replies: &Replies, at: usize) -> Replies {
    let start = if at == 0 { 0 } else { replies.ends[at - 1] as usize };
    one_reply(replies.bytes.slice(start..replies.ends[at] as usize))
}

fn bytes_of(wanted: &Wanted) -> usize {
    WAITER_BYTES + wanted.block.len() + wanted.keys.iter().map(|key| key.len() + 64).sum::<usize>()
}
