//! Consumer groups: what was delivered to whom and not acknowledged yet.

use super::id::StreamId;
use super::sequence::{Keyed, Sequence};
use crate::keyspace::collections::allocated_bytes;

/// An entry that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// The entry, which may be deleted.
    pub id: StreamId,
    consumer: u32,
    /// When it was delivered last, in Unix milliseconds.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

impl Pending {
    /// For whom it is pending.
    pub fn consumer(&self) -> ConsumerRef {
        ConsumerRef(self.consumer)
    }
}

impl Keyed for Pending {
    fn id(&self) -> StreamId {
        self.id
    }
}

/// A consumer; good until it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerRef(u32);

/// A consumer of a group.
pub struct Consumer {
    name: Box<[u8]>,
    /// When it was last heard of, in Unix milliseconds.
    pub seen_ms: i64,
    /// When it last got something; -1 where it never did.
    pub active_ms: i64,
    pending: Sequence<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries are pending for it.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn bytes(&self) -> usize {
        self.pending.bytes() + allocated_bytes(self.name.len())
    }
}

/// A consumer group.
pub struct Group {
    name: Box<[u8]>,
    /// The last entry that was delivered.
    pub last_id: StreamId,
    /// How many entries of the stream were read, as far as is known (`entries-read`).
    pub entries_read: Option<i64>,
    pending: Sequence<Pending>,
    consumers: Vec<Option<Consumer>>,
    /// The consumers in the order of their names.
    by_name: Vec<u32>,
    free: Vec<u32>,
    consumer_bytes: usize,
}

impl Group {
    pub(super) fn new(name: &[u8], last_id: StreamId, entries_read: Option<i64>) -> Self {
        Self {
            name: name.into(),
            last_id,
            entries_read,
            pending: Sequence::default(),
            consumers: Vec::new(),
            by_name: Vec::new(),
            free: Vec::new(),
            consumer_bytes: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Bytes of its allocations.
    pub(super) fn bytes(&self) -> usize {
        let vectors = self.consumers.capacity() * size_of::<Option<Consumer>>()
            + (self.by_name.capacity() + self.free.capacity()) * size_of::<u32>();
        allocated_bytes(self.name.len()) + self.pending.bytes() + self.consumer_bytes + vectors
    }

    fn of(&self, number: u32) -> &Consumer {
        self.consumers[number as usize].as_ref().expect("it is there")
    }

    /// Changes a consumer and keeps the account.
    fn change<R>(&mut self, number: u32, change: impl FnOnce(&mut Consumer) -> R) -> R {
        let consumer = self.consumers[number as usize].as_mut().expect("it is there");
        self.consumer_bytes -= consumer.bytes();
        let result = change(consumer);
        self.consumer_bytes += consumer.bytes();
        result
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name.binary_search_by(|number| self.of(*number).name().cmp(name))
    }

    /// The consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (ConsumerRef, &Consumer)> {
        self.by_name.iter().map(|number| (ConsumerRef(*number), self.of(*number)))
    }

    /// The consumer at a place in the order of their names.
    pub(super) fn consumer_at(&self, place: usize) -> Option<&Consumer> {
        self.by_name.get(place).map(|number| self.of(*number))
    }

    /// A consumer's place in the order of their names.
    pub(super) fn place_of(&self, of: ConsumerRef) -> usize {
        self.place(self.of(of.0).name()).expect("it is there")
    }

    /// The consumer with a name.
    pub fn find(&self, name: &[u8]) -> Option<ConsumerRef> {
        self.place(name).ok().map(|place| ConsumerRef(self.by_name[place]))
    }

    /// The consumer that is referred to.
    pub fn consumer(&self, of: ConsumerRef) -> &Consumer {
        self.of(of.0)
    }

    /// Makes a consumer; `None` where there is one of this name.
    pub fn create(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerRef> {
        let place = self.place(name).err()?;
        let consumer = Consumer { name: name.into(), seen_ms, active_ms: -1, pending: Sequence::default() };
        self.consumer_bytes += consumer.bytes();
        let number = match self.free.pop() {
            Some(number) => {
                self.consumers[number as usize] = Some(consumer);
                number
            }
            None => {
                self.consumers.push(Some(consumer));
                (self.consumers.len() - 1) as u32
            }
        };
        self.by_name.insert(place, number);
        Some(ConsumerRef(number))
    }

    /// The consumer with a name, made where there is none, heard of at `now_ms`.
    pub fn hear(&mut self, name: &[u8], now_ms: i64) -> ConsumerRef {
        match self.find(name) {
            Some(found) => {
                self.change(found.0, |consumer| consumer.seen_ms = now_ms);
                found
            }
            None => self.create(name, now_ms).expect("there is none"),
        }
    }

    /// Notes that a consumer got something.
    pub fn set_active(&mut self, of: ConsumerRef, now_ms: i64) {
        self.change(of.0, |consumer| consumer.active_ms = now_ms);
    }

    /// Deletes a consumer and what is pending for it; how much that was.
    pub fn delete(&mut self, of: ConsumerRef) -> usize {
        let place = self.place(self.of(of.0).name()).expect("it is there");
        self.by_name.remove(place);
        let consumer = self.consumers[of.0 as usize].take().expect("it is there");
        self.consumer_bytes -= consumer.bytes();
        self.free.push(of.0);
        for id in consumer.pending.iter() {
            self.pending.remove(*id);
        }
        if self.by_name.is_empty() {
            (self.consumers, self.free, self.by_name) = Default::default();
        }
        consumer.pending.len()
    }

    /// How many entries are pending.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The first and the last id that is pending.
    pub fn pending_ends(&self) -> Option<(StreamId, StreamId)> {
        Some((self.pending.first()?.id, self.pending.last()?.id))
    }

    /// What is pending with ids from `from` on.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = &Pending> {
        self.pending.iter_from(self.pending.from(from))
    }

    /// What is pending for one consumer with ids from `from` on.
    pub fn pending_of(&self, of: ConsumerRef, from: StreamId) -> impl Iterator<Item = &Pending> {
        let ids = &self.of(of.0).pending;
        ids.iter_from(ids.from(from)).map(|id| self.pending.get(*id).expect("pending here, pending there"))
    }

    /// A pending entry.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(id)
    }

