//! SELECT and what it leads to, on one node.

use super::harness::{Node, array, until};
use larder::ids::DatabaseNo;
use larder_protocol::slot_of;
use std::collections::BTreeSet;

#[test]
fn each_database_has_keys_of_its_own_on_either_port() {
    let node = Node::start(&[]);
    for mut wire in [node.connect(), node.connect_cluster()] {
        wire.ask(b"flushall\r\n", b"+OK\r\n");
        for database in [0, 7, 15] {
            for number in 0..40 {
                let (key, value) = (format!("key{number}"), format!("{database}"));
                let set = array(&[b"SET", key.as_bytes(), value.as_bytes()]);
                wire.ask(&[format!("select {database}\r\n").as_bytes(), &set].concat(), b"+OK\r\n+OK\r\n");
            }
        }
        wire.ask(b"select 7\r\nget key1\r\nselect 0\r\nget key1\r\n", b"+OK\r\n$1\r\n7\r\n+OK\r\n$1\r\n0\r\n");
        wire.ask(b"select 1\r\ndbsize\r\nrandomkey\r\nkeys *\r\n", b"+OK\r\n:0\r\n$-1\r\n*0\r\n");
        wire.ask(b"select 15\r\ndbsize\r\nget key39\r\n", b"+OK\r\n:40\r\n$2\r\n15\r\n");
        wire.ask(b"select 16\r\nget key39\r\n", b"-ERR DB index is out of range\r\n$2\r\n15\r\n");
        wire.send(b"client list\r\n");
        wire.line();
        let line = wire.line();
        assert!(line.contains(" db=15 "), "{line}");
        wire.ask(b"mget key1 {key1}x\r\n", b"*2\r\n$2\r\n15\r\n$-1\r\n");
        wire.ask(b"del key1\r\ndel key2\r\ndbsize\r\nselect 7\r\ndbsize\r\n", b":1\r\n:1\r\n:38\r\n+OK\r\n:40\r\n");
        wire.ask(b"swapdb 7 15\r\ndbsize\r\nget key3\r\n", b"+OK\r\n:38\r\n$2\r\n15\r\n");
        wire.ask(b"flushdb\r\ndbsize\r\nselect 15\r\ndbsize\r\n", b"+OK\r\n:0\r\n+OK\r\n:40\r\n");
        wire.ask(b"flushall\r\ndbsize\r\nselect 0\r\ndbsize\r\n", b"+OK\r\n:0\r\n+OK\r\n:0\r\n");
    }
}

#[test]
fn the_number_of_databases_is_a_setting() {
    let node = Node::start(&[("databases", "40")]);
    let mut wire = node.connect();
    wire.ask(b"select 39\r\nset a 1\r\nmove a 38\r\n", b"+OK\r\n+OK\r\n:1\r\n");
    let refused: &[u8] = b"-ERR DB index is out of range\r\n";
    wire.ask(b"select 40\r\nmove a 40\r\nswapdb 0 40\r\ncopy a {a}b db 40\r\n", &refused.repeat(4));
    wire.ask(b"config get databases\r\n", b"*2\r\n$9\r\ndatabases\r\n$2\r\n40\r\n");
    let one = Node::start(&[("databases", "1")]);
    one.connect().ask(b"select 0\r\nselect 1\r\n", &[b"+OK\r\n", refused].concat());
}

/// What is there from the first step to the last is met, whatever databases others work on and swap.
#[test]
fn scan_meets_every_key_of_the_database() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    for database in 0..3 {
        for number in 0..300 {
            let key = format!("{database}:{number}");
            let set = array(&[b"SET", key.as_bytes(), b"v"]);
            wire.ask(&[format!("select {database}\r\n").as_bytes(), &set].concat(), b"+OK\r\n+OK\r\n");
        }
    }
    wire.ask(b"select 1\r\n", b"+OK\r\n");
    let (mut cursor, mut keys, mut steps) = (String::from("0"), BTreeSet::new(), 0);
    loop {
        wire.send(format!("scan {cursor} count 7\r\n").as_bytes());
        for _ in 0..2 {
            wire.line();
        }
        cursor = wire.line();
        let count: usize = wire.line()[1..].parse().unwrap();
        for _ in 0..count {
            wire.line();
            let key = wire.line();
            assert!(key.starts_with("1:") && keys.insert(key));
        }
        steps += 1;
        let noise = format!("swapdb 0 2\r\nselect {}\r\nset x{steps} 1\r\n", steps % 2 * 2);
        other.ask(noise.as_bytes(), b"+OK\r\n+OK\r\n+OK\r\n");
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(keys.len(), 300);
}

#[test]
fn who_waits_is_served_by_the_database_that_he_waits_in() {
    let node = Node::start(&[]);
    let (mut first, mut second, mut pusher) = (node.connect(), node.connect(), node.connect());
    first.send(b"select 1\r\nblpop l 0\r\n");
    second.send(b"select 2\r\nblpop l 0\r\n");
    first.expect(b"+OK\r\n");
    second.expect(b"+OK\r\n");
    let partition = node.routes.partition_of(slot_of(b"l"));
    until("both wait", || partition.waiting().0 == 2);
    pusher.ask(b"rpush l 0\r\nselect 2\r\nrpush l 2\r\n", b":1\r\n+OK\r\n:1\r\n");
    second.expect(b"*2\r\n$1\r\nl\r\n$1\r\n2\r\n");
    assert_eq!(partition.waiting().0, 1);
    // Database 0 has the list that the first waits for in database 1.
    pusher.ask(b"swapdb 1 0\r\n", b"+OK\r\n");
    first.expect(b"*2\r\n$1\r\nl\r\n$1\r\n0\r\n");
    first.send(b"blpop l 0\r\n");
    until("it waits", || partition.waiting().0 == 1);
    pusher.ask(b"rpush l 3\r\nmove l 1\r\nexists l\r\n", b":1\r\n:1\r\n:0\r\n");
    first.expect(b"*2\r\n$1\r\nl\r\n$1\r\n3\r\n");
    assert_eq!(partition.lock().keyspace.total_len(), 0);
}

#[test]
fn watches_are_of_a_database() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    let transaction: &[u8] = b"multi\r\nget a\r\nexec\r\n";
    wire.ask(b"select 1\r\nset a 1\r\nwatch a\r\nselect 2\r\nwatch a\r\nselect 0\r\n", &b"+OK\r\n".repeat(6));
    other.ask(b"set a 0\r\nswapdb 3 4\r\n", b"+OK\r\n+OK\r\n");
    wire.ask(transaction, b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\n0\r\n");
    for (watched, changed) in [("1", "del a"), ("2", "set a 1"), ("2", "swapdb 2 0"), ("0", "flushall")] {
        wire.ask(format!("select {watched}\r\nwatch a\r\nselect 5\r\n").as_bytes(), &b"+OK\r\n".repeat(3));
        other.send(format!("select {watched}\r\n{changed}\r\n").as_bytes());
        assert_eq!(other.line(), "+OK");
        assert!(!other.line().starts_with('-'));
        wire.ask(transaction, b"+OK\r\n+QUEUED\r\n*-1\r\n");
    }
    let partition = node.routes.partition_of(slot_of(b"a"));
    assert_eq!(partition.lock().keyspace.len_of(DatabaseNo(1)), 0);
}
