//! The lives of the directory's group.
//!
//! A group that has lost its majority for good decides nothing ever again. An operator may then have one survivor begin
//! a new generation: the survivor's whole log is taken as if it had been elected with it, and it becomes the only voter.
//! Messages carry the generation. One of an earlier generation is refused; a node that hears the leader of a later one
//! adopts it: it forgets log and vote, and is sent the state anew.
//!
//! Either change is one transaction on disk, so that a crash leaves the one generation or the other.

use super::command::DirectoryCommand;
use super::disk::{Disk, LOG, VALUES, write};
use super::log::{COMMITTED, PURGED, VOTE, log_id_bytes};
use super::machine::SNAPSHOT;
use super::state::DirectoryState;
use super::types::{
    Decoded, LogId, SnapshotMeta, StoredMembership, get_bytes, get_entry, get_snapshot_meta, put_bytes,
    put_snapshot_meta,
};
use crate::ids::NodeNo;
use bytes::{Buf, BufMut, Bytes};
use openraft::entry::RaftEntry;
use openraft::{EntryPayload, Membership};
use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::io;

const GENERATION: &str = "generation";
/// The state of an earlier generation, shown until the first one of the new generation arrives.
pub(super) const INHERITED: &str = "inherited";

/// Which life of the directory's group. Two survivors that are both told to begin one do not make the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Generation {
    /// Grows.
    pub number: u32,
    /// Who began it; nobody for the first.
    pub founder: NodeNo,
}

impl Generation {
    /// The one that every cluster begins with.
    pub const FIRST: Self = Self { number: 1, founder: NodeNo(0) };

    /// A term of this generation's leaders that no later generation falls below: what orders carry.
    pub fn order_term(self, term: u64) -> u64 {
        u64::from(self.number) << 32 | term.min(u64::from(u32::MAX))
    }

    pub(super) fn put(self, out: &mut impl BufMut) {
        out.put_u32(self.number);
        out.put_u32(self.founder.0);
    }

    pub(super) fn get(from: &mut Bytes) -> Decoded<Self> {
        Ok(Self { number: from.try_get_u32()?, founder: NodeNo(from.try_get_u32()?) })
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.founder {
            NodeNo(0) => write!(f, "{}", self.number),
            founder => write!(f, "{} of node {founder}", self.number),
        }
    }
}

fn damaged(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> redb::Error {
    redb::Error::Io(io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// The generation that the file is of.
pub(super) async fn current(disk: &Disk) -> io::Result<Generation> {
    match disk.get(GENERATION).await? {
        None => Ok(Generation::FIRST),
        Some(bytes) => {
            Generation::get(&mut Bytes::from(bytes)).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        }
    }
}

/// Makes `me` the only voter of the generation, which starts with all that its log holds.
pub(super) async fn begin(disk: &Disk, generation: Generation, me: NodeNo) -> io::Result<()> {
    disk.run(move |database| {
        write(database, |transaction| {
            let (last, state) = replay(transaction)?;
            let members = Membership::new_with_defaults(vec![BTreeSet::from([u64::from(me.0)])], []);
            let meta = SnapshotMeta { last_log_id: last, last_membership: StoredMembership::new(last, members) };
            let mut snapshot = Vec::new();
            put_snapshot_meta(&mut snapshot, &meta);
            put_bytes(&mut snapshot, &state.encode());
            transaction.open_table(LOG)?.retain_in(0.., |_, _| false)?;
            let mut values = transaction.open_table(VALUES)?;
            values.insert(SNAPSHOT, snapshot.as_slice())?;
            // The vote stays, so that terms go on growing.
            for name in [PURGED, COMMITTED] {
                values.insert(name, log_id_bytes(last.as_ref()).as_slice())?;
            }
            values.remove(INHERITED)?;
            put_generation(&mut values, generation)
        })
    })
    .await
}

/// Forgets log, vote and state, and waits for the leader of `generation`; `shown` is what is known until then.
pub(super) async fn adopt(disk: &Disk, generation: Generation, shown: &DirectoryState) -> io::Result<()> {
    let shown = shown.encode();
    disk.run(move |database| {
        write(database, |transaction| {
            transaction.open_table(LOG)?.retain_in(0.., |_, _| false)?;
            let mut values = transaction.open_table(VALUES)?;
            for name in [SNAPSHOT, PURGED, COMMITTED, VOTE] {
                values.remove(name)?;
            }
            values.insert(INHERITED, shown.as_slice())?;
            put_generation(&mut values, generation)
        })
    })
    .await
}

fn put_generation(values: &mut redb::Table<'_, &str, &[u8]>, generation: Generation) -> Result<(), redb::Error> {
    let mut bytes = Vec::new();
    generation.put(&mut bytes);
    values.insert(GENERATION, bytes.as_slice())?;
    Ok(())
}

/// The state after the last entry of the log, committed or not: an entry that only this node still has may have been
/// answered.
fn replay(transaction: &WriteTransaction) -> Result<(Option<LogId>, DirectoryState), redb::Error> {
    let values = transaction.open_table(VALUES)?;
    let stored = values.get(SNAPSHOT)?.map(|value| Bytes::copy_from_slice(value.value()));
    let (mut last, mut state) = match stored {
        None => (None, DirectoryState::default()),
        Some(mut bytes) => {
            let meta = get_snapshot_meta(&mut bytes).map_err(damaged)?;
            let state = DirectoryState::decode(&get_bytes(&mut bytes).map_err(damaged)?).map_err(damaged)?;
            (meta.last_log_id, state)
        }
    };
    let log = transaction.open_table(LOG)?;
    for entry in log.range(last.map_or(0, |id| id.index + 1)..)? {
        let entry = get_entry(&mut Bytes::copy_from_slice(entry?.1.value())).map_err(damaged)?;
        last = Some(entry.log_id());
        if let EntryPayload::Normal(command) = entry.payload {
            let command = DirectoryCommand::decode(&command.0).map_err(damaged)?;
            // One that is refused changes nothing, as it did or would have done everywhere.
            let _ = state.apply(command);
        }
    }
    if state.cluster.is_none() {
        return Err(damaged("this node knows no cluster"));
    }
    Ok((last, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ones_are_higher_and_so_are_their_orders() {
        let second = Generation { number: 2, founder: NodeNo(1) };
        assert!(Generation::FIRST < second && second < Generation { founder: NodeNo(2), ..second });
        assert!(Generation::FIRST.order_term(1_000_000) < second.order_term(1));
        let mut bytes = Vec::new();
        second.put(&mut bytes);
        assert_eq!(Generation::get(&mut Bytes::from(bytes)), Ok(second));
        assert!(Generation::get(&mut Bytes::from_static(&[1; 7])).is_err());
    }
}
