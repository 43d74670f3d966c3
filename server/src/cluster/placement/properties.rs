//! Properties of placement over all kinds of clusters.

use super::*;
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

/// One to ten nodes with numbers out of order; zones and weights by choice.
fn nodes(zones: bool, weights: bool) -> impl Strategy<Value = Vec<PlacementNode>> {
    let zone = if zones { prop::option::of(0..4_u8).boxed() } else { Just(None).boxed() };
    let weight = if weights { (1..=8_u64).prop_map(|gib| gib * GIB).boxed() } else { Just(GIB).boxed() };
    prop::collection::btree_map(1..100_u32, (weight, zone), 1..=10).prop_map(|nodes| {
        nodes
            .into_iter()
            .map(|(no, (weight, zone))| PlacementNode {
                no: NodeNo(no),
                weight,
                zone: zone.map(|zone| format!("zone-{zone}")),
            })
            .collect()
    })
}

fn load(placement: &[Vec<NodeNo>], no: NodeNo) -> usize {
    placement.iter().filter(|row| row.contains(&no)).count()
}

/// Copies that are in `after` and not in `before`.
fn moved(before: &[Vec<NodeNo>], after: &[Vec<NodeNo>]) -> usize {
    before.iter().zip(after).map(|(before, after)| after.iter().filter(|no| !before.contains(no)).count()).sum()
}

/// The share of each node in copies, when no node may hold more than `partitions`: a naive model of the quotas.
fn fair_shares(nodes: &[PlacementNode], partitions: usize, copies: usize) -> Vec<f64> {
    let mut shares = vec![0.0; nodes.len()];
    let mut open: Vec<usize> = (0..nodes.len()).collect();
    let mut left = (partitions * copies) as f64;
    loop {
        let sum: f64 = open.iter().map(|&i| nodes[i].weight as f64).sum();
        open.iter().for_each(|&i| shares[i] = left * nodes[i].weight as f64 / sum);
        let full: Vec<usize> = open.iter().copied().filter(|&i| shares[i] > partitions as f64 + 1e-9).collect();
        if full.is_empty() {
            return shares;
        }
        for i in full {
            shares[i] = partitions as f64;
            left -= partitions as f64;
            open.retain(|&j| j != i);
        }
    }
}

fn check_shape(nodes: &[PlacementNode], partitions: u16, replicas: usize, placement: &[Vec<NodeNo>]) {
    assert_eq!(placement.len(), usize::from(partitions));
    for row in placement {
        assert_eq!(row.len(), replicas.min(nodes.len()));
        assert!(row.iter().all(|no| nodes.iter().any(|node| node.no == *no)));
        assert_eq!(row.iter().collect::<BTreeSet<_>>().len(), row.len(), "two copies on one node");
    }
}

fn check_balance(nodes: &[PlacementNode], partitions: u16, replicas: usize, placement: &[Vec<NodeNo>]) {
    let shares = fair_shares(nodes, usize::from(partitions), replicas.min(nodes.len()));
    for (node, share) in nodes.iter().zip(shares) {
        let load = load(placement, node.no) as f64;
        assert!(
            (share - 1e-6).floor() <= load && load <= (share + 1e-6).ceil().min((share - 1e-6).ceil()),
            "node {} holds {load} of a share of {share}",
            node.no
        );
    }
}

