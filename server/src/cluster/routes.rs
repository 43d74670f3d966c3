//! The way from a key to the copy that serves it.

use super::forwarding;
use super::service;
use crate::ids::{NodeNo, PartitionId};
use crate::raft::BeatRuntime;
use crate::raft::transport::{CallError, Peers};
use crate::raft::{Partition, Refusal, ShareOutcome};
use crate::topology::Topology;
use bytes::Bytes;
use openraft::AsyncRuntime;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a forwarded request may take before its fate counts as unknown.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request that is out looks whether the node that it went to still leads. A node that was superseded has
/// so long, or up to twice that, to answer all the same; one that hands leadership over answers what it has at once.
const SUCCESSION_LOOK: Duration = Duration::from_millis(250);
/// Longer than any node runs.
const FOR_EVER: Duration = Duration::from_secs(20 * 365 * 86_400);

/// A request to another node's copy of a partition.
#[derive(Debug)]
pub struct Forward {
    /// The partition, whose leader the other node is thought to be.
    pub partition: PartitionId,
    /// What is asked.
    pub kind: ForwardKind,
    /// The commands.
    pub block: Bytes,
    /// How many.
    pub count: u32,
    /// The last term in which the other node may do it, set by [`Routes::forward`]: who asked does not wait for it when
    /// another leads in a later one, and may have sent commands there that must not be overtaken.
    pub term_max: u32,
}

impl Forward {
    /// A request that [`Routes::forward`] gives its term.
    pub fn new(partition: PartitionId, kind: ForwardKind, block: Bytes, count: u32) -> Self {
        Self { partition, kind, block, count, term_max: 0 }
    }
}

/// What a [`Forward`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardKind {
    /// Run the commands, in order, together.
    Run,
    /// Watch the keys that are the arguments of the block's one command, for the connection `session` of this node.
    Watch {
        /// Unique among the connections of the asking node.
        session: u64,
    },
    /// Forget what `session` watches.
    Unwatch {
        /// As in `Watch`.
        session: u64,
    },
    /// Attempt the block's one command, and where it has to wait, wait.
    Wait {
        /// Unique among the waits of the asking node.
        session: u64,
        /// For so long; for ever without.
        timeout_ms: Option<u64>,
    },
    /// Count the followers that hold what the partition's log holds, once there are so many.
    Copies {
        /// As in `Wait`.
        session: u64,
        /// So many.
        copies: u32,
        /// Or after so long; never without.
        timeout_ms: Option<u64>,
    },
    /// End a wait: its answer is null, unless it is being served.
    Unwait {
        /// As in `Wait`.
        session: u64,
    },
    /// Run the commands if nothing that `session` watches has changed; forget what it watches.
    Exec {
        /// As in `Watch`.
        session: u64,
    },
}

/// Who leads a partition, as last heard: soft state.
#[derive(Debug, Default)]
struct Leader {
    /// The term in the upper half, the node (0: none known) in the lower. Terms of a later generation begin anew, so a
    /// new generation resets it.
    hint: AtomicU64,
}

impl Leader {
    /// The term of the last hint, and the node that it names.
    fn read(&self) -> (u32, Option<NodeNo>) {
        let hint = self.hint.load(Ordering::Acquire);
        ((hint >> 32) as u32, (hint as u32 != 0).then_some(NodeNo(hint as u32)))
    }
}

/// Whether another node has come to lead a partition since something was sent to its leader.
pub struct Succession {
    leaders: Arc<[Leader]>,
    partition: PartitionId,
    to: NodeNo,
    term: u32,
}

impl Succession {
    /// Whether a node leads that is not the one that was asked, in a later term than then.
    pub fn has_happened(&self) -> bool {
        let (term, leader) = self.leaders[self.partition.index()].read();
        term > self.term && leader.is_some_and(|leader| leader != self.to)
    }

    /// Ends once that has happened and the node that was asked had its time to answer all the same.
    pub async fn settled<RT: AsyncRuntime>(&self) {
        Self::any_settled::<RT>(std::slice::from_ref(self)).await;
    }

    /// The same for any of several.
    pub async fn any_settled<RT: AsyncRuntime>(all: &[Self]) {
        let mut seen = false;
        loop {
            RT::sleep(SUCCESSION_LOOK).await;
            match all.iter().any(Self::has_happened) {
                true if seen => return,
                now => seen = now,
            }
        }
    }
}

