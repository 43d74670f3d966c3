//! Raft messages as bytes. Ours, since openraft's own formats change between releases.
//!
//! Little endian; options and enums begin with a byte. Decoding takes any bytes: an error, never a panic, never more
//! memory than the input's length warrants.

use super::types::{
    Entry, GroupTypes, LeaderId, LogId, Membership, Mutations, Payload, SnapshotMeta, StoredMembership, Vote,
};
use crate::keyspace::collections::limits::Limits;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::AsyncRuntime;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes that do not decode.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[error("malformed peer message")]
pub struct Malformed;

/// Result of decoding.
pub type Decoded<T> = Result<T, Malformed>;

/// Reads primitive values off a message.
pub struct Reader(pub Bytes);

impl Reader {
    fn need(&self, bytes: usize) -> Decoded<()> {
        if self.0.remaining() < bytes { Err(Malformed) } else { Ok(()) }
    }

    /// One byte.
    pub fn u8(&mut self) -> Decoded<u8> {
        self.need(1)?;
        Ok(self.0.get_u8())
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Decoded<u16> {
        self.need(2)?;
        Ok(self.0.get_u16_le())
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Decoded<u32> {
        self.need(4)?;
        Ok(self.0.get_u32_le())
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Decoded<u64> {
        self.need(8)?;
        Ok(self.0.get_u64_le())
    }

    /// A length and that many bytes, shared with the message.
    pub fn bytes(&mut self) -> Decoded<Bytes> {
        let length = self.u32()? as usize;
        self.need(length)?;
        Ok(self.0.split_to(length))
    }

    /// A count of things that take at least `bytes_min` bytes each.
    pub fn count(&mut self, bytes_min: usize) -> Decoded<usize> {
        let count = self.u32()? as usize;
        if count.saturating_mul(bytes_min) > self.0.remaining() { Err(Malformed) } else { Ok(count) }
    }

    /// Everything must have been read.
    pub fn end(self) -> Decoded<()> {
        if self.0.has_remaining() { Err(Malformed) } else { Ok(()) }
    }

    fn leader_id(&mut self) -> Decoded<LeaderId> {
        Ok(LeaderId { term: self.u64()?, node_id: self.u64()? })
    }

    /// A vote.
    pub fn vote(&mut self) -> Decoded<Vote> {
        let leader_id = self.leader_id()?;
        Ok(Vote { leader_id, committed: self.u8()? != 0 })
    }

    /// A log id.
    pub fn log_id(&mut self) -> Decoded<LogId> {
        Ok(LogId { leader_id: self.leader_id()?, index: self.u64()? })
    }

    /// A log id or none.
    pub fn optional_log_id(&mut self) -> Decoded<Option<LogId>> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.log_id().map(Some),
            _ => Err(Malformed),
        }
    }

    /// A membership.
    pub fn membership(&mut self) -> Decoded<Membership> {
        let configs = self.count(4)?;
        let mut joint = Vec::with_capacity(configs);
        for _ in 0..configs {
            let voters = self.count(8)?;
            let voters: BTreeSet<u64> = (0..voters).map(|_| self.u64()).collect::<Decoded<_>>()?;
            joint.push(voters);
        }
        let nodes = self.count(8)?;
        let nodes: BTreeSet<u64> = (0..nodes).map(|_| self.u64()).collect::<Decoded<_>>()?;
        Ok(Membership::new_with_defaults(joint, nodes))
    }

    fn stored_membership(&mut self) -> Decoded<StoredMembership> {
        let log_id = self.optional_log_id()?;
        Ok(StoredMembership::new(log_id, self.membership()?))
    }

    /// What a snapshot says of itself.
    pub fn snapshot_meta(&mut self) -> Decoded<SnapshotMeta> {
        let last_log_id = self.optional_log_id()?;
        Ok(SnapshotMeta { last_log_id, last_membership: self.stored_membership()? })
    }

    fn mutations(&mut self) -> Decoded<Mutations> {
        let tick = self.u64()?;
        let seed = self.u64()?;
        let expects = self.optional_log_id()?;
        let blocks = self.count(4)?;
        let blocks = (0..blocks).map(|_| self.bytes()).collect::<Decoded<_>>()?;
        Ok(Mutations { tick, seed, expects, limits: None, blocks })
    }

    /// Thresholds: which of them are no defaults, and those.
    fn limits(&mut self) -> Decoded<Limits> {
        let set = self.u16()?;
        if usize::from(set) >> Limits::COUNT != 0 {
            return Err(Malformed);
        }
        let mut words = Limits::DEFAULT.words();
        for (at, word) in words.iter_mut().enumerate() {
            if set & (1 << at) != 0 {
                *word = self.u32()?;
            }
        }
        Ok(Limits::from_words(words))
    }

    fn entry(&mut self) -> Decoded<Entry> {
        let log_id = self.log_id()?;
        let payload = match self.u8()? {
            0 => Payload::Blank,
            1 => Payload::Normal(Arc::new(self.mutations()?)),
            2 => Payload::Membership(self.membership()?),
            3 => {
                let limits = Some(Box::new(self.limits()?));
                Payload::Normal(Arc::new(Mutations { limits, ..self.mutations()? }))
            }
            _ => return Err(Malformed),
        };
        Ok(Entry { log_id, payload })
    }

    /// An AppendEntries request.
    pub fn append_request<RT: AsyncRuntime>(&mut self) -> Decoded<AppendEntriesRequest<GroupTypes<RT>>> {
        let vote = self.vote()?;
        let prev_log_id = self.optional_log_id()?;
        let leader_commit = self.optional_log_id()?;
        let entries = self.count(25)?;
        let entries = (0..entries).map(|_| self.entry()).collect::<Decoded<_>>()?;
        Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
    }

    /// The answer to one.
    pub fn append_response<RT: AsyncRuntime>(&mut self) -> Decoded<AppendEntriesResponse<GroupTypes<RT>>> {
        Ok(match self.u8()? {
            0 => AppendEntriesResponse::Success,
            1 => AppendEntriesResponse::PartialSuccess(self.optional_log_id()?),
            2 => AppendEntriesResponse::Conflict,
            3 => AppendEntriesResponse::HigherVote(self.vote()?),
            _ => return Err(Malformed),
        })
    }

    /// A RequestVote or PreVote request.
    pub fn vote_request<RT: AsyncRuntime>(&mut self) -> Decoded<VoteRequest<GroupTypes<RT>>> {
        let mut request = VoteRequest::new(self.vote()?, self.optional_log_id()?);
        request.leadership_transfer = self.u8()? != 0;
        Ok(request)
    }

    /// The answer to one.
    pub fn vote_response<RT: AsyncRuntime>(&mut self) -> Decoded<VoteResponse<GroupTypes<RT>>> {
        let vote = self.vote()?;
        let last_log_id = self.optional_log_id()?;
        Ok(VoteResponse::new(vote, last_log_id, self.u8()? != 0))
    }
}

/// Writes Raft's values to a message.
pub trait WriteMessage: BufMut {
    /// A length and that many bytes.
    fn put_bytes_value(&mut self, bytes: &[u8]) {
        self.put_u32_le(bytes.len() as u32);
        self.put_slice(bytes);
    }

