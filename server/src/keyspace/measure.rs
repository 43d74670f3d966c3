//! Figures, not checks: `cargo test --release -p larder keyspace::measure -- --ignored --nocapture`.

use super::collections::CollectionKind;
use super::collections::hash::HashMut;
use super::collections::list::{End, ListMut};
use super::collections::set::SetMut;
use super::collections::sorted_set::SortedSetMut;
use super::collections::stream::{StreamId, StreamMut};
use super::view::Sizes;
use super::{Deadline, HashSeed, Keyspace};
use bytes::BytesMut;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

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

/// Answers: how long is the lock held while a snapshot reads out a large collection, and by the change that makes it write
/// what is left of one?
#[test]
#[ignore = "measures"]
fn views() {
    const PIECE_BYTES: usize = 64 * 1024;
    type Change = fn(&mut Keyspace, u64);
    macro_rules! edit {
        ($kind:ident, |$edit:ident, $n:ident| $body:expr) => {
            |keyspace, $n| {
                let edited = keyspace.edit_collection(b"large", 0, CollectionKind::$kind, true, None, |$edit| {
                    $body;
                });
                assert!(edited.is_ok());
            }
        };
    }
    let changes: [(&str, Change); 6] = [
        ("set", edit!(Set, |edit, n| SetMut(edit).add(&key(n)))),
        ("hash", edit!(Hash, |edit, n| HashMut(edit).set(&key(n), &key(n)))),
        ("sorted set", edit!(SortedSet, |edit, n| SortedSetMut(edit).set(&key(n), (n * 7919 % KEYS) as f64))),
        ("list", edit!(List, |edit, n| ListMut(edit).push(End::Right, &key(n)))),
        ("stream", edit!(Stream, |edit, n| StreamMut(edit).push(StreamId::new(n + 1, 0), &[(b"field", &key(n))]))),
        ("string of 512 MB", |keyspace, n| match n {
            0 => keyspace.set_string(b"large", &vec![b'v'; 512 << 20], Deadline::Clear, None),
            KEYS => keyspace.edit_string(b"large", 512 << 20, None, |value| value[0] = b'w'),
            _ => {}
        }),
    ];
    for (what, change) in changes {
        let mut keyspace = Keyspace::new(HashSeed([3; 16]));
        (0..KEYS).for_each(|n| change(&mut keyspace, n));
        let (mut longest, mut total, mut pieces, mut longest_piece) = (Duration::ZERO, Duration::ZERO, 0, 0);
        let open = |keyspace: &mut Keyspace| {
            keyspace.open_view();
            keyspace.view.as_mut().expect("it is open").sizes = Sizes::SERVED;
        };
        open(&mut keyspace);
        loop {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES + 4096);
            let begin = Instant::now();
            let more = keyspace.read_view(PIECE_BYTES, &mut piece);
            let took = begin.elapsed();
            (longest, total, pieces) = (longest.max(took), total + took, pieces + 1);
            longest_piece = longest_piece.max(piece.len());
            if !more {
                break;
            }
        }
        drop(keyspace.close_view());
        open(&mut keyspace);
        let begin = Instant::now();
        change(&mut keyspace, KEYS);
        let first_change = begin.elapsed();
        drop(keyspace.close_view());
        eprintln!(
            "{what:16} {pieces:5} pieces of {longest_piece:9} bytes at most: the lock is held for {longest:8.1?} at most, \
             {total:8.1?} in all; for {first_change:8.1?} by a first change"
        );
    }
}
