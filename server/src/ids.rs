//! Newtypes for what is counted and named.

use std::fmt;

/// A partition: a contiguous run of slots, replicated by one Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PartitionId(pub u16);

impl PartitionId {
    /// The partition of `slot` where there are `partitions` of them.
    pub fn of_slot(slot: u16, partitions: u16) -> Self {
        Self((u32::from(slot) * u32::from(partitions) / u32::from(larder_protocol::SLOTS)) as u16)
    }

    /// The first slot of this partition where there are `partitions` of them; of `partitions` itself, 16,384.
    pub fn first_slot(self, partitions: u16) -> u16 {
        (u32::from(self.0) * u32::from(larder_protocol::SLOTS)).div_ceil(u32::from(partitions)) as u16
    }

    /// Its position in tables.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node's number within its cluster, given once by the directory and never used again; the first node is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct NodeNo(pub u32);

impl fmt::Display for NodeNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A database of the keyspace, as SELECT names it. Its keys have nothing to do with those of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DatabaseNo(pub u16);

impl DatabaseNo {
    /// The one that is selected unless SELECT says otherwise.
    pub const FIRST: Self = Self(0);
}

impl fmt::Display for DatabaseNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many times a node has started with its data directory, fsynced before anything is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct Incarnation(pub u32);

/// The 160-bit name of a node: 40 lower-case hex digits on the wire, as in Redis Cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct NodeName(pub [u8; 20]);

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The Raft id of one copy of a partition: a node and its incarnation, since a copy whose log is gone must not vote as
/// its old self.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
pub struct CopyId {
    /// The node that holds the copy.
    pub node: NodeNo,
    /// The incarnation of that node.
    pub incarnation: Incarnation,
}

impl CopyId {
    /// Both numbers in one, as openraft wants its node ids.
    pub fn pack(self) -> u64 {
        u64::from(self.node.0) << 32 | u64::from(self.incarnation.0)
    }

    /// The inverse of [`CopyId::pack`].
    pub fn unpack(raft_id: u64) -> Self {
        Self { node: NodeNo((raft_id >> 32) as u32), incarnation: Incarnation(raft_id as u32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_cover_all_slots_in_order() {
        for partitions in [1, 3, 12, 24, 96] {
            for slot in 0..larder_protocol::SLOTS {
                let id = PartitionId::of_slot(slot, partitions);
                assert!(id.first_slot(partitions) <= slot && slot < PartitionId(id.0 + 1).first_slot(partitions));
            }
        }
    }
}
