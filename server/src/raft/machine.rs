//! A group's state machine: the partition itself.
//!
//! Apply is a function of state and entry alone. Everything happens under one hold of the partition's lock an entry, so
//! a share is atomic, and a reader sees an entry wholly or not at all.

use super::ahead::Ahead;
use super::partition::{Partition, PartitionState};
use super::share::Replies;
use super::types::{Applied, Entry, GroupTypes, LogId, Mutations, Payload, SnapshotMeta, StoredMembership};
use crate::clock::{self, Tick, UnixMs};
use crate::commands::block::{BlockCommand, BlockError, BlockReader};
use crate::commands::{CommandError, Handler};
use crate::keyspace::Keyspace;
use crate::keyspace::collections::limits::Limits;
use crate::limits::REPLY_BYTES_MAX;
use crate::planted::{Bug, planted};
use bytes::BytesMut;
use futures::{Stream, TryStreamExt};
use larder_protocol::ReplyBuffer;
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot};
use openraft::{AsyncRuntime, OptionalSend, RaftSnapshotBuilder};
use smallvec::SmallVec;
use std::io;
use std::sync::{Arc, Weak};

/// A snapshot: what openraft hands from the state machine to the network and back.
pub enum SnapshotData {
    /// Only says that the log up to here may be cut; made by `build_snapshot`, never sent.
    Marker,
    /// On the sender: the items as they were when the view was opened.
    View(View),
    /// On the receiver: the items that arrived, and the partition's clock at their instant.
    Staged(Box<Keyspace>, UnixMs),
    /// Another view of this partition is being sent; ask again.
    Busy,
}

/// An open view of a partition's keyspace. Closed when dropped.
pub struct View {
    partition: Arc<Partition>,
    /// The partition's clock at its instant: what later entries make of deadlines depends on it.
    clock: UnixMs,
    /// For [`Bug::SnapshotOfAnotherInstant`].
    opened: bool,
}

impl View {
    /// The partition's clock at its instant.
    pub fn clock(&self) -> UnixMs {
        self.clock
    }

    /// Appends about `bytes` of encoded items to `out` and says whether more follow. `None` where the backlog of
    /// pre-images has passed `backlog_max` bytes: the transfer has to start again.
    pub fn read(&mut self, bytes: usize, backlog_max: usize, out: &mut BytesMut) -> Option<bool> {
        let mut state = self.partition.lock();
        if planted(Bug::SnapshotOfAnotherInstant) && !std::mem::replace(&mut self.opened, true) {
            state.keyspace.open_view();
        }
        if state.keyspace.view_backlog_bytes() > backlog_max {
            return None;
        }
        Some(state.keyspace.read_view(bytes, out))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let mut state = self.partition.lock();
        let held = state.keyspace.close_view();
        state.view_index = None;
        drop(state);
        drop(held);
    }
}

/// The state machine of one copy.
#[derive(Clone)]
pub struct Machine {
    partition: Arc<Partition>,
    /// The wall clock.
    tick: fn() -> Tick,
    /// Lives as long as any clone does: tells when openraft has let go of the last one.
    alive: Arc<()>,
}

impl Machine {
    /// The state machine that applies to `partition`.
    pub fn new(partition: Arc<Partition>, tick: fn() -> Tick) -> Self {
        Self { partition, tick, alive: Arc::default() }
    }

    /// Dead once no clone of this machine can apply anything any more.
    pub(super) fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    fn meta(state: &PartitionState) -> SnapshotMeta {
        SnapshotMeta { last_log_id: state.applied, last_membership: state.membership.clone() }
    }
}

impl<RT: AsyncRuntime> RaftSnapshotBuilder<GroupTypes<RT>> for Machine {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<super::types::LeaderId, u64, (), SnapshotData>> {
        let state = self.partition.lock();
        Ok(Snapshot { meta: Self::meta(&state), snapshot: SnapshotData::Marker })
    }
}

