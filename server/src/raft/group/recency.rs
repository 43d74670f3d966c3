//! Followers learn what was read: only the leader sees the reads, and whoever follows it as leader shall evict in the
//! same order.
//!
//! The leader sends what was used since it last did, a slice at a time, to all other copies. Hints may be lost; an order
//! that is a little off evicts a little early. A follower's order is as fresh as the last slice.

use super::Group;
use crate::ids::DatabaseNo;
use crate::keyspace::EvictionPolicy;
use crate::raft::codec::{Malformed, Reader, WriteMessage};
use crate::raft::network::{Address, Kind};
use crate::raft::partition::Role;
use bytes::{BufMut, Bytes, BytesMut};
use openraft::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most items in one slice: the partition's lock is held while they are written down, some tenths of a microsecond each.
const SLICE_ITEMS: usize = 1024;
/// Bytes of keys in one slice.
const SLICE_BYTES: usize = 64 * 1024;
/// Longest key that is told of: a key may have hundreds of megabytes.
const KEY_BYTES_MAX: usize = SLICE_BYTES / 2;
/// How long the other copies may take to hear it.
const TIMEOUT: Duration = Duration::from_secs(1);

impl<RT: AsyncRuntime> Group<RT> {
    /// Tells the other copies of at most `items` of what was used, if this copy leads, memory is limited and the policy
    /// goes by recency; the number of them. Does nothing while a slice is on its way.
    pub fn tell_recency(self: &Arc<Self>, items: usize) -> usize {
        if !self.host.room.is_limited((self.host.boot_ns)()) || self.telling.load(Ordering::Acquire) {
            return 0;
        }
        let Some((count, slice)) = self.slice(items.min(SLICE_ITEMS)) else { return 0 };
        let others: Vec<_> = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            metrics
                .membership_config
                .membership()
                .nodes()
                .map(|(id, _)| *id)
                .filter(|id| *id != self.me.pack())
                .collect()
        };
        self.telling.store(true, Ordering::Release);
        let group = Arc::clone(self);
        drop(RT::spawn(async move {
            let calls = others.into_iter().map(|to| {
                let to = crate::ids::CopyId::unpack(to);
                let address =
                    Address { partition: group.partition.id(), generation: group.generation, from: group.me, to };
                let mut body = BytesMut::with_capacity(slice.len() + 64);
                address.write(&mut body, Kind::Recency);
                body.put_slice(&slice);
                group.host.rpc.call_patiently(to.node, body.freeze(), TIMEOUT)
            });
            futures::future::join_all(calls).await;
            group.telling.store(false, Ordering::Release);
        }));
        count
    }

    /// For each database that something was used of: `database: u16, count: u32`, then `tick: u64, length: u32, key` of
    /// each item.
    fn slice(&self, items: usize) -> Option<(usize, Bytes)> {
        let mut out = BytesMut::new();
        let mut told = 0;
        // The database of which items are being told, how many, and where that number is to stand.
        let mut section: Option<(DatabaseNo, u32, usize)> = None;
        let mut state = self.partition.lock();
        if state.role != Role::Leader
            || !matches!(state.keyspace.policy(), EvictionPolicy::AllKeysLru | EvictionPolicy::VolatileLru)
        {
            return None;
        }
        state.keyspace.untold(|database, key, tick| {
            if key.len() > KEY_BYTES_MAX {
                return true;
            }
            let take = told < items && out.len() + key.len() <= SLICE_BYTES;
            if take {
                if section.is_none_or(|(begun, ..)| begun != database) {
                    end_section(section, &mut out);
                    out.put_u16_le(database.0);
                    section = Some((database, 0, out.len()));
                    out.put_u32_le(0);
                }
                out.put_u64_le(tick);
                out.put_bytes_value(key);
                section = section.map(|(database, count, at)| (database, count + 1, at));
                told += 1;
            }
            take
        });
        drop(state);
        end_section(section, &mut out);
        (told > 0).then(|| (told, out.freeze()))
    }

    /// Hears of a slice.
    pub(super) fn hear_recency(&self, body: &mut Reader) -> Result<(), Malformed> {
        let mut state = self.partition.lock();
        let follows = matches!(state.role, Role::Follower(_));
        while !body.0.is_empty() {
            let database = DatabaseNo(body.u16()?);
            for _ in 0..body.count(12)? {
                let (tick, key) = (body.u64()?, body.bytes()?);
                if follows {
                    state.keyspace.touch(database, &key, tick);
                }
            }
        }
        Ok(())
    }
}

/// Writes how many items a section holds into its place.
fn end_section(section: Option<(DatabaseNo, u32, usize)>, out: &mut BytesMut) {
    if let Some((_, count, at)) = section {
        out[at..at + 4].copy_from_slice(&count.to_le_bytes());
    }
}
