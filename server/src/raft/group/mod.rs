//! One copy of a partition as a member of its Raft group.
//!
//! ```text
//! peer link --handle--> Group --> openraft <--> MemoryLog
//! connections --Share--> Inbox --> proposer --> openraft --> Machine --> Partition (keyspace)
//!                                                  |
//!                       observer: role      sampler: lease      janitor: log cut by bytes
//! ```

mod members;
mod recency;
mod standing;

pub use members::{CopyProgress, ReshapeError};
pub use standing::Standing;

use super::codec::{Malformed, Reader, WriteMessage};
use super::lease::LeaseSampler;
use super::log::MemoryLog;
use super::machine::Machine;
use super::network::{Address, GroupRaft, GroupRpc, Kind, Network, Receiver, STATUS_OK, STATUS_REFUSED};
use super::partition::{Followers, Partition, Role};
use super::proposer::{self, Inbox, Proposer};
use super::room::Room;
use super::types::{GroupTypes, LeaderId, LogId, Membership, StoredMembership, Vote};
use crate::clock::Tick;
use crate::ids::{CopyId, NodeNo, PartitionId};
use bytes::{BufMut, Bytes, BytesMut};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use openraft::storage::RaftLogStorage;
use openraft::{AsyncRuntime, Config, Instant, Raft, ServerState, SnapshotPolicy};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Log bytes past which it is cut even if a snapshot is being sent that needs its entries.
const LOG_BYTES_WHILE_SENDING_MAX: usize = 256 * 1024 * 1024;
/// A leader that no quorum has answered for so long tells whoever waits for a write that its fate is unknown.
const QUORUM_SILENCE_MAX: Duration = Duration::from_secs(5);

/// How groups are timed. Failover takes about `election_ms.1` + a random part of the range (OPENRAFT.md).
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between heartbeats, milliseconds.
    pub heartbeat_ms: u64,
    /// Election timeout, shortest and longest, milliseconds.
    pub election_ms: (u64, u64),
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat_ms: 100, election_ms: (250, 500) }
    }
}

/// What all groups of a node share.
pub struct GroupHost {
    /// The way to other nodes.
    pub rpc: Arc<dyn GroupRpc>,
    /// How they are timed.
    pub timing: Timing,
    /// One incoming snapshot a node at a time.
    pub snapshot_permits: Arc<Semaphore>,
    /// The wall clock, finely.
    pub tick: fn() -> Tick,
    /// Boot time, in nanoseconds: as for the leases.
    pub boot_ns: fn() -> u64,
    /// How long a loop waits that looks at something every so often ([`crate::clock::until_beat`]).
    pub until_beat: fn(Duration) -> Duration,
    /// The node's memory.
    pub room: Arc<Room>,
    /// Told when the role or the term of a copy changes, so that others hear of a new leader at once.
    pub roles_changed: Notify,
}

/// How a copy comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Empty, waiting for a leader to send it the partition.
    Empty,
    /// From what the partition holds now, as the group's only voter: a solo partition that becomes a group, or the
    /// survivor of a generation.
    Alone,
}

/// One copy of a partition.
pub struct Group<RT: AsyncRuntime> {
    partition: Arc<Partition>,
    generation: u32,
    me: CopyId,
    raft: GroupRaft<RT>,
    log: MemoryLog,
    inbox: Arc<Inbox>,
    host: Arc<GroupHost>,
    receiver: Mutex<Receiver>,
    sampler: LeaseSampler,
    stopped: AtomicBool,
    /// Whether it was stopped for good, and kept for the next generation.
    sealed: AtomicBool,
    /// Changes of the members that were ordered: the last one counts.
    reshapes: AtomicU64,
    /// Whether followers are being told of recency.
    telling: AtomicBool,
    machine: Weak<()>,
}

impl<RT: AsyncRuntime> Followers for Group<RT> {
    fn followers(&self) -> Option<(u64, Vec<u64>)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let others = replication.iter().filter(|(id, _)| **id != self.me.pack());
        let matched = others.map(|(_, matched)| matched.map_or(0, |id| id.index));
        Some((metrics.last_log_index.unwrap_or(0), matched.collect()))
    }
}

