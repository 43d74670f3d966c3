//! Streams against a naive model.

use super::{StreamId, StreamMut, Trim, TrimTo};
use crate::keyspace::collections::CollectionKind;
use crate::keyspace::collections::stream::StreamRef;
use crate::keyspace::collections::tests::{Dice, KEY, Model};
use crate::keyspace::{HashSeed, Keyspace, ValueRef};
use std::collections::{BTreeMap, BTreeSet};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Default)]
struct GroupModel {
    consumers: BTreeSet<Vec<u8>>,
    /// Owner, time, deliveries.
    pending: BTreeMap<StreamId, (Vec<u8>, i64, u64)>,
}

/// A stream as maps.
#[derive(Default)]
pub(in crate::keyspace::collections) struct StreamModel {
    exists: bool,
    entries: BTreeMap<StreamId, Pairs>,
    last_id: StreamId,
    added: u64,
    groups: BTreeMap<Vec<u8>, GroupModel>,
}

fn edit<R>(keyspace: &mut Keyspace, change: impl FnOnce(&mut StreamMut<'_, '_>) -> R) -> R {
    let edited =
        keyspace.edit_collection(KEY, 0, CollectionKind::Stream, true, Some(1), |edit| change(&mut StreamMut(edit)));
    edited.expect("the kind is right").expect("it is made")
}

impl StreamModel {
    fn some_id(&self, dice: &mut Dice) -> StreamId {
        let id = StreamId::new(dice.below(self.last_id.ms as usize + 2) as u64, dice.below(3) as u64);
        if dice.below(4) == 0 {
            return id;
        }
        self.entries.range(id..).next().map_or(id, |(id, _)| *id)
    }

    fn push(&mut self, keyspace: &mut Keyspace, dice: &mut Dice, different: usize) {
        let id = match dice.below(3) {
            0 => StreamId::new(self.last_id.ms + 1 + dice.below(300) as u64, dice.below(3) as u64),
            _ => self.last_id.next().expect("there are more"),
        };
        let fields = if dice.below(5) == 0 { dice.below(4) } else { 2 };
        let pair = |n: usize, dice: &mut Dice| {
            let field = if dice.below(9) == 0 { dice.member(different) } else { format!("field:{n}").into_bytes() };
            (field, dice.member(different))
        };
        let pairs: Pairs = (0..=fields).map(|n| pair(n, dice)).collect();
        let borrowed: Vec<(&[u8], &[u8])> = pairs.iter().map(|(field, value)| (&field[..], &value[..])).collect();
        edit(keyspace, |stream| stream.push(id, &borrowed));
        self.entries.insert(id, pairs);
        (self.exists, self.last_id, self.added) = (true, id, self.added + 1);
    }

    fn trim(&mut self, keyspace: &mut Keyspace, dice: &mut Dice) {
        let to = match dice.below(2) {
            0 => TrimTo::Length((self.entries.len() - dice.below(self.entries.len() / 3 + 1)) as u64),
            _ => TrimTo::Id(self.some_id(dice)),
        };
        let whole_blocks = dice.below(2) == 0;
        let limit = if whole_blocks { dice.below(3) as u64 * 150 } else { 0 };
        let trimmed = edit(keyspace, |stream| stream.trim(&Trim { to, whole_blocks, limit }));
        let most = match to {
            TrimTo::Length(length) => self.entries.len() - length as usize,
            TrimTo::Id(id) => self.entries.range(..id).count(),
        };
        assert!(if whole_blocks {
            trimmed <= most && (limit == 0 || trimmed as u64 <= limit)
        } else {
            trimmed == most
        });
        (0..trimmed).for_each(|_| drop(self.entries.pop_first()));
    }

    fn in_group(&mut self, keyspace: &mut Keyspace, dice: &mut Dice) {
        let name = format!("group:{}", dice.below(3)).into_bytes();
        let consumer = format!("consumer:{}", dice.below(30)).into_bytes();
        let id = self.some_id(dice);
        let now = dice.below(1000) as i64;
        let Some(group) = self.groups.get_mut(&name) else {
            assert!(edit(keyspace, |stream| stream.create_group(&name, StreamId::MIN, None)));
            self.exists = true;
            self.groups.insert(name, GroupModel::default());
            return;
        };
        match dice.below(60) {
            0 => {
                assert!(edit(keyspace, |stream| stream.destroy_group(&name)));
                self.groups.remove(&name);
            }
            1 => {
                let deleted = edit(keyspace, |stream| {
                    stream.edit_group(&name, |group, _| group.find(&consumer).map(|of| group.delete(of)))
                });
                let before = group.pending.len();
                group.pending.retain(|_, (owner, _, _)| *owner != consumer);
                let was_there = group.consumers.remove(&consumer);
                assert_eq!(deleted, Some(was_there.then(|| before - group.pending.len())));
            }
            2..=20 => {
                let done = edit(keyspace, |stream| stream.edit_group(&name, |group, _| group.acknowledge(id)));
                assert_eq!(done, Some(group.pending.remove(&id).is_some()));
            }
            21..=25 => {
                edit(keyspace, |stream| stream.edit_group(&name, |group, _| group.delivered_again(id, now)));
                if let Some((_, delivered, deliveries)) = group.pending.get_mut(&id) {
                    (*delivered, *deliveries) = (now, *deliveries + 1);
                }
            }
            _ => {
                edit(keyspace, |stream| {
                    stream.edit_group(&name, |group, _| {
                        let of = group.hear(&consumer, now);
                        group.assign(id, of, now, 3);
                    })
                });
                group.consumers.insert(consumer.clone());
                group.pending.insert(id, (consumer, now, 3));
            }
        }
    }

