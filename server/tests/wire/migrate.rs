//! MIGRATE, to a real redis-server and back, and to what is none.

use super::harness::{Node, Wire, array, until};
use super::redis::Redis;
use larder::commands::session::PortKind;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

/// One of each type: how it is made, and how it is looked at.
const VALUES: &[(&str, &str)] = &[
    ("set {k}s text", "get {k}s"),
    ("rpush {k}l a b c 4 5", "lrange {k}l 0 -1"),
    ("sadd {k}i 3 1 2", "smembers {k}i"),
    ("zadd {k}z 1 a 2.5 b -inf c", "zrange {k}z 0 -1 withscores"),
    ("hset {k}h f v g w", "hgetall {k}h"),
    ("xadd {k}x 5-1 f v", "xrange {k}x - +"),
    ("pfadd {k}p a b c", "pfcount {k}p"),
    ("set {k}t soon px 100000", "get {k}t"),
];

fn lines(wire: &mut Wire, line: &str) -> String {
    wire.send(format!("{line}\r\nping end-of-it\r\n").as_bytes());
    let mut lines = Vec::new();
    while lines.last().map(String::as_str) != Some("end-of-it") {
        lines.push(wire.line());
    }
    lines.truncate(lines.len() - 2);
    lines.join("|")
}

fn migrate(to: SocketAddr, rest: &str) -> String {
    let (key, more) = rest.split_once(' ').unwrap_or((rest, ""));
    format!("migrate {} {} {key} 0 5000 {more}", to.ip(), to.port()).trim_end().to_owned()
}

/// Moves all of [`VALUES`] from one to the other, and compares.
fn moves(from: &mut Wire, to: &mut Wire, address: SocketAddr, stays: bool) {
    let mut shown = Vec::new();
    let key = |made: &str| made.split(' ').nth(1).unwrap_or_default().to_owned();
    let keys: Vec<String> = VALUES.iter().map(|(make, _)| key(make)).collect();
    lines(from, &format!("del {}", keys.join(" ")));
    for (make, look) in VALUES {
        assert!(!lines(from, make).starts_with('-'), "{make}");
        shown.push(lines(from, look));
    }
    let copy = if stays { " copy" } else { "" };
    assert_eq!(
        lines(from, &migrate(address, &format!("\"\"{copy} replace keys {{k}}none {} {{k}}gone", keys.join(" ")))),
        "+OK"
    );
    for ((_, look), shown) in VALUES.iter().zip(&shown) {
        assert_eq!(&lines(to, look), shown);
    }
    let ttl: i64 = lines(to, "pttl {k}t")[1..].parse().unwrap();
    assert!((1..=100_000).contains(&ttl), "{ttl}");
    let left = if stays { VALUES.len() } else { 0 };
    assert_eq!(lines(from, &format!("exists {}", keys.join(" "))), format!(":{left}"));
    assert_eq!(lines(from, &migrate(address, "nosuch")), "+NOKEY");
}

#[test]
fn keys_go_to_redis_and_come_back() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not installed: nothing to move to");
        return;
    };
    let (node, other) = (Node::start(&[]), Node::start(&[]));
    let (here, there) = (node.address(PortKind::Client), other.address(PortKind::Client));
    let (mut ours, mut theirs, mut others) = (node.connect(), Wire::connect(redis.address), other.connect());
    for stays in [true, false] {
        moves(&mut ours, &mut theirs, redis.address, stays);
        ours.ask(b"flushall\r\n", b"+OK\r\n");
        moves(&mut theirs, &mut ours, here, stays);
        theirs.ask(b"flushall\r\n", b"+OK\r\n");
        moves(&mut ours, &mut others, there, stays);
        ours.ask(b"flushall\r\n", b"+OK\r\n");
    }
    // On the cluster port, by RESTORE-ASKING.
    let mut aware = node.connect_cluster();
    moves(&mut aware, &mut theirs, redis.address, false);
    let apart = lines(&mut aware, &migrate(redis.address, "\"\" keys a b"));
    assert_eq!(apart, "-CROSSSLOT Keys in request don't hash to the same slot");
    // Many keys of all partitions, in other databases.
    ours.ask(b"select 3\r\n", b"+OK\r\n");
    let keys: Vec<String> = (0..500).map(|number| format!("key:{number}")).collect();
    keys.iter().for_each(|key| ours.ask(format!("set {key} {key}\r\n").as_bytes(), b"+OK\r\n"));
    let line = format!("migrate {} {} \"\" 9 5000 keys {}", redis.address.ip(), redis.address.port(), keys.join(" "));
    assert_eq!(lines(&mut ours, &line), "+OK");
    ours.ask(b"dbsize\r\n", b":0\r\n");
    theirs.ask(b"select 9\r\ndbsize\r\nget key:77\r\n", b"+OK\r\n:500\r\n$6\r\nkey:77\r\n");
}

