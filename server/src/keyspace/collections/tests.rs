//! Collections against naive models, under random changes, with views of them.

use super::CollectionKind;
use super::hash::HashMut;
use super::list::{End, ListMut};
use super::listpack::Needle;
use super::set::SetMut;
use super::sorted_set::{Scoring, SortedSetMut};
use super::stream::tests::StreamModel;
use crate::keyspace::{Arriving, Deadline, HashSeed, Keyspace, ValueRef};
use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const KEY: &[u8] = b"collection";

/// A source of choices.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    /// Short and long ones, numbers and others.
    pub(super) fn member(&mut self, different: usize) -> Vec<u8> {
        let number = self.below(different);
        match number % 7 {
            0 => number.to_string().into_bytes(),
            1 => format!("-{number}000000").into_bytes(),
            2 if self.below(40) == 0 => vec![b'x'; 60 + number % 300],
            3 => Vec::from([number as u8, (number >> 8) as u8, 0, 255]),
            _ => format!("member:{number}").into_bytes(),
        }
    }
}

/// What one type does: a step that changes keyspace and model alike, and a comparison.
pub(super) trait Model: Default {
    fn step(&mut self, keyspace: &mut Keyspace, dice: &mut Dice, different: usize, growing: bool);
    fn compare(&self, value: Option<ValueRef<'_>>);
}

macro_rules! edit {
    ($keyspace:ident, $kind:ident, $mut:ident, |$name:ident| $body:expr) => {
        $keyspace
            .edit_collection(KEY, 0, CollectionKind::$kind, true, Some(1), |edit| {
                #[allow(unused_mut)]
                let mut $name = $mut(edit);
                $body
            })
            .expect("the kind is right")
            .expect("it is made")
    };
}

#[derive(Default)]
struct HashModel(BTreeMap<Vec<u8>, Vec<u8>>);

impl Model for HashModel {
    fn step(&mut self, keyspace: &mut Keyspace, dice: &mut Dice, different: usize, growing: bool) {
        let field = dice.member(different);
        if dice.below(4) < if growing { 3 } else { 1 } {
            let value = dice.member(1000);
            let added = edit!(keyspace, Hash, HashMut, |hash| hash.set(&field, &value));
            assert_eq!(added, self.0.insert(field, value).is_none());
        } else {
            let removed = edit!(keyspace, Hash, HashMut, |hash| hash.remove(&field));
            assert_eq!(removed, self.0.remove(&field).is_some());
        }
    }

    fn compare(&self, value: Option<ValueRef<'_>>) {
        let Some(ValueRef::Hash(hash)) = value else { return assert!(self.0.is_empty() && value.is_none()) };
        assert_eq!(hash.len(), self.0.len());
        let found: BTreeMap<_, _> = hash.pairs().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
        assert_eq!(found, self.0);
        for (place, (field, value)) in hash.pairs().enumerate() {
            assert_eq!(hash.at(place), (field, value));
            assert_eq!(hash.get(&field.to_vec()), Some(value));
        }
        let (mut seen, mut next) = (BTreeSet::new(), 0);
        loop {
            next = hash.scan(next, 7, &mut |field, _| {
                seen.insert(field.to_vec());
            });
            if next == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), self.0.len());
    }
}

#[derive(Default)]
struct SetModel(BTreeSet<Vec<u8>>);

impl Model for SetModel {
    fn step(&mut self, keyspace: &mut Keyspace, dice: &mut Dice, different: usize, growing: bool) {
        // Integers at first, so that every form is passed through.
        let integers = self.0.len() < 100 && different.is_multiple_of(2);
        let member = if integers { dice.below(70_000).to_string().into_bytes() } else { dice.member(different) };
        if dice.below(4) < if growing { 3 } else { 1 } {
            let added = edit!(keyspace, Set, SetMut, |set| {
                set.expect(&member, 1);
                set.add(&member)
            });
            assert_eq!(added, self.0.insert(member));
        } else {
            let member = match self.0.range(member.clone()..).next().filter(|_| dice.below(2) == 0) {
                Some(there) => there.clone(),
                None => member,
            };
            let removed = edit!(keyspace, Set, SetMut, |set| set.remove(&member));
            assert_eq!(removed, self.0.remove(&member));
        }
    }

