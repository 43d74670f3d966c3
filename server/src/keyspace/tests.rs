//! The keyspace against its model, under random operations.

use super::model::{Model, digest, sort_recency};
use super::piece::PieceReader;
use super::{Arriving, Deadline, EvictionPolicy, HashSeed, Keyspace, ValueRef, WatchToken};
use crate::clock::{TICKS_PER_MS, Tick, UnixMs};
use crate::ids::DatabaseNo;
use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

pub(super) const SEED: HashSeed = HashSeed([7; 16]);

#[derive(Clone, Debug)]
enum Op {
    Get {
        key: u32,
        touch: bool,
    },
    Set {
        key: u32,
        length: u32,
        deadline: Deadline,
        touch: bool,
    },
    Edit {
        key: u32,
        length: u32,
        touch: bool,
    },
    SetDeadline {
        key: u32,
        deadline: Option<UnixMs>,
    },
    Remove {
        key: u32,
    },
    Touch {
        key: u32,
    },
    /// Time passes.
    Pass {
        ms: u32,
    },
    Reap {
        limit: usize,
    },
    Evict {
        count: usize,
    },
    Random {
        seed: u64,
    },
    Scan {
        from: u64,
        count: usize,
    },
    Policy {
        policy: EvictionPolicy,
    },
    /// RESTORE with an idle time.
    Idle {
        key: u32,
        ticks: u32,
    },
    /// The leader tells a follower of at most so many items.
    Tell {
        count: usize,
    },
    Watch {
        key: u32,
    },
    Unwatch {
        key: u32,
    },
    Clear,
    OpenView,
    ReadView {
        bytes: usize,
    },
    CloseView,
    /// Many items at once, so that structures grow over several levels.
    Fill {
        from: u32,
        count: u32,
        length: u32,
    },
    /// And shrink again.
    Drain {
        count: usize,
    },
}

/// Keys of every kind: short, empty, longer than a byte can count, too long for a chunk.
pub(super) fn key_of(number: u32) -> Vec<u8> {
    let name = format!("key:{number}").into_bytes();
    match number {
        0 => Vec::new(),
        1..=3 => name.repeat(60),
        4..=5 => name.repeat(300),
        // Longer than a chunk.
        6 => name.repeat(3000),
        _ => name,
    }
}

fn key() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..20u32, 2 => 0..400u32]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..40u32, 4 => 200..600u32, 3 => 900..1100u32, 1 => 4000..16_000u32, 1 => 16_000..40_000u32]
}

fn deadline() -> impl Strategy<Value = UnixMs> {
    prop_oneof![6 => 0..3_000u64, 1 => Just(1 << 48), 1 => Just(u64::MAX)]
}

fn op() -> impl Strategy<Value = Op> {
    let policy = prop_oneof![
        1 => Just(EvictionPolicy::NoEviction),
        2 => Just(EvictionPolicy::AllKeysLru),
        3 => Just(EvictionPolicy::VolatileLru),
        1 => Just(EvictionPolicy::AllKeysLfu),
        1 => Just(EvictionPolicy::VolatileGdsf),
        1 => Just(EvictionPolicy::AllKeysRandom),
        1 => Just(EvictionPolicy::VolatileRandom),
        1 => Just(EvictionPolicy::VolatileTtl)
    ];
    let change = prop_oneof![
        2 => Just(Deadline::Keep), 2 => Just(Deadline::Clear), 3 => deadline().prop_map(Deadline::At)
    ];
    prop_oneof![
        20 => (key(), any::<bool>()).prop_map(|(key, touch)| Op::Get { key, touch }),
        30 => (key(), length(), change, any::<bool>())
            .prop_map(|(key, length, deadline, touch)| Op::Set { key, length, deadline, touch }),
        12 => (key(), length(), any::<bool>()).prop_map(|(key, length, touch)| Op::Edit { key, length, touch }),
        10 => (key(), prop::option::of(deadline())).prop_map(|(key, deadline)| Op::SetDeadline { key, deadline }),
        12 => key().prop_map(|key| Op::Remove { key }),
        5 => key().prop_map(|key| Op::Touch { key }),
        4 => (0..40u32).prop_map(|ms| Op::Pass { ms }),
        2 => (0..10usize).prop_map(|limit| Op::Reap { limit }),
        2 => (0..10usize).prop_map(|count| Op::Evict { count }),
        4 => any::<u64>().prop_map(|seed| Op::Random { seed }),
        4 => (0..1u64 << 50, 0..50usize).prop_map(|(from, count)| Op::Scan { from, count }),
        2 => policy.prop_map(|policy| Op::Policy { policy }),
        2 => (key(), 0..500_000u32).prop_map(|(key, ticks)| Op::Idle { key, ticks }),
        6 => prop_oneof![0..20usize, Just(usize::MAX)].prop_map(|count| Op::Tell { count }),
        4 => key().prop_map(|key| Op::Watch { key }),
        2 => key().prop_map(|key| Op::Unwatch { key }),
        1 => Just(Op::Clear),
        3 => Just(Op::OpenView),
        6 => (0..4000usize).prop_map(|bytes| Op::ReadView { bytes }),
        1 => Just(Op::CloseView),
        2 => (0..2000u32, 0..1500u32, 0..30u32).prop_map(|(from, count, length)| Op::Fill { from, count, length }),
        2 => (0..2000usize).prop_map(|count| Op::Drain { count }),
    ]
}

