//! Finding the program under test.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The `larder` program: `LARDER_BIN` if that is set, else built by cargo from this workspace in the profile that the
/// tests were built in, once a test binary.
///
/// # Panics
/// Where it does not build.
pub fn larder_binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("LARDER_BIN") {
        Some(path) => path.into(),
        None => build().unwrap_or_else(|error| panic!("cannot build larder: {error}")),
    });
    &BINARY
}

/// Builds it and asks cargo where it is, so that target directories and profiles need no guessing. The whole workspace
/// is named so that features, and with them the dependencies already built for the tests, are the same.
fn build() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = if cfg!(debug_assertions) { "test" } else { "release" };
    let output = Command::new(cargo)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--workspace", "--bin", "larder", "--message-format", "json", "--profile", profile])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("cargo build: {}", output.status)));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "larder")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| io::Error::other("cargo named no executable"))
}
