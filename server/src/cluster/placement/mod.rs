//! Where the copies of each partition live: a pure function of the nodes and of where the copies are now.
//!
//! ```text
//! weights, zones --> quota: the fair share of each node (bounded loads)
//! previous       --> flow:  copies that stay, the most that the shares allow
//! ring           --> flow:  where new copies go first; paths repair what the ring cannot reach
//! ```
//!
//! This is consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018) taken to the few partitions that
//! a cluster has. The bound is the fair share rounded up: with 12 partitions a ring alone gives one node twice the copies
//! of another, and a slack of ten percent is less than one copy. Since so tight a bound would move copies about on a bare
//! ring, the copies of `previous` stay wherever the shares allow, which a minimum-cost flow makes exact: no placement
//! within the bounds moves fewer copies. The decision is recorded in docs/decisions.
//!
//! Every argument is compared and sorted by value, hashes are fixed: all nodes compute the same answer.

mod flow;
mod leaders;
#[cfg(test)]
mod properties;
mod quota;
mod ring;

use crate::ids::NodeNo;
use flow::Flow;
use quota::Shares;
use ring::Ring;
use std::collections::{BTreeMap, BTreeSet};

pub use leaders::leaders;

/// What placement needs to know of a node that may hold copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementNode {
    /// Its number.
    pub no: NodeNo,
    /// Its share of the data, in any unit that is common to all nodes (bytes of memory); 0 counts as 1.
    pub weight: u64,
    /// Where it stands: copies of a partition go to distinct zones while there are enough. A node that names none is a
    /// zone of its own.
    pub zone: Option<String>,
}

/// The nodes that hold each partition's copies, by partition; within one, copies that stay come first and in their old
/// order.
///
/// - A partition has `replicas` copies, or one on each node where there are fewer nodes.
/// - Copies of a partition are on distinct nodes, and no zone holds more of them than it must for their number.
/// - Each node holds its fair share of all copies, rounded down or up. A share is by weight, but no node can hold two
///   copies of one partition and no zone more than its number, so that the excess of a heavy one goes to the others.
/// - Among all such placements this one moves the fewest copies from `previous`. So a join moves what the new node gets,
///   a leave what the leaver held, and one more in the rare case that a copy must make room for another; where weights or
///   zones differ, rounding may add one copy for each other node.
/// - `previous` may be empty or of another length: partitions without a row are new.
pub fn place(nodes: &[PlacementNode], partitions: u16, replicas: usize, previous: &[Vec<NodeNo>]) -> Vec<Vec<NodeNo>> {
    let nodes = Nodes::new(nodes);
    let partition_count = usize::from(partitions);
    let copies = replicas.min(nodes.list.len());
    if copies == 0 {
        return vec![Vec::new(); partition_count];
    }
    let previous: Vec<Vec<usize>> =
        (0..partition_count).map(|p| previous.get(p).map_or_else(Vec::new, |row| nodes.indices(row))).collect();
    let ring = Ring::new(&nodes);
    let mut problem = Problem::new(&nodes, copies, &previous);
    problem.keep(&previous);
    problem.fill_along_ring(&ring);
    problem.flow.augment(i64::MAX);
    problem.answer(&nodes, &ring, &previous)
}

/// The nodes in order of their numbers, each once, with their zones numbered.
struct Nodes {
    list: Vec<PlacementNode>,
    zone_of: Vec<usize>,
    zone_sizes: Vec<usize>,
}

impl Nodes {
    fn new(nodes: &[PlacementNode]) -> Self {
        let by_no: BTreeMap<NodeNo, &PlacementNode> = nodes.iter().map(|node| (node.no, node)).collect();
        let list: Vec<PlacementNode> = by_no.into_values().cloned().collect();
        // Named zones and single nodes never share a key: the first part tells them apart.
        let key = |node: &PlacementNode| match &node.zone {
            Some(zone) => (zone.clone(), NodeNo(0)),
            None => (String::new(), node.no),
        };
        let keys: Vec<_> = list.iter().map(|node| (node.zone.is_none(), key(node))).collect();
        let mut order: Vec<_> = keys.clone();
        order.sort();
        order.dedup();
        let zone_of: Vec<usize> = keys.iter().map(|key| order.binary_search(key).unwrap_or(0)).collect();
        let mut zone_sizes = vec![0; order.len()];
        zone_of.iter().for_each(|&zone| zone_sizes[zone] += 1);
        Self { list, zone_of, zone_sizes }
    }

    /// The nodes of a zone.
    fn members(&self, zone: usize) -> impl Iterator<Item = usize> {
        (0..self.list.len()).filter(move |&node| self.zone_of[node] == zone)
    }

    fn weight(&self, node: usize) -> u64 {
        self.list[node].weight.max(1)
    }

    /// The positions of those of `row` that are still here, each once.
    fn indices(&self, row: &[NodeNo]) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        row.iter()
            .filter_map(|no| self.list.binary_search_by_key(no, |node| node.no).ok())
            .filter(|&node| seen.insert(node))
            .collect()
    }
}