#[test]
fn what_the_target_refuses_stays() {
    let Some(redis) = Redis::start_with(&["--requirepass", "secret"]) else {
        eprintln!("redis-server is not installed: nothing to move to");
        return;
    };
    let node = Node::start(&[]);
    let (mut ours, mut theirs) = (node.connect(), Wire::connect(redis.address));
    ours.ask(b"mset a 1 b 2 c 3\r\n", b"+OK\r\n");
    theirs.ask(b"auth secret\r\nset b theirs\r\n", b"+OK\r\n+OK\r\n");
    let to = redis.address;
    let refused = "-ERR Target instance replied with error: ";
    for (rest, reply) in [
        ("a", "NOAUTH Authentication required."),
        ("a auth wrong", "WRONGPASS invalid username-password pair or user is disabled."),
        ("a auth2 nobody secret", "WRONGPASS invalid username-password pair or user is disabled."),
        ("b auth secret", "BUSYKEY Target key name already exists."),
        ("\"\" auth secret keys b c", "BUSYKEY Target key name already exists."),
    ] {
        assert_eq!(lines(&mut ours, &migrate(to, rest)), format!("{refused}{reply}"), "{rest}");
    }
    let line = format!("migrate {} {} a 99 5000 auth secret", to.ip(), to.port());
    assert_eq!(lines(&mut ours, &line), format!("{refused}ERR DB index is out of range"));
    // Of several, what was taken is gone here.
    ours.ask(b"exists a\r\nexists b\r\nexists c\r\n", b":1\r\n:1\r\n:0\r\n");
    assert_eq!(lines(&mut ours, &migrate(to, "b replace auth2 default secret")), "+OK");
    theirs.ask(b"mget a b c\r\n", b"*3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    for (line, reply) in [
        ("migrate 127.0.0.1 1 a 0 5000 foo", "-ERR syntax error"),
        ("migrate 127.0.0.1 1 a x 5000", "-ERR value is not an integer or out of range"),
        (
            "migrate 127.0.0.1 1 a 0 5000 keys a",
            "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
        ),
        ("migrate 127.0.0.1 x a 0 5000", "-IOERR error or timeout connecting to the client"),
        ("migrate 127.0.0.1 x nosuch 0 5000", "+NOKEY"),
        ("migrate 127.0.0.1 1 \"\" 0 5000 keys", "+NOKEY"),
    ] {
        assert_eq!(lines(&mut ours, line), reply, "{line}");
    }
    ours.ask(b"multi\r\nmigrate h 1 a 0 1\r\n", b"+OK\r\n-ERR Command not allowed inside a transaction\r\n");
}

/// A target that is put together here: nobody, one that is silent, one that closes, one that lets the key change.
#[test]
fn what_did_not_arrive_as_it_is_stays() {
    let node = Node::start(&[]);
    let mut ours = node.connect();
    ours.ask(b"set a 1\r\n", b"+OK\r\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let closed = {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    };
    let connecting = "-IOERR error or timeout connecting to the client";
    let reading = "-IOERR error or timeout reading to target instance";
    assert_eq!(lines(&mut ours, &migrate(closed, "a")), connecting);
    // It accepts, and answers nothing.
    let line = format!("migrate {} {} a 0 50", to.ip(), to.port());
    assert_eq!(lines(&mut ours, &line), reading);
    drop(listener.accept().unwrap());
    // It closes after the greeting.
    ours.send(format!("{}\r\n", migrate(to, "a")).as_bytes());
    let (mut target, _) = listener.accept().unwrap();
    expect(&mut target, &array(&[b"SELECT", b"0"]));
    target.write_all(b"+OK\r\n").unwrap();
    drop(target);
    let reply = ours.line();
    assert!(reply == reading || reply == "-IOERR error or timeout writing to target instance", "{reply}");
    ours.ask(b"get a\r\n", b"$1\r\n1\r\n");
    // It takes its time, in which the key changes.
    for change in ["set a 2\r\n", "pexpire a 100000\r\n", "del a\r\n"] {
        let mut other = node.connect();
        other.ask(b"set a 1\r\n", b"+OK\r\n");
        ours.send(format!("{}\r\n", migrate(to, "a")).as_bytes());
        let (mut target, _) = listener.accept().unwrap();
        expect(&mut target, &array(&[b"SELECT", b"0"]));
        target.write_all(b"+OK\r\n").unwrap();
        let mut request = [0; 8];
        target.read_exact(&mut request).unwrap();
        other.send(change.as_bytes());
        other.line();
        target.write_all(b"+OK\r\n").unwrap();
        let reply = ours.line();
        assert_eq!(reply, "-ERR 1 keys were changed while they were sent, and stay: the target has them as they were");
    }
    ours.ask(b"exists a\r\n", b":0\r\n");
    until("the connection serves on", || lines(&mut ours, "ping") == "+PONG");
}

fn expect(target: &mut impl Read, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    target.read_exact(&mut got).unwrap();
    assert_eq!(got.escape_ascii().to_string(), bytes.escape_ascii().to_string());
}
