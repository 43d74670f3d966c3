//! The directory's group in openraft's terms, and the bytes of those terms, on the wire and on disk.
//!
//! Openraft promises no stable formats, so all of them are written here. Integers are big-endian; whatever is read may be
//! damaged or hostile, so that every read is checked and nothing is allocated by a length that is only claimed.

use super::command::DirectoryResponse;
use bytes::{Buf, BufMut, Bytes};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::impls::leader_id_adv::LeaderId;
use openraft::{EntryPayload, Membership, OptionalSend, RaftTypeConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The type configuration of the directory's group. A node's Raft id is its number: its log and vote are durable, so that
/// it remains itself over restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryTypes;

impl RaftTypeConfig for DirectoryTypes {
    type D = EncodedCommand;
    type R = DirectoryResponse;
    type NodeId = u64;
    type Node = ();
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<EncodedCommand, u64, ()>;
    type Entry = openraft::impls::Entry<Self::LeaderId, Self::Payload>;
    type AsyncRuntime = crate::raft::BeatRuntime;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A [`DirectoryCommand`](super::DirectoryCommand) as its proposer wrote it. It is decoded in apply, so that a program too
/// old to understand it keeps it whole in its log and stops there, rather than apply something else than the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedCommand(pub Bytes);

impl fmt::Display for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

pub(super) type Entry = EntryOf<DirectoryTypes>;
pub(super) type LogId = LogIdOf<DirectoryTypes>;
pub(super) type Vote = VoteOf<DirectoryTypes>;
pub(super) type StoredMembership = StoredMembershipOf<DirectoryTypes>;
pub(super) type Snapshot = SnapshotOf<DirectoryTypes, Vec<u8>>;
pub(super) type SnapshotMeta = SnapshotMetaOf<DirectoryTypes>;

/// Bytes that do not say what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed directory bytes")]
pub struct Malformed;

impl From<bytes::TryGetError> for Malformed {
    fn from(_: bytes::TryGetError) -> Self {
        Self
    }
}

pub(super) type Decoded<T> = Result<T, Malformed>;

pub(super) fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    out.put_u64(vote.leader_id.term);
    out.put_u64(vote.leader_id.node_id);
    out.put_u8(u8::from(vote.committed));
}

pub(super) fn get_vote(from: &mut Bytes) -> Decoded<Vote> {
    let mut vote = Vote::new(from.try_get_u64()?, from.try_get_u64()?);
    vote.committed = get_bool(from)?;
    Ok(vote)
}

pub(super) fn put_log_id(out: &mut Vec<u8>, id: Option<&LogId>) {
    out.put_u8(u8::from(id.is_some()));
    if let Some(id) = id {
        out.put_u64(id.leader_id.term);
        out.put_u64(id.leader_id.node_id);
        out.put_u64(id.index);
    }
}

pub(super) fn get_log_id(from: &mut Bytes) -> Decoded<Option<LogId>> {
    if !get_bool(from)? {
        return Ok(None);
    }
    let leader_id = LeaderId { term: from.try_get_u64()?, node_id: from.try_get_u64()? };
    Ok(Some(LogId::new(leader_id, from.try_get_u64()?)))
}

pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_log_id(out, Some(&entry.log_id));
    match &entry.payload {
        EntryPayload::Blank => out.put_u8(0),
        EntryPayload::Normal(command) => {
            out.put_u8(1);
            put_bytes(out, &command.0);
        }
        EntryPayload::Membership(membership) => {
            out.put_u8(2);
            put_membership(out, membership);
        }
    }
}

pub(super) fn get_entry(from: &mut Bytes) -> Decoded<Entry> {
    let log_id = get_log_id(from)?.ok_or(Malformed)?;
    let payload = match from.try_get_u8()? {
        0 => EntryPayload::Blank,
        1 => EntryPayload::Normal(EncodedCommand(get_bytes(from)?)),
        2 => EntryPayload::Membership(get_membership(from)?),
        _ => return Err(Malformed),
    };
    Ok(openraft::impls::Entry { log_id, payload })
}

pub(super) fn put_snapshot_meta(out: &mut Vec<u8>, meta: &SnapshotMeta) {
    put_log_id(out, meta.last_log_id.as_ref());
    put_stored_membership(out, &meta.last_membership);
}

