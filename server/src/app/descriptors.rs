//! File descriptors: a connection takes one, and so do peers, the directory and the listeners, which clients must not
//! starve.

use crate::config::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not for clients: links and handshakes of peers, the HTTP port, the directory's file, what cores
/// wait with.
const RESERVED: u64 = 448;
/// Clients that are let in however few descriptors there are.
const CLIENTS_MIN: u64 = 1;

/// Raises the soft limit as far as `maxclients` wants, and takes `maxclients` down to what there is, as Redis does.
pub(super) fn provide(settings: &Settings) {
    let wanted = settings.live().maxclients() + RESERVED;
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return;
    }
    let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    let current = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit }) {
        Ok(()) => raised,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    };
    if current < wanted {
        let maxclients = clients(current);
        tracing::warn!(
            open_files = current,
            wanted,
            maxclients,
            "maxclients is taken down: ulimit -n is too low for it"
        );
        if let Err(error) = settings.set(&[("maxclients".into(), maxclients.to_string())]) {
            tracing::warn!(%error, "maxclients stays as it is");
        }
    }
}

/// How many clients there may be with so many descriptors: half of them at the least.
fn clients(descriptors: u64) -> u64 {
    descriptors.saturating_sub(RESERVED).max(descriptors / 2).max(CLIENTS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_for_the_node_itself() {
        assert_eq!(clients(10_448), 10_000);
        assert_eq!(clients(1024), 576);
        assert_eq!(clients(256), 128);
        assert_eq!(clients(1), 1);
    }
}