impl<RT: AsyncRuntime> Group<RT> {
    /// Starts a copy. Must be called on the runtime that it is to live on.
    ///
    /// # Errors
    /// Where openraft does not start, as text.
    pub async fn start(
        host: Arc<GroupHost>,
        partition: Arc<Partition>,
        generation: u32,
        me: CopyId,
        start: Start,
    ) -> Result<Arc<Self>, String> {
        let log = match start {
            Start::Empty => MemoryLog::new(partition.log_account()),
            Start::Alone => Self::begin_alone(&partition, me).await,
        };
        let machine = Machine::new(Arc::clone(&partition), host.tick);
        let life = machine.life();
        let network = Network::<RT>::new(Arc::clone(&host), Arc::clone(&partition), generation, me);
        let config = config(partition.id(), host.timing)?;
        let raft = Raft::new(me.pack(), config, network, log.clone(), machine).await.map_err(|e| e.to_string())?;
        let inbox = Arc::new(Inbox::default());
        partition.set_inbox(Some(Arc::clone(&inbox)));
        let group = Arc::new(Self {
            partition,
            generation,
            me,
            raft,
            log,
            inbox,
            host,
            receiver: Mutex::new(Receiver::new()),
            sampler: LeaseSampler::default(),
            stopped: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            reshapes: AtomicU64::new(0),
            telling: AtomicBool::new(false),
            machine: life,
        });
        let followers: Weak<dyn Followers> = Arc::<Self>::downgrade(&group);
        group.partition.set_followers(followers);
        // Dropping a handle does not end its task: they live as long as the group.
        let seed = u64::from(generation) << 32 ^ me.pack() ^ (group.host.tick)();
        let proposer = Proposer {
            raft: group.raft.clone(),
            partition: Arc::clone(&group.partition),
            inbox: Arc::clone(&group.inbox),
            room: Arc::clone(&group.host.room),
            tick: group.host.tick,
            boot_ns: group.host.boot_ns,
            seed,
        };
        drop(RT::spawn(proposer::run(proposer)));
        drop(RT::spawn(Arc::clone(&group).observe()));
        if start == Start::Alone {
            // The only voter: no reason to wait for an election timeout.
            let _ = group.raft.trigger().elect(false).await;
        }
        Ok(group)
    }

    /// Makes the partition as it is now the state that a group of one begins with, as if from a log that was cut. From
    /// here on writes queue until the group leads.
    async fn begin_alone(partition: &Partition, me: CopyId) -> MemoryLog {
        let leader_id = LeaderId { term: 1, node_id: me.pack() };
        let first = LogId { leader_id, index: 1 };
        let log = MemoryLog::starting_after(first, partition.log_account());
        let _ =
            RaftLogStorage::<GroupTypes<RT>>::save_vote(&mut log.clone(), &Vote { leader_id, committed: false }).await;
        let mut state = partition.lock();
        state.applied = Some(first);
        let members = Membership::new_with_defaults(vec![BTreeSet::from([me.pack()])], []);
        state.membership = StoredMembership::new(Some(first), members);
        state.role = Role::Follower(None);
        log
    }

    /// The partition.
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// The group's generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// This copy.
    pub fn copy(&self) -> CopyId {
        self.me
    }

    /// openraft's handle.
    pub fn raft(&self) -> &GroupRaft<RT> {
        &self.raft
    }

