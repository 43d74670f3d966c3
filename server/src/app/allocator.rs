//! Settings of the allocator. It reads them from the environment before `main` begins, so a node that was started without
//! them starts its program once more, in the same process, with them.
//!
//! What matters is how soon memory that was freed goes back to the system. The allocator's own answer, a second, and then
//! only once much else was allocated, means that an idle node keeps what it needed to start, and a full one its items of
//! yesterday's sizes. Giving everything back at once costs page faults: what a log entry frees the next one needs. Much that
//! is freed together is given back by who frees it (`keyspace::reclaim`), within the delay: after it whoever allocates next
//! does it all, and clients wait meanwhile.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Settings, unless the environment has others.
const SETTINGS: [(&str, &str); 1] = [("MIMALLOC_PURGE_DELAY", "100")];

/// Sees to it that the allocator has its settings: returns with them, or where the program cannot be started again, and
/// then says why. To be called before anything else is begun.
pub(super) fn settle() -> Result<(), std::io::Error> {
    let missing = missing(|name| std::env::var_os(name));
    if missing.is_empty() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(command.args(arguments).envs(missing).exec())
}

/// The settings that the environment does not have.
fn missing(variable: impl Fn(&str) -> Option<OsString>) -> Vec<(&'static str, &'static str)> {
    SETTINGS.into_iter().filter(|(name, _)| variable(name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_says_stays() {
        assert_eq!(missing(|_| None), SETTINGS);
        assert_eq!(missing(|_| Some("1000".into())), []);
    }
}
