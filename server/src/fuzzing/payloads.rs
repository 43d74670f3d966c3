//! RESTORE: a payload is a value of some type, or refused; what it becomes serves every command of its type, and DUMP
//! gives it back.

use super::reply;
use crate::commands::table;
use crate::commands::testing::Bench;
use crate::rdb;

/// What is asked of the key that was restored, and done to it.
#[rustfmt::skip]
const ASKED: &[&str] = &[
    "TYPE k", "OBJECT ENCODING k", "MEMORY USAGE k", "GET k", "STRLEN k", "BITCOUNT k", "PFCOUNT k",
    "LRANGE k 0 -1", "LLEN k", "LINDEX k -1", "LPOS k a COUNT 0", "SMEMBERS k", "SCARD k", "SRANDMEMBER k 5", "SISMEMBER k a",
    "HGETALL k", "HLEN k", "HRANDFIELD k -5 WITHVALUES", "HGET k a", "HTTL k FIELDS 1 a", "HSCAN k 0",
    "ZRANGE k 0 -1 WITHSCORES", "ZCARD k", "ZRANK k a", "ZRANGEBYLEX k - +", "ZSCAN k 0", "GEOPOS k a",
    "XRANGE k - +", "XREVRANGE k + -", "XLEN k", "XINFO STREAM k FULL COUNT 0", "XINFO GROUPS k", "XINFO CONSUMERS k g", "XPENDING k g",
    "SORT k ALPHA",
];
#[rustfmt::skip]
const DONE: &[&str] = &[
    "APPEND k x", "SETBIT k 9 1", "PFADD k a b", "LPUSH k a", "RPUSH k b", "LSET k 0 c", "LREM k 0 a", "LINSERT k BEFORE c d", "RPOP k 2",
    "SADD k a 1", "SREM k a", "SPOP k", "HSET k a 1", "HINCRBY k a 1", "HPEXPIRE k 9000 FIELDS 1 a", "HDEL k a",
    "ZADD k 1 a", "ZINCRBY k 1 a", "ZREM k a", "ZPOPMIN k", "XADD k * a b", "XTRIM k MAXLEN 2", "XDEL k 1-1",
    "XREADGROUP GROUP g c STREAMS k >", "XAUTOCLAIM k g c 0 0", "XACK k g 1-1", "XGROUP DESTROY k g", "XSETID k 99999999999999-1",
];

pub(super) fn run(input: &[u8]) {
    let mut bench = Bench::new();
    let before = bench.keyspace.memory_bytes();
    if restore(&mut bench, "k", &sealed(input)) != b"+OK\r\n" {
        assert!(bench.keyspace.is_empty(), "a payload that is refused leaves nothing");
        bench.keyspace.check_invariants();
        return;
    }
    bench.keyspace.check_invariants();
    // LZF stretches a byte to about 90; a short member of a collection takes some tens of bytes.
    let memory_bytes = bench.keyspace.memory_bytes() - before;
    assert!(memory_bytes <= (4 << 20) + 4096 * input.len(), "{memory_bytes}");
    for line in ASKED {
        ask(&mut bench, line);
    }
    again(&mut bench);
    for line in DONE {
        ask(&mut bench, line);
        bench.keyspace.check_invariants();
    }
    again(&mut bench);
}

/// DUMP and RESTORE to another key, which then is the same. A large value that has become small is restored as a small one,
/// as in Redis: it is dumped otherwise then, but always so.
fn again(bench: &mut Bench) {
    let dump = dump_of(bench);
    if dump.is_empty() {
        return;
    }
    let mut other = restored(&dump);
    for line in ["TYPE k", "STRLEN k", "LRANGE k 0 -1", "SCARD k", "HLEN k", "ZRANGE k 0 -1 WITHSCORES", "XRANGE k - +"]
    {
        assert_eq!(seen(bench, line), seen(&mut other, line), "{line}");
    }
    let other_dump = dump_of(&mut other);
    if seen(bench, "OBJECT ENCODING k") == seen(&mut other, "OBJECT ENCODING k") {
        assert_eq!(dump.len(), other_dump.len());
    } else {
        assert_eq!(dump_of(&mut restored(&other_dump)).len(), other_dump.len());
    }
}

/// What DUMP says of the key; nothing where there is none.
fn dump_of(bench: &mut Bench) -> Vec<u8> {
    let dump = call(bench, &[b"DUMP", b"k"]);
    if dump.starts_with(b"$-1") {
        return Vec::new();
    }
    let start = dump.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    dump[start..dump.len() - 2].to_vec()
}

/// What has nothing but the key that was dumped.
fn restored(dump: &[u8]) -> Bench {
    let mut bench = Bench::new();
    assert_eq!(restore(&mut bench, "k", dump).escape_ascii().to_string(), "+OK\\r\\n");
    bench.keyspace.check_invariants();
    bench
}

/// A reply, to be compared. Small sorted sets have no negative zero, large ones do: as in Redis.
fn seen(bench: &mut Bench, line: &str) -> String {
    ask(bench, line).escape_ascii().to_string().replace("$2\\r\\n-0\\r\\n", "$1\\r\\n0\\r\\n")
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let Some((kind, rest)) = body.split_first() else { return Vec::new() };
    let mut writer = rdb::Writer::new(*kind);
    writer.raw(rest);
    rdb::seal_as(rdb::VERSION_READ_MAX, writer)
}

fn restore(bench: &mut Bench, key: &str, payload: &[u8]) -> Vec<u8> {
    call(bench, &[b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"])
}

fn ask(bench: &mut Bench, line: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    call(bench, &words)
}

fn call(bench: &mut Bench, words: &[&[u8]]) -> Vec<u8> {
    let mut name = String::from_utf8_lossy(words[0]).to_ascii_lowercase();
    if let Some((_, spec)) = table::named().iter().find(|(full, _)| *full == name)
        && matches!(spec.handler, crate::commands::Handler::Container(_))
    {
        name = format!("{name}|{}", String::from_utf8_lossy(words[1]).to_ascii_lowercase());
    }
    let (_, spec) = table::named().iter().find(|(full, _)| *full == name).expect("a known command");
    let bytes = bench.raw(spec, words);
    reply::check(&bytes, &name);
    bytes
}