    /// Bytes of the log.
    pub fn log_bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Stops this copy. Its items stay in the partition until the caller clears them.
    pub async fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.partition.set_lease(0);
        self.partition.set_inbox(None);
        self.receiver.lock().abandon();
        let _ = self.raft.shutdown().await;
    }

    /// Applies what the log of this copy, which was stopped, holds beyond what it has applied: the survivor that a
    /// generation begins with has the only word on what was committed, and some of it may have been answered.
    pub async fn apply_rest(&self) {
        self.until_machine_ends().await;
        let applied = self.partition.lock().applied().map(|id| id.index);
        let rest = self.log.after(applied);
        match self.partition.apply_rest(&rest) {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!(partition = self.partition.id().0, "the log has a gap: its rest is not applied")
            }
            Err(error) => {
                tracing::error!(partition = self.partition.id().0, %error, "the rest of the log is not applied")
            }
        }
    }

    /// Waits until the state machine of a copy that was stopped has applied what it was at; false where that takes long.
    async fn until_machine_ends(&self) -> bool {
        for _ in 0..1000 {
            if self.machine.strong_count() == 0 {
                return true;
            }
            RT::sleep(Duration::from_millis(1)).await;
        }
        false
    }

    /// Whether the group's Raft core has not ended.
    pub fn is_running(&self) -> bool {
        self.raft.metrics().borrow_watched().running_state.is_ok()
    }

    /// Follows openraft's metrics and keeps the partition's role true.
    async fn observe(self: Arc<Self>) {
        let mut metrics = self.raft.server_metrics();
        loop {
            let (state, leader) = {
                let now = metrics.borrow_and_update();
                (now.state, now.current_leader)
            };
            if self.stopped.load(Ordering::Acquire) {
                return;
            }
            let role = match state {
                ServerState::Leader => Role::Leader,
                _ => Role::Follower(leader.map(|id| CopyId::unpack(id).node).filter(|node| *node != self.me.node)),
            };
            let term = metrics.borrow_watched().vote.leader_id.term;
            self.set_role(role, term);
            if metrics.changed().await.is_err() {
                break;
            }
        }
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        // openraft gives up where it finds that a promise of Raft's is broken, and a panic ends it, too.
        tracing::error!(
            partition = self.partition.id().0,
            generation = self.generation,
            "copy has ended by a fault: the others go on without it until this node is started anew"
        );
        self.stop().await;
        let term = self.partition.lock().term;
        self.set_role(Role::Follower(None), term);
    }

    fn set_role(&self, role: Role, term: u64) {
        let mut state = self.partition.lock();
        if state.term != term || state.role != role {
            self.host.roles_changed.notify_one();
        }
        state.term = term;
        if state.role == role {
            return;
        }
        if role != Role::Leader {
            self.partition.set_lease(0);
        }
        state.role = role;
        if role == Role::Leader {
            state.keyspace.tell_from_here();
        }
        drop(state);
        tracing::info!(partition = self.partition.id().0, generation = self.generation, term, %role, "role changed");
    }

    /// Renews the lease where this copy leads; called every few milliseconds. `jumped` where the clocks show that the
    /// machine was suspended since the last call.
    pub fn sample_lease(&self, boot_ns: u64, jumped: bool) {
        let until = self.sampler.sample::<RT>(&self.raft, &self.partition, self.host.timing, boot_ns, jumped);
        self.partition.set_lease(until);
        // A change that began meanwhile, or the end, has set it to zero before this: asked again, so that it stays so.
        if self.sampler.is_barred(self.term()) || self.stopped.load(Ordering::SeqCst) {
            self.partition.set_lease(0);
        }
        if self.is_cut_off() {
            self.inbox.give_up();
        }
    }

    /// Whether this copy leads and a quorum has been silent for long.
    fn is_cut_off(&self) -> bool {
        let Ok(leader) = self.raft.as_leader() else { return false };
        leader.last_quorum_acked().is_some_and(|at| at.elapsed() > QUORUM_SILENCE_MAX)
    }

    /// Cuts the log where it has grown past its budget, and forgets a snapshot that does not go on arriving.
    pub async fn tidy(&self) {
        self.receiver.lock().expire((self.host.boot_ns)());
        self.cut_log().await;
    }

    async fn cut_log(&self) {
        let bytes = self.log.bytes();
        let bytes_max = self.host.room.log_bytes_max(self.partition.memory_bytes());
        if bytes <= bytes_max {
            return;
        }
        let (applied, view) = {
            let state = self.partition.lock();
            (state.applied.map_or(0, |id| id.index), state.view_index)
        };
        let upto = match view {
            // What comes after a view that is being sent is kept, on a budget of its own.
            Some(view) if bytes < LOG_BYTES_WHILE_SENDING_MAX => view.min(applied),
            _ => applied,
        };
        let snapshot = self.raft.metrics().borrow_watched().snapshot.map_or(0, |id| id.index);
        if snapshot < upto {
            let _ = self.raft.trigger().snapshot().await;
        }
        // A little at a time, so that the log takes again what it gave back.
        let surplus = self.log.surplus(bytes_max / 8 * 7);
        let _ = self.raft.trigger().purge_log(snapshot.min(upto).min(surplus)).await;
    }

    /// Answers a request of another copy.
    pub async fn handle(&self, kind: u8, from: CopyId, mut body: Reader) -> Bytes {
        // A copy that waits for the next generation must not take a snapshot either.
        if self.stopped.load(Ordering::SeqCst) {
            return Bytes::from_static(&[STATUS_REFUSED]);
        }
        let mut answer = BytesMut::with_capacity(64);
        answer.put_u8(STATUS_OK);
        let done = match Kind::from_wire(kind) {
            Ok(kind) => self.carry_out(kind, from, &mut body, &mut answer).await,
            Err(error) => Err(Some(error)),
        };
        match done {
            Ok(()) => answer.freeze(),
            Err(malformed) => {
                if malformed.is_some() {
                    tracing::warn!(partition = self.partition.id().0, ?from, "malformed message of a peer");
                }
                Bytes::from_static(&[STATUS_REFUSED])
            }
        }
    }

    /// `Err(None)` is a refusal, `Err(Some)` a message that does not decode.
    async fn carry_out(
        &self,
        kind: Kind,
        from: CopyId,
        body: &mut Reader,
        answer: &mut BytesMut,
    ) -> Result<(), Option<Malformed>> {
        match kind {
            Kind::Append => {
                let request = body.append_request::<RT>()?;
                answer.put_append_response(&self.raft.append_entries(request).await.map_err(|_| None)?);
                answer.put_u64_le(self.host.room.free_bytes());
            }
            Kind::Vote => {
                let request = body.vote_request::<RT>()?;
                answer.put_vote_response(&self.raft.vote(request).await.map_err(|_| None)?);
            }
            Kind::PreVote => {
                let request = body.vote_request::<RT>()?;
                answer.put_vote_response(&self.raft.pre_vote(request).await.map_err(|_| None)?);
            }
            Kind::Transfer => {
                let vote = body.vote()?;
                let to = body.u64()?;
                let request = TransferLeaderRequest::new(vote, to, body.optional_log_id()?);
                self.raft.handle_transfer_leader(request).await.map_err(|_| None)?.map_err(|_| None)?;
            }
            Kind::SnapshotBegin => {
                let permits = &self.host.snapshot_permits;
                let begun =
                    self.receiver.lock().begin(from, body, self.partition.seed(), permits, (self.host.boot_ns)())?;
                return if begun { Ok(()) } else { Err(None) };
            }
            Kind::SnapshotPiece => {
                let tick = (self.host.tick)();
                let taken = self.receiver.lock().piece(from, body, tick, (self.host.boot_ns)())?;
                return if taken { Ok(()) } else { Err(None) };
            }
            Kind::SnapshotEnd => {
                let (vote, snapshot) = self.receiver.lock().end(from, body)?.ok_or(None)?;
                let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|_| None)?;
                answer.put_vote(&response.vote);
            }
            Kind::Recency => self.hear_recency(body)?,
        }
        Ok(())
    }

    /// Whether this copy leads now.
    pub fn leads(&self) -> bool {
        !self.is_sealed() && self.raft.is_leader()
    }

    /// Whether this copy votes, knows a leader and has applied what it knows to be committed.
    pub fn is_caught_up_voter(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        !self.is_sealed()
            && metrics.current_leader.is_some()
            && metrics.membership_config.voter_ids().any(|id| id == self.me.pack())
            && metrics.cluster_committed.is_some()
            && metrics.last_applied >= metrics.cluster_committed
    }

    /// The leader's node as this copy knows it.
    pub fn leader(&self) -> Option<NodeNo> {
        self.raft.server_metrics().borrow_watched().current_leader.map(|id| CopyId::unpack(id).node)
    }

    /// The term of this copy's vote.
    pub fn term(&self) -> u64 {
        self.raft.server_metrics().borrow_watched().vote.leader_id.term
    }
}

