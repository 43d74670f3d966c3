//! One keyspace of several databases does what several keyspaces of one database do.

use crate::clock::{Tick, UnixMs};
use crate::ids::DatabaseNo;
use crate::keyspace::{Arriving, Deadline, EvictionPolicy, HashSeed, ItemRef, Keyspace, ValueRef, WatchToken};
use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SEED: HashSeed = HashSeed([5; 16]);
const DATABASES: u16 = 4;

#[derive(Debug, Clone)]
enum Op {
    Select { database: u16 },
    Set { key: u8, length: u16, ttl: Option<u16> },
    Get { key: u8 },
    Remove { key: u8 },
    Pass { ms: u16 },
    Reap,
    Evict { count: usize },
    Swap { one: u16, other: u16 },
    Clear,
    ClearAll,
    Scan { from: u64 },
    Random { seed: u64 },
    Policy { policy: EvictionPolicy },
    Watch { key: u8 },
    Expect { key: u8 },
    Touched,
    OpenView,
    ReadView { bytes: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..30u8;
    let policies = [
        EvictionPolicy::AllKeysLru,
        EvictionPolicy::VolatileLru,
        EvictionPolicy::VolatileTtl,
        EvictionPolicy::AllKeysRandom,
        EvictionPolicy::VolatileLfu,
        EvictionPolicy::NoEviction,
    ];
    prop_oneof![
        12 => (0..DATABASES).prop_map(|database| Op::Select { database }),
        30 => (key(), 0..1500u16, prop::option::of(1..500u16)).prop_map(|(key, length, ttl)| Op::Set { key, length, ttl }),
        10 => key().prop_map(|key| Op::Get { key }),
        10 => key().prop_map(|key| Op::Remove { key }),
        3 => (0..200u16).prop_map(|ms| Op::Pass { ms }),
        3 => Just(Op::Reap),
        3 => (0..8usize).prop_map(|count| Op::Evict { count }),
        4 => (0..DATABASES, 0..DATABASES).prop_map(|(one, other)| Op::Swap { one, other }),
        2 => Just(Op::Clear),
        1 => Just(Op::ClearAll),
        3 => (0..1u64 << 49).prop_map(|from| Op::Scan { from }),
        3 => any::<u64>().prop_map(|seed| Op::Random { seed }),
        2 => prop::sample::select(policies.to_vec()).prop_map(|policy| Op::Policy { policy }),
        5 => key().prop_map(|key| Op::Watch { key }),
        5 => key().prop_map(|key| Op::Expect { key }),
        3 => Just(Op::Touched),
        3 => Just(Op::OpenView),
        8 => (0..3000usize).prop_map(|bytes| Op::ReadView { bytes }),
    ]
}

fn key_of(number: u8) -> Vec<u8> {
    format!("key{number}").into_bytes()
}

type Contents = BTreeMap<(u16, Vec<u8>), (Vec<u8>, Option<UnixMs>)>;

/// The keyspace, and keyspaces of one database each.
struct World {
    real: Keyspace,
    apart: Vec<Keyspace>,
    selected: u16,
    now: UnixMs,
    tick: Tick,
    tokens: Vec<(WatchToken, WatchToken)>,
    view: Option<(Contents, Vec<BytesMut>)>,
}

fn contents(database: u16, keyspace: &Keyspace, all: &mut Contents) {
    keyspace.scan(0, usize::MAX, 0, &mut |key, item| {
        let ItemRef { value: ValueRef::String(value), deadline, .. } = item else { panic!("a string") };
        all.insert((database, key.to_vec()), (value.to_vec(), deadline));
    });
}

impl World {
    fn new() -> Self {
        let apart = (0..DATABASES).map(|_| Keyspace::new(SEED)).collect();
        Self { real: Keyspace::new(SEED), apart, selected: 0, now: 1000, tick: 0, tokens: Vec::new(), view: None }
    }

    fn contents(&self) -> Contents {
        let mut all = Contents::new();
        self.apart.iter().enumerate().for_each(|(number, keyspace)| contents(number as u16, keyspace, &mut all));
        all
    }

