//! A group's log, in memory.
//!
//! Volatile: a copy that restarts comes back under a new Raft id (see [`CopyId`](crate::ids::CopyId)), so losing log
//! and vote with the process is as if the copy had been removed. Its bytes are counted, since they are memory.

use super::ring::Ring;
use super::types::{Entry, GroupTypes, LogId, Payload, Vote};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{AsyncRuntime, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of entries that go to a follower in one message, unless one entry is longer.
const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The log of one copy. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Shared with the partition, for which it counts.
    bytes: Arc<AtomicUsize>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let rest = self.state.get_mut().entries.iter().map(entry_bytes).sum();
        self.bytes.fetch_sub(rest, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    vote: Option<Vote>,
    purged: Option<LogId>,
    /// Entries without a gap; the first has index `purged + 1`.
    entries: VecDeque<Entry>,
    committed: Option<LogId>,
    /// Where their blocks are.
    ring: Ring,
}

impl State {
    /// Index of the first entry that is or would be held.
    fn first(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1)
    }
}

/// What an entry counts as: its blocks and a flat share for the rest.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    const FLAT: usize = 160;
    FLAT + if let Payload::Normal(mutations) = &entry.payload { mutations.bytes() } else { 0 }
}

impl MemoryLog {
    /// An empty log that counts its bytes into `account`, too.
    pub fn new(account: Arc<AtomicUsize>) -> Self {
        Self { inner: Arc::new(Inner { state: Mutex::default(), bytes: account }) }
    }

    /// A log that begins after `purged`, as if everything up to there had been applied and cut.
    pub fn starting_after(purged: LogId, account: Arc<AtomicUsize>) -> Self {
        let log = Self::new(account);
        log.inner.state.lock().purged = Some(purged);
        log
    }

    /// Bytes that the log holds.
    pub fn bytes(&self) -> usize {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    /// Index of the last entry that may be cut if the last `bytes` of the log stay.
    pub(super) fn surplus(&self, bytes: usize) -> u64 {
        let state = self.inner.state.lock();
        let mut surplus = self.bytes().saturating_sub(bytes);
        let goes = |entry: &&Entry| {
            let goes = surplus > 0;
            surplus = surplus.saturating_sub(entry_bytes(entry));
            goes
        };
        (state.first() + state.entries.iter().take_while(goes).count() as u64).saturating_sub(1)
    }

    /// The last entry that was cut, and the last one of all.
    pub(super) fn ends(&self) -> (Option<LogId>, Option<LogId>) {
        let state = self.inner.state.lock();
        (state.purged, state.entries.back().map(|entry| entry.log_id).or(state.purged))
    }

    /// The entries after `index`.
    pub(super) fn after(&self, index: Option<u64>) -> Vec<Entry> {
        self.range(index.map_or(0, |index| index + 1)..)
    }

    fn range(&self, range: impl RangeBounds<u64>) -> Vec<Entry> {
        let state = self.inner.state.lock();
        let first = state.first();
        let end = first + state.entries.len() as u64;
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let stop = match range.end_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let (start, stop) = (start.max(first), stop.min(end));
        if start >= stop {
            return Vec::new();
        }
        state.entries.range((start - first) as usize..(stop - first) as usize).cloned().collect()
    }
}

impl<RT: AsyncRuntime> RaftLogReader<GroupTypes<RT>> for MemoryLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        Ok(self.range(range))
    }

    /// As many as fit into one message, at least one.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let mut entries = self.range(start..end);
        let mut bytes = 0;
        let fit = entries.iter().take_while(|entry| {
            bytes += entry_bytes(entry);
            bytes <= MESSAGE_BYTES
        });
        let fit = fit.count().max(1);
        entries.truncate(fit);
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.inner.state.lock().vote)
    }
}

impl<RT: AsyncRuntime> RaftLogStorage<GroupTypes<RT>> for MemoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<GroupTypes<RT>>> {
        let state = self.inner.state.lock();
        let last_log_id = state.entries.back().map(|entry| entry.log_id).or(state.purged);
        Ok(LogState { last_purged_log_id: state.purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.inner.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.inner.state.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.inner.state.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<GroupTypes<RT>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        {
            let mut state = self.inner.state.lock();
            for mut entry in entries {
                let next = state.first() + state.entries.len() as u64;
                assert_eq!(entry.index(), next, "log entries are appended without a gap");
                self.inner.bytes.fetch_add(entry_bytes(&entry), Ordering::Relaxed);
                if let Payload::Normal(mutations) = &mut entry.payload
                    && let Some(mutations) = Arc::get_mut(mutations)
                {
                    mutations.blocks.iter_mut().for_each(|block| state.ring.keep(block));
                }
                state.entries.push_back(entry);
            }
        }
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let mut state = self.inner.state.lock();
        let keep = last.map_or(0, |id| id.index + 1).saturating_sub(state.first()) as usize;
        let keep = keep.min(state.entries.len());
        let cut: usize = state.entries.drain(keep..).map(|entry| entry_bytes(&entry)).sum();
        self.inner.bytes.fetch_sub(cut, Ordering::Relaxed);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let cut: Vec<Entry> = {
            let mut state = self.inner.state.lock();
            if state.purged.is_some_and(|purged| purged.index >= upto.index) {
                return Ok(());
            }
            let count = (upto.index + 1).saturating_sub(state.first()) as usize;
            let count = count.min(state.entries.len());
            let cut = state.entries.drain(..count).collect();
            state.purged = Some(upto);
            cut
        };
        // Dropped off the lock.
        let bytes = cut.iter().map(entry_bytes).sum();
        drop(cut);
        let before = self.inner.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.inner.state.lock().ring.shrink(before);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::BeatRuntime;
    use crate::raft::types::{LeaderId, Mutations};
    use bytes::Bytes;

    fn entry(index: u64, bytes: usize) -> Entry {
        let leader_id = LeaderId { term: 1, node_id: 1 };
        let blocks = vec![Bytes::from(vec![0; bytes])];
        let payload = Payload::Normal(Mutations { tick: 0, seed: 0, expects: None, limits: None, blocks }.into());
        Entry { log_id: LogId { leader_id, index }, payload }
    }

    #[test]
    fn what_is_cut_is_the_oldest_and_no_more_than_must_be() {
        let log = MemoryLog::default();
        for index in 0..10 {
            let entry = entry(index, 1000);
            log.inner.bytes.fetch_add(entry_bytes(&entry), Ordering::Relaxed);
            log.inner.state.lock().entries.push_back(entry);
        }
        let one = log.bytes() / 10;
        for (kept, expected) in [(10 * one, 0), (10 * one - 1, 0), (9 * one - 1, 1), (one, 8), (0, 9)] {
            assert_eq!(log.surplus(kept), expected, "keep {kept}");
        }
    }

    #[tokio::test]
    async fn one_message_holds_what_fits_and_at_least_one_entry() {
        let mut log = MemoryLog::default();
        for (index, megabytes) in [1, 1, 1, 1, 9, 1].into_iter().enumerate() {
            log.inner.state.lock().entries.push_back(entry(index as u64, megabytes << 20));
        }
        for (from, expected) in [(0, 3), (3, 1), (4, 1), (5, 1)] {
            let read = RaftLogReader::<GroupTypes<BeatRuntime>>::limited_get_log_entries(&mut log, from, 6).await;
            assert_eq!(read.unwrap().len(), expected, "from {from}");
        }
    }
}
