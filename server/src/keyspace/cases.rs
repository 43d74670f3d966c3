//! What the keyspace does in single cases; `tests` has it beside its model.

use super::recency::COARSE;
use super::tests::{SEED, key_of};
use super::*;
use crate::clock::Tick;
use std::collections::HashMap;

/// The same items, whatever way they came: the same hash order, so the same picks.
#[test]
fn copies_pick_the_same_key() {
    let mut grown = Keyspace::new(SEED);
    (0..5000).for_each(|n| grown.set_string(&key_of(n), b"v", Deadline::Keep, Some(1)));
    (700..5000).for_each(|n| assert!(grown.remove(&key_of(n))));
    let mut small = Keyspace::new(SEED);
    (0..700).rev().for_each(|n| small.set_string(&key_of(n), b"v", Deadline::Keep, Some(2)));
    for seed in 0..500 {
        assert_eq!(grown.random_key(seed, 0), small.random_key(seed, 0));
    }
}

#[test]
fn random_keys_are_spread() {
    const KEYS: u32 = 1000;
    const PICKS: u64 = 200_000;
    let mut keyspace = Keyspace::new(SEED);
    (0..KEYS).for_each(|n| keyspace.set_string(format!("{n}").as_bytes(), b"v", Deadline::Keep, Some(1)));
    let mut picked = HashMap::<Vec<u8>, u32>::new();
    for seed in 0..PICKS {
        *picked.entry(keyspace.random_key(seed, 0).unwrap().to_vec()).or_default() += 1;
    }
    assert_eq!(picked.len(), KEYS as usize);
    let mean = PICKS as u32 / KEYS;
    assert!(picked.values().all(|count| *count > mean / 3 && *count < mean * 2));
}

#[test]
fn memory_comes_back() {
    let mut keyspace = Keyspace::new(SEED);
    let empty = keyspace.memory_bytes();
    let fill = |keyspace: &mut Keyspace| {
        for n in 0..30_000u32 {
            let deadline = if n % 3 == 0 { Deadline::At(u64::from(n)) } else { Deadline::Keep };
            keyspace.set_string(format!("{n}").as_bytes(), &vec![1; n as usize % 1500], deadline, Some(u64::from(n)));
        }
    };
    fill(&mut keyspace);
    assert!(keyspace.memory_bytes() > 10_000_000);
    (0..30_000u32).for_each(|n| assert!(keyspace.remove(format!("{n}").as_bytes())));
    keyspace.check_invariants();
    // A frame is kept.
    assert!(keyspace.memory_bytes() < empty + 4096 + 4000, "{} bytes are left of {empty}", keyspace.memory_bytes());
    fill(&mut keyspace);
    drop(keyspace.clear());
    assert_eq!(keyspace.memory_bytes(), empty);
}

/// Pages that have gone may still be in an order, under former marks.
#[test]
fn victims_are_chosen_while_whole_pages_go() {
    for policy in [EvictionPolicy::VolatileRandom, EvictionPolicy::VolatileLfu] {
        let mut keyspace = Keyspace::new(SEED);
        keyspace.set_policy(policy);
        for n in 0..3_000u32 {
            keyspace.set_string(&n.to_be_bytes(), &[1; 200], Deadline::At(u64::from(n) + 1), None);
        }
        for n in (0..3_000u32).rev() {
            assert!(keyspace.remove(&n.to_be_bytes()));
            let mut victims = 0;
            keyspace.victims(&mut |_| {
                victims += 1;
                false
            });
            assert_eq!(victims, usize::from(n > 0));
        }
    }
}

#[test]
fn the_hash_is_siphash_1_3() {
    use std::hash::Hasher;
    for length in 0..100 {
        let key = vec![b'x'; length];
        let mut hasher = SipHasher13::new_with_key(&SEED.0);
        hasher.write(&key);
        assert_eq!(Keyspace::new(SEED).hash(&key), hasher.finish());
    }
}

