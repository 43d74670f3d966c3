//! The directory as the rest of the node uses it: this node's member of the group, and the way to its leader.

use super::command::{Applied, DirectoryCommand, DirectoryResponse, Refused};
use super::disk::{self, Closed, Disk};
use super::generation::{self, Generation};
use super::member::{DirectoryRaft, Member, Parts};
use super::network::{
    self, Kind, PeerRpc, answer, get_append, get_snapshot, get_transfer, get_vote_request, open_answer, open_request,
    put_append_response, put_transfer_response, put_vote_response,
};
use super::state::{ClusterId, DirectoryState, Settings};
use super::types::{DirectoryTypes, EncodedCommand, put_vote};
use super::voters::{self, Candidate};
use crate::cluster::identity::DataDirError;
use crate::ids::NodeNo;
use crate::topology::NodeState;
use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::{ChangeMembers, Config, Precondition, RaftMetrics, ReadPolicy, SnapshotPolicy};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long the directory's group waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryTiming {
    /// Between a leader's heartbeats.
    pub heartbeat_ms: u64,
    /// A follower that heard nothing this long, at least, stands for election.
    pub election_ms_min: u64,
    /// And at most.
    pub election_ms_max: u64,
    /// How long a proposal looks for a leader and for its answer before it gives up.
    pub propose_ms_max: u64,
}

impl Default for DirectoryTiming {
    /// Generous, since each vote and entry waits for a disk, and no client waits for the directory.
    fn default() -> Self {
        Self { heartbeat_ms: 150, election_ms_min: 600, election_ms_max: 1200, propose_ms_max: 10_000 }
    }
}

/// Why the directory could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The directory decided against it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Only the leader can.
    #[error("this node does not lead the directory")]
    NotLeader(Option<NodeNo>),
    /// It could not be done in time; a proposal may yet be applied. Proposing it again is safe.
    #[error("the directory did not answer in time: {0}")]
    TimedOut(String),
    /// This node's member of the group has stopped: its disk failed, or it was shut down.
    #[error("the directory has stopped on this node: {0}")]
    Stopped(String),
}

/// How long the answer of one node is waited for, where proposing goes on with another after it.
const ATTEMPT: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(500);
/// A learner that is this near to the leader's last entry is fit to vote.
const LAG_MAX: u64 = 64;

type Metrics = RaftMetrics<DirectoryTypes>;

/// This node's member of the directory's group. Clones share it.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    parts: Parts,
    member: RwLock<Member>,
    /// One change of generation at a time.
    renewal: tokio::sync::Mutex<()>,
    states: watch::Receiver<Arc<DirectoryState>>,
    data_dir: PathBuf,
    /// Gone once this member was shut down.
    disk: Mutex<Option<Disk>>,
    closed: Mutex<Option<Closed>>,
}

/// What a node answers to a proposal that another forwarded to it.
#[derive(serde::Serialize, serde::Deserialize)]
enum Forwarded {
    Answered(DirectoryResponse),
    NotLeader(Option<NodeNo>),
    Failed(String),
}

impl Directory {
    /// Whether a data directory has a member's state.
    pub fn is_in(data_dir: &Path) -> bool {
        disk::path(data_dir).exists()
    }

    /// Opens this node's member, or makes a new one. A new one waits, as a learner does, until a leader finds it or
    /// [`bootstrap`](Self::bootstrap) is called.
    pub async fn open(
        data_dir: &Path,
        me: NodeNo,
        peers: Arc<dyn PeerRpc>,
        timing: DirectoryTiming,
    ) -> Result<Self, DirectoryError> {
        let (disk, closed) = Disk::open(data_dir)?;
        let published = watch::Sender::new(Arc::new(DirectoryState::default()));
        let states = published.subscribe();
        let parts = Parts { me, peers, timing, published };
        let member = Member::open(&parts, &disk, data_dir).await?;
        let inner = Inner {
            parts,
            member: RwLock::new(member),
            renewal: tokio::sync::Mutex::default(),
            states,
            data_dir: data_dir.to_owned(),
            disk: Mutex::new(Some(disk)),
            closed: Mutex::new(Some(closed)),
        };
        Ok(Self(Arc::new(inner)))
    }

