//! A node's data directory and who it says the node is.
//!
//! The directory is locked for one process. Its file `identity` holds the node's name, random and once; its incarnation,
//! raised and fsynced at each start before anything is served; and the cluster that it belongs to. Files are replaced
//! whole: written beside, fsynced, renamed, the directory fsynced.

use crate::ids::{Incarnation, NodeName, NodeNo};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a data directory cannot be used. Each of these stops the node before it serves.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// What.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    ReadOnly {
        /// What.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
    /// The disk or the quota is full.
    #[error("no space left for {}: {source}", path.display())]
    Full {
        /// What.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
    /// Another version of Larder wrote it.
    #[error("{} was written by another version of Larder ({found})", path.display())]
    OtherVersion {
        /// What.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// It has no `identity`, but the state of a member of a cluster.
    #[error(
        "{} has the directory of a cluster, directory.redb, but no file identity, which says which node of it this is: \
         bring that back, or empty the data directory to begin as a new node",
        path.display()
    )]
    Nameless {
        /// What.
        path: PathBuf,
    },
    /// A file is in its place.
    #[error("{} is a file: --data-dir wants a directory", path.display())]
    IsFile {
        /// What.
        path: PathBuf,
    },
    /// It makes no sense.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// What.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Anything else that the system says.
    #[error("{}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// As the system says it.
        source: io::Error,
    },
}

impl DataDirError {
    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly { path, source },
            io::ErrorKind::InvalidData => Self::Damaged { path, reason: source.to_string() },
            _ => Self::Io { path, source },
        }
    }
}

/// Who the node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Random, once.
    pub name: NodeName,
    /// Of this process.
    pub incarnation: Incarnation,
    /// Its cluster, once it has one.
    pub membership: Option<ClusterMembership>,
}

/// A node's place in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMembership {
    /// The cluster's name.
    pub cluster: [u8; 20],
    /// The node's number in it.
    pub no: NodeNo,
}

/// What the file holds, in whatever format: only this much is read before the format is known.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    #[serde(flatten)]
    identity: Identity,
}

const FORMAT: u32 = 1;

/// A data directory, locked until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    _lock: File,
}

impl DataDir {
    /// Opens or makes the directory, locks it, and begins a new incarnation, which is on disk when this returns.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        if path.is_file() {
            return Err(DataDirError::IsFile { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(|error| DataDirError::from_io(path, error))?;
        let lock = lock(path)?;
        let mut identity = match read(&path.join("identity"))? {
            Some(identity) => identity,
            None if path.join("directory.redb").exists() => {
                return Err(DataDirError::Nameless { path: path.to_owned() });
            }
            None => Identity { name: random_name(path)?, incarnation: Incarnation(0), membership: None },
        };
        let next = identity.incarnation.0.checked_add(1).ok_or_else(|| DataDirError::Damaged {
            path: path.join("identity"),
            reason: "no incarnation is left".to_owned(),
        })?;
        identity.incarnation = Incarnation(next);
        let dir = Self { path: path.to_owned(), identity, _lock: lock };
        dir.write(&dir.identity)?;
        Ok(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who the node is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Remembers the cluster that the node belongs to, or that it belongs to none; on disk when this returns.
    pub fn set_membership(&mut self, membership: Option<ClusterMembership>) -> Result<(), DataDirError> {
        let identity = Identity { membership, ..self.identity.clone() };
        self.write(&identity)?;
        self.identity = identity;
        Ok(())
    }

    fn write(&self, identity: &Identity) -> Result<(), DataDirError> {
        let stored = Stored { format: FORMAT, identity: identity.clone() };
        let json = serde_json::to_vec_pretty(&stored).expect("an identity is numbers, which JSON can write");
        replace(&self.path, "identity", &json).map_err(|error| DataDirError::from_io(&self.path, error))
    }
}

fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| DataDirError::from_io(&path, error))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        let error = io::Error::from(error);
        if error.kind() == io::ErrorKind::WouldBlock {
            DataDirError::InUse { path: dir.to_owned() }
        } else {
            DataDirError::from_io(&path, error)
        }
    })?;
    Ok(file)
}

fn read(path: &Path) -> Result<Option<Identity>, DataDirError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DataDirError::from_io(path, error)),
    };
    let damaged = |error: serde_json::Error| DataDirError::Damaged { path: path.to_owned(), reason: error.to_string() };
    let Format { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format != FORMAT {
        return Err(DataDirError::OtherVersion { path: path.to_owned(), found: format!("identity format {format}") });
    }
    let stored: Stored = serde_json::from_slice(&bytes).map_err(damaged)?;
    Ok(Some(stored.identity))
}

fn replace(dir: &Path, name: &str, contents: &[u8]) -> io::Result<()> {
    let beside = dir.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&beside, dir.join(name))?;
    File::open(dir)?.sync_all()
}

fn random_name(dir: &Path) -> Result<NodeName, DataDirError> {
    let mut name = [0; 20];
    let mut filled = 0;
    while filled < name.len() {
        filled += rustix::rand::getrandom(&mut name[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| DataDirError::from_io(dir, error.into()))?;
    }
    Ok(NodeName(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_is_a_new_incarnation_of_the_same_node() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let mut first = DataDir::open(&path).unwrap();
        let name = first.identity().name;
        assert_eq!(first.identity().incarnation, Incarnation(1));
        let membership = ClusterMembership { cluster: [7; 20], no: NodeNo(3) };
        first.set_membership(Some(membership)).unwrap();
        drop(first);
        let second = DataDir::open(&path).unwrap();
        assert_eq!(second.identity(), &Identity { name, incarnation: Incarnation(2), membership: Some(membership) });
    }

    #[test]
    fn nodes_have_different_names() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name| DataDir::open(&dir.path().join(name)).unwrap();
        assert_ne!(open("a").identity().name, open("b").identity().name);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::InUse { .. }), "{error}");
        drop(held);
        assert_eq!(DataDir::open(dir.path()).unwrap().identity().incarnation, Incarnation(2));
    }

    #[test]
    fn another_format_and_damage_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("identity"), br#"{"format": 2, "who": "knows"}"#).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::OtherVersion { .. }), "{error}");
        fs::write(dir.path().join("identity"), b"{").unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, DataDirError::Damaged { .. }), "{error}");
    }

    #[test]
    fn a_file_where_the_directory_should_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"").unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::IsFile { .. })));
    }

    #[test]
    fn a_member_without_a_name_is_told_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("directory.redb"), b"").unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(&dir.path().display().to_string()) && error.contains("empty the data directory"),
            "{error}"
        );
    }

    #[test]
    fn full_and_read_only_disks_are_named() {
        let error = |kind| DataDirError::from_io(Path::new("data"), io::Error::from(kind)).to_string();
        assert_eq!(error(io::ErrorKind::StorageFull), "no space left for data: no storage space");
        assert!(error(io::ErrorKind::ReadOnlyFilesystem).starts_with("data cannot be written: "));
    }
}