#[test]
fn what_clear_returns_outlives_the_lock() {
    let keyspace = std::sync::Mutex::new(Keyspace::new(SEED));
    keyspace.lock().unwrap().set_string(b"k", b"v", Deadline::Keep, None);
    let old = keyspace.lock().unwrap().clear();
    assert!(keyspace.try_lock().is_ok_and(|keyspace| keyspace.is_empty()));
    std::thread::spawn(move || drop(old)).join().unwrap();
}

/// Of few items all are looked at, so the order is exact: that of a simulator that knows every use.
#[test]
fn victims_by_use_are_what_a_simulator_evicts() {
    for policy in [
        EvictionPolicy::AllKeysLfu,
        EvictionPolicy::VolatileLfu,
        EvictionPolicy::AllKeysGdsf,
        EvictionPolicy::VolatileGdsf,
    ] {
        let mut keyspace = Keyspace::new(SEED);
        keyspace.set_policy(policy);
        // With factor 0 every use counts.
        keyspace.set_lfu(LfuParameters { log_factor: 0, decay_minutes: 0 });
        // key, uses, last access, length, deadline
        let mut simulated = Vec::new();
        let mut tick = 1000 * COARSE;
        for number in 0..16u32 {
            let key = key_of(number + 10);
            let deadline = if number % 3 == 0 { Deadline::Clear } else { Deadline::At(u64::from(number) + 1_000_000) };
            let length = 1 + (number * 37 % 11) * 90;
            keyspace.set_string(&key, &vec![0; length as usize], deadline, Some(tick));
            let uses = number * 7 % 5;
            for _ in 0..uses {
                tick += 3 * COARSE;
                keyspace.get(&key, 0, Some(tick)).unwrap();
            }
            let bytes = keyspace.item_bytes(&key).unwrap();
            simulated.push((key, 1 + uses, tick, bytes, number % 3 != 0));
            tick += 11 * COARSE;
        }
        let now = simulated.last().unwrap().2;
        let badness = |(_, uses, last, bytes, _): &(Vec<u8>, u32, Tick, usize, bool)| {
            let idle = ((now - last) / COARSE) as f64;
            match policy.order() {
                Some(EvictionOrder::Frequency) => idle - 1e6 * f64::from(*uses),
                _ => (idle + 1.0) * *bytes as f64 / f64::from(*uses),
            }
        };
        simulated.retain(|item| !policy.is_volatile() || item.4);
        simulated.sort_by(|left, right| badness(right).total_cmp(&badness(left)));
        let mut victims = Vec::new();
        keyspace.victims(&mut |victim| {
            victims.push(victim.key.to_vec());
            true
        });
        let expected: Vec<_> = simulated.into_iter().map(|item| item.0).collect();
        assert_eq!(victims, expected, "{policy:?}");
    }
}

/// What is used now and then outlives what is used once, whatever passes through.
#[test]
fn a_scan_does_not_wash_out_what_is_used() {
    for policy in [EvictionPolicy::AllKeysLfu, EvictionPolicy::AllKeysGdsf] {
        let mut keyspace = Keyspace::new(SEED);
        keyspace.set_policy(policy);
        let mut tick = 0;
        for number in 0..200 {
            keyspace.set_string(&key_of(number + 10), b"value", Deadline::Clear, Some(tick));
        }
        let mut missed = 0;
        for number in 0..20_000u32 {
            tick += COARSE;
            keyspace.set_string(format!("scan:{number}").as_bytes(), b"value", Deadline::Clear, Some(tick));
            if number % 5 == 0 {
                let key = key_of(number / 5 % 200 + 10);
                if keyspace.get(&key, 0, Some(tick)).is_none() {
                    missed += 1;
                    keyspace.set_string(&key, b"value", Deadline::Clear, Some(tick));
                }
            }
            if keyspace.len() > 1000 {
                let mut victim = Vec::new();
                keyspace.victims(&mut |found| {
                    victim.extend_from_slice(found.key);
                    false
                });
                assert!(keyspace.remove(&victim));
            }
        }
        // LRU would miss them all: 1000 other items pass between two uses.
        assert!(missed < 800, "{policy:?} missed {missed} of 4000");
    }
}
