//! The hash ring: each node at many points, as its weight says.

use super::Nodes;
use siphasher::sip::SipHasher13;

/// Points that a node of average weight has.
const POINTS_MEAN: u128 = 64;
/// Points that one node may have.
const POINTS_MAX: u128 = 1024;

/// The points in order, each with the position of its node.
pub(super) struct Ring {
    points: Vec<(u64, usize)>,
    nodes: usize,
}

impl Ring {
    pub(super) fn new(nodes: &Nodes) -> Self {
        let count = nodes.list.len();
        let weight_sum: u128 = (0..count).map(|node| u128::from(nodes.weight(node))).sum();
        let mut points = Vec::new();
        for (node, info) in nodes.list.iter().enumerate() {
            let share = POINTS_MEAN * count as u128 * u128::from(nodes.weight(node)) / weight_sum.max(1);
            for point in 0..share.clamp(1, POINTS_MAX) as u32 {
                points.push((position(b"node", info.no.0, point), node));
            }
        }
        points.sort_unstable();
        Self { points, nodes: count }
    }

    /// All nodes, each once, in the order in which they follow `partition`'s place.
    pub(super) fn walk(&self, partition: usize) -> impl Iterator<Item = usize> {
        let place = position(b"part", partition as u32, 0);
        let start = self.points.partition_point(|&(position, _)| position < place);
        let mut seen = vec![false; self.nodes];
        let (before, after) = self.points.split_at(start);
        after
            .iter()
            .chain(before)
            .filter_map(move |&(_, node)| (!std::mem::replace(&mut seen[node], true)).then_some(node))
    }
}

/// A place on the ring. The hash and its keys are part of the protocol between nodes of different versions: never change
/// them.
fn position(kind: &[u8; 4], number: u32, point: u32) -> u64 {
    let mut key = [0; 12];
    key[..4].copy_from_slice(kind);
    key[4..8].copy_from_slice(&number.to_be_bytes());
    key[8..].copy_from_slice(&point.to_be_bytes());
    SipHasher13::new_with_keys(0x6c61_7264_6572, 0x7269_6e67).hash(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::placement::PlacementNode;
    use crate::ids::NodeNo;

    fn ring(weights: &[u64]) -> Ring {
        let node = |(no, &weight): (usize, &u64)| PlacementNode { no: NodeNo(no as u32 + 1), weight, zone: None };
        Ring::new(&Nodes::new(&weights.iter().enumerate().map(node).collect::<Vec<_>>()))
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(position(b"node", 1, 0), 5_960_537_154_888_949_787);
        assert_eq!(position(b"part", 7, 0), 8_511_821_920_722_227_270);
    }

    #[test]
    fn a_walk_meets_every_node_once() {
        let ring = ring(&[1, 1, 1, 1, 1]);
        for partition in 0..100 {
            let mut met: Vec<usize> = ring.walk(partition).collect();
            met.sort_unstable();
            assert_eq!(met, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn heavier_nodes_come_first_more_often() {
        let ring = ring(&[1, 3]);
        let heavy = (0..1000).filter(|&partition| ring.walk(partition).next() == Some(1)).count();
        assert!((600..900).contains(&heavy), "{heavy} of 1000 for three quarters of the weight");
    }
}
