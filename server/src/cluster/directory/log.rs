//! The directory's log and vote on disk.

use super::disk::{Disk, LOG, VALUES, to_io, write};
use super::types::{
    Decoded, DirectoryTypes, Entry, LogId, Malformed, Vote, get_entry, get_log_id, get_vote, put_entry, put_log_id,
    put_vote,
};
use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use redb::{ReadableDatabase, ReadableTable};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;

pub(super) const VOTE: &str = "vote";
pub(super) const PURGED: &str = "purged";
pub(super) const COMMITTED: &str = "committed";

/// The log. Clones share the file.
#[derive(Clone)]
pub(super) struct DirectoryLog {
    disk: Disk,
}

impl DirectoryLog {
    pub(super) fn new(disk: Disk) -> Self {
        Self { disk }
    }

    async fn value<T>(&self, name: &'static str, get: impl FnOnce(&mut Bytes) -> Decoded<T>) -> io::Result<Option<T>> {
        let bytes = self.disk.get(name).await?;
        bytes.map(|bytes| get(&mut Bytes::from(bytes)).map_err(damaged)).transpose()
    }
}

fn damaged(_: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the directory's file is damaged")
}

pub(super) fn log_id_bytes(id: Option<&LogId>) -> Vec<u8> {
    let mut out = Vec::new();
    put_log_id(&mut out, id);
    out
}

impl RaftLogReader<DirectoryTypes> for DirectoryLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let stored: Vec<Bytes> = self
            .disk
            .run(move |database| {
                let table = database.begin_read()?.open_table(LOG)?;
                let entries = table.range(range)?;
                entries.map(|entry| Ok(Bytes::copy_from_slice(entry?.1.value()))).collect()
            })
            .await?;
        stored.into_iter().map(|mut bytes| get_entry(&mut bytes).map_err(damaged)).collect()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.value(VOTE, get_vote).await
    }
}

impl RaftLogStorage<DirectoryTypes> for DirectoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<DirectoryTypes>> {
        let last_purged_log_id = self.value(PURGED, get_log_id).await?.flatten();
        let last = self
            .disk
            .run(|database| {
                let table = database.begin_read()?.open_table(LOG)?;
                let last = table.last()?.map(|(_, entry)| Bytes::copy_from_slice(entry.value()));
                Ok(last)
            })
            .await?;
        let last_log_id = match last {
            Some(mut bytes) => Some(get_entry(&mut bytes).map_err(damaged)?.log_id),
            None => last_purged_log_id,
        };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut out = Vec::new();
        put_vote(&mut out, vote);
        self.disk.set(VOTE, out).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let value = log_id_bytes(committed.as_ref());
        // Only a hint of how far to apply at start: it may reach the disk with the next append.
        self.disk
            .run(move |database| {
                let mut transaction = database.begin_write()?;
                transaction.set_durability(redb::Durability::None)?;
                transaction.open_table(VALUES)?.insert(COMMITTED, value.as_slice())?;
                transaction.commit()?;
                Ok(())
            })
            .await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.value(COMMITTED, get_log_id).await?.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<DirectoryTypes>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded: Vec<(u64, Vec<u8>)> = entries
            .into_iter()
            .map(|entry| {
                let mut out = Vec::new();
                put_entry(&mut out, &entry);
                (entry.index(), out)
            })
            .collect();
        self.disk.send(move |database| {
            let result = write(database, |transaction| {
                let mut log = transaction.open_table(LOG)?;
                for (index, entry) in &encoded {
                    log.insert(index, entry.as_slice())?;
                }
                Ok(())
            });
            callback.io_completed(result.map_err(to_io));
        })
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let first_gone = last.map_or(0, |id| id.index + 1);
        self.disk
            .run(move |database| {
                write(database, |transaction| Ok(transaction.open_table(LOG)?.retain_in(first_gone.., |_, _| false)?))
            })
            .await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let value = log_id_bytes(Some(&upto));
        self.disk
            .run(move |database| {
                write(database, |transaction| {
                    transaction.open_table(VALUES)?.insert(PURGED, value.as_slice())?;
                    Ok(transaction.open_table(LOG)?.retain_in(..=upto.index, |_, _| false)?)
                })
            })
            .await
    }
}