/// Reads where a request is going; the rest is the group's to read.
///
/// # Errors
/// Where the bytes are no such request.
pub fn read_address(reader: &mut Reader) -> Result<(PartitionId, u32, CopyId, CopyId, u8), Malformed> {
    let (address, kind) = Address::read(reader)?;
    Ok((address.partition, address.generation, address.from, address.to, kind as u8))
}

/// The answer to a request for a copy that is not here.
pub fn refusal() -> Bytes {
    Bytes::from_static(&[STATUS_REFUSED])
}

fn config(id: PartitionId, timing: Timing) -> Result<Arc<Config>, String> {
    let (min, max) = timing.election_ms;
    Config {
        cluster_name: format!("partition-{id}"),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: min,
        election_timeout_max: max,
        // Acknowledged entries count as heartbeats.
        heartbeat_min_interval: Some(timing.heartbeat_ms / 2),
        max_payload_entries: 256,
        replication_lag_threshold: u64::MAX / 2,
        // The log is cut by bytes, by `cut_log`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX / 2,
        purge_batch_size: 1,
        install_snapshot_timeout: 30_000,
        removed_leader_step_down: openraft::StepDownPolicy::Never,
        quorum_loss_probe_interval: Some(2 * max),
        enable_pre_vote: Some(true),
        backoff: "20ms 50ms 100ms ...300ms".into(),
        ..Config::default()
    }
    .validate()
    .map(Arc::new)
    .map_err(|error| error.to_string())
}
