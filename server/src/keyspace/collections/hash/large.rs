//! Large hashes: fields in dense order, and beside it, where some have deadlines, those.

use super::deadlines::FieldDeadlines;
use crate::clock::UnixMs;
use crate::keyspace::HashSeed;
use crate::keyspace::collections::dense::{Dense, Named};
use crate::keyspace::collections::listpack::Element;
use crate::keyspace::collections::small::Small;

/// A field and its value.
pub(super) struct Field {
    name: Small,
    value: Small,
}

impl Named for Field {
    fn name(&self) -> &[u8] {
        self.name.bytes()
    }

    fn heap_bytes(&self) -> usize {
        self.name.heap_bytes() + self.value.heap_bytes()
    }

    fn ask(&self) {
        self.name.ask();
        self.value.ask();
    }
}

impl Field {
    pub(super) fn pair(&self) -> (Element<'_>, Element<'_>) {
        (Element::Bytes(self.name.bytes()), Element::Bytes(self.value.bytes()))
    }

    pub(super) fn value(&self) -> Element<'_> {
        Element::Bytes(self.value.bytes())
    }
}

/// A large hash.
pub struct LargeHash {
    pub(super) fields: Dense<Field>,
    /// `None` where no field has one.
    deadlines: Option<Box<FieldDeadlines>>,
}

impl LargeHash {
    pub(in crate::keyspace::collections) fn new(seed: HashSeed) -> Self {
        Self { fields: Dense::new(seed), deadlines: None }
    }

    /// How many fields, those that are due and still there included.
    pub(in crate::keyspace::collections) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(in crate::keyspace::collections) fn bytes(&self) -> usize {
        self.fields.bytes() + self.deadlines.as_ref().map_or(0, |deadlines| deadlines.bytes())
    }

    /// Whether some field has a deadline.
    pub(in crate::keyspace::collections) fn is_timed(&self) -> bool {
        self.deadlines.is_some()
    }

    /// The deadline of the field at a place.
    #[inline]
    pub(super) fn deadline(&self, place: u32) -> Option<UnixMs> {
        self.deadlines.as_ref().and_then(|deadlines| deadlines.get(place))
    }

    /// Field, value and deadline at a place.
    pub(in crate::keyspace::collections) fn element(&self, place: usize) -> Option<(&[u8], &[u8], Option<UnixMs>)> {
        let field = (place < self.len()).then(|| self.fields.at(place as u32))?;
        Some((field.name.bytes(), field.value.bytes(), self.deadline(place as u32)))
    }

    /// Asks for what lookups of these fields will wait for.
    pub(in crate::keyspace::collections) fn ask_all<'a>(&self, fields: impl Iterator<Item = &'a [u8]>) {
        self.fields.ask_all(fields);
    }

    /// Asks for the field at a place.
    pub(in crate::keyspace::collections) fn ask(&self, place: usize) {
        self.fields.ask(place);
    }

    /// The soonest deadline of a field.
    pub(in crate::keyspace) fn first_deadline(&self) -> Option<UnixMs> {
        self.deadlines.as_ref().and_then(|deadlines| deadlines.first()).map(|(deadline, _)| deadline)
    }

    /// How many fields are due at `now`.
    pub(super) fn due(&self, now: UnixMs) -> usize {
        self.deadlines.as_ref().map_or(0, |deadlines| deadlines.due(now))
    }

    /// Adds a field or changes its value; the deadline stays. Its place, and whether it was added.
    pub(super) fn put(&mut self, field: &[u8], value: &[u8]) -> (u32, bool) {
        match self.fields.find(field) {
            Some(place) => {
                self.fields.change(place, |field| field.value = Small::new(value));
                (place, false)
            }
            None => (self.fields.push(Field { name: Small::new(field), value: Small::new(value) }), true),
        }
    }

    /// Adds a field that is not there; false where it is.
    pub(in crate::keyspace::collections) fn add(
        &mut self,
        field: &[u8],
        value: &[u8],
        deadline: Option<UnixMs>,
    ) -> bool {
        let (place, added) = self.put(field, value);
        if deadline.is_some() {
            self.set_deadline(place, deadline);
        }
        added
    }

    pub(super) fn set_deadline(&mut self, place: u32, deadline: Option<UnixMs>) {
        if deadline.is_none() && self.deadlines.is_none() {
            return;
        }
        let deadlines = self.deadlines.get_or_insert_default();
        deadlines.set(place, deadline);
        if deadlines.len() == 0 {
            self.deadlines = None;
        }
    }

    /// Removes the field at a place.
    pub(super) fn remove_at(&mut self, place: u32) {
        let last = self.len() as u32 - 1;
        self.fields.remove(place);
        self.set_deadline(place, None);
        if place != last
            && let Some(deadlines) = &mut self.deadlines
        {
            deadlines.moved(last, place);
        }
    }

    /// Removes fields that are due at `now`, at most `limit`; how many.
    pub(super) fn drop_due(&mut self, now: UnixMs, limit: usize) -> usize {
        let mut dropped = 0;
        while dropped < limit
            && let Some((deadline, place)) = self.deadlines.as_ref().and_then(|deadlines| deadlines.first())
            && deadline <= now
        {
            self.remove_at(place);
            dropped += 1;
        }
        dropped
    }

    #[cfg(any(test, fuzzing))]
    pub(in crate::keyspace) fn check(&self) {
        let deadlines = self.deadlines.as_ref().map_or(0, |deadlines| {
            deadlines.check();
            assert_ne!(deadlines.len(), 0);
            deadlines.bytes()
        });
        assert_eq!(self.fields.check() + deadlines, self.bytes());
    }
}
