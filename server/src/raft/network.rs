//! How a group's messages reach its other copies, over whatever carries bytes between nodes.
//!
//! A request is `partition: u16, generation: u32, from: copy, to: copy, kind: u8, payload`; an answer `status: u8,
//! payload`. A copy of another generation or incarnation refuses: it is not the one that was meant.

use super::codec::{Malformed, Reader, WriteMessage};
use super::group::GroupHost;
use super::log::entry_bytes;
use super::machine::{Machine, SnapshotData, View};
use super::partition::Partition;
use super::stream_append;
use super::types::{Entry, GroupTypes, LeaderId, Mutations, Payload, SnapshotMeta, Vote};
use crate::clock::{Tick, UnixMs};
use crate::ids::{CopyId, NodeNo, PartitionId};
use crate::keyspace::{Arriving, HashSeed};
use crate::planted::{Bug, planted};
use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use futures::future::{BoxFuture, Either, select};
use futures::stream::BoxStream;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{AsyncRuntime, OptionalSend};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of items in one piece of a snapshot, about: a thousand small ones, so that neither end is busy with it for longer than
/// a millisecond.
const PIECE_BYTES: usize = 64 * 1024;
/// Most bytes of pre-images that may wait while a snapshot is sent; past it the transfer starts again.
const VIEW_BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long one piece may take to be acknowledged.
const PIECE_TIMEOUT: Duration = Duration::from_secs(5);

/// The other node was not reached, or did not answer in time.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0}")]
pub struct PeerUnreachable(pub String);

