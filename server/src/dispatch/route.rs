//! The way of a block to the copy that carries it out, and what happens where that copy has moved.
//!
//! What was refused was certainly not appended, so it is routed anew, whole and in order, until a deadline. Writes that
//! were appended, or may have been, are never sent again, whatever becomes of them; a block of reads alone is.

use super::rejection::Rejection;
use super::run::{Block, Sent};
use super::{Dispatcher, Moment};
use crate::cluster::routes::{Forward, ForwardKind};
use crate::commands::block::{self, BlockReader};
use crate::commands::session::PortKind;
use crate::ids::{NodeNo, PartitionId};
use crate::planted::{Bug, planted};
use crate::raft::{Partition, Refusal, Replies, Role, ShareOutcome};
use bytes::BytesMut;
use futures::future::join_all;
use larder_protocol::{Args, ReplyBuffer, Slot};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a command looks for a leader on the client port.
const CLIENT_PORT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a command waits on the cluster port until a leader is known.
const CLUSTER_PORT_PATIENCE: Duration = Duration::from_secs(1);
/// How long it looks where others have just looked in vain: an application must not hang while a majority is lost.
const VAIN_PATIENCE: Duration = Duration::from_millis(100);
/// First pause before a block is routed anew; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(1);
/// Longest pause before a block is routed anew.
const BACKOFF_MAX: Duration = Duration::from_millis(50);

/// How long, and how often, a command looks for a leader.
pub(super) struct Patience {
    partition: Arc<Partition>,
    /// In boot time.
    deadline_ns: u64,
    backoff: Duration,
}

impl Patience {
    pub fn new(port: PortKind, dispatcher: &Dispatcher, partition: &Arc<Partition>) -> Self {
        Self::from(dispatcher.moment().boot_ns, port, partition)
    }

    /// That of a command that came at `now_ns` boot time.
    fn from(now_ns: u64, port: PortKind, partition: &Arc<Partition>) -> Self {
        let patience = match port {
            _ if partition.was_sought_in_vain(now_ns) => VAIN_PATIENCE,
            PortKind::Client => CLIENT_PORT_PATIENCE,
            PortKind::Cluster => CLUSTER_PORT_PATIENCE,
        };
        let deadline_ns = now_ns + patience.as_nanos() as u64;
        Self { partition: Arc::clone(partition), deadline_ns, backoff: BACKOFF_MIN }
    }

    /// A leader was found after all.
    pub fn rewarded(&self) {
        self.partition.found();
    }

    /// Waits a little longer than the last time; false where the time is over.
    pub async fn pause(&mut self, dispatcher: &Dispatcher) -> bool {
        let now_ns = dispatcher.moment().boot_ns;
        if now_ns >= self.deadline_ns {
            self.partition.sought_in_vain(now_ns);
            return false;
        }
        (dispatcher.sleep)(self.backoff).await;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        true
    }
}

/// A block on its way.
pub(super) struct Errand {
    pub partition: Arc<Partition>,
    pub block: Block,
    pub port: PortKind,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Settled {
    /// One reply a command.
    Applied(Replies),
    /// A watched key had changed.
    Dirty,
    /// Not carried out, or of unknown fate.
    Failed(Failure),
}

/// Why there are no replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// That node leads the partition; the client must go there.
    Elsewhere(NodeNo),
    /// No leader was found in time.
    Down,
    /// No memory at the leader.
    OutOfMemory,
    /// Appended or sent, fate unknown.
    Uncertain,
}

impl Dispatcher {
    /// Sends an errand off: runs it here, or to the leader as far as it is known, `hint` first.
    pub(super) fn send(&self, errand: &Errand, hint: Option<NodeNo>, moment: Moment) -> Sent {
        match self.run_or_find(errand, hint, moment) {
            Ok(sent) => sent,
            Err(leader) => Sent::Later(self.routes.forward(leader, self.request(errand))),
        }
    }

    /// Runs an errand here, or says which node it is to be forwarded to.
    fn run_or_find(&self, errand: &Errand, hint: Option<NodeNo>, moment: Moment) -> Result<Sent, NodeNo> {
        let sent = self.run_here(&errand.partition, &errand.block, None, moment);
        let role = match sent {
            Sent::Now(ShareOutcome::Refused(Refusal::NotLeader(leader))) => Role::Follower(leader),
            Sent::Now(ShareOutcome::Refused(Refusal::NoCopy)) => Role::Absent,
            sent => return Ok(sent),
        };
        let me = self.routes.topology().me;
        let leader = hint.filter(|hint| *hint != me).or_else(|| self.leader_elsewhere(&errand.partition, role));
        match (leader, errand.port) {
            (Some(leader), PortKind::Client) => Err(leader),
            (leader, _) => Ok(Sent::refused(Refusal::NotLeader(leader))),
        }
    }