    /// A vote.
    fn put_vote(&mut self, vote: &Vote) {
        self.put_u64_le(vote.leader_id.term);
        self.put_u64_le(vote.leader_id.node_id);
        self.put_u8(u8::from(vote.committed));
    }

    /// A log id.
    fn put_log_id(&mut self, id: &LogId) {
        self.put_u64_le(id.leader_id.term);
        self.put_u64_le(id.leader_id.node_id);
        self.put_u64_le(id.index);
    }

    /// A log id or none.
    fn put_optional_log_id(&mut self, id: Option<&LogId>) {
        self.put_u8(u8::from(id.is_some()));
        if let Some(id) = id {
            self.put_log_id(id);
        }
    }

    /// A membership.
    fn put_membership(&mut self, membership: &Membership) {
        let joint = membership.get_joint_config();
        self.put_u32_le(joint.len() as u32);
        for voters in joint {
            self.put_u32_le(voters.len() as u32);
            voters.iter().for_each(|id| self.put_u64_le(*id));
        }
        self.put_u32_le(membership.nodes().count() as u32);
        membership.nodes().for_each(|(id, ())| self.put_u64_le(*id));
    }

    /// What a snapshot says of itself.
    fn put_snapshot_meta(&mut self, meta: &SnapshotMeta) {
        self.put_optional_log_id(meta.last_log_id.as_ref());
        self.put_optional_log_id(meta.last_membership.log_id().as_ref());
        self.put_membership(meta.last_membership.membership());
    }

