//! Entries of a range.

use super::LargeStream;
use super::block::{Block, Found, Pairs};
use super::id::StreamId;
use super::sequence::Place;
use std::ops::RangeInclusive;

/// An entry.
#[derive(Clone)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    pairs: Pairs<'a>,
}

impl<'a> Entry<'a> {
    fn new(block: &'a Block, found: &Found) -> Self {
        Self { id: found.id, pairs: block.pairs(found) }
    }

    /// Its fields and values, in their order.
    pub fn pairs(&self) -> Pairs<'a> {
        self.pairs.clone()
    }
}

impl LargeStream {
    /// Entries that are not deleted, in order.
    pub(super) fn range(&self, range: RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        let (start, end) = range.into_inner();
        let place = self.blocks.up_to(start).or_else(|| self.blocks.first_place()).filter(|_| start <= end);
        let places = std::iter::successors(place, |place: &Place| self.blocks.after(*place));
        let entries = places.flat_map(|place| {
            let block = self.blocks.at(place);
            block.entries().map(move |found| (block, found))
        });
        entries
            .skip_while(move |(_, found)| found.id < start)
            .take_while(move |(_, found)| found.id <= end)
            .filter(|(_, found)| !found.deleted)
            .map(|(block, found)| Entry::new(block, &found))
    }

    /// Entries that are not deleted, from the last to the first.
    pub(super) fn range_back(&self, range: RangeInclusive<StreamId>) -> impl Iterator<Item = Entry<'_>> + use<'_> {
        let (start, end) = range.into_inner();
        let place = self.blocks.up_to(end).filter(|_| start <= end);
        let places = std::iter::successors(place, |place: &Place| self.blocks.before(*place));
        let entries = places.flat_map(|place| {
            let block = self.blocks.at(place);
            block.entries_back().map(move |found| (block, found))
        });
        entries
            .skip_while(move |(_, found)| found.id > end)
            .take_while(move |(_, found)| found.id >= start)
            .filter(|(_, found)| !found.deleted)
            .map(|(block, found)| Entry::new(block, &found))
    }
}