fn zone_of(nodes: &[PlacementNode], no: NodeNo) -> String {
    let node = nodes.iter().find(|node| node.no == no).unwrap();
    node.zone.clone().unwrap_or_else(|| format!("node-{no}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn loads_are_fair_shares_rounded(nodes in nodes(false, true), partitions in 1..=96_u16, replicas in 1..=5_usize) {
        let placement = place(&nodes, partitions, replicas, &[]);
        check_shape(&nodes, partitions, replicas, &placement);
        check_balance(&nodes, partitions, replicas, &placement);
    }

    #[test]
    fn order_does_not_matter_and_nothing_moves_without_cause(
        (nodes, shuffled) in nodes(true, true).prop_flat_map(|nodes| (Just(nodes.clone()), Just(nodes).prop_shuffle())),
        partitions in 1..=96_u16,
        replicas in 1..=5_usize,
    ) {
        let placement = place(&nodes, partitions, replicas, &[]);
        prop_assert_eq!(&place(&shuffled, partitions, replicas, &[]), &placement);
        prop_assert_eq!(&place(&shuffled, partitions, replicas, &placement), &placement);
    }

    #[test]
    fn a_join_moves_the_share_of_the_new_node(
        nodes in nodes(false, false),
        partitions in 1..=96_u16,
        replicas in 1..=5_usize,
    ) {
        let before = place(&nodes, partitions, replicas, &[]);
        let mut more = nodes.clone();
        more.push(PlacementNode { no: NodeNo(100), weight: GIB, zone: None });
        let after = place(&more, partitions, replicas, &before);
        check_shape(&more, partitions, replicas, &after);
        check_balance(&more, partitions, replicas, &after);
        prop_assert!(moved(&before, &after) <= load(&after, NodeNo(100)) + 1);
    }

    #[test]
    fn a_leave_moves_the_share_of_the_leaver(
        nodes in nodes(false, false).prop_filter("one must stay", |nodes| nodes.len() > 1),
        leaver in any::<prop::sample::Index>(),
        partitions in 1..=96_u16,
        replicas in 1..=5_usize,
    ) {
        let before = place(&nodes, partitions, replicas, &[]);
        let mut fewer = nodes.clone();
        let left = fewer.remove(leaver.index(nodes.len())).no;
        let after = place(&fewer, partitions, replicas, &before);
        check_shape(&fewer, partitions, replicas, &after);
        check_balance(&fewer, partitions, replicas, &after);
        // One copy may have to make room where nearly every node holds nearly every partition.
        prop_assert!(moved(&before, &after) <= load(&before, left) + 1);
    }

    #[test]
    fn with_weights_rounding_adds_at_most_one_copy_a_node(
        nodes in nodes(false, true),
        weight in 1..=8_u64,
        partitions in 1..=96_u16,
        replicas in 1..=5_usize,
    ) {
        let before = place(&nodes, partitions, replicas, &[]);
        let mut more = nodes.clone();
        more.push(PlacementNode { no: NodeNo(100), weight: weight * GIB, zone: None });
        let joined = place(&more, partitions, replicas, &before);
        check_balance(&more, partitions, replicas, &joined);
        prop_assert!(moved(&before, &joined) <= load(&joined, NodeNo(100)) + nodes.len());
        let back = place(&nodes, partitions, replicas, &joined);
        check_balance(&nodes, partitions, replicas, &back);
        prop_assert!(moved(&joined, &back) <= load(&joined, NodeNo(100)) + nodes.len());
    }

    #[test]
    fn copies_are_spread_over_zones(nodes in nodes(true, true), partitions in 1..=96_u16, replicas in 1..=5_usize) {
        let before = place(&nodes, partitions, replicas, &[]);
        // The same must hold when it grew from another cluster.
        let after = place(&nodes[..nodes.len().div_ceil(2)], partitions, replicas, &before);
        for (nodes, placement) in [(&nodes[..], before), (&nodes[..nodes.len().div_ceil(2)], after)] {
            check_shape(nodes, partitions, replicas, &placement);
            let zones: BTreeSet<String> = nodes.iter().map(|node| zone_of(nodes, node.no)).collect();
            for row in &placement {
                let used: BTreeSet<String> = row.iter().map(|no| zone_of(nodes, *no)).collect();
                if zones.len() >= row.len() {
                    prop_assert_eq!(used.len(), row.len(), "two copies in one zone of {}", zones.len());
                } else {
                    prop_assert!(used.len() > 1 || zones.len() == 1);
                }
            }
        }
    }

    #[test]
    fn any_previous_placement_is_survived(
        nodes in nodes(true, true),
        partitions in 1..=48_u16,
        replicas in 0..=5_usize,
        previous in prop::collection::vec(prop::collection::vec((0..100_u32).prop_map(NodeNo), 0..7), 0..64),
    ) {
        let placement = place(&nodes, partitions, replicas, &previous);
        check_shape(&nodes, partitions, replicas, &placement);
    }

    #[test]
    fn leaders_are_even_and_stay(
        nodes in nodes(true, true),
        partitions in 1..=96_u16,
        replicas in 1..=5_usize,
    ) {
        let placement = place(&nodes, partitions, replicas, &[]);
        let chosen = leaders(&placement, &[]);
        let copies = replicas.min(nodes.len());
        for node in &nodes {
            let held = load(&placement, node.no);
            let led = chosen.iter().filter(|leader| **leader == Some(node.no)).count();
            prop_assert!(held / copies <= led && led <= held.div_ceil(copies), "{led} led of {held} copies");
        }
        for (leader, row) in chosen.iter().zip(&placement) {
            prop_assert!(row.contains(&leader.unwrap()));
        }
        prop_assert_eq!(leaders(&placement, &chosen), chosen);
    }
}

#[test]
fn the_cluster_of_the_first_issue() {
    let three: Vec<PlacementNode> =
        (1..=3).map(|no| PlacementNode { no: NodeNo(no), weight: GIB, zone: None }).collect();
    let before = place(&three, 12, 3, &[]);
    let mut four = three.clone();
    four.push(PlacementNode { no: NodeNo(4), weight: GIB, zone: None });
    let after = place(&four, 12, 3, &before);
    assert_eq!((1..=4).map(|no| load(&after, NodeNo(no))).collect::<Vec<_>>(), [9, 9, 9, 9]);
    assert_eq!(moved(&before, &after), 9);
}

#[test]
fn no_nodes_no_copies() {
    assert_eq!(place(&[], 2, 3, &[]), vec![Vec::<NodeNo>::new(); 2]);
}
