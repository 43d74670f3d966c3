//! Lists.

use super::limits::NodeLimit;
use super::listpack::{self, Element, Elements, FRAME_BYTES, Needle};
pub use super::node::End;
use super::node::Node;
use super::{Edit, Large, Stored, compact, form};
use std::collections::VecDeque;

/// Bytes up to which a list is one buffer here. Redis's limit of a listpack is higher, and what it would call the list is
/// told by [`LargeList`]'s own mark: moving kilobytes for each push would be slower than nodes.
const COMPACT_BYTES_MAX: usize = 512;

/// A large list: a deque of nodes.
#[derive(Default)]
pub struct LargeList {
    nodes: VecDeque<Node>,
    length: usize,
    node_bytes: usize,
    /// Whether Redis would still hold it in one listpack.
    listpack: bool,
}

impl LargeList {
    pub(super) fn new(listpack: bool) -> Self {
        Self { listpack, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_listpack(&self) -> bool {
        self.listpack
    }

    pub(super) fn bytes(&self) -> usize {
        self.node_bytes + self.nodes.capacity() * size_of::<Node>()
    }

    /// Bytes of its entries, where Redis would have them in one listpack; only asked while they are few.
    fn entry_bytes(&self) -> usize {
        self.nodes.iter().map(|node| node.entries().len()).sum()
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// How many entries a node has, and these.
    pub(super) fn node(&self, number: usize) -> Option<(usize, &[u8])> {
        self.nodes.get(number).map(|node| (node.count(), node.entries()))
    }

    /// Appends a node as it was encoded.
    pub(super) fn push_node(&mut self, entries: &[u8], count: usize) {
        let node = Node::of(entries, count);
        self.node_bytes += node.bytes();
        self.length += count;
        self.nodes.push_back(node);
    }

    fn node_at(&self, end: End) -> Option<&Node> {
        match end {
            End::Left => self.nodes.front(),
            End::Right => self.nodes.back(),
        }
    }

    /// Changes the node at `number` and keeps the account.
    fn change<R>(&mut self, number: usize, change: impl FnOnce(&mut Node) -> R) -> R {
        let node = &mut self.nodes[number];
        let (bytes, count) = (node.bytes(), node.count());
        let result = change(node);
        self.node_bytes = self.node_bytes - bytes + node.bytes();
        self.length = self.length - count + node.count();
        result
    }

    fn put_node(&mut self, number: usize, node: Node) {
        self.node_bytes += node.bytes();
        self.length += node.count();
        self.nodes.insert(number, node);
    }

    fn drop_node(&mut self, number: usize) {
        if let Some(node) = self.nodes.remove(number) {
            self.node_bytes -= node.bytes();
            self.length -= node.count();
        }
        if self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    fn number(&self, end: End) -> usize {
        match end {
            End::Left => 0,
            End::Right => self.nodes.len() - 1,
        }
    }

    fn push(&mut self, end: End, bytes: &[u8], limit: NodeLimit) {
        if self.node_at(end).is_none_or(|node| !node.has_room(bytes.len(), limit)) {
            if !self.nodes.is_empty() {
                let full = self.number(end);
                self.change(full, Node::seal);
            }
            let at = if end == End::Left { 0 } else { self.nodes.len() };
            self.put_node(at, Node::default());
        }
        let number = self.number(end);
        self.change(number, |node| node.push(end, &listpack::entry(bytes)));
    }

    /// Removes the element at an end. There is one.
    fn pop(&mut self, end: End) {
        let number = self.number(end);
        if self.change(number, |node| {
            node.pop(end);
            node.count() == 0
        }) {
            self.drop_node(number);
        }
    }

    /// The node and the place in it of element `index`; from the nearer end.
    fn locate(&self, mut index: usize) -> (usize, usize) {
        if index < self.length / 2 {
            for (number, node) in self.nodes.iter().enumerate() {
                if index < node.count() {
                    return (number, index);
                }
                index -= node.count();
            }
        } else {
            let mut after = self.length;
            for (number, node) in self.nodes.iter().enumerate().rev() {
                after -= node.count();
                if index >= after {
                    return (number, index - after);
                }
            }
        }
        unreachable!("the index is within the list")
    }

    fn set(&mut self, index: usize, bytes: &[u8], limit: NodeLimit) {
        let (number, place) = self.locate(index);
        let entry = listpack::entry(bytes);
        let fits = FRAME_BYTES + self.nodes[number].entries().len() + entry.len() <= limit.bytes;
        if fits || self.nodes[number].count() == 1 {
            self.change(number, |node| node.replace(place, &entry));
        } else {
            self.insert(index, bytes, limit);
            self.remove(index + 1, 1);
        }
    }

    fn insert(&mut self, index: usize, bytes: &[u8], limit: NodeLimit) {
        if index == self.length {
            return self.push(End::Right, bytes, limit);
        }
        if index == 0 {
            return self.push(End::Left, bytes, limit);
        }
        let (number, place) = self.locate(index);
        let entry = listpack::entry(bytes);
        if self.nodes[number].has_room(bytes.len(), limit) {
            self.change(number, |node| node.insert(place, &entry));
        } else if place == 0 && self.nodes[number - 1].has_room(bytes.len(), limit) {
            self.change(number - 1, |node| node.push(End::Right, &entry));
        } else {
            if place > 0 {
                let rest = self.change(number, |node| node.split_off(place));
                self.put_node(number + 1, rest);
            }
            let at = if place > 0 { number + 1 } else { number };
            if place > 0 && self.nodes[number].has_room(bytes.len(), limit) {
                self.change(number, |node| node.push(End::Right, &entry));
            } else {
                self.put_node(at, Node::of(&entry, 1));
            }
        }
    }

    /// Removes `count` elements from number `index` on.
    fn remove(&mut self, index: usize, mut count: usize) {
        if count == 0 {
            return;
        }
        let (mut number, mut place) = self.locate(index);
        while count > 0 {
            let here = (self.nodes[number].count() - place).min(count);
            if here == self.nodes[number].count() {
                self.drop_node(number);
            } else {
                self.change(number, |node| node.remove(place, here));
                number += 1;
            }
            place = 0;
            count -= here;
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(in crate::keyspace) fn check(&self) {
        assert_eq!(self.nodes.iter().map(Node::bytes).sum::<usize>(), self.node_bytes);
        assert_eq!(self.nodes.iter().map(Node::count).sum::<usize>(), self.length);
        for node in &self.nodes {
            assert_eq!(listpack::check(node.entries()), Some(node.count()));
            assert!(node.count() > 0);
        }
    }
}

/// A list that is read.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// A small one.
    Compact(&'a [u8]),
    /// A large one.
    Large(&'a LargeList),
}

impl<'a> ListRef<'a> {
    /// How many elements.
    #[expect(clippy::len_without_is_empty, reason = "an empty collection does not exist")]
    pub fn len(&self) -> usize {
        match self {
            Self::Compact(bytes) => compact::count(bytes),
            Self::Large(list) => list.len(),
        }
    }

    /// Elements from number `index` on, in order.
    pub fn from(&self, index: usize) -> ListIter<'a> {
        let mut iter = match *self {
            Self::Compact(bytes) => ListIter { elements: compact::elements(bytes), nodes: None },
            Self::Large(_) if index >= self.len() => return ListIter::empty(),
            Self::Large(list) => {
                let (number, place) = list.locate(index);
                let node = &list.nodes[number];
                let elements = Elements::new(node.whole(), node.offset(place));
                return ListIter { elements, nodes: Some((list, number)) };
            }
        };
        if index > 0 {
            iter.nth(index - 1);
        }
        iter
    }

    /// Elements from number `index` back to the first.
    pub fn back_from(&self, index: usize) -> ListBackIter<'a> {
        match *self {
            Self::Compact(bytes) => {
                let end = listpack::nth(bytes, compact::HEAD, index + 1);
                ListBackIter { elements: Elements::new(&bytes[..end], compact::HEAD), nodes: None }
            }
            Self::Large(list) => {
                let (number, place) = list.locate(index);
                let node = &list.nodes[number];
                let end = node.offset(place + 1);
                let elements = Elements::new(&node.whole()[..end], node.offset(0));
                ListBackIter { elements, nodes: Some((list, number)) }
            }
        }
    }

    /// The element number `index`.
    pub fn at(&self, index: usize) -> Option<Element<'a>> {
        if index >= self.len() {
            return None;
        }
        Some(match *self {
            Self::Compact(bytes) => listpack::read(bytes, listpack::nth(bytes, compact::HEAD, index)).0,
            Self::Large(list) => {
                let (number, place) = list.locate(index);
                list.nodes[number].at(place)
            }
        })
    }

    /// What Redis calls its encoding.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Large(list) if !list.listpack => "quicklist",
            _ => "listpack",
        }
    }
}

/// Elements of a list, in order.
pub struct ListIter<'a> {
    elements: Elements<'a>,
    nodes: Option<(&'a LargeList, usize)>,
}

impl ListIter<'_> {
    fn empty() -> Self {
        Self { elements: Elements::new(&[], 0), nodes: None }
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(element) = self.elements.next() {
            return Some(element);
        }
        let (list, number) = self.nodes.as_mut()?;
        *number += 1;
        self.elements = list.nodes.get(*number)?.elements();
        self.elements.next()
    }
}

/// Elements of a list, last first.
pub struct ListBackIter<'a> {
    elements: Elements<'a>,
    nodes: Option<(&'a LargeList, usize)>,
}

impl<'a> Iterator for ListBackIter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(element) = self.elements.next_back() {
            return Some(element);
        }
        let (list, number) = self.nodes.as_mut()?;
        *number = number.checked_sub(1)?;
        self.elements = list.nodes[*number].elements();
        self.elements.next_back()
    }
}