    /// What is asked of the leader's node.
    fn request(&self, errand: &Errand) -> Forward {
        self.node.stats().forwarded_commands.fetch_add(u64::from(errand.block.count), Ordering::Relaxed);
        Forward::new(errand.partition.id(), ForwardKind::Run, errand.block.bytes.clone(), errand.block.count)
    }

    /// Sends errands off. Those that only read and go to the same node go in one message, whose cost they share; not where
    /// they are long.
    fn send_all(&self, errands: &[Errand], moment: Moment) -> Vec<Sent> {
        /// Bytes of commands in one message.
        const TOGETHER_BYTES_MAX: usize = 256 * 1024;
        let mut sent: Vec<Option<Sent>> = Vec::with_capacity(errands.len());
        let mut together: SmallVec<[(NodeNo, Vec<usize>, usize); 4]> = SmallVec::new();
        for (number, errand) in errands.iter().enumerate() {
            let leader = match self.run_or_find(errand, None, moment) {
                Ok(here) => {
                    sent.push(Some(here));
                    continue;
                }
                Err(leader) => leader,
            };
            let bytes = errand.block.bytes.len();
            if errand.block.writes || bytes > TOGETHER_BYTES_MAX {
                sent.push(Some(Sent::Later(self.routes.forward(leader, self.request(errand)))));
                continue;
            }
            sent.push(None);
            let open = together.iter_mut().find(|(to, _, held)| *to == leader && *held + bytes <= TOGETHER_BYTES_MAX);
            match open {
                Some((_, numbers, held)) => {
                    numbers.push(number);
                    *held += bytes;
                }
                None => together.push((leader, vec![number], bytes)),
            }
        }
        for (leader, numbers, _) in together {
            if let [number] = numbers[..] {
                sent[number] = Some(Sent::Later(self.routes.forward(leader, self.request(&errands[number]))));
                continue;
            }
            let requests = numbers.iter().map(|number| self.request(&errands[*number])).collect();
            for (number, outcome) in numbers.into_iter().zip(self.routes.forward_reads(leader, requests)) {
                sent[number] = Some(Sent::Later(outcome));
            }
        }
        sent.into_iter().flatten().collect()
    }

    /// Sends an errand off and sees it through.
    pub(super) async fn deliver(&self, errand: &Errand, moment: Moment) -> Settled {
        let sent = self.send(errand, None, moment);
        self.settle(errand, sent, moment).await
    }

    /// The same for several at the same time.
    pub(super) async fn deliver_all(&self, errands: &[Errand], moment: Moment) -> Vec<Settled> {
        let sent = self.send_all(errands, moment);
        join_all(errands.iter().zip(sent).map(|(errand, sent)| self.settle(errand, sent, moment))).await
    }

    /// [`Dispatcher::deliver_all`] for commands that belong together only by chance: where a leader has no memory, those
    /// that need none are carried out all the same.
    pub(super) async fn deliver_apart(&self, errands: &[Errand], moment: Moment) -> Vec<Settled> {
        if let [errand] = errands {
            let sent = self.send(errand, None, moment);
            return vec![self.settle_apart(errand, sent, moment).await];
        }
        let sent = self.send_all(errands, moment);
        join_all(errands.iter().zip(sent).map(|(errand, sent)| self.settle_apart(errand, sent, moment))).await
    }

    async fn settle_apart(&self, errand: &Errand, sent: Sent, moment: Moment) -> Settled {
        let settled = self.settle(errand, sent, moment).await;
        let Settled::Failed(Failure::OutOfMemory) = settled else { return settled };
        let Ok((rest, refused)) = errand.block.without_denyoom() else { return settled };
        if rest.count == 0 {
            return settled;
        }
        let partition = Arc::clone(&errand.partition);
        match self.deliver(&Errand { partition, block: rest, port: errand.port }, self.moment()).await {
            Settled::Applied(replies) => Settled::Applied(fill_in(&replies, &refused)),
            settled => settled,
        }
    }

