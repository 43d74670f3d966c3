//! What openraft is told about our groups: one module between its moving traits and the rest of Larder.
//!
//! Generic over openraft's `AsyncRuntime`, so that the same groups run on tokio and in the seeded simulation.

use super::runtime::BeatRuntime;
use super::share::{Refusal, Replies, Share, ShareOutcome};
use crate::clock::{Tick, UnixMs, ms_of};
use crate::ids::{CopyId, NodeNo};
use crate::keyspace::collections::limits::Limits;
use crate::planted::{Bug, planted};
use bytes::Bytes;
use openraft::errors::{ClientWriteError, ForwardToLeader};
use openraft::impls::{BoxedErrorSource, InlineBatch, leader_id_adv};
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use openraft::{AsyncRuntime, EntryPayload, OptionalSend, RaftTypeConfig};
use parking_lot::Mutex;
use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The type configuration of a partition's group.
pub struct GroupTypes<RT = BeatRuntime>(PhantomData<fn() -> RT>);

// Derives would ask the same of `RT`.
impl<RT> fmt::Debug for GroupTypes<RT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupTypes")
    }
}
impl<RT> Clone for GroupTypes<RT> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<RT> Copy for GroupTypes<RT> {}
impl<RT> Default for GroupTypes<RT> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<RT> PartialEq for GroupTypes<RT> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<RT> Eq for GroupTypes<RT> {}
impl<RT> PartialOrd for GroupTypes<RT> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<RT> Ord for GroupTypes<RT> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

/// A leader: a term and a copy.
pub type LeaderId = leader_id_adv::LeaderId<u64, u64>;
/// A vote of a group.
pub type Vote = openraft::impls::Vote<LeaderId>;
/// The id of a log entry.
pub type LogId = openraft::LogId<LeaderId>;
/// The members of a group: packed [`CopyId`]s.
pub type Membership = openraft::Membership<u64, ()>;
/// A membership and the entry that brought it.
pub type StoredMembership = openraft::StoredMembership<LeaderId, u64, ()>;
/// What an entry carries.
pub type Payload = EntryPayload<Arc<Mutations>, u64, ()>;
/// An entry of a group's log.
pub type Entry = openraft::impls::Entry<LeaderId, Payload>;
/// What a snapshot says of itself.
pub type SnapshotMeta = openraft::storage::SnapshotMeta<LeaderId, u64, ()>;

impl<RT: AsyncRuntime> RaftTypeConfig for GroupTypes<RT> {
    type D = Arc<Mutations>;
    type R = Applied;
    type NodeId = u64;
    type Node = ();
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = RT;
    type Responder<T>
        = ShareResponder
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// The mutations of one log entry: the shares of many connections, encoded once and shared by log, network and apply.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutations {
    /// The partition's clock, finely, the same on every copy: when items were used.
    pub tick: Tick,
    /// Seed for what is chosen at random in apply.
    pub seed: u64,
    /// Set where a share was checked against watched keys before it was proposed: the entry holds that share alone and
    /// takes effect only if the entry applied before it is this one.
    pub expects: Option<LogId>,
    /// Up to which sizes collections are small in it, as its leader has it set; `None` where that is Redis's default.
    pub limits: Option<Box<Limits>>,
    /// One block a share.
    pub blocks: Vec<Bytes>,
}

impl Mutations {
    /// The partition's clock, for deadlines.
    pub fn clock(&self) -> UnixMs {
        ms_of(self.tick)
    }

    /// Bytes of all blocks.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(Bytes::len).sum()
    }
}

impl fmt::Display for Mutations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shares, {} bytes", self.blocks.len(), self.bytes())
    }
}

/// What apply gives back where somebody waits: one element a share, `None` for a share that was not carried out since
/// [`Mutations::expects`] was not met.
#[derive(Debug, Default, Clone)]
pub struct Applied(pub Vec<Option<Replies>>);

/// Holds the reply slots of an entry's shares while it is in flight.
pub struct ShareResponder {
    waiting: Arc<Waiting>,
    /// Told once when the entry is done, whatever its fate.
    finished: Option<Box<dyn FnOnce() + Send>>,
}

/// Who waits for an entry: one reply slot a share, none where it was answered.
#[derive(Default)]
pub struct Waiting(Mutex<Vec<oneshot::Sender<ShareOutcome>>>);

impl Waiting {
    fn take(&self) -> Vec<oneshot::Sender<ShareOutcome>> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Answers every share that is not answered yet with `outcome`.
    pub fn answer_all(&self, outcome: impl Fn() -> ShareOutcome) {
        for done in self.take() {
            let _ = done.send(outcome());
        }
    }
}

impl ShareResponder {
    /// A responder for these shares, in the order of the entry's blocks.
    pub fn new(waiting: Vec<oneshot::Sender<ShareOutcome>>, finished: Box<dyn FnOnce() + Send>) -> Self {
        Self { waiting: Arc::new(Waiting(Mutex::new(waiting))), finished: Some(finished) }
    }

    /// Who waits, for whoever may have to give up.
    pub fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }
}

impl Drop for ShareResponder {
    fn drop(&mut self) {
        // Dropped without a result: the group has stopped. The entry may be on other copies.
        self.waiting.answer_all(|| ShareOutcome::Uncertain);
        if let Some(finished) = self.finished.take() {
            finished();
        }
    }
}

impl<RT: AsyncRuntime, T: OptionalSend + 'static> Responder<GroupTypes<RT>, T> for ShareResponder {
    fn on_complete(self, result: T) {
        let result: &dyn Any = &result;
        match result.downcast_ref::<ClientWriteResult<GroupTypes<RT>>>() {
            Some(Ok(response)) => {
                for (done, replies) in self.waiting.take().into_iter().zip(&response.data.0) {
                    let _ = done.send(replies.clone().map_or(ShareOutcome::Dirty, ShareOutcome::Applied));
                }
            }
            // Raft refuses before it appends: nothing happened.
            Some(Err(ClientWriteError::ForwardToLeader(forward))) => {
                let leader = leader_of(forward);
                self.waiting.answer_all(|| ShareOutcome::Refused(Refusal::NotLeader(leader)));
            }
            _ if planted(Bug::LostIsAnsweredOk) => self.waiting.answer_all(|| {
                let bytes = Bytes::from_static(b"+OK\r\n");
                ShareOutcome::Applied(Replies { ends: [bytes.len() as u32].into_iter().collect(), bytes })
            }),
            // Appended and then cut off or purged: another leader may have committed it.
            _ => self.waiting.answer_all(|| ShareOutcome::Uncertain),
        }
    }
}

/// The node that a refusal points to.
pub fn leader_of<RT: AsyncRuntime>(forward: &ForwardToLeader<GroupTypes<RT>>) -> Option<NodeNo> {
    forward.leader_id.map(|id| CopyId::unpack(id).node)
}

/// Takes a share apart into what enters the entry and who waits for it.
pub fn split(shares: Vec<Share>) -> (Vec<Bytes>, Vec<oneshot::Sender<ShareOutcome>>) {
    shares.into_iter().map(|share| (share.block, share.done)).unzip()
}