    fn raft(&self) -> DirectoryRaft {
        self.0.member.read().raft.clone()
    }

    /// The generation that this node's member is of.
    pub fn generation(&self) -> Generation {
        self.0.member.read().generation
    }

    /// Term and index of the last entry of this member's log.
    pub fn last_log(&self) -> (u64, u64) {
        let last = self.raft().data_metrics().borrow_watched().last_log;
        last.map_or((0, 0), |id| (id.leader_id.term, id.index))
    }

    /// Begins a new generation with this node as the only voter and all that its log holds. Only for a group that has
    /// lost its majority for good: whoever stays with the earlier generation is refused from here on.
    pub async fn begin_generation(&self) -> Result<Generation, DirectoryError> {
        let _turn = self.0.renewal.lock().await;
        let me = self.0.parts.me;
        let next = Generation { number: self.generation().number.saturating_add(1), founder: me };
        let disk = self.end_member().await?;
        generation::begin(&disk, next, me).await.map_err(|error| self.stored(error))?;
        self.reopen(&disk).await?;
        // The only voter: no reason to wait for an election timeout.
        let _ = self.raft().trigger().elect(false).await;
        Ok(next)
    }

    /// Follows the leader of a later generation.
    async fn adopt(&self, generation: Generation) -> Result<(), DirectoryError> {
        let _turn = self.0.renewal.lock().await;
        if generation <= self.generation() {
            return Ok(());
        }
        tracing::warn!(%generation, "the directory has begun anew: this node follows it");
        let shown = self.state();
        let disk = self.end_member().await?;
        generation::adopt(&disk, generation, &shown).await.map_err(|error| self.stored(error))?;
        self.reopen(&disk).await
    }

    async fn end_member(&self) -> Result<Disk, DirectoryError> {
        let member = self.0.member.read().clone();
        let disk = self.0.disk.lock().clone();
        let disk = disk.ok_or_else(|| DirectoryError::Stopped("it was shut down".to_owned()))?;
        member.end().await?;
        Ok(disk)
    }

    async fn reopen(&self, disk: &Disk) -> Result<(), DirectoryError> {
        let member = Member::open(&self.0.parts, disk, &self.0.data_dir).await?;
        *self.0.member.write() = member;
        Ok(())
    }

    fn stored(&self, error: std::io::Error) -> DirectoryError {
        DirectoryError::DataDir(DataDirError::from_io(&self.0.data_dir, error))
    }