    /// Waits for what was sent, and routes it anew while it is refused and time is left.
    async fn settle(&self, errand: &Errand, mut sent: Sent, moment: Moment) -> Settled {
        let mut patience = Patience::from(moment.boot_ns, errand.port, &errand.partition);
        loop {
            let refusal = match sent.outcome().await {
                ShareOutcome::Applied(replies) if replies.len() == errand.block.count as usize => {
                    patience.rewarded();
                    return Settled::Applied(replies);
                }
                // Fewer replies than commands: carried out, but what came of it is lost.
                ShareOutcome::Applied(_) => return Settled::Failed(Failure::Uncertain),
                ShareOutcome::Uncertain if errand.block.writes && !planted(Bug::UncertainIsSentAgain) => {
                    return Settled::Failed(Failure::Uncertain);
                }
                // Reads have no effect: lost with their link or their leader, they are asked anew.
                ShareOutcome::Uncertain => Refusal::Unreachable,
                ShareOutcome::Dirty => return Settled::Dirty,
                ShareOutcome::Refused(refusal) => refusal,
            };
            let hint = match (refusal, errand.port) {
                (Refusal::OutOfMemory, _) => return Settled::Failed(Failure::OutOfMemory),
                (Refusal::NotLeader(Some(leader)), PortKind::Cluster) if leader != self.routes.topology().me => {
                    return Settled::Failed(Failure::Elsewhere(leader));
                }
                (Refusal::NotLeader(leader), _) => leader,
                (Refusal::NoCopy | Refusal::Unreachable, _) => None,
            };
            if !patience.pause(self).await {
                return Settled::Failed(Failure::Down);
            }
            if planted(Bug::ReroutedOvertakes) && errand.block.count > 1 {
                return self.deliver_one_by_one(errand, true).await;
            }
            // The lease counts from here: what was read before the wait is too old.
            sent = self.send(errand, hint, self.moment());
        }
    }

    /// For [`Bug::ExecInParts`], and with the last one first for [`Bug::ReroutedOvertakes`]: the commands one by one.
    pub(super) async fn deliver_one_by_one(&self, errand: &Errand, backwards: bool) -> Settled {
        let (mut blocks, mut replies) = (Vec::new(), Vec::new());
        let mut reader = BlockReader::new(&errand.block.bytes);
        while let Ok(Some(command)) = reader.next_command() {
            let mut bytes = BytesMut::new();
            block::encode(&mut bytes, command.spec, command.options, command.args);
            blocks.extend(Block::inspect(bytes.freeze(), errand.partition.seed()));
        }
        if backwards {
            blocks.reverse();
        }
        for block in blocks {
            let errand = Errand { partition: Arc::clone(&errand.partition), block, port: errand.port };
            match Box::pin(self.deliver(&errand, self.moment())).await {
                Settled::Applied(one) => replies.push(one),
                _ => return Settled::Failed(Failure::Uncertain),
            }
        }
        if backwards {
            replies.reverse();
        }
        let mut all = Replies::default();
        let mut out = ReplyBuffer::default();
        for one in replies {
            out.raw(one.get(0));
            all.ends.push(out.len() as u32);
        }
        all.bytes = out.take();
        Settled::Applied(all)
    }

    /// The error for a command on `slot` that failed so.
    pub(super) fn rejection(&self, failure: Failure, slot: Slot) -> Rejection {
        match failure {
            Failure::Elsewhere(node) => match self.routes.topology().node(node) {
                Some(node) => Rejection::Moved(slot, node.cluster.unbracketed()),
                None => Rejection::Down,
            },
            Failure::Down => Rejection::Down,
            Failure::OutOfMemory => Rejection::OutOfMemory,
            Failure::Uncertain => Rejection::Uncertain,
        }
    }

    /// The partition numbered `id`.
    pub(super) fn partition(&self, id: PartitionId) -> &Arc<Partition> {
        &self.routes.partitions()[id.index()]
    }
}

/// Replies of all commands: the OOM error for those `refused`, the given ones for the others.
fn fill_in(replies: &Replies, refused: &[bool]) -> Replies {
    let mut all = Replies::default();
    let mut out = ReplyBuffer::default();
    let mut next = 0;
    for refused in refused {
        if *refused {
            Rejection::OutOfMemory.write(Args::new(&[], &[]), &mut out);
        } else {
            out.raw(replies.get(next));
            next += 1;
        }
        all.ends.push(out.len() as u32);
    }
    all.bytes = out.take();
    all
}