impl<RT: AsyncRuntime> RaftStateMachine<GroupTypes<RT>> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let state = self.partition.lock();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<GroupTypes<RT>>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            if planted(Bug::DeadlineByOwnClock) {
                let mut state = self.partition.lock();
                state.clock = state.clock.max(clock::ms_of((self.tick)()));
            }
            let applied = self.partition.apply(&entry, responder.is_some()).map_err(|error| {
                tracing::error!(partition = self.partition.id().0, index = entry.log_id.index, %error, "entry cannot be applied");
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let SnapshotData::Staged(keyspace, clock) = snapshot else {
            return Err(io::Error::other("only a received snapshot can be installed"));
        };
        let old = self.partition.install(meta, *keyspace, clock);
        // A big keyspace takes long to drop: not on the reactor.
        std::thread::spawn(move || drop(old));
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<Snapshot<super::types::LeaderId, u64, (), SnapshotData>>> {
        let mut state = self.partition.lock();
        if state.applied.is_none() {
            // A copy that has applied nothing never leads, so nobody needs a snapshot of it.
            return Ok(None);
        }
        let meta = Self::meta(&state);
        if state.view_index.is_some() {
            return Ok(Some(Snapshot { meta, snapshot: SnapshotData::Busy }));
        }
        if !planted(Bug::SnapshotOfAnotherInstant) {
            state.keyspace.open_view();
        }
        state.view_index = Some(state.applied.map_or(0, |id| id.index));
        let clock = state.clock;
        drop(state);
        let view = View { partition: Arc::clone(&self.partition), clock, opened: false };
        Ok(Some(Snapshot { meta, snapshot: SnapshotData::View(view) }))
    }
}

impl Partition {
    /// Applies one entry; with `reply`, collects what each share is answered.
    fn apply(&self, entry: &Entry, reply: bool) -> Result<Applied, BlockError> {
        let mut state = self.lock();
        let before = state.applied.replace(entry.log_id);
        match &entry.payload {
            Payload::Blank => Ok(Applied::default()),
            Payload::Membership(membership) => {
                state.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                Ok(Applied::default())
            }
            Payload::Normal(mutations) => {
                // Its leader's thresholds, whatever this node's are.
                let limits = mutations.limits.as_ref().map_or(Limits::DEFAULT, |limits| **limits);
                let own = state.keyspace.set_limits(limits);
                let applied = state.apply_mutations(mutations, before, reply);
                state.keyspace.set_limits(own);
                applied
            }
        }
    }

    /// Applies entries that come next to a copy whose group has stopped; false where they leave a gap.
    pub(super) fn apply_rest(&self, entries: &[Entry]) -> Result<bool, BlockError> {
        for entry in entries {
            let next = self.lock().applied.map_or(0, |id| id.index + 1);
            if entry.log_id.index != next {
                return Ok(false);
            }
            self.apply(entry, false)?;
        }
        Ok(true)
    }

    /// Takes over a received snapshot and returns the keyspace that it replaces.
    fn install(&self, meta: &SnapshotMeta, mut keyspace: Keyspace, clock: UnixMs) -> Keyspace {
        let mut state = self.lock();
        keyspace.succeed(&state.keyspace);
        state.applied = meta.last_log_id;
        state.membership = meta.last_membership.clone();
        if !planted(Bug::SnapshotWithoutClock) {
            state.clock = clock;
        }
        state.keyspace.abandon_watches();
        let old = std::mem::replace(&mut state.keyspace, keyspace);
        state.expect_again();
        old
    }
}

impl PartitionState {
    fn apply_mutations(
        &mut self,
        mutations: &Mutations,
        before: Option<LogId>,
        reply: bool,
    ) -> Result<Applied, BlockError> {
        self.clock = self.clock.max(mutations.clock());
        let tick = mutations.tick;
        if mutations.expects.is_some() && mutations.expects != before {
            return Ok(Applied(mutations.blocks.iter().map(|_| None).collect()));
        }
        let mut out = ReplyBuffer::default();
        let mut ends = Vec::with_capacity(if reply { mutations.blocks.len() } else { 0 });
        let mut number = 0;
        let mut ahead = Ahead::default();
        for (index, block) in mutations.blocks.iter().enumerate() {
            let mut share: SmallVec<[u32; 4]> = SmallVec::new();
            let start = out.len();
            let mut reader = BlockReader::new(block);
            while !reader.is_at_end() {
                let key_hash = ahead.next_hash(&self.keyspace, &reader, &mutations.blocks[index + 1..]);
                let Some(command) = reader.next_command()? else { break };
                number += 1;
                let (Handler::Write(run) | Handler::WriteFanout(run, _) | Handler::WriteAll(run, _)) =
                    &command.spec.handler
                else {
                    if reply {
                        out.bound(REPLY_BYTES_MAX.saturating_sub(out.len() - start));
                        self.read_in_entry(&command, tick, mix(mutations.seed.wrapping_add(number)), &mut out);
                        share.push((out.len() - start) as u32);
                    }
                    continue;
                };
                out.set_version(command.options.version);
                let length = out.len();
                let seed = mix(mutations.seed.wrapping_add(number));
                let mut context = self.context_at(self.clock, tick, command.options, seed);
                context.key_hash = key_hash;
                out.bound(REPLY_BYTES_MAX.saturating_sub(length - start));
                let mut result = run(&mut context, command.args, &mut out);
                if out.unbound() && result.is_ok() {
                    result = Err(CommandError::DoneReplyTooLong);
                }
                if let Err(error) = result {
                    out.truncate(length);
                    error.write(&mut out);
                }
                if reply {
                    share.push((out.len() - start) as u32);
                } else {
                    out.truncate(length);
                }
            }
            if reply {
                ends.push((start, share));
            }
        }
        let bytes = out.take();
        Ok(Applied(
            ends.into_iter()
                .map(|(start, ends)| {
                    let end = start + ends.last().copied().unwrap_or(0) as usize;
                    Some(Replies { bytes: bytes.slice(start..end), ends })
                })
                .collect(),
        ))
    }

    /// A read that travels in an entry since it follows a write of its connection. Only the copy that answers runs it.
    fn read_in_entry(&mut self, command: &BlockCommand<'_>, tick: Tick, seed: u64, out: &mut ReplyBuffer) {
        out.set_version(command.options.version);
        let length = out.len();
        let (Handler::Read(run) | Handler::ReadFanout(run, _) | Handler::ReadAll(run, _) | Handler::Scan(run)) =
            &command.spec.handler
        else {
            out.error("ERR this command cannot be part of a log entry");
            return;
        };
        let mut context = self.context_at(self.clock, tick, command.options, seed);
        let mut result = run(&mut context, command.args, out);
        if out.unbound() && result.is_ok() {
            result = Err(CommandError::ReplyTooLong);
        }
        if let Err(error) = result {
            out.truncate(length);
            error.write(out);
        }
    }
}

/// SplitMix64's finalizer: spreads consecutive seeds.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Role;
    use crate::raft::tests::{encode, partition};
    use crate::raft::types::LeaderId;
    use bytes::Bytes;
    use larder_protocol::ProtocolVersion;

    fn id(term: u64, index: u64) -> LogId {
        LogId { leader_id: LeaderId { term, node_id: term }, index }
    }

    fn entry(log_id: LogId, expects: Option<LogId>, command: &[&str]) -> Entry {
        let mutations = Mutations { tick: 10_000, seed: 0, expects, limits: None, blocks: vec![encode(command)] };
        Entry { log_id, payload: Payload::Normal(Arc::new(mutations)) }
    }

    /// Whether an entry was carried out, by what its share is answered.
    fn applies(partition: &Partition, entry: &Entry) -> bool {
        partition.apply(entry, true).unwrap().0[0].is_some()
    }

    fn get(partition: &Partition) -> Bytes {
        let block = encode(&["get", "k"]);
        let mut reader = BlockReader::new(&block);
        let command = reader.next_command().unwrap().unwrap();
        let mut out = ReplyBuffer::new(ProtocolVersion::Resp2);
        partition.lock().read_in_entry(&command, 1, 0, &mut out);
        out.take()
    }

    /// What is watched was looked at when one entry was the last: whatever came between, of whichever leader, EXEC is nil on
    /// every copy.
    #[test]
    fn exec_under_watch_takes_effect_only_right_behind_the_entry_that_it_names() {
        let partition = partition(Role::Follower(None));
        assert!(applies(&partition, &entry(id(1, 1), None, &["set", "k", "a"])));
        assert!(applies(&partition, &entry(id(1, 2), Some(id(1, 1)), &["set", "k", "b"])));
        assert_eq!(get(&partition), b"$1\r\nb\r\n"[..]);
        // Another write.
        assert!(applies(&partition, &entry(id(1, 3), None, &["set", "other", "x"])));
        assert!(!applies(&partition, &entry(id(1, 4), Some(id(1, 2)), &["set", "k", "c"])));
        // Another leader, whose first entry is blank.
        let blank = Entry { log_id: id(2, 5), payload: Payload::Blank };
        partition.apply(&blank, false).unwrap();
        assert!(!applies(&partition, &entry(id(2, 6), Some(id(1, 4)), &["set", "k", "d"])));
        // At the same index there was another entry than the one that was seen.
        assert!(!applies(&partition, &entry(id(3, 7), Some(id(1, 6)), &["set", "k", "e"])));
        assert_eq!(get(&partition), b"$1\r\nb\r\n"[..]);
        assert!(applies(&partition, &entry(id(3, 8), Some(id(3, 7)), &["set", "k", "f"])));
        assert_eq!(get(&partition), b"$1\r\nf\r\n"[..]);
    }
}
