//! The file behind the directory: one redb database, one thread that alone touches it.
//!
//! A commit waits for the disk, so no reactor ever makes one. Jobs run in the order in which they were sent, which is the
//! order that Raft wants its vote and its log to reach the disk in.

use crate::cluster::identity::DataDirError;
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

/// Log entries by index.
pub(super) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// Single values by name.
pub(super) const VALUES: TableDefinition<&str, &[u8]> = TableDefinition::new("values");
/// Version of what is in the tables.
const FORMAT: u8 = 1;
const FILE_NAME: &str = "directory.redb";
/// The directory is small: pages need hardly be cached.
const CACHE_BYTES: usize = 4 << 20;

type Job = Box<dyn FnOnce(&Database) + Send>;

/// A handle on the thread; the file is closed once all are dropped.
#[derive(Clone)]
pub(super) struct Disk {
    jobs: mpsc::Sender<Job>,
    /// Set once the holders of this handle and its clones may touch the file no more.
    revoked: Arc<AtomicBool>,
}

/// Takes the file away from handles.
#[derive(Clone)]
pub(super) struct Fence(Arc<AtomicBool>);

impl Fence {
    /// From now on nothing that the handles send is carried out.
    pub(super) fn revoke(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Tells when the file was closed.
pub(super) struct Closed(oneshot::Receiver<()>);

impl Closed {
    pub(super) async fn wait(self) {
        self.0.await.ok();
    }
}

impl Disk {
    /// Opens or creates the file in the data directory.
    pub(super) fn open(data_dir: &Path) -> Result<(Self, Closed), DataDirError> {
        let path = path(data_dir);
        let database = open_database(&path, |builder| builder.create(&path))?;
        Self::on(database).map_err(|error| DataDirError::from_io(data_dir, error))
    }

    /// The same over a backend of redb's instead of a file.
    #[cfg(test)]
    pub(super) fn open_backend(backend: impl redb::StorageBackend) -> Result<(Self, Closed), DataDirError> {
        let path = Path::new(FILE_NAME);
        let database = open_database(path, |builder| builder.create_with_backend(backend))?;
        Self::on(database).map_err(|error| DataDirError::from_io(path, error))
    }

    fn on(database: Database) -> io::Result<(Self, Closed)> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (closing, closed) = oneshot::channel();
        let work = move || {
            while let Ok(job) = todo.recv() {
                job(&database);
            }
            drop(database);
            closing.send(()).ok();
        };
        std::thread::Builder::new().name("directory-disk".to_owned()).spawn(work)?;
        Ok((Self { jobs, revoked: Arc::default() }, Closed(closed)))
    }

    /// Runs `job` on the thread, after all earlier ones.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = oneshot::channel();
        self.send(move |database| {
            done.send(job(database).map_err(to_io)).ok();
        })?;
        result.await.map_err(|_| gone())?
    }

    /// Sends `job` to the thread without waiting for it.
    pub(super) fn send(&self, job: impl FnOnce(&Database) + Send + 'static) -> io::Result<()> {
        let revoked = Arc::clone(&self.revoked);
        let job = move |database: &Database| {
            // What a member of the group that was stopped still had under way must not reach the next one's file.
            if !revoked.load(Ordering::Acquire) {
                job(database);
            }
        };
        self.jobs.send(Box::new(job)).map_err(|_| gone())
    }

    /// Another handle, which is not revoked with this one.
    pub(super) fn fork(&self) -> Self {
        Self { jobs: self.jobs.clone(), revoked: Arc::default() }
    }

    /// What revokes this handle and its clones.
    pub(super) fn fence(&self) -> Fence {
        Fence(Arc::clone(&self.revoked))
    }

    /// Sets a value, on disk when this returns.
    pub(super) async fn set(&self, name: &'static str, value: Vec<u8>) -> io::Result<()> {
        self.run(move |database| {
            write(database, |transaction| {
                transaction.open_table(VALUES)?.insert(name, value.as_slice())?;
                Ok(())
            })
        })
        .await
    }

    /// A value.
    pub(super) async fn get(&self, name: &'static str) -> io::Result<Option<Vec<u8>>> {
        self.run(move |database| read_value(database, name)).await
    }
}

/// Deletes the file; the directory must have been closed.
pub(super) fn remove(data_dir: &Path) -> Result<(), DataDirError> {
    match std::fs::remove_file(path(data_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DataDirError::from_io(data_dir, error)),
        _ => Ok(()),
    }
}

/// Runs `change` in one transaction that is on disk when this returns.
pub(super) fn write<T>(
    database: &Database,
    change: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let result = change(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

pub(super) fn read_value(database: &Database, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let table = database.begin_read()?.open_table(VALUES)?;
    Ok(table.get(name)?.map(|value| value.value().to_vec()))
}

pub(super) fn to_io(error: redb::Error) -> io::Error {
    match error {
        redb::Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

fn gone() -> io::Error {
    io::Error::other("the directory's file is closed")
}

/// Where a data directory has it.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// Opens the file and reads it whole: what is damaged shows now, while nothing is served. Where redb finds what cannot be,
/// it may panic; for whoever starts the node that is the same.
fn open_database(
    path: &Path,
    create: impl FnOnce(&redb::Builder) -> Result<Database, DatabaseError>,
) -> Result<Database, DataDirError> {
    catch_unwind(AssertUnwindSafe(|| open_and_check(path, create))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(DataDirError::Damaged { path: path.to_owned(), reason: text.unwrap_or("it cannot be read").to_owned() })
    })
}

fn open_and_check(
    path: &Path,
    create: impl FnOnce(&redb::Builder) -> Result<Database, DatabaseError>,
) -> Result<Database, DataDirError> {
    let at = || path.to_owned();
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let by_kind = |error| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => DataDirError::InUse { path: at() },
        DatabaseError::UpgradeRequired(version) => {
            DataDirError::OtherVersion { path: at(), found: format!("redb file format {version}") }
        }
        DatabaseError::Storage(StorageError::Io(error)) => DataDirError::from_io(path, error),
        error => DataDirError::Damaged { path: at(), reason: error.to_string() },
    };
    let mut database = create(&builder).map_err(by_kind)?;
    // What it repairs it repairs by an older state, without the last vote perhaps: that is no directory to go on with.
    if !database.check_integrity().map_err(by_kind)? {
        return Err(DataDirError::Damaged { path: at(), reason: "a checksum does not match".to_owned() });
    }
    prepare(&database).map_err(|error| match error {
        redb::Error::Io(error) => DataDirError::from_io(path, error),
        error => DataDirError::Damaged { path: at(), reason: error.to_string() },
    })?;
    let found = read_value(&database, "format")
        .map_err(|error| DataDirError::Damaged { path: at(), reason: error.to_string() })?;
    if found.as_deref() != Some(&[FORMAT]) {
        return Err(DataDirError::OtherVersion { path: at(), found: format!("directory format {found:?}") });
    }
    Ok(database)
}

/// Makes the tables, so that readers find them, and writes the format of a new file. It commits in any case: a disk that
/// is full or read-only shows here, before anything is served.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    write(database, |transaction| {
        transaction.open_table(LOG)?;
        let mut values = transaction.open_table(VALUES)?;
        let is_new = values.get("format")?.is_none();
        if is_new {
            values.insert("format", [FORMAT].as_slice())?;
        }
        Ok(())
    })
}