    fn compare(&self, value: Option<ValueRef<'_>>) {
        let Some(ValueRef::Set(set)) = value else { return assert!(self.0.is_empty() && value.is_none()) };
        let found: BTreeSet<_> = set.members().map(|member| member.to_vec()).collect();
        assert_eq!((set.len(), &found), (self.0.len(), &self.0));
        for (place, member) in set.members().enumerate() {
            assert_eq!(set.at(place), member);
            assert!(set.contains(&member.to_vec()));
        }
        assert!(!set.contains(b"none"));
    }
}

#[derive(Default)]
struct SortedSetModel(BTreeMap<Vec<u8>, i64>);

impl SortedSetModel {
    fn in_order(&self) -> Vec<(Vec<u8>, f64)> {
        let mut all: Vec<_> = self.0.iter().map(|(member, score)| (*score, member.clone())).collect();
        all.sort();
        all.into_iter().map(|(score, member)| (member, score as f64 / 4.0)).collect()
    }
}

impl Model for SortedSetModel {
    fn step(&mut self, keyspace: &mut Keyspace, dice: &mut Dice, different: usize, growing: bool) {
        let member = dice.member(different);
        match dice.below(8) {
            0 if !growing => {
                let from = dice.below(self.0.len() + 1);
                let count = dice.below(4).min(self.0.len() - from);
                edit!(keyspace, SortedSet, SortedSetMut, |set| set.remove_ranks(from, count));
                for (member, _) in self.in_order().into_iter().skip(from).take(count) {
                    self.0.remove(&member);
                }
            }
            choice if choice < if growing { 6 } else { 2 } => {
                let score = dice.below(200) as i64 - 100;
                let done = edit!(keyspace, SortedSet, SortedSetMut, |set| set.set(&member, score as f64 / 4.0));
                let expected = match self.0.insert(member, score) {
                    None => Scoring::Added,
                    Some(old) if old == score => Scoring::Same,
                    Some(_) => Scoring::Updated,
                };
                assert_eq!(done, expected);
            }
            _ => {
                let removed = edit!(keyspace, SortedSet, SortedSetMut, |set| set.remove(&member));
                assert_eq!(removed, self.0.remove(&member).is_some());
            }
        }
    }

    fn compare(&self, value: Option<ValueRef<'_>>) {
        let Some(ValueRef::SortedSet(set)) = value else { return assert!(self.0.is_empty() && value.is_none()) };
        let expected = self.in_order();
        let mut found = Vec::new();
        set.visit(0, set.len(), false, &mut |member, score| found.push((member.to_vec(), score)));
        assert_eq!(found, expected);
        for (rank, (member, score)) in expected.iter().enumerate() {
            assert_eq!(set.rank(member), Some((rank, *score)));
            assert_eq!(set.score(member), Some(*score));
        }
        for bound in [-30.0, 0.0, 3.25] {
            let before = expected.iter().filter(|(_, score)| *score < bound).count();
            assert_eq!(set.count_before(&|score, _| score < bound), before);
        }
        let from = set.len() * 2 / 3;
        found.clear();
        set.visit(from, 10, true, &mut |member, score| found.push((member.to_vec(), score)));
        let backwards: Vec<_> = expected[..=from].iter().rev().take(10).cloned().collect();
        assert_eq!(found, backwards);
    }
}

#[derive(Default)]
struct ListModel(Vec<Vec<u8>>);

