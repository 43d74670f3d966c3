//! The directory's messages between nodes, over whatever carries bytes from node to node.
//!
//! ```text
//! request:  version, kind, receiver's number, generation, body        answer:  version, 0, body   or   version, 1, text
//! ```

use super::generation::Generation;
use super::types::{
    Decoded, DirectoryTypes, Malformed, Snapshot, get_bool, get_bytes, get_count, get_entry, get_log_id,
    get_snapshot_meta, get_vote, put_bytes, put_count, put_entry, put_log_id, put_snapshot_meta, put_vote,
};
use crate::ids::NodeNo;
use bytes::{Buf, BufMut, Bytes};
use futures::future::BoxFuture;
use openraft::alias::VoteOf;
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkV2};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

type C = DirectoryTypes;

/// Carries a request of the directory to another node and its answer back.
pub trait PeerRpc: Send + Sync + 'static {
    /// Sends `body` to the node and waits for the answer of its [`Directory::handle`](super::Directory::handle), no longer
    /// than `timeout`.
    fn call(&self, to: NodeNo, body: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>>;
}

/// A node did not answer: there is no link, or the time was up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {to} does not answer: {reason}")]
pub struct PeerUnreachable {
    /// Which.
    pub to: NodeNo,
    /// Why.
    pub reason: String,
}

/// What a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Append = 1,
    Vote = 2,
    PreVote = 3,
    Snapshot = 4,
    TransferLeader = 5,
    Propose = 6,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Append, Self::Vote, Self::PreVote, Self::Snapshot, Self::TransferLeader, Self::Propose];

    /// Whether only the leader of its generation sends it.
    pub(super) fn is_of_leader(self) -> bool {
        matches!(self, Self::Append | Self::Snapshot)
    }
}

const VERSION: u8 = 2;
/// Version, kind, receiver's number, generation.
const REQUEST_HEADER: usize = 14;

pub(super) fn request(kind: Kind, to: NodeNo, generation: Generation, put: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(REQUEST_HEADER + 64);
    out.put_u8(VERSION);
    out.put_u8(kind as u8);
    out.put_u32(to.0);
    generation.put(&mut out);
    put(&mut out);
    Bytes::from(out)
}

/// What a request asks, of whom, and in which generation; `from` is left at its body.
pub(super) fn open_request(from: &mut Bytes) -> Result<(Kind, NodeNo, Generation), String> {
    let malformed = |_| Malformed.to_string();
    let version = from.try_get_u8().map_err(malformed)?;
    if version != VERSION {
        return Err(format!("directory message of version {version}, this node speaks {VERSION}"));
    }
    let code = from.try_get_u8().map_err(malformed)?;
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == code);
    let kind = kind.ok_or_else(|| format!("directory message of unknown kind {code}"))?;
    let to = NodeNo(from.try_get_u32().map_err(malformed)?);
    let generation = Generation::get(from).map_err(|error| error.to_string())?;
    Ok((kind, to, generation))
}

pub(super) fn answer(result: Result<Vec<u8>, String>) -> Bytes {
    let (status, body) = match result {
        Ok(body) => (0, body),
        Err(text) => (1, text.into_bytes()),
    };
    let mut out = Vec::with_capacity(2 + body.len());
    out.put_u8(VERSION);
    out.put_u8(status);
    out.put_slice(&body);
    Bytes::from(out)
}

/// The body of an answer, or the text of its error.
pub(super) fn open_answer(mut from: Bytes) -> Result<Bytes, String> {
    match (from.try_get_u8(), from.try_get_u8()) {
        (Ok(VERSION), Ok(0)) => Ok(from),
        (Ok(VERSION), Ok(1)) => Err(String::from_utf8_lossy(&from).into_owned()),
        _ => Err(Malformed.to_string()),
    }
}

/// Makes a client for each node that the group talks to.
pub(super) struct PeerFactory {
    pub(super) peers: Arc<dyn PeerRpc>,
    pub(super) generation: Generation,
}

impl RaftNetworkFactory<C> for PeerFactory {
    type Network = Peer;

    // Replication, heartbeats and snapshots each get a client of their own; since a client keeps nothing between calls,
    // they cannot come in each other's way.
    async fn new_client(&mut self, target: u64, (): &()) -> Peer {
        Peer { peers: Arc::clone(&self.peers), generation: self.generation, to: u32::try_from(target).map(NodeNo).ok() }
    }
}

/// One node as the group sees it.
pub(super) struct Peer {
    peers: Arc<dyn PeerRpc>,
    generation: Generation,
    /// None where a Raft id is no node's number.
    to: Option<NodeNo>,
}

impl Peer {
    async fn call<T>(
        &self,
        kind: Kind,
        timeout: Duration,
        put: impl FnOnce(&mut Vec<u8>),
        get: impl FnOnce(&mut Bytes) -> Decoded<T>,
    ) -> Result<T, RPCError<C>> {
        let Some(to) = self.to else { return Err(Unreachable::from_string("no such node").into()) };
        let answer = self.peers.call(to, request(kind, to, self.generation, put), timeout).await;
        let answer = answer.map_err(|error| RPCError::from(Unreachable::new(&error)))?;
        // A node that answers an error may do so at once and for long (it has stopped, it is of another version):
        // "unreachable" makes openraft pause before the next try.
        let mut body = open_answer(answer).map_err(|text| RPCError::from(Unreachable::from_string(text)))?;
        get(&mut body).map_err(|error| NetworkError::new(&error).into())
    }
}

