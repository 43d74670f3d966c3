//! Who reaches whom.
//!
//! Two nodes may lose each other while a third one reaches both: a partial partition (Alfatafta and others, "Toward a Generic
//! Fault Tolerance Technique for Partial Network Partitioning", OSDI 2020). Every partition has its majority then, and what
//! one of the two leads goes on, but clients of the other do not get at it. A detour by way of the third node is no way out:
//! a write that was given up on it might arrive later, and overtake. So the two lead nothing where a copy on a node that
//! reaches all can: it is handed their leaderships until they have found each other.
//!
//! Nodes tell whom they do not hear when they are asked for their clocks, once a second (`skew`).

use super::directory::DirectoryState;
use crate::ids::NodeNo;
use crate::topology::NodeState;
use std::collections::{BTreeMap, BTreeSet};

/// What a node said counts for so long.
const FRESH_NS: u64 = 3_000_000_000;
/// Two nodes count as apart after so long: that others have not noticed yet that a node has crashed looks the same.
const APART_NS: u64 = 3_000_000_000;
/// And for so long after they have found each other, so that a link that comes and goes moves nothing each time.
const TOGETHER_NS: u64 = 5_000_000_000;

/// What is known of whom nodes hear.
#[derive(Debug, Default)]
pub struct Reach {
    /// Whom a node, this one included, does not hear, and the boot time at which it said so.
    said: BTreeMap<NodeNo, (BTreeSet<NodeNo>, u64)>,
    /// Boot times since when, and until when, of two one did not hear the other, though a third node did.
    pairs: BTreeMap<(NodeNo, NodeNo), (u64, u64)>,
    apart: BTreeSet<NodeNo>,
}

impl Reach {
    /// A node said at `boot_ns` whom it does not hear.
    pub fn heard(&mut self, node: NodeNo, unheard: BTreeSet<NodeNo>, boot_ns: u64) {
        self.said.insert(node, (unheard, boot_ns));
    }

    /// Draws the conclusions, once a second.
    pub fn look(&mut self, boot_ns: u64) {
        self.said.retain(|_, (_, at)| boot_ns.saturating_sub(*at) < FRESH_NS);
        for (node, (unheard, _)) in &self.said {
            for other in unheard {
                let hears = |third: &NodeNo, unheard: &BTreeSet<NodeNo>| {
                    third != node && third != other && !unheard.contains(other) && !unheard.contains(node)
                };
                if self.said.iter().any(|(third, (unheard, _))| hears(third, unheard)) {
                    let pair = (*node.min(other), *node.max(other));
                    self.pairs.entry(pair).or_insert((boot_ns, boot_ns)).1 = boot_ns;
                }
            }
        }
        self.pairs.retain(|_, (_, until)| boot_ns.saturating_sub(*until) < TOGETHER_NS);
        let long = self.pairs.iter().filter(|(_, (since, until))| until - since >= APART_NS);
        self.apart = long.flat_map(|((one, other), _)| [*one, *other]).collect();
    }

    /// The nodes that do not reach another one which a third node reaches.
    pub fn apart(&self) -> &BTreeSet<NodeNo> {
        &self.apart
    }
}

/// The nodes that should be heard and are not.
pub fn unheard(state: &DirectoryState, me: NodeNo, is_heard: impl Fn(NodeNo) -> bool) -> BTreeSet<NodeNo> {
    let members = state.nodes.values().filter(|record| matches!(record.state, NodeState::Up | NodeState::Draining));
    members.map(|record| record.no).filter(|no| *no != me && !is_heard(*no)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn nos(all: &[u32]) -> BTreeSet<NodeNo> {
        all.iter().map(|no| NodeNo(*no)).collect()
    }

    /// Says the same for some seconds, as one of three nodes that hear all but some.
    fn say(reach: &mut Reach, seconds: std::ops::RangeInclusive<u64>, said: &[(u32, &[u32])]) {
        for second in seconds {
            for (node, unheard) in said {
                reach.heard(NodeNo(*node), nos(unheard), second * SECOND_NS);
            }
            reach.look(second * SECOND_NS);
        }
    }

    #[test]
    fn two_that_a_third_one_reaches_are_apart_and_for_a_while_after() {
        let mut reach = Reach::default();
        say(&mut reach, 10..=12, &[(1, &[2]), (3, &[])]);
        assert_eq!(*reach.apart(), nos(&[]), "too soon");
        say(&mut reach, 13..=13, &[(1, &[2]), (3, &[])]);
        assert_eq!(*reach.apart(), nos(&[1, 2]));
        say(&mut reach, 14..=17, &[(1, &[]), (3, &[])]);
        assert_eq!(*reach.apart(), nos(&[1, 2]));
        say(&mut reach, 18..=18, &[(1, &[]), (3, &[])]);
        assert_eq!(*reach.apart(), nos(&[]));
    }

    #[test]
    fn a_node_that_nobody_hears_is_not_apart_but_gone() {
        let mut reach = Reach::default();
        say(&mut reach, 10..=20, &[(1, &[2]), (3, &[2])]);
        assert_eq!(*reach.apart(), nos(&[]));
    }

    #[test]
    fn what_two_others_say_of_each_other_counts_and_ages() {
        let mut reach = Reach::default();
        say(&mut reach, 10..=14, &[(1, &[]), (2, &[3]), (3, &[2])]);
        assert_eq!(*reach.apart(), nos(&[2, 3]));
        // Two says nothing any more: what it said is old, and what is left says nothing of it.
        say(&mut reach, 15..=30, &[(1, &[2]), (3, &[2])]);
        assert_eq!(*reach.apart(), nos(&[]));
    }

    #[test]
    fn a_third_node_has_to_hear_both() {
        let mut reach = Reach::default();
        say(&mut reach, 10..=14, &[(1, &[2, 3]), (3, &[1, 2]), (4, &[1, 2])]);
        assert_eq!(*reach.apart(), nos(&[]), "nobody else hears two, and four does not hear one");
        say(&mut reach, 15..=20, &[(1, &[2, 3]), (3, &[1, 2]), (4, &[2])]);
        assert_eq!(*reach.apart(), nos(&[1, 3]));
    }
}