/// Carries requests of groups to other nodes and brings back their answers.
pub trait GroupRpc: Send + Sync + 'static {
    /// Sends `body` and waits for the answer.
    fn call(&self, to: NodeNo, body: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>>;

    /// Like `call`, for what may wait a moment until something else goes to that node: heartbeats of many groups then
    /// travel together. Of the timeout, that moment is a small part.
    fn call_patiently(
        &self,
        to: NodeNo,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        self.call(to, body, timeout)
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Append = 1,
    Vote = 2,
    PreVote = 3,
    Transfer = 4,
    SnapshotBegin = 5,
    SnapshotPiece = 6,
    SnapshotEnd = 7,
    Recency = 8,
}

impl Kind {
    pub(super) fn from_wire(byte: u8) -> Result<Self, Malformed> {
        [
            Self::Append,
            Self::Vote,
            Self::PreVote,
            Self::Transfer,
            Self::SnapshotBegin,
            Self::SnapshotPiece,
            Self::SnapshotEnd,
            Self::Recency,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
        .ok_or(Malformed)
    }
}

/// Status of an answer: carried out, a payload follows.
pub(super) const STATUS_OK: u8 = 0;
/// Status of an answer: this node does not hold the copy that was meant, or it cannot serve now.
pub(super) const STATUS_REFUSED: u8 = 1;

/// Where a message is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub partition: PartitionId,
    pub generation: u32,
    pub from: CopyId,
    pub to: CopyId,
}

impl Address {
    pub(super) fn write(&self, out: &mut BytesMut, kind: Kind) {
        out.put_u16_le(self.partition.0);
        out.put_u32_le(self.generation);
        out.put_u64_le(self.from.pack());
        out.put_u64_le(self.to.pack());
        out.put_u8(kind as u8);
    }

    pub(super) fn read(reader: &mut Reader) -> Result<(Self, Kind), Malformed> {
        let partition = PartitionId(reader.u16()?);
        let generation = reader.u32()?;
        let from = CopyId::unpack(reader.u64()?);
        let to = CopyId::unpack(reader.u64()?);
        Ok((Self { partition, generation, from, to }, Kind::from_wire(reader.u8()?)?))
    }
}

/// Makes the clients of one copy.
pub(super) struct Network<RT> {
    host: Arc<GroupHost>,
    partition: Arc<Partition>,
    generation: u32,
    me: CopyId,
    runtime: PhantomData<fn() -> RT>,
}

impl<RT> Network<RT> {
    pub(super) fn new(host: Arc<GroupHost>, partition: Arc<Partition>, generation: u32, me: CopyId) -> Self {
        Self { host, partition, generation, me, runtime: PhantomData }
    }

    fn client(&self, target: u64, patient: bool) -> CopyClient<RT> {
        let to = CopyId::unpack(target);
        let address = Address { partition: self.partition.id(), generation: self.generation, from: self.me, to };
        let partition = Arc::clone(&self.partition);
        CopyClient { host: Arc::clone(&self.host), partition, address, patient, transfer: 0, runtime: PhantomData }
    }
}

impl<RT: AsyncRuntime> RaftNetworkFactory<GroupTypes<RT>> for Network<RT> {
    type Network = CopyClient<RT>;

    async fn new_client(&mut self, target: u64, _: &()) -> CopyClient<RT> {
        self.client(target, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _: &()) -> CopyClient<RT> {
        self.client(target, true)
    }
}

/// Speaks to one other copy.
pub(super) struct CopyClient<RT> {
    host: Arc<GroupHost>,
    partition: Arc<Partition>,
    address: Address,
    /// Its messages are heartbeats. The lease counts from the instant at which openraft decided on one, which is before
    /// any wait in the link: waiting makes a lease shorter, never longer.
    patient: bool,
    /// Number of the last snapshot transfer.
    transfer: u64,
    runtime: PhantomData<fn() -> RT>,
}

/// Answers to AppendEntries.
type StreamAppend<'s, RT> = BoxFuture<
    's,
    Result<
        BoxStream<'s, Result<StreamAppendResult<GroupTypes<RT>>, RPCError<GroupTypes<RT>>>>,
        RPCError<GroupTypes<RT>>,
    >,
>;

/// Shorthand.
type Rpc<RT, T> = Result<T, RPCError<GroupTypes<RT>>>;

fn unreachable<RT: AsyncRuntime>(error: impl ToString) -> Unreachable<GroupTypes<RT>> {
    Unreachable::from_string(error)
}

impl<RT: AsyncRuntime> CopyClient<RT> {
    async fn call(
        &self,
        kind: Kind,
        timeout: Duration,
        write: impl FnOnce(&mut BytesMut),
    ) -> Result<Reader, Unreachable<GroupTypes<RT>>> {
        self.call_long(kind, timeout, 256, write).await
    }

    /// The same for a message of about `bytes` bytes.
    async fn call_long(
        &self,
        kind: Kind,
        timeout: Duration,
        bytes: usize,
        write: impl FnOnce(&mut BytesMut),
    ) -> Result<Reader, Unreachable<GroupTypes<RT>>> {
        let mut body = BytesMut::with_capacity(bytes);
        self.address.write(&mut body, kind);
        write(&mut body);
        let (rpc, to, body) = (&self.host.rpc, self.address.to.node, body.freeze());
        let answer = if self.patient { rpc.call_patiently(to, body, timeout) } else { rpc.call(to, body, timeout) };
        let answer = answer.await.map_err(unreachable)?;
        let mut answer = Reader(answer);
        match answer.u8() {
            Ok(STATUS_OK) => Ok(answer),
            _ => Err(unreachable("the other node refuses: it does not hold this copy now")),
        }
    }

    async fn send_view(
        &mut self,
        vote: Vote,
        meta: SnapshotMeta,
        mut view: View,
    ) -> Result<SnapshotResponse<GroupTypes<RT>>, Unreachable<GroupTypes<RT>>> {
        self.transfer += 1;
        let transfer = self.transfer;
        self.call(Kind::SnapshotBegin, PIECE_TIMEOUT, |out| {
            out.put_u64_le(transfer);
            out.put_vote(&vote);
            out.put_snapshot_meta(&meta);
            out.put_u64_le(view.clock());
        })
        .await?;
        let mut number = 0u32;
        loop {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES + 4096);
            let more = view.read(PIECE_BYTES, VIEW_BACKLOG_BYTES_MAX, &mut piece);
            let Some(more) = more else {
                return Err(unreachable("too much changed while the snapshot was sent; it starts again"));
            };
            self.call_long(Kind::SnapshotPiece, PIECE_TIMEOUT, piece.len() + 256, |out| {
                out.put_u64_le(transfer);
                out.put_u32_le(number);
                out.put_bytes_value(&piece);
            })
            .await?;
            number += 1;
            if !more {
                break;
            }
        }
        drop(view);
        let mut answer = self
            .call(Kind::SnapshotEnd, PIECE_TIMEOUT, |out| {
                out.put_u64_le(transfer);
                out.put_u32_le(number);
            })
            .await?;
        Ok(SnapshotResponse::new(answer.vote().map_err(unreachable)?))
    }
}

impl<RT: AsyncRuntime> RaftNetworkV2<GroupTypes<RT>> for CopyClient<RT> {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<GroupTypes<RT>>,
        option: RPCOption,
    ) -> Rpc<RT, AppendEntriesResponse<GroupTypes<RT>>> {
        if planted(Bug::EntryDiffersByCopy) && self.address.to.node.0.is_multiple_of(2) {
            request.entries.iter_mut().for_each(turn_round);
        }
        let bytes = 256 + request.entries.iter().map(entry_bytes).sum::<usize>();
        let put = |out: &mut BytesMut| out.put_append_request(&request);
        let answer = self.call_long(Kind::Append, option.hard_ttl(), bytes, put).await;
        if planted(Bug::ApplyBeforeCommit) && answer.is_err() {
            return Ok(AppendEntriesResponse::Success);
        }
        let mut answer = answer?;
        let response = answer.append_response().map_err(unreachable)?;
        let free = answer.u64().map_err(unreachable)?;
        self.partition.hear_free_bytes(self.address.to.node, free, (self.host.boot_ns)());
        Ok(response)
    }

    fn stream_append<'s, S>(&'s mut self, input: S, option: RPCOption) -> StreamAppend<'s, RT>
    where
        S: Stream<Item = AppendEntriesRequest<GroupTypes<RT>>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let answers: BoxStream<'s, _> = Box::pin(stream_append::run(self, input, option));
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<GroupTypes<RT>>,
        option: RPCOption,
    ) -> Rpc<RT, VoteResponse<GroupTypes<RT>>> {
        let mut answer = self.call(Kind::Vote, option.hard_ttl(), |out| out.put_vote_request(&request)).await?;
        let mut response = answer.vote_response().map_err(unreachable)?;
        if planted(Bug::RefusedVoteCounts) {
            (response.vote, response.vote_granted) = (request.vote, true);
        }
        Ok(response)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<GroupTypes<RT>>,
        option: RPCOption,
    ) -> Rpc<RT, VoteResponse<GroupTypes<RT>>> {
        let mut answer = self.call(Kind::PreVote, option.hard_ttl(), |out| out.put_vote_request(&request)).await?;
        let mut response = answer.vote_response().map_err(unreachable)?;
        response.vote_granted |= planted(Bug::RefusedVoteCounts);
        Ok(response)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<LeaderId, u64, (), SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<GroupTypes<RT>>, StreamingError<GroupTypes<RT>>> {
        let SnapshotData::View(view) = snapshot.snapshot else {
            return Err(unreachable("another snapshot of this partition is being sent").into());
        };
        let transfer = pin!(self.send_view(vote, snapshot.meta, view));
        match select(pin!(cancel), transfer).await {
            Either::Left((closed, _)) => Err(closed.into()),
            Either::Right((result, _)) => Ok(result?),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<GroupTypes<RT>>,
        option: RPCOption,
    ) -> Rpc<RT, Result<(), openraft::raft::TransferLeaderError<GroupTypes<RT>>>> {
        self.call(Kind::Transfer, option.hard_ttl(), |out| {
            out.put_vote(request.from_leader());
            out.put_u64_le(*request.to_node_id());
            out.put_optional_log_id(request.last_log_id());
        })
        .await?;
        Ok(Ok(()))
    }
}

/// For [`Bug::EntryDiffersByCopy`]: the shares in reverse.
fn turn_round(entry: &mut Entry) {
    let Payload::Normal(mutations) = &mut entry.payload else { return };
    let Mutations { tick, seed, expects, ref limits, ref blocks } = **mutations;
    let (limits, blocks) = (limits.clone(), blocks.iter().rev().cloned().collect());
    *mutations = Arc::new(Mutations { tick, seed, expects, limits, blocks });
}

/// A snapshot that has arrived whole, and the vote of its sender.
type Arrived = (Vote, Snapshot<LeaderId, u64, (), SnapshotData>);

/// What a copy does with what it receives; one transfer of a snapshot at a time.
pub(super) struct Receiver {
    incoming: Option<Incoming>,
}

/// So long a transfer of which nothing comes is waited for: by then its sender has given the piece up, however long that is.
const INCOMING_SILENCE_MAX_NS: u64 = 6 * PIECE_TIMEOUT.as_nanos() as u64;

/// A snapshot that is arriving.
struct Incoming {
    transfer: u64,
    from: CopyId,
    vote: Vote,
    meta: SnapshotMeta,
    /// The partition's clock at the snapshot's instant.
    clock: UnixMs,
    next: u32,
    /// Boot time at which something of it came last.
    heard_ns: u64,
    keyspace: Box<Arriving>,
    /// Held while it arrives: one incoming snapshot a node at a time.
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self { incoming: None }
    }

    /// Begins a transfer; one that was going on is dropped.
    pub(super) fn begin(
        &mut self,
        from: CopyId,
        reader: &mut Reader,
        seed: HashSeed,
        permits: &Arc<tokio::sync::Semaphore>,
        now_ns: u64,
    ) -> Result<bool, Malformed> {
        let transfer = reader.u64()?;
        let vote = reader.vote()?;
        let meta = reader.snapshot_meta()?;
        let clock = reader.u64()?;
        self.incoming = None;
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else { return Ok(false) };
        let keyspace = Box::new(Arriving::new(seed));
        self.incoming =
            Some(Incoming { transfer, from, vote, meta, clock, next: 0, heard_ns: now_ns, keyspace, _permit: permit });
        Ok(true)
    }

    /// Takes a piece; false where it does not continue what is arriving.
    pub(super) fn piece(
        &mut self,
        from: CopyId,
        reader: &mut Reader,
        tick: Tick,
        now_ns: u64,
    ) -> Result<bool, Malformed> {
        let transfer = reader.u64()?;
        let number = reader.u32()?;
        let piece = reader.bytes()?;
        let Some(incoming) = &mut self.incoming else { return Ok(false) };
        if (incoming.transfer, incoming.from) != (transfer, from) {
            return Ok(false);
        }
        if number != incoming.next {
            self.incoming = None;
            return Ok(false);
        }
        incoming.next += 1;
        incoming.heard_ns = now_ns;
        let loaded = incoming.keyspace.load(&piece, tick);
        if loaded.is_err() {
            self.incoming = None;
        }
        loaded.map(|()| true).map_err(|_| Malformed)
    }

    /// Ends a transfer and gives what arrived, if it is whole.
    pub(super) fn end(&mut self, from: CopyId, reader: &mut Reader) -> Result<Option<Arrived>, Malformed> {
        let transfer = reader.u64()?;
        let pieces = reader.u32()?;
        let whole = self
            .incoming
            .take_if(|incoming| (incoming.transfer, incoming.from, incoming.next) == (transfer, from, pieces));
        let Some(incoming) = whole else { return Ok(None) };
        let keyspace = Box::new(incoming.keyspace.finish().map_err(|_| Malformed)?);
        let snapshot = SnapshotData::Staged(keyspace, incoming.clock);
        Ok(Some((incoming.vote, Snapshot { meta: incoming.meta, snapshot })))
    }

    /// Forgets a transfer whose sender has given it up, or is gone: it would keep every other snapshot from this node.
    pub(super) fn expire(&mut self, now_ns: u64) {
        let is_silent = |incoming: &mut Incoming| now_ns.saturating_sub(incoming.heard_ns) > INCOMING_SILENCE_MAX_NS;
        self.incoming.take_if(is_silent);
    }

    /// Forgets what was arriving.
    pub(super) fn abandon(&mut self) {
        self.incoming = None;
    }
}

/// The Raft handle of a group.
pub type GroupRaft<RT> = openraft::Raft<GroupTypes<RT>, Machine>;
