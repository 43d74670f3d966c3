//! A wall clock that tests set, for one node: libfaketime between the node and the C library.
//!
//! Boot time, which leases go by, is read from the kernel past the C library, and monotonic time is left alone: what
//! jumps is the wall clock, as where somebody sets a machine's time.

use super::node::Place;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian and its kin, Fedora and Arch have it.
const DIRECTORIES: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"];
/// The one for programs of many threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The wall clock of one node.
pub struct WallClock {
    /// What libfaketime reads: how far off the clock is.
    file: PathBuf,
}

impl WallClock {
    /// Gives the node at `place` a clock that is set through a file in `directory`, which bears its number.
    ///
    /// # Errors
    /// Where libfaketime is not installed.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn attach(place: &mut Place, directory: &Path, number: usize) -> Result<Self, String> {
        let library = library().ok_or_else(|| format!("{LIBRARY} is in none of {DIRECTORIES:?}"))?;
        let clock = Self { file: directory.join(format!("clock-{number}")) };
        clock.set(0);
        place.launcher.extend([
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", clock.file.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "FAKETIME_DONT_RESET=1".to_owned(),
        ]);
        Ok(clock)
    }

    /// Sets it so many seconds ahead of the machine's, or behind it.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn set(&self, ahead_seconds: i64) {
        // By a new name, so that no read finds half of it.
        let next = self.file.with_extension("next");
        fs::write(&next, format!("{ahead_seconds:+}\n")).expect("the clock's file");
        fs::rename(&next, &self.file).expect("the clock's file");
    }
}

fn library() -> Option<PathBuf> {
    let architectures = DIRECTORIES.iter().flat_map(|directory| {
        let inner = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        inner.chain([PathBuf::from(directory)])
    });
    architectures.map(|directory| directory.join(LIBRARY)).find(|path| path.exists())
}