    /// Makes this node the only voter of a new cluster. Doing it again is harmless.
    pub async fn bootstrap(&self, id: ClusterId, settings: Settings) -> Result<(), DirectoryError> {
        match self.raft().initialize(BTreeSet::from([u64::from(self.0.parts.me.0)])).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => return Err(DirectoryError::Stopped(error.to_string())),
        }
        self.propose(DirectoryCommand::CreateCluster { id, settings }).await?;
        Ok(())
    }

    /// The states from now on; the present one is there at once. They are what this node has applied: the leader may be
    /// ahead.
    pub fn subscribe(&self) -> watch::Receiver<Arc<DirectoryState>> {
        self.0.states.clone()
    }

    /// The present state on this node.
    pub fn state(&self) -> Arc<DirectoryState> {
        Arc::clone(&self.0.states.borrow())
    }

    /// The node that leads the directory, as far as this one knows.
    pub fn leader(&self) -> Option<NodeNo> {
        self.metrics(|metrics| metrics.current_leader.and_then(node_no))
    }

    /// Whether this node leads the directory, as far as it knows. What must not be done by two is done under
    /// [`confirm_leadership`](Self::confirm_leadership).
    pub fn leads(&self) -> bool {
        self.raft().is_leader()
    }

    /// The voters of the group's present membership, and its learners.
    pub fn members(&self) -> (BTreeSet<NodeNo>, BTreeSet<NodeNo>) {
        self.metrics(|metrics| {
            let membership = metrics.membership_config.membership();
            let learners = membership.learner_ids().filter_map(node_no).collect();
            (membership.voter_ids().filter_map(node_no).collect(), learners)
        })
    }

    /// Asks a quorum whether this node still leads; returns its term as orders to partitions carry it: it
    /// grows over generations. All that was answered before is applied on this node when it returns.
    pub async fn confirm_leadership(&self) -> Result<u64, DirectoryError> {
        let term = self.metrics(|metrics| metrics.current_term);
        match timeout(ATTEMPT, self.raft().ensure_linearizable(ReadPolicy::ReadIndex)).await {
            Ok(Ok(_)) if self.metrics(|metrics| metrics.current_term) == term => Ok(self.generation().order_term(term)),
            Ok(Ok(_)) => Err(DirectoryError::NotLeader(self.leader())),
            Ok(Err(RaftError::Fatal(error))) => Err(DirectoryError::Stopped(error.to_string())),
            Ok(Err(_)) => Err(DirectoryError::NotLeader(self.leader())),
            Err(_) => Err(DirectoryError::TimedOut("no quorum confirms the leader".to_owned())),
        }
    }

    /// Has the directory decide on a command, wherever its leader is. The command may be applied more than once, which
    /// commands are made for.
    pub async fn propose(&self, command: DirectoryCommand) -> Result<Applied, DirectoryError> {
        let command = Bytes::from(command.encode());
        let deadline = Instant::now() + Duration::from_millis(self.0.parts.timing.propose_ms_max);
        let mut pause = RETRY_FIRST;
        let mut hint = None;
        loop {
            let target = hint.take().or_else(|| self.leader()).unwrap_or(self.0.parts.me);
            let attempt = if target == self.0.parts.me {
                self.propose_here(command.clone()).await
            } else {
                self.forward(target, command.clone()).await
            };
            let reason = match attempt {
                Forwarded::Answered(response) => return Ok(response?),
                Forwarded::NotLeader(leader) => {
                    hint = leader.filter(|leader| *leader != target);
                    "no leader is known".to_owned()
                }
                Forwarded::Failed(reason) => reason,
            };
            // A change of generation ends the member on purpose.
            drop(self.0.renewal.lock().await);
            self.check_running()?;
            if Instant::now() + pause >= deadline {
                return Err(DirectoryError::TimedOut(reason));
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn propose_here(&self, command: Bytes) -> Forwarded {
        match timeout(ATTEMPT, self.raft().client_write(EncodedCommand(command))).await {
            Ok(Ok(written)) => Forwarded::Answered(written.data),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Forwarded::NotLeader(forward.leader_id.and_then(node_no))
            }
            Ok(Err(error)) => Forwarded::Failed(error.to_string()),
            Err(_) => Forwarded::Failed("no quorum answers".to_owned()),
        }
    }

    async fn forward(&self, to: NodeNo, command: Bytes) -> Forwarded {
        let request = network::request(Kind::Propose, to, self.generation(), |out| out.extend_from_slice(&command));
        match self.0.parts.peers.call(to, request, ATTEMPT + RETRY_MAX).await {
            Err(error) => Forwarded::Failed(error.to_string()),
            Ok(answer) => open_answer(answer)
                .and_then(|body| serde_json::from_slice(&body).map_err(|error| error.to_string()))
                .unwrap_or_else(Forwarded::Failed),
        }
    }

    /// Answers a request that another node's directory sent.
    pub async fn handle(&self, mut request: Bytes) -> Bytes {
        answer(self.answer_to(&mut request).await)
    }

    async fn answer_to(&self, body: &mut Bytes) -> Result<Vec<u8>, String> {
        let (kind, to, generation) = open_request(body)?;
        if to != self.0.parts.me {
            return Err(format!("this is node {}, not node {to}", self.0.parts.me));
        }
        let text = |error: &dyn std::error::Error| error.to_string();
        if generation > self.generation() && kind.is_of_leader() {
            self.adopt(generation).await.map_err(|e| text(&e))?;
        }
        let mine = self.generation();
        if generation != mine {
            return Err(format!("the directory is of generation {mine} here, the message of {generation}"));
        }
        let raft = self.raft();
        let mut out = Vec::new();
        match kind {
            Kind::Append => {
                let request = get_append(body).map_err(|e| text(&e))?;
                put_append_response(&mut out, &raft.append_entries(request).await.map_err(|e| text(&e))?);
            }
            Kind::Vote => {
                let request = get_vote_request(body).map_err(|e| text(&e))?;
                put_vote_response(&mut out, &raft.vote(request).await.map_err(|e| text(&e))?);
            }
            Kind::PreVote => {
                let request = get_vote_request(body).map_err(|e| text(&e))?;
                put_vote_response(&mut out, &raft.pre_vote(request).await.map_err(|e| text(&e))?);
            }
            Kind::Snapshot => {
                let (vote, snapshot) = get_snapshot(body).map_err(|e| text(&e))?;
                // A state that cannot be read would stop this member for good: refused before it is handed on.
                DirectoryState::decode(&snapshot.snapshot)?;
                let installed = raft.install_full_snapshot(vote, snapshot).await.map_err(|e| text(&e))?;
                put_vote(&mut out, &installed.vote);
            }
            Kind::TransferLeader => {
                let request = get_transfer(body).map_err(|e| text(&e))?;
                put_transfer_response(&mut out, &raft.handle_transfer_leader(request).await.map_err(|e| text(&e))?);
            }
            Kind::Propose => {
                // The same holds for a command: what is not understood here must not enter the log.
                DirectoryCommand::decode(body)?;
                let forwarded = self.propose_here(body.clone()).await;
                out = serde_json::to_vec(&forwarded).map_err(|e| text(&e))?;
            }
        }
        Ok(out)
    }

    /// Takes a registered node into the group; a voter if one more is of use. Only the leader can; it returns once the
    /// node has caught up.
    pub async fn add_node(&self, no: NodeNo) -> Result<(), DirectoryError> {
        let is_member = self.metrics(|metrics| metrics.membership_config.get_node(&u64::from(no.0)).is_some());
        if !is_member {
            self.change(self.raft().add_learner(u64::from(no.0), (), false)).await?;
        }
        let limit = Duration::from_millis(self.0.parts.timing.propose_ms_max);
        let wait = self.raft().wait(Some(limit));
        // One that leads no more has no replication to watch; balancing says so.
        let settled = |metrics: &Metrics| metrics.replication.is_none() || is_fit(metrics, no);
        if no != self.0.parts.me && wait.metrics(settled, "a node has caught up").await.is_err() {
            return Err(DirectoryError::TimedOut(format!("node {no} has not caught up")));
        }
        self.balance(None).await
    }

    /// Takes a node out of the group. Only the leader can, and not itself: it hands its leadership over, says who is to
    /// lead, and the next leader is to be asked.
    pub async fn remove_node(&self, no: NodeNo) -> Result<(), DirectoryError> {
        if no == self.0.parts.me {
            let heir = self.members().0.into_iter().find(|voter| *voter != no && self.is_fit(*voter));
            let Some(heir) = heir else {
                return Err(DirectoryError::TimedOut("no other voter is fit to lead".to_owned()));
            };
            self.transfer_leadership(heir).await?;
            return Err(DirectoryError::NotLeader(Some(heir)));
        }
        self.balance(Some(no)).await?;
        if self.metrics(|metrics| metrics.membership_config.get_node(&u64::from(no.0)).is_some()) {
            let removed = ChangeMembers::RemoveNodes(BTreeSet::from([u64::from(no.0)]));
            self.change(self.raft().change_membership_if(removed, true, [self.same_membership()])).await?;
        }
        Ok(())
    }

    /// Makes those members vote who should, `without` one. The leader calls it again when learners have caught up.
    pub async fn balance(&self, without: Option<NodeNo>) -> Result<(), DirectoryError> {
        let state = self.state();
        let (now, learners) = self.members();
        // One that is on its way out was made a learner for that, and is not to vote again.
        let stays = |no: NodeNo| {
            state.nodes.get(&no).is_some_and(|node| matches!(node.state, NodeState::Joining | NodeState::Up))
        };
        let candidates: Vec<Candidate> = now
            .iter()
            .chain(&learners)
            .filter(|no| Some(**no) != without && (now.contains(no) || (stays(**no) && self.is_fit(**no))))
            .map(|&no| {
                let zone = state.nodes.get(&no).and_then(|node| node.zone.clone());
                Candidate { no, zone, votes: now.contains(&no) }
            })
            .collect();
        let voters = voters::choose(&candidates);
        let joint = self.metrics(|metrics| metrics.membership_config.get_joint_config().len() > 1);
        if voters.is_empty() || (voters == now && !joint) {
            return Ok(());
        }
        let ids: BTreeSet<u64> = voters.iter().map(|no| u64::from(no.0)).collect();
        self.change(self.raft().change_membership_if(ids, true, [self.same_membership()])).await
    }

    /// Asks `to`, a voter, to lead. It leads once its election is won, not when this returns.
    pub async fn transfer_leadership(&self, to: NodeNo) -> Result<(), DirectoryError> {
        let asked = self.raft().trigger().transfer_leader(u64::from(to.0)).await;
        asked.map_err(|error| DirectoryError::Stopped(error.to_string()))
    }

    /// Stops this member and closes its file.
    pub async fn shutdown(&self) -> Result<(), DirectoryError> {
        let _turn = self.0.renewal.lock().await;
        drop(self.0.disk.lock().take());
        self.raft().shutdown().await.map_err(|error| DirectoryError::Stopped(error.to_string()))?;
        let closed = self.0.closed.lock().take();
        if let Some(closed) = closed
            && timeout(ATTEMPT, closed.wait()).await.is_err()
        {
            return Err(DirectoryError::TimedOut("the directory's file is still in use".to_owned()));
        }
        Ok(())
    }

    /// Stops this member and forgets all that it knew: for a node that joins another cluster.
    pub async fn wipe(self) -> Result<(), DirectoryError> {
        self.shutdown().await?;
        Ok(disk::remove(&self.0.data_dir)?)
    }

    fn metrics<T>(&self, get: impl FnOnce(&Metrics) -> T) -> T {
        get(&self.raft().metrics().borrow_watched())
    }

    #[cfg(test)]
    pub(super) fn has_snapshot(&self) -> bool {
        self.metrics(|metrics| metrics.snapshot.is_some())
    }

    /// Whether this member is alive: a fault, such as a full disk, stops it for good.
    ///
    /// # Errors
    /// The fault.
    pub fn check_running(&self) -> Result<(), DirectoryError> {
        let state = self.metrics(|metrics| metrics.running_state.clone());
        state.map_err(|error| DirectoryError::Stopped(error.to_string()))
    }

    fn same_membership(&self) -> Precondition<DirectoryTypes> {
        let log_id = self.metrics(|metrics| *metrics.membership_config.log_id());
        Precondition::LastMembershipLogId { last_membership_log_id: log_id }
    }

    fn is_fit(&self, no: NodeNo) -> bool {
        self.metrics(|metrics| is_fit(metrics, no))
    }

    async fn change<T>(
        &self,
        change: impl Future<Output = Result<T, RaftError<DirectoryTypes, ClientWriteError<DirectoryTypes>>>>,
    ) -> Result<(), DirectoryError> {
        match timeout(Duration::from_millis(self.0.parts.timing.propose_ms_max), change).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::Fatal(error))) => Err(DirectoryError::Stopped(error.to_string())),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(DirectoryError::NotLeader(forward.leader_id.and_then(node_no)))
            }
            Ok(Err(error)) => Err(DirectoryError::TimedOut(error.to_string())),
            Err(_) => Err(DirectoryError::TimedOut("the change of members is not committed yet".to_owned())),
        }
    }
}

/// Whether the leader, whose metrics these are, has nearly brought the node up to date.
fn is_fit(metrics: &Metrics, no: NodeNo) -> bool {
    let matching = metrics.replication.as_ref().and_then(|all| all.get(&u64::from(no.0)).copied().flatten());
    matching.is_some_and(|log_id| log_id.index + LAG_MAX >= metrics.last_log_index.unwrap_or(0))
}

fn node_no(raft_id: u64) -> Option<NodeNo> {
    u32::try_from(raft_id).ok().map(NodeNo)
}

pub(super) fn config(timing: &DirectoryTiming) -> Result<Config, DirectoryError> {
    let config = Config {
        cluster_name: "directory".to_owned(),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: timing.election_ms_min,
        election_timeout_max: timing.election_ms_max,
        install_snapshot_timeout: 5000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(500),
        max_in_snapshot_log_to_keep: 100,
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        quorum_loss_probe_interval: Some(2 * timing.election_ms_max),
        ..Config::default()
    };
    config.validate().map_err(|error| DirectoryError::Stopped(error.to_string()))
}
