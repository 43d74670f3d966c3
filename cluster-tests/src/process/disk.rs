//! A small disk that can be filled.

use super::netns::run;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Bytes of a write that fills it; smaller ones follow, down to one.
const PIECE_BYTES: usize = 64 * 1024;

/// A file system in memory of limited size. Goes when dropped.
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Mounts one; root may.
    ///
    /// # Errors
    /// Where that is not allowed.
    pub fn mount(bytes: u64) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = directory.path().to_string_lossy().into_owned();
        run(&["mount", "-t", "tmpfs", "-o", &format!("size={bytes}"), "larder-test", &path])?;
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes every byte that is left; how many.
    ///
    /// # Panics
    /// Where something other than the lack of room is in the way.
    pub fn fill(&self) -> u64 {
        let mut file = File::create(self.ballast()).expect("a file");
        let (mut length, mut written) = (PIECE_BYTES, 0);
        while length > 0 {
            match file.write(&vec![b'x'; length]) {
                Ok(count) if count > 0 => written += count as u64,
                Ok(_) => length /= 2,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => length /= 2,
                Err(error) => panic!("the disk cannot be filled: {error}"),
            }
        }
        written
    }

    /// Gives back what [`SmallDisk::fill`] took.
    ///
    /// # Panics
    /// Where the file cannot be removed.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("the ballast goes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that was killed this moment may still have files open.
        let _ = run(&["umount", "-l", &self.path().to_string_lossy()]);
    }
}