    /// An entry's mutations.
    fn put_mutations(&mut self, mutations: &Mutations) {
        self.put_u64_le(mutations.tick);
        self.put_u64_le(mutations.seed);
        self.put_optional_log_id(mutations.expects.as_ref());
        self.put_u32_le(mutations.blocks.len() as u32);
        mutations.blocks.iter().for_each(|block| self.put_bytes_value(block));
    }

    /// Thresholds.
    fn put_limits(&mut self, limits: &Limits) {
        let (words, defaults) = (limits.words(), Limits::DEFAULT.words());
        let set = (0..Limits::COUNT).filter(|at| words[*at] != defaults[*at]);
        self.put_u16_le(set.clone().fold(0, |bits, at| bits | 1 << at));
        set.for_each(|at| self.put_u32_le(words[at]));
    }

    /// An AppendEntries request.
    fn put_append_request<RT: AsyncRuntime>(&mut self, request: &AppendEntriesRequest<GroupTypes<RT>>) {
        self.put_vote(&request.vote);
        self.put_optional_log_id(request.prev_log_id.as_ref());
        self.put_optional_log_id(request.leader_commit.as_ref());
        self.put_u32_le(request.entries.len() as u32);
        for entry in &request.entries {
            self.put_log_id(&entry.log_id);
            match &entry.payload {
                Payload::Blank => self.put_u8(0),
                Payload::Normal(mutations) => {
                    match &mutations.limits {
                        None => self.put_u8(1),
                        Some(limits) => {
                            self.put_u8(3);
                            self.put_limits(limits);
                        }
                    }
                    self.put_mutations(mutations);
                }
                Payload::Membership(membership) => {
                    self.put_u8(2);
                    self.put_membership(membership);
                }
            }
        }
    }

    /// The answer to one.
    fn put_append_response<RT: AsyncRuntime>(&mut self, response: &AppendEntriesResponse<GroupTypes<RT>>) {
        match response {
            AppendEntriesResponse::Success => self.put_u8(0),
            AppendEntriesResponse::PartialSuccess(id) => {
                self.put_u8(1);
                self.put_optional_log_id(id.as_ref());
            }
            AppendEntriesResponse::Conflict => self.put_u8(2),
            AppendEntriesResponse::HigherVote(vote) => {
                self.put_u8(3);
                self.put_vote(vote);
            }
        }
    }

    /// A RequestVote or PreVote request.
    fn put_vote_request<RT: AsyncRuntime>(&mut self, request: &VoteRequest<GroupTypes<RT>>) {
        self.put_vote(&request.vote);
        self.put_optional_log_id(request.last_log_id.as_ref());
        self.put_u8(u8::from(request.leadership_transfer));
    }

    /// The answer to one.
    fn put_vote_response<RT: AsyncRuntime>(&mut self, response: &VoteResponse<GroupTypes<RT>>) {
        self.put_vote(&response.vote);
        self.put_optional_log_id(response.last_log_id.as_ref());
        self.put_u8(u8::from(response.vote_granted));
    }
}

impl WriteMessage for BytesMut {}
