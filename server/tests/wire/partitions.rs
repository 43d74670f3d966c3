//! Commands over several partitions.

use super::harness::{Node, Wire, array};
use larder::ids::NodeNo;
use larder::raft::Role;
use std::collections::BTreeSet;

const CROSSSLOT: &[u8] = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n";

#[test]
fn keys_of_many_partitions_are_split_on_the_client_port_alone() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let keys: Vec<String> = (0..100).map(|n| format!("key{n}")).collect();
    let mut mset: Vec<&[u8]> = vec![b"MSET"];
    keys.iter().for_each(|key| mset.extend([key.as_bytes(), key.as_bytes()]));
    wire.ask(&array(&mset), b"+OK\r\n");
    let mut mget: Vec<&[u8]> = vec![b"MGET"];
    mget.extend(keys.iter().rev().map(String::as_bytes));
    let values: String = keys.iter().rev().map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
    wire.ask(&array(&mget), format!("*100\r\n{values}").as_bytes());
    let mut exists = mget.clone();
    exists[0] = b"EXISTS";
    wire.ask(&array(&exists), b":100\r\n");
    wire.ask(b"dbsize\r\n", b":100\r\n");
    wire.ask(b"rename key1 key2\r\n", CROSSSLOT);
    // The last of several values for a key holds, wherever the others go; in a database of its own.
    wire.ask(
        b"select 2\r\nmset a 1 b 2 c 3 a 4 b 5 a 6\r\nmget a b c\r\n",
        b"+OK\r\n+OK\r\n*3\r\n$1\r\n6\r\n$1\r\n5\r\n$1\r\n3\r\n",
    );
    wire.ask(
        b"mset a 1 b\r\nflushdb\r\nselect 0\r\n",
        b"-ERR wrong number of arguments for 'mset' command\r\n+OK\r\n+OK\r\n",
    );
    wire.ask(b"msetnx a 1 b 2\r\n", CROSSSLOT);
    let mut cluster = node.connect_cluster();
    cluster.ask(&array(&mget), CROSSSLOT);
    cluster.ask(b"mget {key1}a key1\r\n", b"*2\r\n$-1\r\n$4\r\nkey1\r\n");
    let mut delete = mget.clone();
    delete[0] = b"DEL";
    wire.ask(&array(&delete), b":100\r\n");
    wire.ask(b"dbsize\r\n", b":0\r\n");
}

#[test]
fn keys_that_options_name_are_keys() {
    let node = Node::start(&[]);
    for mut wire in [node.connect(), node.connect_cluster()] {
        for line in ["sort key1 limit 0 1 store key2", "georadius key1 1 1 1 m count 5 storedist key2"] {
            wire.ask(format!("{line}\r\n").as_bytes(), CROSSSLOT);
        }
        wire.ask(
            b"rpush {t}l 2 1\r\nsort {t}l by store limit 0 1 store {t}d\r\nlrange {t}d 0 -1\r\n",
            b":2\r\n:1\r\n*1\r\n$1\r\n2\r\n",
        );
        wire.ask(b"georadiusbymember {t}g m 1 m store {t}d\r\nexists {t}d\r\ndel {t}l\r\n", b":0\r\n:0\r\n:1\r\n");
    }
}

fn scan(wire: &mut Wire, options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut keys, mut steps) = (String::from("0"), Vec::new(), 0);
    loop {
        wire.send(format!("scan {cursor} {options}\r\n").as_bytes());
        assert_eq!(wire.line(), "*2");
        wire.line();
        cursor = wire.line();
        assert!(cursor.parse::<i64>().is_ok(), "{cursor} is no signed 64-bit number");
        let count: usize = wire.line()[1..].parse().unwrap();
        for _ in 0..count {
            wire.line();
            keys.push(wire.line());
        }
        steps += 1;
        if cursor == "0" {
            return (keys, steps);
        }
    }
}

#[test]
fn scan_meets_every_key_of_every_partition_once() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    for n in 0..1000 {
        wire.ask(&array(&[b"SET", format!("key{n}").as_bytes(), b"v"]), b"+OK\r\n");
    }
    for options in ["", "count 1", "count 7", "count 100000", "match key* count 50", "match nosuch*", "type string"] {
        let (keys, steps) = scan(&mut wire, options);
        let distinct: BTreeSet<&String> = keys.iter().collect();
        let expected = if options.contains("nosuch") { 0 } else { 1000 };
        assert_eq!((keys.len(), distinct.len()), (expected, expected), "{options}");
        assert!(options != "count 100000" || steps == 1, "a large COUNT takes one step");
    }
    wire.send(b"keys *\r\n");
    assert_eq!(wire.line(), "*1000");
}

