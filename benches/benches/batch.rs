//! What does a log entry cost besides consensus: to encode its commands once, and to apply them on every copy?
#![allow(missing_docs)]

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use larder::clock::{tick_of, unix_ms};
use larder::commands::block::{BlockReader, CommandOptions, encode};
use larder::commands::{Context, Handler};
use larder::dispatch::Lookup;
use larder::keyspace::{HashSeed, Keyspace};
use larder_protocol::{CommandBatch, ProtocolVersion, ReplyBuffer, RequestDecoder};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COMMANDS: usize = 256;

fn requests() -> (Vec<u8>, CommandBatch) {
    let value = "v".repeat(64);
    let command = |number| format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{number:012}\r\n$64\r\n{value}\r\n");
    let buffer = (0..COMMANDS).map(command).collect::<String>().into_bytes();
    let mut batch = CommandBatch::default();
    RequestDecoder::default().decode(&buffer, &mut batch, COMMANDS).expect("well-formed");
    (buffer, batch)
}

fn encode_all(buffer: &[u8], batch: &CommandBatch, out: &mut BytesMut) {
    let lookup = Lookup::global();
    for args in batch.iter(buffer) {
        let entry = lookup.find(args).expect("SET is known");
        encode(out, entry.spec, CommandOptions::default(), args);
    }
}

fn encode_block(criterion: &mut Criterion) {
    let (buffer, batch) = requests();
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    group.bench_function("encode 256 SET", |bencher| {
        let mut out = BytesMut::new();
        bencher.iter(|| {
            out.clear();
            encode_all(black_box(&buffer), &batch, &mut out);
        });
    });
    group.finish();
}

fn apply_block(criterion: &mut Criterion) {
    let (buffer, batch) = requests();
    let mut block = BytesMut::new();
    encode_all(&buffer, &batch, &mut block);
    let mut keyspace = Keyspace::new(HashSeed([7; 16]));
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    group.bench_function("apply 256 SET", |bencher| {
        let mut replies = ReplyBuffer::new(ProtocolVersion::Resp2);
        bencher.iter(|| {
            replies.truncate(0);
            let now = unix_ms();
            let touch = Some(tick_of(now));
            let keyspace = &mut keyspace;
            let mut context =
                Context { keyspace, now, touch, databases: 16, seed: 7, key_hash: None, hits: 0, misses: 0 };
            let mut reader = BlockReader::new(black_box(&block));
            while let Some(command) = reader.next_command().expect("well-formed") {
                let Handler::Write(run) = command.spec.handler else { unreachable!("SET is a write") };
                run(&mut context, command.args, &mut replies).expect("OK");
            }
            assert_eq!(replies.len(), 5 * COMMANDS);
        });
    });
    group.finish();
}

criterion_group!(benches, encode_block, apply_block);
criterion_main!(benches);