impl Model for ListModel {
    fn step(&mut self, keyspace: &mut Keyspace, dice: &mut Dice, different: usize, growing: bool) {
        let element = dice.member(different);
        let (end, length) = (if dice.below(2) == 0 { End::Left } else { End::Right }, self.0.len());
        let choice = if length == 0 { 0 } else { dice.below(if growing { 14 } else { 10 }) };
        edit!(keyspace, List, ListMut, |list| match choice {
            0 | 10.. => {
                list.expect(1, element.len());
                list.push(end, &element);
                self.0.insert(if end == End::Left { 0 } else { length }, element);
            }
            1..=3 => {
                let popped = list.pop(end, |element| element.to_vec());
                assert_eq!(popped, self.0.remove(if end == End::Left { 0 } else { length - 1 }));
                list.shrunk();
            }
            4 => {
                let index = dice.below(length);
                list.set(index, &element);
                self.0[index] = element;
            }
            5 | 6 => {
                let index = dice.below(length + 1);
                list.insert(index, &element);
                self.0.insert(index, element);
            }
            7 => {
                let index = dice.below(length);
                let count = dice.below(length - index + 1).min(if growing { 3 } else { 40 });
                list.remove(index, count);
                self.0.drain(index..index + count);
                list.shrunk();
            }
            _ => {
                let element = self.0[dice.below(length)].clone();
                let limit = 1 + dice.below(3);
                let removed = list.remove_equal(&Needle::new(&element), limit, end);
                let mut left = limit;
                let mut keep = |other: &Vec<u8>| {
                    let goes = left > 0 && *other == element;
                    left -= usize::from(goes);
                    !goes
                };
                if end == End::Right {
                    self.0.reverse();
                }
                self.0.retain(&mut keep);
                if end == End::Right {
                    self.0.reverse();
                }
                assert_eq!(removed, limit - left);
            }
        });
    }

    fn compare(&self, value: Option<ValueRef<'_>>) {
        let Some(ValueRef::List(list)) = value else { return assert!(self.0.is_empty() && value.is_none()) };
        assert_eq!(list.len(), self.0.len());
        assert!(list.from(0).map(|element| element.to_vec()).eq(self.0.iter().cloned()));
        let last = list.len() - 1;
        assert!(list.back_from(last).map(|element| element.to_vec()).eq(self.0.iter().rev().cloned()));
        for index in [0, last / 3, last / 2, last] {
            assert_eq!(list.at(index).map(|element| element.to_vec()).as_ref(), self.0.get(index));
            assert!(list.from(index).map(|element| element.to_vec()).eq(self.0[index..].iter().cloned()));
            let before = self.0[..=index].iter().rev().cloned();
            assert!(list.back_from(index).map(|element| element.to_vec()).eq(before));
        }
        assert!(list.at(list.len()).is_none());
    }
}