/// Partitions of this node, the topology, and the links to other nodes.
pub struct Routes {
    partitions: Arc<[Arc<Partition>]>,
    leaders: Arc<[Leader]>,
    topology: RwLock<Arc<Topology>>,
    forwarder: Option<Arc<dyn Forwarder>>,
}

/// Carries requests to other nodes' copies.
pub trait Forwarder: Send + Sync + 'static {
    /// Sends a request and gives the outcome to `done`: what was certainly not sent is refused as unreachable, what may have
    /// arrived is uncertain. Once `succession` says so, `to` need not be waited for any more.
    fn forward(
        &self,
        to: NodeNo,
        request: Forward,
        timeout: Duration,
        succession: Succession,
        done: oneshot::Sender<ShareOutcome>,
    );

    /// The same for several requests to one node that only read, which may go in one message. Where one of them need not
    /// be waited for any more, all are uncertain: who asked asks anew.
    fn forward_reads(&self, to: NodeNo, reads: Reads, timeout: Duration);
}

/// Requests that only read, in order, with what is said of each in [`Forwarder::forward`].
#[derive(Default)]
pub struct Reads {
    /// What is asked.
    pub requests: Vec<Forward>,
    /// Until when it is waited for.
    pub successions: Vec<Succession>,
    /// Where the outcomes go.
    pub done: Vec<oneshot::Sender<ShareOutcome>>,
}

impl Reads {
    /// Gives the outcomes of `answer` to those who asked.
    pub fn settle(done: Vec<oneshot::Sender<ShareOutcome>>, answer: Result<Bytes, Refusal>) {
        let outcomes = match answer {
            Ok(body) => forwarding::decode_outcomes(body).unwrap_or_default(),
            Err(refusal) => done.iter().map(|_| ShareOutcome::Refused(refusal)).collect(),
        };
        // Of those without an outcome the fate is unknown, which a sender that is gone says.
        for (done, outcome) in done.into_iter().zip(outcomes) {
            let _ = done.send(outcome);
        }
    }
}

/// Over the peer links.
struct Links(Arc<Peers>);

impl Forwarder for Links {
    fn forward(
        &self,
        to: NodeNo,
        request: Forward,
        timeout: Duration,
        succession: Succession,
        done: oneshot::Sender<ShareOutcome>,
    ) {
        let peers = Arc::clone(&self.0);
        let service = match request.kind {
            ForwardKind::Wait { .. } | ForwardKind::Copies { .. } | ForwardKind::Unwait { .. } => service::WAIT,
            _ => service::FORWARD,
        };
        tokio::spawn(async move {
            let body = forwarding::encode_request(&request);
            let answer = tokio::select! {
                biased;
                answer = peers.call(to, service, body, timeout) => answer,
                () = succession.settled::<BeatRuntime>() => Err(CallError::Lost),
            };
            let _ = done.send(match answer {
                Ok(body) => forwarding::decode_outcome(body),
                Err(CallError::NotSent) => ShareOutcome::Refused(Refusal::Unreachable),
                Err(CallError::Lost | CallError::Timeout) => ShareOutcome::Uncertain,
            });
        });
    }
    fn forward_reads(&self, to: NodeNo, reads: Reads, timeout: Duration) {
        let peers = Arc::clone(&self.0);
        tokio::spawn(async move {
            let Reads { requests, successions, done } = reads;
            let body = forwarding::encode_requests(requests.iter());
            let answer = tokio::select! {
                biased;
                answer = peers.call(to, service::READS, body, timeout) => answer,
                () = Succession::any_settled::<BeatRuntime>(&successions) => Err(CallError::Lost),
            };
            Reads::settle(
                done,
                match answer {
                    Ok(body) => Ok(body),
                    Err(CallError::NotSent) => Err(Refusal::Unreachable),
                    Err(CallError::Lost | CallError::Timeout) => Ok(Bytes::new()),
                },
            );
        });
    }
}

impl Routes {
    /// Routes of a node with these partitions, in order.
    ///
    /// # Panics
    /// If the topology has another number of them.
    pub fn new(partitions: impl Into<Arc<[Arc<Partition>]>>, topology: Topology) -> Self {
        let partitions = partitions.into();
        assert_eq!(partitions.len(), topology.owners.len(), "one partition an owner");
        let leaders = partitions.iter().map(|_| Leader::default()).collect();
        Self { partitions, leaders, topology: RwLock::new(Arc::new(topology)), forwarder: None }
    }

