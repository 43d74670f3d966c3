//! Who is shown to serve which slots.

use crate::ids::{NodeNo, PartitionId};
use crate::topology::{NodeInfo, Topology};
use larder_protocol::SLOTS;

/// Slots `first..=last` and the node that serves them.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotRange<'a> {
    pub first: u16,
    pub last: u16,
    pub node: &'a NodeInfo,
}

/// The node that is shown as the master of a partition: its leader, else its first copy that is a known node, else this
/// node. The last two are for the moments in which no leader is known: a hole would break clients (see the module above).
fn shown_owner(topology: &Topology, partition: usize) -> Option<&NodeInfo> {
    let owners = &topology.owners[partition];
    let candidates = owners.leader.into_iter().chain(owners.copies.iter().copied()).chain([topology.me]);
    candidates.filter_map(|no| topology.node(no)).next()
}

/// All slots in order, adjacent ranges of one node joined.
pub(super) fn ranges(topology: &Topology) -> Vec<SlotRange<'_>> {
    let partitions = topology.partitions();
    let mut ranges: Vec<SlotRange<'_>> = Vec::new();
    for partition in 0..partitions {
        let Some(node) = shown_owner(topology, usize::from(partition)) else { continue };
        let first = PartitionId(partition).first_slot(partitions);
        let last = PartitionId(partition + 1).first_slot(partitions).min(SLOTS) - 1;
        match ranges.last_mut() {
            Some(range) if range.node.no == node.no && range.last + 1 == first => range.last = last,
            _ => ranges.push(SlotRange { first, last, node }),
        }
    }
    ranges
}

/// The ranges of one node.
pub(super) fn ranges_of<'a>(ranges: &'a [SlotRange<'a>], no: NodeNo) -> impl Iterator<Item = (u16, u16)> + 'a {
    ranges.iter().filter(move |range| range.node.no == no).map(|range| (range.first, range.last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::port_stub::topology;

    #[test]
    fn every_slot_is_covered_whatever_is_known() {
        let mut topology = topology(3, &[1, 1, 2, 3]);
        topology.owners[3].leader = None;
        topology.owners[3].copies = vec![NodeNo(9), NodeNo(2)];
        let ranges: Vec<_> = ranges(&topology).iter().map(|r| (r.first, r.last, r.node.no.0)).collect();
        assert_eq!(ranges, [(0, 8191, 1), (8192, 16383, 2)], "joined, and shown with the first copy that is known");
        topology.owners[0].leader = Some(NodeNo(7));
        topology.owners[0].copies.clear();
        assert_eq!(super::ranges(&topology)[0].node.no, topology.me);
    }
}
