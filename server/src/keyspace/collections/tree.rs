//! A counted B+ tree: entries in order, by rank and by bound, in O(log n).
//!
//! ```text
//! inner node: children, each with its first entry and how many entries are below it
//! leaf:       up to 64 entries: score, and the place of the member that has it
//! ```
//! The order of equal scores is that of the members' bytes, which the tree does not know: it asks whoever searches, by a
//! comparison with an entry, or by a predicate that holds for the entries before a point and for none after it.

use crate::keyspace::memory::prefetch::prefetch_line;
use std::cmp::Ordering;

const FANOUT: usize = 64;

/// A score, as a number that orders as scores do, upper half first, and a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    score: [u32; 2],
    pub(super) place: u32,
}

impl Entry {
    pub(super) fn new(score: f64, place: u32) -> Self {
        let bits = order_bits(score);
        Self { score: [(bits >> 32) as u32, bits as u32], place }
    }

    /// The score's bits, which order as scores do.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        u64::from(self.score[0]) << 32 | u64::from(self.score[1])
    }

    /// The score; a negative zero has become a positive one.
    #[inline]
    pub(super) fn score(self) -> f64 {
        let bits = self.bits();
        f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
    }
}

/// Orders as the numbers do; both zeros are one.
#[inline]
pub(super) fn order_bits(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

struct Child {
    first: Entry,
    count: u32,
    node: Node,
}

/// A node is where its parent is, its entries or children are elsewhere: one step of waiting for memory a level.
enum Node {
    Leaf(Vec<Entry>),
    Inner(Vec<Child>),
}

/// Says whether an entry comes before the point that is looked for.
type Before<'a> = &'a dyn Fn(Entry) -> bool;

/// Entries in order.
pub(super) struct Tree {
    root: Node,
    length: usize,
    nodes: Nodes,
}

/// How many nodes there are, for the account.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
struct Nodes {
    leaves: usize,
    inners: usize,
}

/// Where in a leaf the first entry is that does not compare as less.
#[inline]
fn place_in(entries: &[Entry], compare: &impl Fn(Entry) -> Ordering) -> usize {
    // All lines of it at once, instead of one after the other as the search goes on.
    const LINE_ENTRIES: usize = 64 / size_of::<Entry>();
    entries.iter().step_by(LINE_ENTRIES).for_each(prefetch_line);
    entries.partition_point(|other| compare(*other).is_lt())
}

/// The child that an entry belongs to: the last one that does not begin after it.
#[inline]
fn child_of(children: &[Child], compare: &impl Fn(Entry) -> Ordering) -> usize {
    children.partition_point(|child| compare(child.first).is_le()).saturating_sub(1)
}

impl Node {
    fn leaf(nodes: &mut Nodes) -> Vec<Entry> {
        nodes.leaves += 1;
        Vec::with_capacity(FANOUT)
    }

    fn inner(nodes: &mut Nodes) -> Vec<Child> {
        nodes.inners += 1;
        Vec::with_capacity(FANOUT)
    }

    fn first(&self) -> Entry {
        match self {
            Self::Leaf(entries) => entries[0],
            Self::Inner(children) => children[0].first,
        }
    }

    fn count(&self) -> u32 {
        match self {
            Self::Leaf(entries) => entries.len() as u32,
            Self::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    /// Children or entries.
    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.len(),
        }
    }

    fn into_child(self) -> Child {
        Child { first: self.first(), count: self.count(), node: self }
    }

    /// Adds an entry behind those that are less. Where the node was full, returns its new right neighbour.
    fn insert(&mut self, entry: Entry, compare: &impl Fn(Entry) -> Ordering, nodes: &mut Nodes) -> Option<Self> {
        match self {
            Self::Leaf(entries) => {
                let at = place_in(entries, compare);
                if entries.len() < FANOUT {
                    entries.insert(at, entry);
                    return None;
                }
                // At the end a new leaf is begun, so that what comes in order leaves full ones behind.
                let middle = if at == FANOUT { FANOUT } else { FANOUT / 2 };
                let mut right = Self::leaf(nodes);
                right.extend_from_slice(&entries[middle..]);
                entries.truncate(middle);
                if at < middle || (at == middle && middle < FANOUT) {
                    entries.insert(at, entry);
                } else {
                    right.insert(at - middle, entry);
                }
                Some(Self::Leaf(right))
            }
            Self::Inner(children) => {
                let at = child_of(children, compare);
                let child = &mut children[at];
                let Some(new) = child.node.insert(entry, compare, nodes) else {
                    child.count += 1;
                    if compare(child.first).is_gt() {
                        child.first = entry;
                    }
                    return None;
                };
                child.refresh();
                let new = new.into_child();
                if children.len() < FANOUT {
                    children.insert(at + 1, new);
                    return None;
                }
                let middle = if at + 1 == FANOUT { FANOUT } else { FANOUT / 2 };
                let mut right = Self::inner(nodes);
                right.extend(children.drain(middle..));
                if at < middle && middle < FANOUT {
                    children.insert(at + 1, new);
                } else {
                    right.insert(at + 1 - middle, new);
                }
                Some(Self::Inner(right))
            }
        }
    }

    /// Removes the entry that compares as equal. There is one.
    fn remove(&mut self, compare: &impl Fn(Entry) -> Ordering, nodes: &mut Nodes) -> Entry {
        match self {
            Self::Leaf(entries) => {
                let at = place_in(entries, compare);
                entries.remove(at)
            }
            Self::Inner(children) => {
                let at = child_of(children, compare);
                let child = &mut children[at];
                let removed = child.node.remove(compare, nodes);
                if child.node.width() == 0 {
                    nodes.leaves -= usize::from(matches!(child.node, Self::Leaf(_)));
                    nodes.inners -= usize::from(matches!(child.node, Self::Inner(_)));
                    children.remove(at);
                    return removed;
                }
                child.count -= 1;
                child.first = child.node.first();
                for left in [at, at.wrapping_sub(1)] {
                    if let Some([one, other]) = children.get(left..left.wrapping_add(2).max(left))
                        && one.node.width() + other.node.width() <= FANOUT / 2
                    {
                        let other = children.remove(left + 1);
                        children[left].node.append(other.node, nodes);
                        children[left].count += other.count;
                        break;
                    }
                }
                removed
            }
        }
    }

    fn append(&mut self, other: Self, nodes: &mut Nodes) {
        match (self, other) {
            (Self::Leaf(entries), Self::Leaf(more)) => {
                nodes.leaves -= 1;
                entries.extend(more);
            }
            (Self::Inner(children), Self::Inner(more)) => {
                nodes.inners -= 1;
                children.extend(more);
            }
            _ => unreachable!("neighbours are of one level"),
        }
    }
}

impl Child {
    fn refresh(&mut self) {
        self.first = self.node.first();
        self.count = self.node.count();
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut nodes = Nodes::default();
        Self { root: Node::Leaf(Node::leaf(&mut nodes)), length: 0, nodes }
    }

    /// Bytes of its nodes.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.leaves * FANOUT * size_of::<Entry>() + self.nodes.inners * FANOUT * size_of::<Child>()
    }

    /// Adds an entry, to which `compare` compares others: none is equal.
    pub(super) fn insert(&mut self, entry: Entry, compare: &impl Fn(Entry) -> Ordering) {
        self.length += 1;
        if let Some(right) = self.root.insert(entry, compare, &mut self.nodes) {
            let children = Node::inner(&mut self.nodes);
            let left = std::mem::replace(&mut self.root, Node::Inner(children));
            if let Node::Inner(children) = &mut self.root {
                children.extend([left.into_child(), right.into_child()]);
            }
        }
    }

    /// Removes the entry that compares as equal. There is one.
    pub(super) fn remove(&mut self, compare: &impl Fn(Entry) -> Ordering) -> Entry {
        self.length -= 1;
        let removed = self.root.remove(compare, &mut self.nodes);
        while let Node::Inner(children) = &mut self.root
            && children.len() == 1
            && let Some(only) = children.pop()
        {
            self.nodes.inners -= 1;
            self.root = only.node;
        }
        removed
    }

    /// Gives the entry that compares as equal another place. There is one.
    pub(super) fn set_place(&mut self, compare: &impl Fn(Entry) -> Ordering, place: u32) {
        fn set(node: &mut Node, compare: &impl Fn(Entry) -> Ordering, place: u32) {
            match node {
                Node::Leaf(entries) => {
                    let at = place_in(entries, compare);
                    entries[at].place = place;
                }
                Node::Inner(children) => {
                    let at = child_of(children, compare);
                    set(&mut children[at].node, compare, place);
                    children[at].first = children[at].node.first();
                }
            }
        }
        set(&mut self.root, compare, place);
    }

    /// How many entries are before the point.
    pub(super) fn count_before(&self, before: Before<'_>) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => return rank + entries.partition_point(|other| before(*other)),
                Node::Inner(children) => {
                    let at = children.partition_point(|child| before(child.first)).saturating_sub(1);
                    rank += children[..at].iter().map(|child| child.count as usize).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// Visits `count` entries from rank `from` on, upwards or downwards.
    pub(super) fn visit(&self, from: usize, count: usize, reverse: bool, visit: &mut dyn FnMut(Entry)) {
        fn walk(node: &Node, skip: &mut usize, left: &mut usize, reverse: bool, visit: &mut dyn FnMut(Entry)) {
            match node {
                Node::Leaf(entries) => {
                    let count = entries.len().saturating_sub(*skip).min(*left);
                    for number in *skip..*skip + count {
                        visit(entries[if reverse { entries.len() - 1 - number } else { number }]);
                    }
                    *skip = skip.saturating_sub(entries.len());
                    *left -= count;
                }
                Node::Inner(children) => {
                    for number in 0..children.len() {
                        let child = &children[if reverse { children.len() - 1 - number } else { number }];
                        if *left == 0 {
                            return;
                        } else if *skip >= child.count as usize {
                            *skip -= child.count as usize;
                        } else {
                            walk(&child.node, skip, left, reverse, visit);
                        }
                    }
                }
            }
        }
        if from < self.length {
            let mut skip = if reverse { self.length - 1 - from } else { from };
            let mut left = count;
            walk(&self.root, &mut skip, &mut left, reverse, visit);
        }
    }
}

#[cfg(any(test, fuzzing))]
impl Tree {
    /// Checks counts and firsts, and returns the entries.
    pub(super) fn check(&self) -> Vec<Entry> {
        fn walk(node: &Node, root: bool, nodes: &mut Nodes, out: &mut Vec<Entry>) {
            assert!(root || node.width() > 0);
            assert!(node.width() <= FANOUT);
            match node {
                Node::Leaf(entries) => {
                    nodes.leaves += 1;
                    assert_eq!(entries.capacity(), FANOUT);
                    out.extend(entries);
                }
                Node::Inner(children) => {
                    nodes.inners += 1;
                    assert_eq!(children.capacity(), FANOUT);
                    for child in children {
                        let begin = out.len();
                        walk(&child.node, false, nodes, out);
                        assert_eq!(out[begin], child.first);
                        assert_eq!(out.len() - begin, child.count as usize);
                    }
                }
            }
        }
        let (mut nodes, mut out) = Default::default();
        walk(&self.root, true, &mut nodes, &mut out);
        assert_eq!(nodes, self.nodes);
        assert_eq!(out.len(), self.length);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_order_as_scores() {
        let scores = [f64::NEG_INFINITY, f64::MIN, -1.5, -0.0, f64::MIN_POSITIVE, 1.0, 1.5, f64::MAX, f64::INFINITY];
        assert!(scores.map(order_bits).is_sorted_by(|a, b| a < b));
        assert_eq!(order_bits(-0.0), order_bits(0.0));
        assert!(scores.into_iter().all(|score| Entry::new(score, 0).score() == score));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_is_a_sorted_vector(seed in any::<u64>(), ordered in any::<bool>(), most in 10..6000usize) {
            let (mut tree, mut model) = (Tree::new(), Vec::<(u64, u32)>::new());
            let key = |entry: Entry| (entry.bits(), entry.place);
            let mut state = seed | 1;
            let mut dice = move || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as usize
            };
            for step in 0..most * 2 {
                if step < most && (dice() % 8 != 0 || model.is_empty()) {
                    let score = if ordered { step as f64 } else { (dice() % 100) as f64 };
                    let entry = Entry::new(score, step as u32);
                    let at = model.partition_point(|other| *other < key(entry));
                    model.insert(at, key(entry));
                    tree.insert(entry, &|other| key(other).cmp(&key(entry)));
                } else if !model.is_empty() {
                    let target = model.remove(dice() % model.len());
                    prop_assert_eq!(key(tree.remove(&|other| key(other).cmp(&target))), target);
                }
                if step % 101 == 0 {
                    prop_assert_eq!(&tree.check().into_iter().map(key).collect::<Vec<_>>(), &model);
                    let point = (order_bits((dice() % 100) as f64), 0);
                    let rank = tree.count_before(&|other| key(other) < point);
                    prop_assert_eq!(rank, model.partition_point(|other| *other < point));
                    let (mut seen, from, count) = (Vec::new(), dice() % (model.len() + 1), dice() % 300);
                    tree.visit(from, count, false, &mut |entry| seen.push(key(entry)));
                    prop_assert!(seen.iter().eq(model.iter().skip(from).take(count)));
                    seen.clear();
                    tree.visit(from, count, true, &mut |entry| seen.push(key(entry)));
                    let expected: Vec<_> = model.iter().take(from + 1).rev().take(count).copied().collect();
                    prop_assert!(from >= model.len() || seen == expected);
                }
            }
            tree.check();
        }
    }
}
