//! Commands that wait: BLPOP and its kin, from the connection that asked to the copy where they wait, and on from there
//! where that copy stops to lead.
//!
//! A wait that ends with a refusal has certainly done nothing, so it begins anew at the next leader with the time that is
//! left. One of unknown fate is answered `-UNCERTAIN`: its element may be gone.

use super::Dispatcher;
use super::conversation::Conversation;
use super::copies::{Question, count_here};
use super::gates::Candidate;
use super::rejection::Rejection;
use super::route::{Errand, Failure, Patience, Settled};
use super::run::Block;
use super::serve::unreadable;
use crate::cluster::routes::{Forward, ForwardKind};
use crate::commands::block;
use crate::commands::blocking::{WaitFor, is_null};
use crate::commands::session::{Client, PortKind, Unblock};
use crate::ids::{NodeNo, PartitionId};
use crate::raft::{Begun, Partition, Refusal, Role, ShareOutcome, Wanted};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use larder_protocol::{ReplyBuffer, Slot};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How often a node is told to end a wait.
const UNWAIT_PERIOD: Duration = Duration::from_secs(1);
/// A wait of so long was one: the search for the next leader begins anew.
const WAITED_NS: u64 = 1_000_000_000;

/// What a connection waits for before it goes on. Futures are in locks since a conversation is shared by reference across
/// waits; nobody ever waits for those.
pub(super) enum Parked {
    /// The answer of a command.
    Command { wait: Mutex<BoxFuture<'static, Waited>>, slot: Slot, mark: Mark },
    /// The end of CLIENT PAUSE, before a command that has not begun.
    Pause { over: Mutex<BoxFuture<'static, ()>>, mark: Mark },
}

/// What a wait comes to, and who ended it before its time, if somebody did.
pub(super) type Waited = (Settled, Option<Unblock>);

/// While it lives the client counts as blocked.
pub(super) struct Mark(Arc<Client>);

impl Mark {
    fn new(client: &Arc<Client>) -> Self {
        client.set_blocked(true);
        Self(Arc::clone(client))
    }

    fn paused(client: &Arc<Client>) -> Self {
        client.set_paused();
        Self(Arc::clone(client))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.set_blocked(false);
    }
}

impl Conversation {
    /// Attempts a command, and parks it where it has to wait. Everything before it is answered.
    pub(super) fn begin_wait(
        &mut self,
        candidate: &Candidate<'_>,
        slot: Slot,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        self.resume();
        let mut bytes = BytesMut::new();
        block::encode(&mut bytes, candidate.entry.spec, self.options(), candidate.args);
        let Ok(Some(wanted)) = Wanted::read(bytes.freeze()) else { return Err(Rejection::Malformed) };
        let dispatcher = Arc::clone(&self.dispatcher);
        let deadline_ns = dispatcher.deadline_ns(wanted.wait());
        let (partition, client) = (dispatcher.routes.partition_of(slot), &self.session.client);
        let wait = Wait {
            partition: Arc::clone(partition),
            wanted,
            port: self.session.port,
            deadline_ns,
            client: Arc::clone(client),
        };
        if candidate.entry.is_write() {
            self.written.mark(partition.id());
        }
        self.park(Box::pin(async move { dispatcher.see_through(wait).await }), slot, out)
    }

    /// Takes the answer of a wait that needs none, or parks it.
    pub(super) fn park(
        &mut self,
        mut wait: BoxFuture<'static, Waited>,
        slot: Slot,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        match (&mut wait).now_or_never() {
            Some(waited) => self.end_wait(waited, slot, out),
            None => {
                self.meter.stop();
                let mark = Mark::new(&self.session.client);
                self.parked = Some(Parked::Command { wait: Mutex::new(wait), slot, mark });
                Ok(())
            }
        }
    }

    /// Lets the next command wait until CLIENT PAUSE is over for what writes, or for all.
    pub(super) fn park_paused(&mut self, writes: bool) {
        let dispatcher = Arc::clone(&self.dispatcher);
        let over = Box::pin(async move { dispatcher.node.clients().until_unpaused(writes).await });
        self.parked = Some(Parked::Pause { over: Mutex::new(over), mark: Mark::paused(&self.session.client) });
    }

    /// Waits until the command that is parked is served, or will not be, and appends its reply; or until it may begin.
    /// Dropped before that, it gives the command's place up.
    pub async fn finish_wait(&mut self, out: &mut ReplyBuffer) {
        let (waited, slot) = match self.parked.take() {
            None => return,
            Some(Parked::Pause { over, mark }) => {
                over.into_inner().await;
                drop(mark);
                return;
            }
            Some(Parked::Command { wait, slot, mark }) => {
                let waited = wait.into_inner().await;
                drop(mark);
                (waited, slot)
            }
        };
        self.resume();
        out.set_version(self.session.version);
        let mark = out.len();
        if let Err(rejection) = self.end_wait(waited, slot, out) {
            rejection.write(larder_protocol::Args::new(&[], &[]), out);
        }
        self.answered_late(mark, out);
        self.end_command(mark, out);
        self.session.client.last_active_ms.store(self.moment.wall(), Ordering::Relaxed);
    }

    /// Appends what a wait came to.
    pub(super) fn end_wait(
        &mut self,
        (settled, why): Waited,
        slot: Slot,
        out: &mut ReplyBuffer,
    ) -> Result<(), Rejection> {
        match settled {
            Settled::Applied(replies) => match why {
                Some(Unblock::Error) if is_null(replies.get(0)) => Err(Rejection::Unblocked),
                // The connection closes without an answer, as Redis closes it when it stops: clients connect anew.
                Some(Unblock::Forced) if is_null(replies.get(0)) => Ok(()),
                _ => {
                    out.raw(replies.get(0));
                    Ok(())
                }
            },
            Settled::Dirty => Err(Rejection::Uncertain),
            Settled::Failed(failure) => Err(self.dispatcher.rejection(failure, slot)),
        }
    }
}

/// A command that waits, wherever.
struct Wait {
    partition: Arc<Partition>,
    wanted: Wanted,
    port: PortKind,
    /// In boot time.
    deadline_ns: Option<u64>,
    client: Arc<Client>,
}

impl Dispatcher {
    /// When a wait that begins now is over, in boot time.
    fn deadline_ns(&self, wait: WaitFor) -> Option<u64> {
        match wait {
            WaitFor::Ms(ms) => Some(self.moment().boot_ns.saturating_add(ms.saturating_mul(1_000_000))),
            WaitFor::Ever | WaitFor::Nothing => None,
        }
    }

    /// Waits until then.
    async fn until(&self, deadline_ns: Option<u64>) {
        let Some(deadline_ns) = deadline_ns else { return std::future::pending().await };
        loop {
            let left_ns = deadline_ns.saturating_sub(self.moment().boot_ns);
            if left_ns == 0 {
                return;
            }
            (self.sleep)(Duration::from_nanos(left_ns)).await;
        }
    }

    /// Attempts a command where its partition is led, waits there, and moves on where that changes.
    async fn see_through(self: Arc<Self>, mut wait: Wait) -> Waited {
        let mut patience = Patience::new(wait.port, &self, &wait.partition);
        let mut hint = None;
        let me = self.routes.topology().me;
        loop {
            let moment = self.moment();
            let (outcome, why) = match wait.partition.wait(&mut wait.wanted, moment.wall(), moment.boot_ns) {
                Begun::Done(replies) => (ShareOutcome::Applied(replies), None),
                Begun::Waits(ticket) => {
                    let over = self.until(wait.deadline_ns);
                    ticket.outcome(&wait.wanted, over, wait.client.until_unblocked()).await
                }
                Begun::Refused(refusal) => {
                    let role = match refusal {
                        Refusal::NotLeader(leader) => Role::Follower(leader),
                        _ => Role::Absent,
                    };
                    let leader = hint.filter(|hint| *hint != me);
                    match (leader.or_else(|| self.leader_elsewhere(&wait.partition, role)), wait.port) {
                        (Some(leader), PortKind::Client) => match self.settle_instant(&mut wait).await {
                            Ok(()) => self.wait_there(leader, &wait).await,
                            Err(failure) => return (Settled::Failed(failure), None),
                        },
                        (leader, _) => (ShareOutcome::Refused(Refusal::NotLeader(leader)), None),
                    }
                }
            };
            let refusal = match outcome {
                ShareOutcome::Applied(replies) if replies.len() == 1 => return (Settled::Applied(replies), why),
                // Reads have no effect: lost with their link or their leader, they are asked anew.
                ShareOutcome::Uncertain if !wait.wanted.writes() => Refusal::Unreachable,
                ShareOutcome::Applied(_) | ShareOutcome::Dirty | ShareOutcome::Uncertain => {
                    return (Settled::Failed(Failure::Uncertain), why);
                }
                ShareOutcome::Refused(refusal) => refusal,
            };
            if why.is_some() {
                return (Settled::Applied(wait.wanted.nothing()), why);
            }
            hint = match (refusal, wait.port) {
                (Refusal::OutOfMemory, _) => return (Settled::Failed(Failure::OutOfMemory), None),
                (Refusal::NotLeader(Some(leader)), PortKind::Cluster) if leader != me => {
                    return (Settled::Failed(Failure::Elsewhere(leader)), None);
                }
                (Refusal::NotLeader(leader), _) => leader,
                (Refusal::NoCopy | Refusal::Unreachable, _) => None,
            };
            if self.moment().boot_ns.saturating_sub(moment.boot_ns) >= WAITED_NS {
                patience = Patience::new(wait.port, &self, &wait.partition);
            }
            if !patience.pause(&self).await {
                return (Settled::Failed(Failure::Down), None);
            }
        }
    }

    /// Asks the leader what arguments mean that mean the instant at which the command came, once.
    async fn settle_instant(&self, wait: &mut Wait) -> Result<(), Failure> {
        let Some(question) = wait.wanted.question() else { return Ok(()) };
        let Ok(block) = Block::inspect(question, wait.partition.seed()) else { return Ok(()) };
        let errand = Errand { partition: Arc::clone(&wait.partition), block, port: wait.port };
        match self.deliver(&errand, self.moment()).await {
            Settled::Applied(replies) => wait.wanted.answered(replies.get(0)),
            Settled::Failed(failure) => return Err(failure),
            Settled::Dirty => {}
        }
        Ok(())
    }

    /// Waits at another node.
    async fn wait_there(self: &Arc<Self>, leader: NodeNo, wait: &Wait) -> (ShareOutcome, Option<Unblock>) {
        let kind = |session, timeout_ms| ForwardKind::Wait { session, timeout_ms };
        let block = (wait.wanted.block().clone(), 1);
        self.node.stats().forwarded_commands.fetch_add(1, Ordering::Relaxed);
        // Rounded up: never answered before its time.
        let left_ns = wait.deadline_ns.map(|deadline_ns| deadline_ns.saturating_sub(self.moment().boot_ns));
        let timeout_ms = left_ns.map(|left_ns| left_ns.div_ceil(1_000_000));
        let (mut there, mut outcome) = self.begin_there(leader, wait.partition.id(), block, timeout_ms, kind);
        let why = tokio::select! {
            biased;
            outcome = &mut outcome => {
                there.ended = true;
                return (outcome.unwrap_or(ShareOutcome::Uncertain), None);
            }
            why = wait.client.until_unblocked() => why,
        };
        loop {
            there.end();
            tokio::select! {
                biased;
                outcome = &mut outcome => {
                    there.ended = true;
                    return (outcome.unwrap_or(ShareOutcome::Uncertain), Some(why));
                }
                () = (self.sleep)(UNWAIT_PERIOD) => {}
            }
        }
    }
}

impl Dispatcher {
    /// Asks another node for what may take its time. Dropping what is returned first before the outcome is here ends it there.
    pub(super) fn begin_there(
        self: &Arc<Self>,
        leader: NodeNo,
        partition: PartitionId,
        (block, count): (Bytes, u32),
        timeout_ms: Option<u64>,
        kind: impl FnOnce(u64, Option<u64>) -> ForwardKind,
    ) -> (There, oneshot::Receiver<ShareOutcome>) {
        let session = self.waits.fetch_add(1, Ordering::Relaxed);
        let request = Forward::new(partition, kind(session, timeout_ms), block, count);
        let outcome = self.routes.forward(leader, request);
        (There { dispatcher: Arc::clone(self), leader, partition, session, ended: false }, outcome)
    }
}

/// A wait at another node, which is ended when this is dropped before its outcome is here.
pub(super) struct There {
    dispatcher: Arc<Dispatcher>,
    leader: NodeNo,
    partition: PartitionId,
    session: u64,
    ended: bool,
}

impl There {
    fn end(&self) {
        let kind = ForwardKind::Unwait { session: self.session };
        let request = Forward::new(self.partition, kind, Bytes::new(), 0);
        drop(self.dispatcher.routes.forward(self.leader, request));
    }
}

impl Drop for There {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
        }
    }
}