impl RaftNetworkV2<C> for Peer {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        self.call(Kind::Append, option.hard_ttl(), |out| put_append(out, &rpc), get_append_response).await
    }

    async fn vote(&mut self, rpc: VoteRequest<C>, option: RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        self.call(Kind::Vote, option.hard_ttl(), |out| put_vote_request(out, &rpc), get_vote_response).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<C>, option: RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        self.call(Kind::PreVote, option.hard_ttl(), |out| put_vote_request(out, &rpc), get_vote_response).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<C>,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        let sent = self.call(
            Kind::Snapshot,
            option.hard_ttl(),
            |out| put_snapshot(out, &vote, &snapshot),
            |body| Ok(SnapshotResponse::new(get_vote(body)?)),
        );
        tokio::select! {
            answer = sent => Ok(answer?),
            closed = cancel => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        self.call(Kind::TransferLeader, option.hard_ttl(), |out| put_transfer(out, &request), get_transfer_response)
            .await
    }
}

fn put_append(out: &mut Vec<u8>, rpc: &AppendEntriesRequest<C>) {
    put_vote(out, &rpc.vote);
    put_log_id(out, rpc.prev_log_id.as_ref());
    put_log_id(out, rpc.leader_commit.as_ref());
    put_count(out, rpc.entries.len());
    rpc.entries.iter().for_each(|entry| put_entry(out, entry));
}

pub(super) fn get_append(from: &mut Bytes) -> Decoded<AppendEntriesRequest<C>> {
    let vote = get_vote(from)?;
    let prev_log_id = get_log_id(from)?;
    let leader_commit = get_log_id(from)?;
    let entries = (0..get_count(from)?).map(|_| get_entry(from)).collect::<Decoded<_>>()?;
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

pub(super) fn put_append_response(out: &mut Vec<u8>, response: &AppendEntriesResponse<C>) {
    match response {
        AppendEntriesResponse::Success => out.put_u8(0),
        AppendEntriesResponse::PartialSuccess(matching) => {
            out.put_u8(1);
            put_log_id(out, matching.as_ref());
        }
        AppendEntriesResponse::Conflict => out.put_u8(2),
        AppendEntriesResponse::HigherVote(vote) => {
            out.put_u8(3);
            put_vote(out, vote);
        }
    }
}

fn get_append_response(from: &mut Bytes) -> Decoded<AppendEntriesResponse<C>> {
    Ok(match from.try_get_u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(get_log_id(from)?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(get_vote(from)?),
        _ => return Err(Malformed),
    })
}

fn put_vote_request(out: &mut Vec<u8>, rpc: &VoteRequest<C>) {
    put_vote(out, &rpc.vote);
    put_log_id(out, rpc.last_log_id.as_ref());
    out.put_u8(u8::from(rpc.leadership_transfer));
}

pub(super) fn get_vote_request(from: &mut Bytes) -> Decoded<VoteRequest<C>> {
    let mut request = VoteRequest::new(get_vote(from)?, get_log_id(from)?);
    request.leadership_transfer = get_bool(from)?;
    Ok(request)
}

pub(super) fn put_vote_response(out: &mut Vec<u8>, response: &VoteResponse<C>) {
    put_vote(out, &response.vote);
    put_log_id(out, response.last_log_id.as_ref());
    out.put_u8(u8::from(response.vote_granted));
}

fn get_vote_response(from: &mut Bytes) -> Decoded<VoteResponse<C>> {
    Ok(VoteResponse::new(get_vote(from)?, get_log_id(from)?, get_bool(from)?))
}

fn put_snapshot(out: &mut Vec<u8>, vote: &VoteOf<C>, snapshot: &Snapshot) {
    put_vote(out, vote);
    put_snapshot_meta(out, &snapshot.meta);
    put_bytes(out, &snapshot.snapshot);
}

pub(super) fn get_snapshot(from: &mut Bytes) -> Decoded<(VoteOf<C>, Snapshot)> {
    let vote = get_vote(from)?;
    let meta = get_snapshot_meta(from)?;
    Ok((vote, Snapshot { meta, snapshot: get_bytes(from)?.to_vec() }))
}

fn put_transfer(out: &mut Vec<u8>, request: &TransferLeaderRequest<C>) {
    put_vote(out, request.from_leader());
    out.put_u64(*request.to_node_id());
    put_log_id(out, request.last_log_id());
}

pub(super) fn get_transfer(from: &mut Bytes) -> Decoded<TransferLeaderRequest<C>> {
    Ok(TransferLeaderRequest::new(get_vote(from)?, from.try_get_u64()?, get_log_id(from)?))
}

pub(super) fn put_transfer_response(out: &mut Vec<u8>, response: &TransferLeaderResponse<C>) {
    match response {
        Ok(()) => out.put_u8(0),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            out.put_u8(1);
            put_vote(out, expected);
            put_vote(out, actual);
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            out.put_u8(2);
            put_log_id(out, expected.as_ref());
            put_log_id(out, actual.as_ref());
        }
    }
}

fn get_transfer_response(from: &mut Bytes) -> Decoded<TransferLeaderResponse<C>> {
    Ok(match from.try_get_u8()? {
        0 => Ok(()),
        1 => Err(TransferLeaderError::VoteChanged { expected: get_vote(from)?, actual: get_vote(from)? }),
        2 => Err(TransferLeaderError::LogNotFlushed { expected: get_log_id(from)?, actual: get_log_id(from)? }),
        _ => return Err(Malformed),
    })
}