#[test]
fn the_cluster_port_sees_what_the_node_leads() {
    let node = Node::with_roles(&[], |id| if id < 6 { Role::Solo } else { Role::Follower(Some(NodeNo(2))) });
    let mut wire = node.connect_cluster();
    // b hashes to 3300, f to 3168, both led here; a does not.
    wire.ask(b"set b 1\r\nset f 2\r\ndbsize\r\n", b"+OK\r\n+OK\r\n:2\r\n");
    assert_eq!(scan(&mut wire, "").0.into_iter().collect::<BTreeSet<_>>(), ["b", "f"].map(String::from).into());
    wire.ask(b"flushall\r\ndbsize\r\nrandomkey\r\n", b"+OK\r\n:0\r\n$-1\r\n");
}

#[test]
fn randomkey_finds_the_only_key() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"randomkey\r\nset only 1\r\n", b"$-1\r\n+OK\r\n");
    wire.ask(&b"randomkey\r\n".repeat(50), &b"$4\r\nonly\r\n".repeat(50));
}

#[test]
fn a_flush_in_a_transaction_stands_before_or_after_its_slot() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"mset a 1 b 2\r\n", b"+OK\r\n");
    wire.ask(
        b"multi\r\nflushall\r\nset a 3\r\ndbsize\r\nping\r\nexec\r\nget b\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n+OK\r\n:1\r\n+PONG\r\n$-1\r\n",
    );
    wire.ask(
        b"multi\r\nset a 3\r\ndbsize\r\nset a 4\r\ndiscard\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR Command not allowed inside a transaction between commands on the keys of one slot\r\n+OK\r\n",
    );
}

#[test]
fn collections_stay_within_a_slot() {
    let node = Node::start(&[]);
    for mut wire in [node.connect(), node.connect_cluster()] {
        wire.ask(b"del {t}a {t}b {t}c\r\n", b":0\r\n");
        wire.ask(
            b"sadd {t}a 1 2\r\nzadd {t}b 1 2\r\nsinter {t}a {t}a\r\n",
            b":2\r\n:1\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
        );
        wire.ask(b"zunionstore {t}c 2 {t}a {t}b\r\n", b":2\r\n");
        wire.ask(b"zunionstore c 2 {t}a {t}b\r\n", CROSSSLOT);
        wire.ask(b"sunion a b\r\n", CROSSSLOT);
        wire.ask(b"lmove a b left left\r\n", CROSSSLOT);
        wire.ask(b"zinter 2 a b\r\n", CROSSSLOT);
        // Each command has words of its own for a wrong number of keys.
        wire.ask(b"zunion 0 {t}a\r\n", b"-ERR at least 1 input key is needed for 'zunion' command\r\n");
        wire.ask(b"zunionstore {t}c 5 {t}a\r\n", b"-ERR syntax error\r\n");
        wire.ask(b"sintercard x {t}a\r\n", b"-ERR numkeys should be greater than 0\r\n");
        wire.ask(b"lmpop 0 {t}a left\r\n", b"-ERR numkeys should be greater than 0\r\n");
        wire.ask(b"get {t}a\r\n", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
        wire.ask(b"del {t}a {t}b {t}c\r\n", b":3\r\n");
    }
}

#[test]
fn a_watched_collection_is_changed_in_place() {
    let node = Node::start(&[]);
    let (mut watcher, mut other) = (node.connect(), node.connect());
    other.ask(b"hset h a 1\r\n", b":1\r\n");
    watcher.ask(b"watch h\r\n", b"+OK\r\n");
    // What changes nothing is no change.
    other.ask(b"hdel h b\r\nhsetnx h a 2\r\n", b":0\r\n:0\r\n");
    watcher.ask(b"multi\r\nhget h a\r\nexec\r\nwatch h\r\n", b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n+OK\r\n");
    other.ask(b"hset h b 1\r\n", b":1\r\n");
    watcher.ask(b"multi\r\nhget h a\r\nexec\r\n", b"+OK\r\n+QUEUED\r\n*-1\r\n");
}