    /// The same, with links to other nodes.
    #[must_use]
    pub fn with_peers(self, peers: Arc<Peers>) -> Self {
        self.with_forwarder(Arc::new(Links(peers)))
    }

    /// The same, over whatever carries requests.
    #[must_use]
    pub fn with_forwarder(mut self, forwarder: Arc<dyn Forwarder>) -> Self {
        self.forwarder = Some(forwarder);
        self
    }

    /// All partitions, in order.
    pub fn partitions(&self) -> &Arc<[Arc<Partition>]> {
        &self.partitions
    }

    /// The partition of a slot.
    pub fn partition_of(&self, slot: u16) -> &Arc<Partition> {
        &self.partitions[PartitionId::of_slot(slot, self.partitions.len() as u16).index()]
    }

    /// The picture in force.
    pub fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.read())
    }

    /// Replaces the picture.
    pub fn set_topology(&self, topology: Topology) {
        *self.topology.write() = Arc::new(topology);
    }

    /// The node that leads a partition, as last heard.
    pub fn leader(&self, partition: PartitionId) -> Option<NodeNo> {
        self.leaders[partition.index()].read().1
    }

    /// The term in which it does.
    pub fn term(&self, partition: PartitionId) -> u32 {
        self.leaders[partition.index()].read().0
    }

    /// Takes a hint of who leads; one of an earlier term is ignored. True where it changed anything.
    pub fn hear_leader(&self, partition: PartitionId, term: u32, node: Option<NodeNo>) -> bool {
        let Some(leader) = self.leaders.get(partition.index()) else { return false };
        let hint = u64::from(term) << 32 | u64::from(node.map_or(0, |node| node.0));
        let heard = leader.hint.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| {
            let newer = (old >> 32) as u32 <= term && (node.is_some() || (old >> 32) as u32 == term);
            (newer && old != hint).then_some(hint)
        });
        heard.is_ok()
    }

    /// Forgets who leads, whatever the term: a new generation has begun.
    pub fn forget_leader(&self, partition: PartitionId) {
        self.leaders[partition.index()].hint.store(0, Ordering::Release);
    }

    fn succession(&self, partition: PartitionId, to: NodeNo) -> Succession {
        let term = self.leaders[partition.index()].read().0;
        Succession { leaders: Arc::clone(&self.leaders), partition, to, term }
    }

    /// Sends commands to the node that leads their partition. The outcome comes through the receiver; a receiver whose
    /// sender is gone means [`ShareOutcome::Uncertain`]. The outcome of a wait comes when that ends. A node that hangs
    /// is not waited for once another one leads.
    pub fn forward(&self, to: NodeNo, mut request: Forward) -> oneshot::Receiver<ShareOutcome> {
        let timeout = match request.kind {
            ForwardKind::Wait { timeout_ms, .. } | ForwardKind::Copies { timeout_ms, .. } => {
                timeout_ms.map_or(FOR_EVER, Duration::from_millis).min(FOR_EVER) + FORWARD_TIMEOUT
            }
            _ => FORWARD_TIMEOUT,
        };
        let (done, outcome) = oneshot::channel();
        let succession = self.succession(request.partition, to);
        request.term_max = succession.term;
        match &self.forwarder {
            Some(forwarder) => forwarder.forward(to, request, timeout, succession, done),
            None => drop(done.send(ShareOutcome::Refused(Refusal::Unreachable))),
        }
        outcome
    }

    /// [`Routes::forward`] for several requests to one node that only read: they share a message, and so do their outcomes.
    pub fn forward_reads(&self, to: NodeNo, requests: Vec<Forward>) -> Vec<oneshot::Receiver<ShareOutcome>> {
        let mut reads = Reads { requests, ..Reads::default() };
        let mut outcomes = Vec::with_capacity(reads.requests.len());
        for request in &mut reads.requests {
            let (done, outcome) = oneshot::channel();
            let succession = self.succession(request.partition, to);
            request.term_max = succession.term;
            reads.successions.push(succession);
            reads.done.push(done);
            outcomes.push(outcome);
        }
        match &self.forwarder {
            Some(forwarder) => forwarder.forward_reads(to, reads, FORWARD_TIMEOUT),
            None => Reads::settle(reads.done, Err(Refusal::Unreachable)),
        }
        outcomes
    }
}