    fn step(&mut self, op: Op) {
        self.tick += 1;
        let (tick, now) = (self.tick, self.now);
        let at = usize::from(self.selected);
        let (real, one) = (&mut self.real, &mut self.apart[at]);
        match op {
            Op::Select { database } => {
                self.selected = database;
                real.select(DatabaseNo(database));
                assert_eq!(real.database(), DatabaseNo(database));
            }
            Op::Set { key, length, ttl } => {
                let value = vec![b'v'; usize::from(length)];
                let deadline = ttl.map_or(Deadline::Clear, |ttl| Deadline::At(now + u64::from(ttl)));
                [real, one].into_iter().for_each(|keyspace| {
                    keyspace.set_string(&key_of(key), &value, deadline, Some(tick));
                });
            }
            Op::Get { key } => {
                let key = key_of(key);
                assert_eq!(real.is_due_in(DatabaseNo(self.selected), &key, now), one.is_due(&key, now));
                assert_eq!(real.get(&key, now, Some(tick)).is_some(), one.get(&key, now, Some(tick)).is_some());
            }
            Op::Remove { key } => assert_eq!(real.remove(&key_of(key)), one.remove(&key_of(key))),
            Op::Pass { ms } => self.now += u64::from(ms),
            Op::Reap => {
                let due = real.due(now, usize::MAX);
                let each = self.apart.iter_mut().enumerate();
                let expected: BTreeSet<_> = each
                    .flat_map(|(number, keyspace)| {
                        keyspace.due(now, usize::MAX).into_iter().map(move |(_, key)| (DatabaseNo(number as u16), key))
                    })
                    .collect();
                assert_eq!(due.iter().cloned().collect::<BTreeSet<_>>(), expected);
                let deadlines: Vec<_> = due
                    .iter()
                    .map(|(database, key)| self.apart[usize::from(database.0)].get(key, 0, None).unwrap().deadline)
                    .collect();
                assert!(deadlines.is_sorted());
                self.remove_all(&due);
            }
            Op::Evict { count } => {
                let mut victims = Vec::new();
                let order = real.policy().order();
                if count > 0 {
                    real.victims(&mut |victim| {
                        victims.push((victim.database, victim.key.to_vec()));
                        victims.len() < count
                    });
                }
                let policy = real.policy();
                let population = |keyspace: &Keyspace| match (order, policy.is_volatile()) {
                    (None, _) => 0,
                    (_, true) => keyspace.expires(),
                    (_, false) => keyspace.len(),
                };
                assert_eq!(victims.len(), count.min(self.apart.iter().map(population).sum()));
                assert_eq!(victims.iter().collect::<BTreeSet<_>>().len(), victims.len());
                if policy.order() == Some(crate::keyspace::EvictionOrder::Recency) {
                    let mut ticks = Vec::new();
                    for (database, key) in &victims {
                        ticks.push(self.apart[usize::from(database.0)].get(key, 0, None).unwrap().last_access);
                    }
                    assert!(ticks.is_sorted());
                }
                self.remove_all(&victims);
            }
            Op::Swap { one, other } => {
                real.swap_databases(DatabaseNo(one), DatabaseNo(other));
                self.swap_apart(usize::from(one), usize::from(other));
            }
            Op::Clear => {
                drop(real.clear());
                drop(one.clear());
            }
            Op::ClearAll => {
                drop(real.clear_all());
                self.apart.iter_mut().for_each(|keyspace| drop(keyspace.clear()));
            }
            Op::Scan { from } => {
                let (mut found, mut expected) = (Vec::new(), Vec::new());
                let next = real.scan(from, 5, now, &mut |key, _| found.push(key.to_vec()));
                assert_eq!(next, one.scan(from, 5, now, &mut |key, _| expected.push(key.to_vec())));
                assert_eq!(found, expected);
            }
            Op::Random { seed } => assert_eq!(real.random_key(seed, now), one.random_key(seed, now)),
            Op::Policy { policy } => {
                real.set_policy(policy);
                self.apart.iter_mut().for_each(|keyspace| keyspace.set_policy(policy));
            }
            Op::Watch { key } => {
                let tokens = (WatchToken::default(), WatchToken::default());
                real.watch(&key_of(key), &tokens.0);
                one.watch(&key_of(key), &tokens.1);
                self.tokens.push(tokens);
            }
            Op::Expect { key } => {
                let key: Arc<[u8]> = key_of(key).into();
                real.expect(&key);
                one.expect(&key);
            }
            Op::Touched => {
                assert_eq!(real.has_touched(), self.apart.iter().any(Keyspace::has_touched));
                let touched: BTreeSet<_> = real.take_touched().into_iter().collect();
                let mut expected = BTreeSet::new();
                for (number, keyspace) in self.apart.iter_mut().enumerate() {
                    expected
                        .extend(keyspace.take_touched().into_iter().map(|(_, key)| (DatabaseNo(number as u16), key)));
                }
                assert_eq!(touched, expected);
            }
            Op::OpenView if self.view.is_none() => {
                real.open_view();
                self.view = Some((self.contents(), Vec::new()));
            }
            Op::OpenView => {}
            Op::ReadView { bytes } => self.read_view(bytes),
        }
    }

