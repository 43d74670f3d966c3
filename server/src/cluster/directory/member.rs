//! This node's member of the directory's group: replaced whole where a new generation begins.

use super::disk::{Disk, Fence};
use super::generation::{self, Generation};
use super::group::{DirectoryError, DirectoryTiming, config};
use super::log::DirectoryLog;
use super::machine::DirectoryMachine;
use super::network::{PeerFactory, PeerRpc};
use super::state::DirectoryState;
use super::types::DirectoryTypes;
use crate::cluster::identity::DataDirError;
use crate::ids::NodeNo;
use openraft::Raft;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

pub(super) type DirectoryRaft = Raft<DirectoryTypes, DirectoryMachine>;

/// A member of one generation of the group.
#[derive(Clone)]
pub(super) struct Member {
    pub raft: DirectoryRaft,
    pub generation: Generation,
    fence: Fence,
}

/// What a member is made of, whatever its generation.
pub(super) struct Parts {
    pub me: NodeNo,
    pub peers: Arc<dyn PeerRpc>,
    pub timing: DirectoryTiming,
    pub published: watch::Sender<Arc<DirectoryState>>,
}

impl Member {
    /// The member that the file describes.
    pub async fn open(parts: &Parts, disk: &Disk, data_dir: &Path) -> Result<Self, DirectoryError> {
        let stored = |error| DirectoryError::DataDir(DataDirError::from_io(data_dir, error));
        let disk = disk.fork();
        let generation = generation::current(&disk).await.map_err(stored)?;
        let machine = DirectoryMachine::restore(disk.clone(), parts.published.clone()).await.map_err(stored)?;
        let factory = PeerFactory { peers: Arc::clone(&parts.peers), generation };
        let config = Arc::new(config(&parts.timing)?);
        let fence = disk.fence();
        let raft = Raft::new(u64::from(parts.me.0), config, factory, DirectoryLog::new(disk), machine)
            .await
            .map_err(|error| DirectoryError::Stopped(error.to_string()))?;
        Ok(Self { raft, generation, fence })
    }

    /// Stops it; nothing of it touches the file any more when this returns.
    pub async fn end(&self) -> Result<(), DirectoryError> {
        self.raft.shutdown().await.map_err(|error| DirectoryError::Stopped(error.to_string()))?;
        self.fence.revoke();
        Ok(())
    }
}
