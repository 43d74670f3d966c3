//! The directory's state machine as openraft drives it: the state in memory, its snapshots on disk.

use super::command::{Applied, DirectoryCommand};
use super::disk::{Disk, VALUES, write};
use super::generation::INHERITED;
use super::state::DirectoryState;
use super::types::{
    DirectoryTypes, LogId, Snapshot, SnapshotMeta, StoredMembership, get_bytes, get_snapshot_meta, put_bytes,
    put_snapshot_meta,
};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

pub(super) const SNAPSHOT: &str = "snapshot";

/// The state machine. Clones share it.
#[derive(Clone)]
pub(super) struct DirectoryMachine {
    disk: Disk,
    current: Arc<Mutex<Current>>,
    published: watch::Sender<Arc<DirectoryState>>,
}

struct Current {
    applied: Option<LogId>,
    membership: StoredMembership,
    state: Arc<DirectoryState>,
}

impl DirectoryMachine {
    /// The state of the last snapshot; openraft applies what is known to be committed after it. States are `published`:
    /// until there is one of this generation, that of the one before.
    pub(super) async fn restore(disk: Disk, published: watch::Sender<Arc<DirectoryState>>) -> io::Result<Self> {
        let (meta, state) = match stored(&disk).await? {
            Some(snapshot) => (snapshot.meta, DirectoryState::decode(&snapshot.snapshot).map_err(invalid)?),
            None => (SnapshotMeta::default(), DirectoryState::default()),
        };
        let state = Arc::new(state);
        let shown = match disk.get(INHERITED).await? {
            Some(bytes) if state.cluster.is_none() => Arc::new(DirectoryState::decode(&bytes).map_err(invalid)?),
            _ => Arc::clone(&state),
        };
        published.send_replace(shown);
        let current = Current { applied: meta.last_log_id, membership: meta.last_membership, state };
        Ok(Self { disk, current: Arc::new(Mutex::new(current)), published })
    }

    fn take(&self) -> Snapshot {
        let current = self.current.lock();
        let meta = SnapshotMeta { last_log_id: current.applied, last_membership: current.membership.clone() };
        Snapshot { meta, snapshot: current.state.encode() }
    }

    async fn store(&self, meta: &SnapshotMeta, data: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        put_snapshot_meta(&mut out, meta);
        put_bytes(&mut out, data);
        self.disk
            .run(move |database| {
                write(database, |transaction| {
                    transaction.open_table(VALUES)?.insert(SNAPSHOT, out.as_slice())?;
                    Ok(())
                })
            })
            .await
    }
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

async fn stored(disk: &Disk) -> io::Result<Option<Snapshot>> {
    let Some(bytes) = disk.get(SNAPSHOT).await? else { return Ok(None) };
    let mut bytes = Bytes::from(bytes);
    let meta = get_snapshot_meta(&mut bytes).map_err(invalid)?;
    let snapshot = get_bytes(&mut bytes).map_err(invalid)?.to_vec();
    Ok(Some(Snapshot { meta, snapshot }))
}

impl RaftSnapshotBuilder<DirectoryTypes> for DirectoryMachine {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let snapshot = self.take();
        self.store(&snapshot.meta, &snapshot.snapshot).await?;
        Ok(snapshot)
    }
}

impl RaftStateMachine<DirectoryTypes> for DirectoryMachine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let current = self.current.lock();
        Ok((current.applied, current.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<DirectoryTypes>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let mut response = Ok(Applied::Done);
            let state = {
                let mut current = self.current.lock();
                match entry.payload {
                    EntryPayload::Blank => {}
                    EntryPayload::Normal(command) => {
                        // The others may understand what this program does not: better to stop than to differ.
                        let command = DirectoryCommand::decode(&command.0).map_err(invalid)?;
                        response = Arc::make_mut(&mut current.state).apply(command);
                    }
                    EntryPayload::Membership(membership) => {
                        current.membership = StoredMembership::new(Some(entry.log_id), membership);
                    }
                }
                current.applied = Some(entry.log_id);
                Arc::clone(&current.state)
            };
            if let Err(refused) = &response {
                tracing::debug!(%refused, "directory command refused");
            }
            self.published.send_if_modified(|published| {
                if state.cluster.is_none() {
                    return false;
                }
                let changed = **published != *state;
                *published = state;
                changed
            });
            if let Some(responder) = responder {
                responder.send(response);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Vec<u8>) -> io::Result<()> {
        let state = Arc::new(DirectoryState::decode(&data).map_err(invalid)?);
        self.store(meta, &data).await?;
        {
            let mut current = self.current.lock();
            current.applied = meta.last_log_id;
            current.membership = meta.last_membership.clone();
            current.state = Arc::clone(&state);
        }
        self.published.send_replace(state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        stored(&self.disk).await
    }
}
