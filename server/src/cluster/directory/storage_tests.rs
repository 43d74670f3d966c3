//! Openraft's own suite on the log and the state machine, and what the file says when it cannot be used.

use super::disk::Disk;
use super::log::DirectoryLog;
use super::machine::DirectoryMachine;
use super::types::DirectoryTypes;
use crate::cluster::identity::DataDirError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{ErrorSubject, ErrorVerb, StorageError};
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<DirectoryTypes, DirectoryLog, DirectoryMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, DirectoryLog, DirectoryMachine), StorageError<DirectoryTypes>> {
        let failed = |error| StorageError::from_io_error(ErrorSubject::Store, ErrorVerb::Read, error);
        let dir = tempfile::tempdir().map_err(failed)?;
        let (disk, _) = Disk::open(dir.path()).map_err(|error| failed(std::io::Error::other(error)))?;
        let machine = DirectoryMachine::restore(disk.clone(), Default::default()).await.map_err(failed)?;
        Ok((dir, DirectoryLog::new(disk), machine))
    }
}

#[tokio::test]
async fn openraft_suite() {
    Suite::test_all(Builder).await.unwrap();
}

#[tokio::test]
async fn a_file_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, closed) = Disk::open(dir.path()).unwrap();
    assert!(matches!(Disk::open(dir.path()), Err(DataDirError::InUse { .. })));
    drop(disk);
    closed.wait().await;
    assert!(Disk::open(dir.path()).is_ok());
}

#[test]
fn another_kind_of_file_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("directory.redb"), [7; 8192]).unwrap();
    let error = Disk::open(dir.path()).err().unwrap();
    assert!(matches!(error, DataDirError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn another_format_is_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, closed) = Disk::open(dir.path()).unwrap();
    disk.set("format", vec![99]).await.unwrap();
    drop(disk);
    closed.wait().await;
    let error = Disk::open(dir.path()).err().unwrap();
    assert!(matches!(error, DataDirError::OtherVersion { .. }), "{error}");
}

#[test]
fn a_missing_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Disk::open(&dir.path().join("missing")), Err(DataDirError::Io { .. })));
}