    fn compare_entries(&self, stream: StreamRef<'_>) {
        let all = StreamId::MIN..=StreamId::MAX;
        let shown = |id: StreamId, pairs: super::Pairs<'_>| {
            let pairs: Pairs = pairs.map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
            (id, pairs)
        };
        let found: Vec<_> = stream.range(all.clone()).map(|entry| shown(entry.id, entry.pairs())).collect();
        let expected: Vec<_> = self.entries.iter().map(|(id, pairs)| (*id, pairs.clone())).collect();
        assert_eq!(found, expected);
        let back: Vec<_> = stream.range_back(all).map(|entry| entry.id).collect();
        assert!(back.iter().eq(self.entries.keys().rev()));
        let ids: Vec<StreamId> = self.entries.keys().copied().collect();
        for (number, from) in ids.iter().enumerate().step_by(ids.len() / 5 + 1) {
            let to = ids[(number + ids.len() / 3).min(ids.len() - 1)];
            let (from, to) = (from.next().unwrap_or(*from), to);
            let expected = || self.entries.range(from..=to.max(from)).map(|(id, _)| *id);
            assert!(stream.range(from..=to.max(from)).map(|entry| entry.id).eq(expected()));
            assert!(stream.range_back(from..=to.max(from)).map(|entry| entry.id).eq(expected().rev()));
            assert_eq!(stream.entry(from).is_some(), self.entries.contains_key(&from));
        }
        assert_eq!((stream.len(), stream.last_id()), (self.entries.len(), self.last_id));
        assert_eq!(stream.entries_added(), self.added);
        assert_eq!(stream.last_entry_id(), ids.last().copied());
        assert_eq!(stream.first_id(), ids.first().copied().unwrap_or_default());
    }
}

impl Model for StreamModel {
    fn step(&mut self, keyspace: &mut Keyspace, dice: &mut Dice, different: usize, growing: bool) {
        match dice.below(if growing { 40 } else { 10 }) {
            0 if self.exists && dice.below(4) == 0 => self.trim(keyspace, dice),
            1..=4 if self.exists => {
                let ids: Vec<StreamId> = (0..3).map(|_| self.some_id(dice)).collect();
                let deleted = edit(keyspace, |stream| stream.delete(&ids));
                assert_eq!(deleted, ids.iter().filter(|id| self.entries.remove(id).is_some()).count());
            }
            5..=8 if self.exists => self.in_group(keyspace, dice),
            9..=20 if self.exists && growing && different.is_multiple_of(2) => self.in_group(keyspace, dice),
            _ => self.push(keyspace, dice, different),
        }
    }

    fn compare(&self, value: Option<ValueRef<'_>>) {
        let Some(ValueRef::Stream(stream)) = value else { return assert!(!self.exists && value.is_none()) };
        self.compare_entries(stream);
        assert!(stream.groups().map(|group| group.name()).eq(self.groups.keys().map(|name| &name[..])));
        for (group, model) in stream.groups().zip(self.groups.values()) {
            assert!(group.consumers().map(|(_, one)| one.name()).eq(model.consumers.iter().map(|name| &name[..])));
            let found: BTreeMap<_, _> = group
                .pending_from(StreamId::MIN)
                .map(|one| (one.id, (group.owner(one).name().to_vec(), one.delivered_ms, one.deliveries)))
                .collect();
            assert_eq!(found, model.pending);
            assert_eq!(group.pending_count(), model.pending.len());
            for (of, consumer) in group.consumers() {
                let of_it = model.pending.iter().filter(|(_, (owner, _, _))| owner == consumer.name());
                assert!(group.pending_of(of, StreamId::MIN).map(|one| one.id).eq(of_it.map(|(id, _)| *id)));
            }
        }
    }
}

/// What an entry of one field with a value of ten bytes takes, and a pending one.
#[test]
fn streams_are_lean() {
    const COUNT: u64 = 100_000;
    let mut keyspace = Keyspace::new(HashSeed([5; 16]));
    edit(&mut keyspace, |stream| {
        (1..=COUNT).for_each(|n| stream.push(StreamId::new(1_700_000_000_000 + n, 0), &[(b"field", b"0123456789ab")]));
    });
    keyspace.check_invariants();
    let entries = keyspace.item_bytes(KEY).expect("it is there");
    edit(&mut keyspace, |stream| {
        stream.create_group(b"group", StreamId::MIN, None);
        stream.edit_group(b"group", |group, _| {
            let of = group.hear(b"consumer", 5);
            (1..=COUNT).for_each(|n| group.assign(StreamId::new(1_700_000_000_000 + n, 0), of, 5, 1));
        });
    });
    keyspace.check_invariants();
    let pending = keyspace.item_bytes(KEY).expect("it is there") - entries;
    let each = |bytes: usize| bytes as f64 / COUNT as f64;
    assert!(each(entries) < 27.0 && each(pending) < 59.0, "{} {}", each(entries), each(pending));
}
