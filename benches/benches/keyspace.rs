//! What does the store itself cost, a million keys in, at random keys?
#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use larder::clock::{tick_of, unix_ms};
use larder::keyspace::{Deadline, EvictionPolicy, HashSeed, Keyspace};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: u64 = 1_000_000;
const BATCH: u64 = 1024;
const VALUE: [u8; 64] = [b'v'; 64];

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn filled() -> Keyspace {
    let mut keyspace = Keyspace::new(HashSeed([7; 16]));
    keyspace.set_policy(EvictionPolicy::AllKeysLru);
    let tick = tick_of(unix_ms());
    (0..KEYS).for_each(|number| keyspace.set_string(&key(number), &VALUE, Deadline::Clear, Some(tick)));
    keyspace
}

/// Random keys, other ones each time.
fn batches() -> impl FnMut() -> Vec<[u8; 16]> {
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    move || {
        (0..BATCH)
            .map(|_| {
                random ^= random >> 12;
                random ^= random << 25;
                random ^= random >> 27;
                key((random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % KEYS)
            })
            .collect()
    }
}

fn store(criterion: &mut Criterion) {
    let mut keyspace = filled();
    let (now, tick) = (unix_ms(), tick_of(unix_ms()));
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("get, renewing recency", |bencher| {
        bencher.iter_batched_ref(
            batches(),
            |keys| keys.iter().filter(|key| keyspace.get(black_box(&key[..]), now, Some(tick)).is_some()).count(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("overwrite, same length", |bencher| {
        bencher.iter_batched_ref(
            batches(),
            |keys| keys.iter().for_each(|key| keyspace.set_string(&key[..], &VALUE, Deadline::Clear, Some(tick))),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("remove and insert", |bencher| {
        bencher.iter_batched_ref(
            batches(),
            |keys| {
                for key in keys.iter() {
                    keyspace.remove(&key[..]);
                    keyspace.set_string(&key[..], &VALUE, Deadline::Clear, Some(tick));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