/// Real keyspace and model side by side.
struct Pair {
    real: Keyspace,
    model: Model,
    tick: Tick,
    now: UnixMs,
    policy: EvictionPolicy,
    tokens: Vec<(u32, WatchToken, WatchToken)>,
    pieces: Vec<BytesMut>,
    steps: u64,
    /// What a follower knows of the last access to keys: it hears of reads late, and of what is gone not at all.
    follower: HashMap<Vec<u8>, Tick>,
    /// What was written since it had been told of everything: it may not hear that that was read soon after.
    written: HashSet<Vec<u8>>,
}

impl Pair {
    fn new() -> Self {
        let (mut real, mut model) = (Keyspace::new(SEED), Model::new(SEED));
        real.set_policy(EvictionPolicy::AllKeysLru);
        model.set_policy(EvictionPolicy::AllKeysLru);
        real.tell_from_here();
        Self {
            real,
            model,
            // What chunks tell of it wraps soon.
            tick: (1 << 48) - 300 * TICKS_PER_MS,
            now: 100,
            policy: EvictionPolicy::AllKeysLru,
            tokens: Vec::new(),
            pieces: Vec::new(),
            steps: 0,
            follower: HashMap::new(),
            written: HashSet::new(),
        }
    }

    fn value(&self, length: u32) -> Vec<u8> {
        (0..length).map(|n| (u64::from(n) + self.steps) as u8).collect()
    }