    /// For whom an entry is pending.
    pub fn owner(&self, pending: &Pending) -> &Consumer {
        self.of(pending.consumer)
    }

    /// Makes an entry pending for a consumer, whoever had it.
    pub fn assign(&mut self, id: StreamId, to: ConsumerRef, delivered_ms: i64, deliveries: u64) {
        let now = Pending { id, consumer: to.0, delivered_ms, deliveries };
        let old = match self.pending.find(id) {
            Some(place) => Some(self.pending.change(place, |pending| std::mem::replace(pending, now)).consumer),
            None => {
                self.pending.insert(now);
                None
            }
        };
        if old == Some(to.0) {
            return;
        }
        if let Some(old) = old {
            self.change(old, |consumer| consumer.pending.remove(id));
        }
        self.change(to.0, |consumer| consumer.pending.insert(id));
    }

    /// Notes one more delivery of a pending entry.
    pub fn delivered_again(&mut self, id: StreamId, now_ms: i64) {
        if let Some(place) = self.pending.find(id) {
            self.pending.change(place, |pending| {
                pending.delivered_ms = now_ms;
                pending.deliveries = pending.deliveries.saturating_add(1);
            });
        }
    }

    /// Makes an entry pending no more; false where it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.change(pending.consumer, |consumer| consumer.pending.remove(id));
        true
    }

    /// Whether freeing it takes long.
    pub(super) fn weight(&self) -> usize {
        1 + self.pending.len() + self.consumers.len()
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        self.pending.check();
        let all: Vec<_> = self.consumers.iter().flatten().collect();
        assert_eq!(all.len(), self.by_name.len());
        assert_eq!(all.iter().map(|consumer| consumer.bytes()).sum::<usize>(), self.consumer_bytes);
        assert_eq!(all.iter().map(|consumer| consumer.pending()).sum::<usize>(), self.pending.len());
        all.iter().for_each(|consumer| consumer.pending.check());
        assert!(self.by_name.windows(2).all(|pair| self.of(pair[0]).name() < self.of(pair[1]).name()));
        for pending in self.pending.iter() {
            assert!(self.owner(pending).pending.get(pending.id).is_some());
        }
    }
}
