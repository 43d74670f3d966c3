//! Figures, not checks: `cargo test --release -p larder keyspace::measure -- --ignored --nocapture`.

use super::{Deadline, HashSeed, Keyspace};
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

const KEYS: u64 = 1_000_000;

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    key[16 - digits.len()..].copy_from_slice(digits);
    key
}

/// Answers: what does an operation on a random key cost when nothing of it is in the cache, and an item in bytes?
#[test]
#[ignore = "measures"]
fn measure() {
    let mut report = String::new();
    let keys: Vec<[u8; 16]> = {
        let mut state = 1u64;
        let mut dice = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        };
        (0..2 * KEYS).map(|_| key(dice() % KEYS)).collect()
    };
    for value_length in [10, 64] {
        for deadline in [Deadline::Clear, Deadline::At(1 << 41)] {
            let value = vec![b'v'; value_length];
            let mut keyspace = Keyspace::new(HashSeed([3; 16]));
            let mut line =
                |what: &str, keyspace: &mut Keyspace, operations: u64, run: &mut dyn FnMut(&mut Keyspace)| {
                    let begin = Instant::now();
                    run(keyspace);
                    let ns = begin.elapsed().as_nanos() as f64 / operations as f64;
                    writeln!(report, "  {what:24} {ns:6.0} ns").unwrap();
                };
            line("set, new", &mut keyspace, KEYS, &mut |keyspace| {
                (0..KEYS).for_each(|n| keyspace.set_string(&key(n), &value, deadline, Some(n)));
            });
            line("get, untouched", &mut keyspace, 2 * KEYS, &mut |keyspace| {
                keys.iter().for_each(|key| assert!(black_box(keyspace.get(key, 0, None)).is_some()));
            });
            line("get", &mut keyspace, 2 * KEYS, &mut |keyspace| {
                keys.iter().for_each(|key| assert!(black_box(keyspace.get(key, 0, Some(7))).is_some()));
            });
            line("set, same size", &mut keyspace, 2 * KEYS, &mut |keyspace| {
                keys.iter().for_each(|key| keyspace.set_string(key, &value, deadline, Some(8)));
            });
            let bytes = keyspace.memory_bytes() as f64 / KEYS as f64;
            let longer = vec![b'v'; value_length + 5];
            line("set, other size", &mut keyspace, KEYS, &mut |keyspace| {
                keys[..KEYS as usize].iter().for_each(|key| keyspace.set_string(key, &longer, deadline, Some(9)));
            });
            line("remove", &mut keyspace, KEYS, &mut |keyspace| {
                (0..KEYS).for_each(|n| assert!(keyspace.remove(&key(n))));
            });
            writeln!(report, "16 + {value_length} bytes, {deadline:?}: {bytes:.1} bytes a key").unwrap();
        }
    }
    for (what, count) in [("0.7M", 700_000), ("1.5M", 1_500_000), ("2M", 2_000_000), ("3M", 3_000_000)] {
        let mut keyspace = Keyspace::new(HashSeed([3; 16]));
        (0..count).for_each(|n| keyspace.set_string(&key(n), b"0123456789", Deadline::Clear, Some(0)));
        writeln!(
            report,
            "16 + 10 bytes, {what} keys: {:.1} bytes a key",
            keyspace.memory_bytes() as f64 / count as f64
        )
        .unwrap();
    }
    std::io::Write::write_all(&mut std::io::stderr(), report.as_bytes()).unwrap();
}