    fn step(&mut self, op: Op) {
        self.steps += 1;
        let tick = self.tick;
        let tick_if = |touch: bool| touch.then_some(tick);
        match op {
            Op::Get { key, touch } => {
                let key = key_of(key);
                let expected = self.model.get(&key, self.now, tick_if(touch));
                let due = self.model.deadline(&key).is_some_and(|deadline| deadline <= self.now);
                assert_eq!(self.real.is_due(&key, self.now), due);
                let found = self.real.get(&key, self.now, tick_if(touch));
                assert_eq!(found.is_some(), expected.is_some());
                if let (Some(found), Some(expected)) = (found, expected) {
                    assert_eq!(found.value, ValueRef::String(&expected.value));
                    assert_eq!((found.deadline, found.last_access), (expected.deadline, expected.last_access));
                    assert!(self.real.item_bytes(&key).is_some_and(|bytes| bytes > key.len() + expected.value.len()));
                }
            }
            Op::Set { key, length, deadline, touch } => {
                let (key, value) = (key_of(key), self.value(length));
                self.real.set_string(&key, &value, deadline, tick_if(touch));
                self.model.set_string(&key, &value, deadline, tick_if(touch));
                self.follower_follows(&key);
            }
            Op::Edit { key, length, touch } => {
                let key = key_of(key);
                if self.model.get(&key, 0, None).is_some() {
                    let edit = |value: &mut [u8]| value.iter_mut().step_by(3).for_each(|byte| *byte ^= 0x55);
                    self.real.edit_string(&key, length as usize, tick_if(touch), edit);
                    self.model.edit_string(&key, length as usize, tick_if(touch), edit);
                    if touch {
                        self.follower_follows(&key);
                    }
                }
            }
            Op::SetDeadline { key, deadline } => {
                let key = key_of(key);
                assert_eq!(self.real.set_deadline(&key, deadline), self.model.set_deadline(&key, deadline));
            }
            Op::Remove { key } => self.remove(&key_of(key)),
            Op::Touch { key } => {
                self.real.touch(DatabaseNo::FIRST, &key_of(key), tick);
                self.model.touch(&key_of(key), tick);
                self.follower_follows(&key_of(key));
            }
            Op::Pass { ms } => {
                self.tick += u64::from(ms) * TICKS_PER_MS;
                self.now += u64::from(ms);
            }
            Op::Reap { limit } => {
                let due = self.real.due(self.now, limit);
                let found: Vec<_> = due.iter().map(|(_, key)| self.model.deadline(key).expect("it has one")).collect();
                let mut expected = self.model.deadlines();
                expected.retain(|deadline| *deadline <= self.now);
                expected.truncate(limit);
                assert_eq!(found, expected);
                due.iter().for_each(|(_, key)| self.remove(key));
            }
            Op::Evict { count } => self.evict(count),
            Op::Random { seed } => {
                assert_eq!(self.real.random_key(seed, self.now), self.model.random_key(seed, self.now));
            }
            Op::Scan { from, count } => {
                let (mut found, mut expected) = (Vec::new(), Vec::new());
                let next = self.real.scan(from, count, self.now, &mut |key, _| found.push(key.to_vec()));
                if from >> Keyspace::SCAN_BITS == 0 {
                    assert_eq!(next, self.model.scan(from, count, self.now, &mut |key| expected.push(key.to_vec())));
                }
                assert_eq!(found, expected);
            }
            Op::Policy { policy } => {
                self.policy = policy;
                self.real.set_policy(policy);
                self.model.set_policy(policy);
                self.follower_knows_the_order();
            }
            Op::Idle { key, ticks } => {
                self.real.set_last_access(&key_of(key), tick - u64::from(ticks));
                self.model.set_last_access(&key_of(key), tick - u64::from(ticks));
                self.follower_follows(&key_of(key));
            }
            Op::Tell { count } => self.tell(count),
            Op::Watch { key } => {
                let tokens = (key, WatchToken::default(), WatchToken::default());
                self.real.watch(&key_of(key), &tokens.1);
                self.model.watch(&key_of(key), &tokens.2);
                self.tokens.push(tokens);
            }
            Op::Unwatch { key } => {
                if let Some((_, real, model)) = self.tokens.iter().find(|(other, _, _)| *other == key) {
                    self.real.unwatch(&key_of(key), real);
                    self.model.unwatch(&key_of(key), model);
                }
            }
            Op::Clear => {
                drop(self.real.clear());
                self.model.clear();
            }
            Op::OpenView => {
                if self.model.view.is_none() {
                    self.real.open_view();
                    self.model.open_view();
                }
            }
            Op::ReadView { bytes } => self.read_view(bytes),
            Op::CloseView => {
                drop(self.real.close_view());
                self.model.view = None;
                self.pieces.clear();
            }
            Op::Fill { from, count, length } => {
                for number in from..from + count {
                    let (key, value) = (key_of(number), self.value(length));
                    self.real.set_string(&key, &value, Deadline::Keep, Some(tick));
                    self.model.set_string(&key, &value, Deadline::Keep, Some(tick));
                    self.follower_follows(&key);
                }
            }
            Op::Drain { count } => {
                let keys: Vec<_> = self.model.items.keys().step_by(1 + count % 3).take(count).cloned().collect();
                keys.iter().for_each(|(_, key)| self.remove(key));
            }
        }
        assert_eq!(self.real.len(), self.model.items.len());
    }

    fn follower_knows_the_order(&mut self) {
        self.real.tell_from_here();
        self.follower = self.model.items.iter().map(|((_, key), item)| (key.clone(), item.last_access)).collect();
    }

