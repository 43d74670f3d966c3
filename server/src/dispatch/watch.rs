//! WATCH: what a connection watches, here or at another node.

use super::Dispatcher;
use crate::clock::UnixMs;
use crate::cluster::routes::{Forward, ForwardKind};
use crate::ids::{DatabaseNo, NodeNo, PartitionId};
use crate::keyspace::WatchToken;
use crate::raft::{Partition, PartitionGuard, Role};
use bytes::Bytes;
use larder_protocol::{Args, Slot};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Keys watched at this node's copy of their partition.
#[derive(Debug)]
pub(super) struct Watched {
    /// Set once one of them has changed.
    pub token: WatchToken,
    /// The role at the time of WATCH. Under another, changes may have been missed.
    role: Role,
    keys: Vec<(DatabaseNo, Box<[u8]>)>,
}

impl Watched {
    /// Whether EXEC must be nil: a key has changed or expired, or the copy's role has changed.
    pub fn is_dirty(&self, guard: &PartitionGuard<'_>, wall: UnixMs) -> bool {
        let now = wall.max(guard.clock);
        self.token.load(Ordering::Acquire)
            || self.role != guard.role
            || self.keys.iter().any(|(database, key)| guard.keyspace.is_due_in(*database, key, now))
    }

    /// Takes the token out of the keyspace.
    pub fn forget(&self, partition: &Partition) {
        let mut guard = partition.lock();
        for (database, key) in &self.keys {
            guard.keyspace.select(*database);
            guard.keyspace.unwatch(key, &self.token);
        }
    }
}

/// Where a connection's keys are watched.
#[derive(Debug)]
pub(super) enum Place {
    /// At this node's copy.
    Here(Watched),
    /// At that node's, for this connection.
    There(NodeNo),
    /// Nowhere any more: the route changed between two WATCHes. EXEC is nil.
    Lost,
}

/// What a connection watches: keys of one slot.
#[derive(Debug)]
pub(super) struct Watch {
    pub slot: Slot,
    pub partition: PartitionId,
    pub place: Place,
    /// How many, for CLIENT LIST.
    pub keys: usize,
}

/// Why keys are not watched here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotHere {
    /// The copy does not lead; its role.
    Role(Role),
    /// One of the keys is due and not yet reaped: its removal must not count as a change.
    Due,
}

/// How long WATCH waits for due keys to be reaped, a bit at a time.
pub(super) const REAP_PAUSE: Duration = Duration::from_millis(5);
/// How often it waits, before it watches them as they are: EXEC may then be nil for no good reason.
pub(super) const REAP_PAUSES_MAX: u32 = 100;

impl Dispatcher {
    /// Watches `keys` of a database at this node's copy, which must lead. `watched` is what the connection watches already.
    pub(super) fn watch_here(
        &self,
        partition: &Partition,
        (database, keys): (DatabaseNo, Args<'_>),
        watched: Option<Watched>,
        wall: UnixMs,
        even_due: bool,
    ) -> Result<Watched, (NotHere, Option<Watched>)> {
        let mut guard = partition.lock();
        let role = guard.role;
        if !matches!(role, Role::Solo | Role::Leader) {
            return Err((NotHere::Role(role), watched));
        }
        let now = wall.max(guard.clock);
        guard.keyspace.select(database);
        for key in keys.iter() {
            if !guard.keyspace.is_due(key, now) {
                continue;
            }
            if role == Role::Solo {
                guard.keyspace.remove(key);
            } else if !even_due {
                return Err((NotHere::Due, watched));
            }
        }
        let mut watched = watched.unwrap_or_else(|| Watched { token: Arc::default(), role, keys: Vec::new() });
        for key in keys.iter() {
            if !watched.keys.iter().any(|(of, other)| *of == database && **other == *key) {
                guard.keyspace.watch(key, &watched.token);
                watched.keys.push((database, key.into()));
            }
        }
        Ok(watched)
    }

    /// Forgets what a connection watches.
    pub(super) fn unwatch(&self, watch: &Watch, session: u64) {
        match &watch.place {
            Place::Here(watched) => watched.forget(self.partition(watch.partition)),
            Place::There(node) => {
                let kind = ForwardKind::Unwatch { session };
                let request = Forward::new(watch.partition, kind, Bytes::new(), 0);
                drop(self.routes.forward(*node, request));
            }
            Place::Lost => {}
        }
    }
}