/// Grows and shrinks one collection beside some strings, with a view opened on the way, read out while it changes.
pub(super) fn run<M: Model>(seed: u64, steps: usize, different: usize) {
    let (mut keyspace, mut model, mut dice) = (Keyspace::new(HashSeed([5; 16])), M::default(), Dice(seed | 1));
    (0..50u32).for_each(|n| keyspace.set_string(&n.to_le_bytes(), b"v", Deadline::Clear, Some(0)));
    let view_at = dice.below(steps);
    let (mut digest, mut pieces, mut more) = (0, Vec::new(), false);
    for step in 0..steps {
        if step == view_at {
            digest = keyspace.digest();
            keyspace.open_view();
            more = true;
        }
        model.step(&mut keyspace, &mut dice, different, step < steps * 2 / 3);
        if more && dice.below(20) == 0 {
            let mut piece = BytesMut::new();
            more = keyspace.read_view(100, &mut piece);
            pieces.push(piece);
        }
        if step % (steps / 12 + 1) == 0 {
            keyspace.check_invariants();
            model.compare(keyspace.peek(KEY, 0).map(|item| item.value));
        }
        if step == steps / 2 && keyspace.peek(KEY, 0).is_some() {
            keyspace.set_deadline(KEY, Some(1 << 50));
            let copy = keyspace.copy_collection(KEY).expect("it is there").0;
            keyspace.store_collection(b"copy", copy, Deadline::Clear, Some(3));
            let (moved, deadline) = keyspace.take_collection(KEY).expect("it is there");
            assert_eq!(deadline, Some(1 << 50));
            keyspace.store_collection(KEY, moved, Deadline::Clear, Some(3));
            let values = [KEY, b"copy"].map(|key| keyspace.peek(key, 0).map(|item| item.value));
            assert_eq!(values[0], values[1]);
        }
    }
    while more {
        let mut piece = BytesMut::new();
        more = keyspace.read_view(1000, &mut piece);
        pieces.push(piece);
    }
    drop(keyspace.close_view());
    let mut copy = Arriving::new(HashSeed([5; 16]));
    pieces.iter().for_each(|piece| copy.load(piece, 9).expect("a sound piece"));
    let mut copy = copy.finish().expect("all parts are there");
    assert_eq!(copy.digest(), digest);
    copy.check_invariants();
    model.compare(keyspace.peek(KEY, 0).map(|item| item.value));
    let value = keyspace.peek(KEY, 0).map(|item| item.value);
    assert!(value.is_none() || keyspace.item_bytes(KEY).is_some());
    keyspace.check_invariants();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn hashes_are_maps(seed in any::<u64>(), steps in 1..3000usize, different in 1..1500usize) {
        run::<HashModel>(seed, steps, different);
    }

    #[test]
    fn sets_are_sets(seed in any::<u64>(), steps in 1..2500usize, different in 1..1500usize) {
        run::<SetModel>(seed, steps, different);
    }

    #[test]
    fn sorted_sets_are_sorted(seed in any::<u64>(), steps in 1..1500usize, different in 1..800usize) {
        run::<SortedSetModel>(seed, steps, different);
    }

    #[test]
    fn lists_are_lists(seed in any::<u64>(), steps in 1..2500usize, different in 1..200usize) {
        run::<ListModel>(seed, steps, different);
    }

    #[test]
    fn streams_are_logs(seed in any::<u64>(), steps in 1..2500usize, different in 1..400usize) {
        run::<StreamModel>(seed, steps, different);
    }

    /// Bytes that were tampered with are refused or load as something.
    #[test]
    fn an_encoded_collection_may_be_anything(
        seed in any::<u64>(), steps in 1..400usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
    ) {
        fn tamper<M: Model>(seed: u64, steps: usize, changes: &[(prop::sample::Index, u8)]) {
            let (mut keyspace, mut model, mut dice) = (Keyspace::new(HashSeed([5; 16])), M::default(), Dice(seed | 1));
            (0..steps).for_each(|_| model.step(&mut keyspace, &mut dice, 300, true));
            let Some(value) = keyspace.peek(KEY, 0).map(|item| item.value) else { return };
            let mut bytes = value.encoded();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] ^= byte;
            }
            if let Some(stored) = super::decoding::decode(&bytes, HashSeed([5; 16])) {
                keyspace.store_collection(KEY, crate::keyspace::Built(stored), Deadline::Clear, None);
                keyspace.check_invariants();
            }
        }
        tamper::<HashModel>(seed, steps, &changes);
        tamper::<SetModel>(seed, steps, &changes);
        tamper::<SortedSetModel>(seed, steps, &changes);
        tamper::<ListModel>(seed, steps, &changes);
        tamper::<StreamModel>(seed, steps, &changes);
    }
}

/// The targets of the issue that asks for collections, with members of ten bytes.
#[test]
fn large_collections_are_lean() {
    const COUNT: usize = 100_000;
    let name = |number: usize| format!("m{number:09}").into_bytes();
    let bytes = |fill: &dyn Fn(&mut Keyspace)| {
        let mut keyspace = Keyspace::new(HashSeed([5; 16]));
        fill(&mut keyspace);
        keyspace.check_invariants();
        keyspace.item_bytes(KEY).expect("it is there") as f64 / COUNT as f64
    };
    let hash = bytes(&|keyspace| {
        edit!(keyspace, Hash, HashMut, |hash| (0..COUNT).for_each(|n| assert!(hash.set(&name(n), &name(n)))));
    });
    let set = bytes(&|keyspace| {
        edit!(keyspace, Set, SetMut, |set| (0..COUNT).for_each(|n| assert!(set.add(&name(n)))));
    });
    let sorted = bytes(&|keyspace| {
        edit!(keyspace, SortedSet, SortedSetMut, |set| (0..COUNT)
            .for_each(|n| assert_eq!(set.set(&name(n), (n * 7919 % COUNT) as f64), Scoring::Added)));
    });
    let list = bytes(&|keyspace| {
        edit!(keyspace, List, ListMut, |list| (0..COUNT).for_each(|n| list.push(End::Right, &name(n))));
    });
    assert!(hash < 58.0 && set < 39.0 && sorted < 80.0 && list < 13.0, "{hash} {set} {sorted} {list}");
}