    /// A follower applies what was written.
    fn follower_follows(&mut self, key: &[u8]) {
        if let Some(last_access) = self.model.last_access(key) {
            self.follower.insert(key.to_vec(), last_access);
            self.written.insert(key.to_vec());
        }
    }

    fn tell(&mut self, count: usize) {
        let mut told = HashMap::new();
        let mut more = false;
        self.real.untold(|_, key, tick| {
            more = told.len() >= count;
            if !more {
                told.insert(key.to_vec(), tick);
            }
            !more
        });
        self.follower.extend(told);
        if !more && matches!(self.policy, EvictionPolicy::AllKeysLru | EvictionPolicy::VolatileLru) {
            // What was read since the last round began is told in this one or the next.
            self.real.untold(|_, key, tick| {
                self.follower.insert(key.to_vec(), tick);
                true
            });
            for ((_, key), item) in &self.model.items {
                let known = self.follower.insert(key.clone(), item.last_access);
                assert!(known == Some(item.last_access) || self.written.contains(key));
            }
            self.written.clear();
        }
    }

    fn remove(&mut self, key: &[u8]) {
        assert_eq!(self.real.remove(key), self.model.remove(key));
    }

    fn evict(&mut self, count: usize) {
        let mut victims = Vec::new();
        if count > 0 {
            self.real.victims(&mut |victim| {
                victims.push((victim.key.to_vec(), victim.last_access));
                let item = self.model.deadline(victim.key);
                assert_eq!(victim.deadline, item);
                victims.len() < count
            });
        }
        match self.policy {
            EvictionPolicy::NoEviction => assert!(victims.is_empty()),
            EvictionPolicy::AllKeysLru | EvictionPolicy::VolatileLru => {
                let mut expected = self.model.recency_order(self.policy.is_volatile());
                expected.truncate(count);
                let ticks = |order: &[(Vec<u8>, Tick)]| order.iter().map(|(_, tick)| *tick).collect::<Vec<_>>();
                assert_eq!(ticks(&victims), ticks(&expected));
                assert_eq!(victims.iter().collect::<HashSet<_>>().len(), victims.len());
                let is_due = |key| self.model.deadline(key).is_some_and(|deadline| deadline == 0);
                assert!(victims.iter().all(|(key, tick)| {
                    self.real.peek(key, 0).map_or(is_due(key), |item| item.last_access == *tick)
                }));
            }
            EvictionPolicy::VolatileTtl => {
                let found: Vec<_> = victims.iter().filter_map(|(key, _)| self.model.deadline(key)).collect();
                let mut expected = self.model.deadlines();
                expected.truncate(count);
                assert_eq!(found, expected);
            }
            sampled => {
                let population =
                    if sampled.is_volatile() { self.model.deadlines().len() } else { self.model.items.len() };
                assert_eq!(victims.len(), count.min(population));
                assert_eq!(victims.iter().collect::<HashSet<_>>().len(), victims.len(), "one was offered twice");
                let deadline = |(key, _): &(Vec<u8>, Tick)| self.model.deadline(key);
                assert!(!sampled.is_volatile() || victims.iter().all(|victim| deadline(victim).is_some()));
            }
        }
        victims.iter().for_each(|(key, _)| self.remove(key));
    }

    fn read_view(&mut self, bytes: usize) {
        let Some(expected) = &self.model.view else { return };
        let mut piece = BytesMut::new();
        let more = self.real.read_view(bytes, &mut piece);
        self.pieces.push(piece);
        if more {
            return;
        }
        let mut keys = HashSet::new();
        let mut copy = Arriving::new(SEED);
        for piece in &self.pieces {
            for item in PieceReader::new(piece).unwrap().map(Result::unwrap) {
                assert!(keys.insert(item.key.to_vec()) != item.continued, "an item was read out twice");
            }
            copy.load(piece, self.tick).unwrap();
        }
        let mut copy = copy.finish().unwrap();
        assert_eq!(copy.len(), expected.len());
        assert_eq!(copy.digest(), digest(expected));
        copy.check_invariants();
        assert_eq!(self.real.view_backlog_bytes(), 0);
        drop(self.real.close_view());
        self.model.view = None;
        self.pieces.clear();
    }