/// A list that is changed.
pub struct ListMut<'a, 'b>(pub &'b mut Edit<'a>);

impl ListMut<'_, '_> {
    /// The list as it is now.
    pub fn read(&self) -> ListRef<'_> {
        match &*self.0.stored {
            Stored::Compact(bytes) => ListRef::Compact(bytes),
            Stored::Large(large) => match &**large {
                Large::List(list) => ListRef::Large(list),
                _ => unreachable!("the kind was checked"),
            },
        }
    }

    fn limit(&self) -> NodeLimit {
        self.0.limits.list_node()
    }

    /// Tells that so many elements are about to be added, and their bytes (`listTypeTryConversionAppend`).
    pub fn expect(&mut self, elements: usize, bytes: usize) {
        let held = match &*self.0.stored {
            Stored::Compact(held) => held.len() - compact::HEAD,
            Stored::Large(large) => match &**large {
                Large::List(list) if list.listpack => list.entry_bytes(),
                _ => return,
            },
        };
        let length = self.read().len();
        if self.limit().is_exceeded(FRAME_BYTES + held + bytes, length + elements) {
            self.large().listpack = false;
        }
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, bytes: &[u8]) {
        self.0.changed = true;
        if let Stored::Compact(held) = &mut *self.0.stored {
            let entry = listpack::entry(bytes);
            if held.len() + entry.len() <= COMPACT_BYTES_MAX {
                match end {
                    End::Right => compact::push(held, &[&entry]),
                    End::Left => {
                        let count = compact::count(held);
                        listpack::insert(held, compact::HEAD, &entry);
                        compact::set_count(held, count + 1);
                    }
                }
                return;
            }
        }
        let limit = self.limit();
        self.large().push(end, bytes, limit);
    }

    /// Removes the element at an end, having shown it. There is one.
    pub fn pop<R>(&mut self, end: End, show: impl FnOnce(Element<'_>) -> R) -> R {
        self.0.changed = true;
        let last = self.read().len() - 1;
        let element = self.read().at(if end == End::Left { 0 } else { last }).expect("there is one");
        let shown = show(element);
        match &mut *self.0.stored {
            Stored::Compact(held) => {
                let at = match end {
                    End::Left => compact::HEAD,
                    End::Right => listpack::previous(held, held.len()),
                };
                compact::remove(held, at, 1);
            }
            Stored::Large(_) => self.large().pop(end),
        }
        shown
    }

    /// Replaces the element number `index`.
    pub fn set(&mut self, index: usize, bytes: &[u8]) {
        self.0.changed = true;
        let limit = self.limit();
        self.rearrange(|list| list.set(index, bytes, limit));
    }

    /// Puts an element before the one that is number `index` now.
    pub fn insert(&mut self, index: usize, bytes: &[u8]) {
        self.0.changed = true;
        let limit = self.limit();
        self.rearrange(|list| list.insert(index, bytes, limit));
    }

    /// Removes `count` elements from number `index` on.
    pub fn remove(&mut self, index: usize, count: usize) {
        if count > 0 {
            self.0.changed = true;
            self.rearrange(|list| list.remove(index, count));
        }
    }

    /// Removes elements that equal `needle`, at most `limit` of them, from one end; how many.
    pub fn remove_equal(&mut self, needle: &Needle<'_>, limit: usize, from: End) -> usize {
        let (list, length) = (self.read(), self.read().len());
        let mut found: Vec<usize> = match from {
            End::Left => {
                let matching = list.from(0).enumerate().filter(|(_, element)| needle.is(*element));
                matching.map(|(index, _)| index).take(limit).collect()
            }
            End::Right => {
                let matching = list.back_from(length - 1).enumerate().filter(|(_, element)| needle.is(*element));
                matching.map(|(index, _)| length - 1 - index).take(limit).collect()
            }
        };
        if found.is_empty() {
            return 0;
        }
        found.sort_unstable();
        self.0.changed = true;
        self.rearrange(|list| list.remove_all(&found));
        found.len()
    }

    /// Tells that elements were removed or replaced (`listTypeTryConversion`): a list that would do as a listpack half as
    /// large as allowed is one again.
    pub fn shrunk(&mut self) {
        let limit = self.limit().half();
        if let Stored::Large(large) = &mut *self.0.stored
            && let Large::List(list) = &mut **large
            && list.nodes.len() == 1
            && !limit.is_exceeded(FRAME_BYTES + list.entry_bytes(), list.length)
        {
            list.listpack = true;
        }
    }

    /// Changes the list as a large one; one that was small and still can be stays small.
    fn rearrange(&mut self, change: impl FnOnce(&mut LargeList)) {
        let small = matches!(self.0.stored, Stored::Compact(_));
        change(self.large());
        if !small {
            return;
        }
        let list = self.large();
        if compact::HEAD + list.entry_bytes() <= COMPACT_BYTES_MAX {
            let mut bytes = compact::new(form::LIST);
            list.nodes.iter().for_each(|node| bytes.extend_from_slice(node.entries()));
            compact::set_count(&mut bytes, list.length);
            *self.0.stored = Stored::Compact(bytes);
        }
    }

    /// The list as a large one, made so if it is not.
    fn large(&mut self) -> &mut LargeList {
        if let Stored::Compact(bytes) = &*self.0.stored {
            let mut list = LargeList::new(true);
            if compact::count(bytes) > 0 {
                list.push_node(&bytes[compact::HEAD..], compact::count(bytes));
            }
            *self.0.stored = Stored::Large(Box::new(Large::List(list)));
        }
        match &mut *self.0.stored {
            Stored::Large(large) => match &mut **large {
                Large::List(list) => list,
                _ => unreachable!("the kind was checked"),
            },
            Stored::Compact(_) => unreachable!("it was made large"),
        }
    }
}

impl LargeList {
    /// Removes the elements of these numbers, which are in order: each node is rebuilt once.
    fn remove_all(&mut self, indexes: &[usize]) {
        let mut indexes = indexes.iter().copied().peekable();
        let (mut first, mut number) = (0, 0);
        while let Some(next) = indexes.peek().copied() {
            let end = first + self.nodes[number].count();
            if next >= end {
                number += 1;
            } else if self.change(number, |node| {
                node.retain(|place| indexes.next_if_eq(&(first + place)).is_none());
                node.count() == 0
            }) {
                self.drop_node(number);
            } else {
                number += 1;
            }
            first = end;
        }
    }
}