    fn remove_all(&mut self, keys: &[(DatabaseNo, Vec<u8>)]) {
        for (database, key) in keys {
            self.real.select(*database);
            assert!(self.real.remove(key) && self.apart[usize::from(database.0)].remove(key));
        }
        self.real.select(DatabaseNo(self.selected));
    }

    /// Swaps the items alone: whoever watches stays where he is.
    fn swap_apart(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        let (low, high) = (one.min(other), one.max(other));
        let (left, right) = self.apart.split_at_mut(high);
        let (low, high) = (&mut left[low], &mut right[0]);
        let there = |key: &[u8]| [&*low, &*high].iter().any(|keyspace| keyspace.peek(key, 0).is_some());
        let changed: BTreeSet<Vec<u8>> = (0..30).map(key_of).filter(|key| there(key)).collect();
        low.watches.signal_all(|key| changed.contains(key));
        high.watches.signal_all(|key| changed.contains(key));
        std::mem::swap(&mut low.items, &mut high.items);
    }

    fn read_view(&mut self, bytes: usize) {
        let Some((expected, pieces)) = &mut self.view else { return };
        let mut piece = BytesMut::new();
        let more = self.real.read_view(bytes, &mut piece);
        pieces.push(piece);
        if more {
            return;
        }
        let mut copy = Arriving::new(SEED);
        pieces.iter().for_each(|piece| copy.load(piece, self.tick).unwrap());
        let mut copy = copy.finish().unwrap();
        copy.check_invariants();
        let mut found = Contents::new();
        for number in 0..DATABASES {
            copy.select(DatabaseNo(number));
            contents(number, &copy, &mut found);
        }
        assert_eq!(found, *expected);
        assert_eq!(self.real.view_backlog_bytes(), 0);
        drop(self.real.close_view());
        self.view = None;
    }

    fn check(&mut self) {
        assert_eq!(self.real.total_len(), self.apart.iter().map(Keyspace::len).sum::<usize>());
        let figures: BTreeMap<_, _> = self.real.figures(self.now).collect();
        for (number, keyspace) in self.apart.iter().enumerate() {
            let database = DatabaseNo(number as u16);
            assert_eq!(self.real.len_of(database), keyspace.len());
            assert_eq!(figures.get(&database).copied(), keyspace.figures(self.now).next().map(|(_, figures)| figures));
        }
        for (real, apart) in &self.tokens {
            assert_eq!(real.load(Ordering::Relaxed), apart.load(Ordering::Relaxed));
        }
        assert_eq!(self.real.next_deadline(), self.apart.iter_mut().filter_map(Keyspace::next_deadline).min());
        self.real.check_invariants();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn databases_are_keyspaces_apart(ops in prop::collection::vec(op(), 1..200)) {
        let mut world = World::new();
        for (number, op) in ops.into_iter().enumerate() {
            world.step(op);
            if number % 9 == 0 {
                world.check();
            }
        }
        world.check();
    }
}

#[test]
fn digests_tell_databases_apart_and_idle_ones_take_no_memory() {
    let with = |database| {
        let mut keyspace = Keyspace::new(SEED);
        keyspace.select(DatabaseNo(database));
        keyspace.set_string(b"k", b"v", Deadline::Clear, Some(1));
        keyspace
    };
    let [zero, one, two] = [0, 1, 2].map(|database| with(database).digest());
    assert!(zero != one && one != two && zero != two);
    let mut keyspace = with(0);
    let before = keyspace.memory_bytes();
    for database in [7, 3, 7, 0] {
        keyspace.select(DatabaseNo(database));
        assert!(keyspace.get(b"k", 0, None).is_some() == (database == 0));
    }
    keyspace.swap_databases(DatabaseNo(0), DatabaseNo(9));
    assert_eq!((keyspace.len(), keyspace.total_len(), keyspace.digest() == zero), (0, 1, false));
    keyspace.swap_databases(DatabaseNo(9), DatabaseNo(0));
    assert_eq!((keyspace.memory_bytes(), keyspace.digest()), (before, zero));
}