    fn check(&mut self) {
        self.real.check_invariants();
        assert_eq!(self.real.digest(), self.model.digest());
        assert_eq!(self.real.next_deadline(), self.model.deadlines().first().copied());
        assert_eq!(self.real.expires(), self.model.deadlines().len());
        let mut order = self.real.recency_order();
        if matches!(self.policy, EvictionPolicy::AllKeysLru | EvictionPolicy::VolatileLru) {
            assert!(order.is_sorted_by_key(|(_, tick)| *tick));
            sort_recency(&mut order);
            assert_eq!(order, self.model.recency_order(self.policy.is_volatile()));
        } else {
            assert_eq!(order, vec![], "there is no order");
        }
        for (key, real, model) in &self.tokens {
            assert_eq!(real.load(Ordering::Acquire), model.load(Ordering::Acquire), "watch of {key}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_does_what_the_model_does(ops in prop::collection::vec(op(), 1..250)) {
        let mut pair = Pair::new();
        for (number, op) in ops.into_iter().enumerate() {
            pair.step(op);
            if number % 25 == 0 {
                pair.check();
            }
        }
        pair.check();
        while pair.model.view.is_some() {
            pair.read_view(3000);
        }
        pair.step(Op::Clear);
        pair.check();
    }

    /// What is there from the first step of a scan to the last is seen, while the rest comes and goes and the table
    /// grows and shrinks.
    #[test]
    fn a_scan_sees_all_that_stays(
        staying in 1..800u32, passing in 0..4000u32, count in 1..60usize, changes in 0..400u32, grows in any::<bool>()
    ) {
        let mut keyspace = Keyspace::new(SEED);
        let passing_key = |number: u32| format!("passing:{number}").into_bytes();
        (0..staying).for_each(|n| keyspace.set_string(&key_of(n), b"v", Deadline::Keep, Some(1)));
        let mut present = if grows { 0 } else { passing };
        (0..present).for_each(|n| keyspace.set_string(&passing_key(n), b"v", Deadline::Keep, Some(1)));
        let (mut seen, mut cursor) = (HashSet::new(), 0);
        loop {
            cursor = keyspace.scan(cursor, count, 0, &mut |key, _| { seen.insert(key.to_vec()); });
            prop_assert!(cursor >> Keyspace::SCAN_BITS == 0);
            if cursor == 0 {
                break;
            }
            for _ in 0..changes {
                if grows && present < passing {
                    keyspace.set_string(&passing_key(present), b"v", Deadline::Keep, Some(1));
                    present += 1;
                } else if !grows && present > 0 {
                    present -= 1;
                    keyspace.remove(&passing_key(present));
                }
            }
        }
        prop_assert!((0..staying).all(|n| seen.contains(&key_of(n))));
    }

    /// Bytes that were tampered with are refused or load as something.
    #[test]
    fn a_piece_may_be_anything(
        lengths in prop::collection::vec(0..400u32, 0..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>())
    ) {
        let mut keyspace = Keyspace::new(SEED);
        for (number, length) in lengths.iter().enumerate() {
            let deadline = if number % 2 == 0 { Deadline::Keep } else { Deadline::At(u64::from(*length) << 20) };
            keyspace.set_string(&key_of(number as u32), &vec![1; *length as usize], deadline, Some(5));
        }
        keyspace.open_view();
        let mut piece = BytesMut::new();
        prop_assert!(!keyspace.read_view(usize::MAX, &mut piece));
        for (index, byte) in changes {
            let at = index.index(piece.len());
            piece[at] ^= byte;
        }
        if let Some(cut) = cut {
            piece.truncate(cut.index(piece.len()));
        }
        let mut copy = Arriving::new(SEED);
        if let Ok(mut copy) = copy.load(&piece, 9).and_then(|()| copy.finish()) {
            copy.check_invariants();
            let mut again = Arriving::new(SEED);
            copy.open_view();
            let mut piece = BytesMut::new();
            prop_assert!(!copy.read_view(usize::MAX, &mut piece));
            prop_assert_eq!(again.load(&piece, 9), Ok(()));
            prop_assert_eq!(again.finish().map(|again| again.digest()), Ok(copy.digest()));
        }
    }
}