/// The copies as a flow, a unit a copy; it costs 1 on a node that does not hold that partition now.
///
/// ```text
/// source -> partition -> (partition, zone) -> node -> sink          the node's share rounded down
///                                             node -> zone -> sink  the rest of the zone's share rounded down
///                                                     zone -> spare -> sink
/// ```
///
/// The edges into the sink have room for all copies and no more, so a full flow fills each of them: every node has its
/// share rounded down at least, and at most one above it. Who is rounded up is whoever saves a move.
struct Problem {
    flow: Flow,
    copies: usize,
    /// By partition.
    from_source: Vec<usize>,
    /// By partition, by node: the edges from the partition to the node.
    to_node: Vec<Vec<[usize; 2]>>,
    /// By node: the ways from it to the sink, the first that has room being right.
    to_sink: Vec<[Vec<usize>; 3]>,
}

const SOURCE: usize = 0;
const SINK: usize = 1;
const SPARE: usize = 2;

impl Problem {
    fn new(nodes: &Nodes, copies: usize, previous: &[Vec<usize>]) -> Self {
        let zone_count = nodes.zone_sizes.len();
        let node_count = nodes.list.len();
        let zone_copies_max = quota::zone_copies_max(&nodes.zone_sizes, copies);
        let shares = Shares::new(nodes, previous.len(), copies, &zone_copies_max);
        let zone_at = |zone: usize| SPARE + 1 + zone;
        let node_at = |node: usize| zone_at(zone_count) + node;
        let partition_at = |p: usize| node_at(node_count) + p * (1 + zone_count);
        let mut flow = Flow::new(partition_at(previous.len()));

        let wholes: u32 = shares.zones.iter().map(|share| share.whole()).sum();
        let spare = flow.edge(SPARE, SINK, (previous.len() * copies) as u32 - wholes, 0);
        let mut zone_ways = Vec::with_capacity(zone_count);
        for (zone, share) in shares.zones.iter().enumerate() {
            let of_members: u32 = nodes.members(zone).map(|node| shares.nodes[node].whole()).sum();
            let rest = flow.edge(zone_at(zone), SINK, share.whole() - of_members, 0);
            let rounded_up = flow.edge(zone_at(zone), SPARE, u32::from(share.has_fraction()), 0);
            zone_ways.push((rest, rounded_up));
        }
        let mut to_sink = Vec::with_capacity(node_count);
        for (node, share) in shares.nodes.iter().enumerate() {
            let zone = nodes.zone_of[node];
            let whole = flow.edge(node_at(node), SINK, share.whole(), 0);
            let rounded_up = flow.edge(node_at(node), zone_at(zone), u32::from(share.has_fraction()), 0);
            let (zone_rest, zone_rounded_up) = zone_ways[zone];
            to_sink.push([vec![whole], vec![rounded_up, zone_rest], vec![rounded_up, zone_rounded_up, spare]]);
        }
        let mut from_source = Vec::with_capacity(previous.len());
        let mut to_node = Vec::with_capacity(previous.len());
        for (p, held) in previous.iter().enumerate() {
            let at = partition_at(p);
            from_source.push(flow.edge(SOURCE, at, copies as u32, 0));
            let to_zone: Vec<usize> =
                (0..zone_count).map(|zone| flow.edge(at, at + 1 + zone, zone_copies_max[zone] as u32, 0)).collect();
            let edges_to = |node: usize| {
                let zone = nodes.zone_of[node];
                let cost = i64::from(!held.contains(&node));
                [to_zone[zone], flow.edge(at + 1 + zone, node_at(node), 1, cost)]
            };
            to_node.push((0..node_count).map(edges_to).collect());
        }
        Self { flow, copies, from_source, to_node, to_sink }
    }

    /// Puts a copy of `p` on `node` if there is room.
    fn put(&mut self, p: usize, node: usize) -> bool {
        let [to_zone, to_node] = self.to_node[p][node];
        self.to_sink[node].iter().any(|way| {
            let path: Vec<usize> =
                [self.from_source[p], to_zone, to_node].into_iter().chain(way.iter().copied()).collect();
            self.flow.push(&path)
        })
    }

    /// Keeps as many copies where they are as the shares allow.
    fn keep(&mut self, previous: &[Vec<usize>]) {
        for (p, held) in previous.iter().enumerate() {
            for &node in held {
                self.put(p, node);
            }
        }
        // Which copies are kept of a node that must give some up decides whether all the others can be.
        self.flow.augment(0);
    }

    /// Each partition's missing copies go to the first nodes after its place on the ring that have room. Such a path costs
    /// 1 and none costs less after `keep`, so the flow stays one of the least cost.
    fn fill_along_ring(&mut self, ring: &Ring) {
        for p in 0..self.to_node.len() {
            let mut missing = self.copies - self.flow.used(self.from_source[p]) as usize;
            for node in ring.walk(p) {
                if missing == 0 {
                    break;
                }
                missing -= usize::from(self.put(p, node));
            }
        }
    }

    fn answer(&self, nodes: &Nodes, ring: &Ring, previous: &[Vec<usize>]) -> Vec<Vec<NodeNo>> {
        let holds = |p: usize, node: usize| self.flow.used(self.to_node[p][node][1]) == 1;
        (0..self.to_node.len())
            .map(|p| {
                let kept = previous[p].iter().copied();
                let new = ring.walk(p).filter(|node| !previous[p].contains(node));
                kept.chain(new).filter(|&node| holds(p, node)).map(|node| nodes.list[node].no).collect()
            })
            .collect()
    }
}
