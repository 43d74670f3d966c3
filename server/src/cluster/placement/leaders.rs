//! Which copy of each partition leads.

use super::flow::Flow;
use crate::ids::NodeNo;
use std::collections::BTreeMap;

const SOURCE: usize = 0;
const SINK: usize = 1;
/// Worth more than any number of leaders that stay: even loads come first.
const EVEN: i64 = 1 << 32;

/// A leader for each partition among its copies; `None` only where there are no copies.
///
/// If every copy took its turn, a node would lead the sum of 1/(copies of the partition) over its copies: it leads that
/// number, rounded down or up. Among all such choices this one changes the fewest leaders from `previous` (which may be
/// shorter, or name nodes that hold no copy). A copy earlier in its row is preferred among equals.
pub fn leaders(placement: &[Vec<NodeNo>], previous: &[Option<NodeNo>]) -> Vec<Option<NodeNo>> {
    // The turns of one partition are counted in units that every number of copies divides.
    let unit: u128 = placement.iter().map(|row| row.len().max(1) as u128).fold(1, lcm);
    let mut turns: BTreeMap<NodeNo, u128> = BTreeMap::new();
    for row in placement {
        for &no in row {
            *turns.entry(no).or_default() += unit / row.len() as u128;
        }
    }
    let vertices: BTreeMap<NodeNo, usize> = turns.keys().enumerate().map(|(i, &no)| (no, 2 + i)).collect();
    let mut flow = Flow::new(2 + vertices.len() + placement.len());
    for (no, &turns) in &turns {
        // The first leaderships up to the share rounded down are worth more than anything, one more is worth nothing.
        flow.edge(vertices[no], SINK, (turns / unit) as u32, -EVEN);
        flow.edge(vertices[no], SINK, u32::from(turns % unit > 0), 0);
    }
    let mut choices: Vec<Vec<(NodeNo, usize)>> = Vec::with_capacity(placement.len());
    for (p, row) in placement.iter().enumerate() {
        let at = 2 + vertices.len() + p;
        flow.edge(SOURCE, at, 1, 0);
        let before = previous.get(p).copied().flatten();
        choices
            .push(row.iter().map(|&no| (no, flow.edge(at, vertices[&no], 1, i64::from(before != Some(no))))).collect());
    }
    flow.augment(i64::MAX);
    let chosen = |row: &Vec<(NodeNo, usize)>| row.iter().find(|(_, edge)| flow.used(*edge) == 1).map(|(no, _)| *no);
    choices.iter().map(chosen).collect()
}

fn lcm(a: u128, b: u128) -> u128 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nos(rows: &[&[u32]]) -> Vec<Vec<NodeNo>> {
        rows.iter().map(|row| row.iter().map(|&no| NodeNo(no)).collect()).collect()
    }

    #[test]
    fn three_nodes_lead_four_each_of_twelve() {
        let placement = nos(&[[1, 2, 3].as_slice(); 12]);
        let chosen = leaders(&placement, &[]);
        for no in 1..=3 {
            assert_eq!(chosen.iter().filter(|leader| **leader == Some(NodeNo(no))).count(), 4);
        }
        assert_eq!(leaders(&placement, &chosen), chosen);
    }

    #[test]
    fn only_the_excess_changes_hands() {
        let placement = nos(&[[1, 2].as_slice(); 4]);
        let chosen = leaders(&placement, &[Some(NodeNo(1)); 4]);
        assert_eq!(chosen.iter().filter(|leader| **leader == Some(NodeNo(1))).count(), 2);
    }

    #[test]
    fn a_partition_without_copies_has_no_leader() {
        assert_eq!(leaders(&nos(&[&[], &[7]]), &[Some(NodeNo(7)), None]), [None, Some(NodeNo(7))]);
    }
}