pub(super) fn get_snapshot_meta(from: &mut Bytes) -> Decoded<SnapshotMeta> {
    Ok(SnapshotMeta { last_log_id: get_log_id(from)?, last_membership: get_stored_membership(from)? })
}

fn put_stored_membership(out: &mut Vec<u8>, stored: &StoredMembership) {
    put_log_id(out, stored.log_id().as_ref());
    put_membership(out, stored.membership());
}

fn get_stored_membership(from: &mut Bytes) -> Decoded<StoredMembership> {
    Ok(StoredMembership::new(get_log_id(from)?, get_membership(from)?))
}

fn put_membership(out: &mut Vec<u8>, membership: &Membership<u64, ()>) {
    put_count(out, membership.get_joint_config().len());
    for config in membership.get_joint_config() {
        put_ids(out, config.iter().copied());
    }
    put_ids(out, membership.nodes().map(|(id, ())| *id));
}

fn get_membership(from: &mut Bytes) -> Decoded<Membership<u64, ()>> {
    let configs: Vec<BTreeSet<u64>> = (0..get_count(from)?).map(|_| get_ids(from)).collect::<Decoded<_>>()?;
    let nodes: BTreeMap<u64, ()> = get_ids(from)?.into_iter().map(|id| (id, ())).collect();
    // Before a group begins its membership is empty, which only the default makes.
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|_| Malformed)
}

fn put_ids(out: &mut Vec<u8>, ids: impl Iterator<Item = u64>) {
    let ids: Vec<u64> = ids.collect();
    put_count(out, ids.len());
    ids.into_iter().for_each(|id| out.put_u64(id));
}

fn get_ids(from: &mut Bytes) -> Decoded<BTreeSet<u64>> {
    (0..get_count(from)?).map(|_| Ok(from.try_get_u64()?)).collect()
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

pub(super) fn get_bytes(from: &mut Bytes) -> Decoded<Bytes> {
    let len = get_count(from)?;
    if len > from.len() {
        return Err(Malformed);
    }
    Ok(from.split_to(len))
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32(u32::try_from(count).expect("no list of the directory comes near 2^32"));
}

pub(super) fn get_count(from: &mut Bytes) -> Decoded<usize> {
    Ok(from.try_get_u32()? as usize)
}

pub(super) fn get_bool(from: &mut Bytes) -> Decoded<bool> {
    match from.try_get_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let id = |index| LogId::new(LeaderId { term: 3, node_id: 2 }, index);
        let joint = Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])], BTreeSet::from([1, 2, 3, 4]));
        [
            EntryPayload::Blank,
            EntryPayload::Normal(EncodedCommand(Bytes::from_static(b"command"))),
            EntryPayload::Membership(joint.unwrap()),
            EntryPayload::Membership(Membership::default()),
        ]
        .into_iter()
        .enumerate()
        .map(|(index, payload)| openraft::impls::Entry { log_id: id(index as u64), payload })
        .collect()
    }

    #[test]
    fn entries_come_back_and_cut_ones_do_not() {
        for entry in entries() {
            let mut out = Vec::new();
            put_entry(&mut out, &entry);
            assert_eq!(get_entry(&mut Bytes::copy_from_slice(&out)).unwrap(), entry);
            for len in 0..out.len() {
                assert_eq!(get_entry(&mut Bytes::copy_from_slice(&out[..len])), Err(Malformed), "cut at {len}");
            }
        }
    }

    #[test]
    fn snapshot_meta_comes_back() {
        let membership = StoredMembership::new(None, Membership::new_with_defaults(vec![BTreeSet::from([7])], [8]));
        let meta = SnapshotMeta { last_log_id: None, last_membership: membership };
        let mut out = Vec::new();
        put_snapshot_meta(&mut out, &meta);
        assert_eq!(get_snapshot_meta(&mut Bytes::from(out)).unwrap(), meta);
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        assert_eq!(get_bytes(&mut Bytes::from_static(&[255, 255, 255, 255, 1])), Err(Malformed));
        assert_eq!(get_ids(&mut Bytes::from_static(&[255, 255, 255, 255, 1])), Err(Malformed));
    }
}