/// Waits of other nodes' connections, with what ends each.
#[derive(Default)]
pub(super) struct RemoteWaits {
    open: Mutex<HashMap<(NodeNo, u64), Arc<Notify>>>,
}

/// One of them, forgotten when dropped.
struct RemoteWait<'a> {
    all: &'a RemoteWaits,
    who: (NodeNo, u64),
    end: Arc<Notify>,
}

impl RemoteWaits {
    fn open(&self, who: (NodeNo, u64)) -> RemoteWait<'_> {
        let end = Arc::new(Notify::new());
        self.open.lock().insert(who, Arc::clone(&end));
        RemoteWait { all: self, who, end }
    }
}

impl Drop for RemoteWait<'_> {
    fn drop(&mut self) {
        self.all.open.lock().remove(&self.who);
    }
}

impl Dispatcher {
    /// Attempts a command of another node's connection, and lets it wait here. Up to the wait itself nothing is awaited,
    /// so that what ends it, which is sent later, finds it.
    pub(super) async fn serve_wait(
        &self,
        partition: &Arc<Partition>,
        who: (NodeNo, u64),
        block: &Block,
        timeout_ms: Option<u64>,
    ) -> ShareOutcome {
        let deadline_ns = timeout_ms.and_then(|ms| self.deadline_ns(WaitFor::Ms(ms)));
        if block.denyoom && !self.memory.admit(partition) {
            return ShareOutcome::Refused(Refusal::OutOfMemory);
        }
        let Ok(Some(mut wanted)) = Wanted::read(block.bytes.clone()) else {
            return unreadable(block.count, "a command that does not wait is to wait");
        };
        let moment = self.moment();
        match partition.wait(&mut wanted, moment.wall(), moment.boot_ns) {
            Begun::Done(replies) => ShareOutcome::Applied(replies),
            Begun::Refused(refusal) => ShareOutcome::Refused(refusal),
            Begun::Waits(ticket) => {
                let open = self.remote_waits.open(who);
                ticket.outcome(&wanted, self.until(deadline_ns), open.end.notified()).await.0
            }
        }
    }

    /// Counts followers for a connection of another node.
    pub(super) async fn serve_copies(
        &self,
        partition: &Partition,
        who: (NodeNo, u64),
        copies: u32,
        timeout_ms: Option<u64>,
    ) -> ShareOutcome {
        let deadline = timeout_ms.and_then(|ms| tokio::time::Instant::now().checked_add(Duration::from_millis(ms)));
        let question = Question { copies, deadline };
        let open = self.remote_waits.open(who);
        tokio::select! {
            biased;
            outcome = count_here(partition, question) => outcome,
            () = open.end.notified() => count_here(partition, Question { copies: 0, deadline }).await,
        }
    }

    /// Ends a wait of another node's connection.
    pub(super) fn end_remote_wait(&self, who: (NodeNo, u64)) {
        if let Some(end) = self.remote_waits.open.lock().get(&who) {
            end.notify_one();
        }
    }

    /// Ends all waits of connections of `node`: the link to it is lost, and with it the way back. What is being served
    /// is of unknown fate there.
    pub fn drop_waits_of(&self, node: NodeNo) {
        for (_, end) in self.remote_waits.open.lock().iter().filter(|(who, _)| who.0 == node) {
            end.notify_one();
        }
    }
}
