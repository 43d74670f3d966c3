//! How long does a request take from bytes to a known command and its slot?
#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use larder::dispatch::Lookup;
use larder::ids::PartitionId;
use larder_protocol::{CommandBatch, RequestDecoder, slot_of};
use std::hint::black_box;

const PIPELINE: usize = 64;

/// A pipeline of SET, as the load tool sends it.
fn pipeline() -> Vec<u8> {
    let value = "v".repeat(64);
    let command = |number| format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{number:012}\r\n$64\r\n{value}\r\n");
    (0..PIPELINE).map(command).collect::<String>().into_bytes()
}

fn decode(criterion: &mut Criterion) {
    let buffer = pipeline();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    group.bench_function("64 SET of 64 bytes", |bencher| {
        let (mut decoder, mut batch) = (RequestDecoder::default(), CommandBatch::default());
        bencher.iter(|| {
            batch.clear();
            let taken = decoder.decode(black_box(&buffer), &mut batch, PIPELINE).expect("well-formed");
            assert_eq!((taken, batch.len()), (buffer.len(), PIPELINE));
        });
    });
    // The same in pieces of one packet each, so that every piece ends within a command.
    group.bench_function("64 SET of 64 bytes, in packets of 1448 bytes", |bencher| {
        bencher.iter_batched(
            || (RequestDecoder::default(), CommandBatch::default()),
            |(mut decoder, mut batch)| {
                let (mut start, mut commands) = (0, 0);
                for end in (1448..buffer.len()).step_by(1448).chain([buffer.len()]) {
                    batch.clear();
                    start += decoder.decode(black_box(&buffer[start..end]), &mut batch, PIPELINE).expect("well-formed");
                    commands += batch.len();
                }
                assert_eq!(commands, PIPELINE);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let buffer = pipeline();
    let mut batch = CommandBatch::default();
    RequestDecoder::default().decode(&buffer, &mut batch, PIPELINE).expect("well-formed");
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    group.bench_function("slot of a 16-byte key", |bencher| {
        bencher.iter(|| batch.iter(&buffer).map(|args| u64::from(slot_of(black_box(&args[1])))).sum::<u64>());
    });
    group.bench_function("row, slot and partition", |bencher| {
        let lookup = Lookup::global();
        bencher.iter(|| {
            batch
                .iter(&buffer)
                .map(|args| {
                    let entry = lookup.find(black_box(args)).expect("SET is known");
                    let partition = PartitionId::of_slot(slot_of(&args[entry.single_key]), 12);
                    partition.index()
                })
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, decode, route);
criterion_main!(benches);
