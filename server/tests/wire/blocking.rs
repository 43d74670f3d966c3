//! Commands that wait.

use super::harness::{Node, Wire, array, until};
use larder::cluster::routes::{Forward, ForwardKind};
use larder::commands::block::{self, CommandOptions};
use larder::commands::table;
use larder::ids::NodeNo;
use larder::raft::{Refusal, Role, ShareOutcome};
use larder_protocol::Args;
use std::time::{Duration, Instant};

/// Sends a command that is to wait, and waits until it does.
fn park(node: &Node, wire: &mut Wire, command: &[u8]) {
    let before = waiting(node);
    wire.send(command);
    until("it waits", || waiting(node) > before);
}

fn waiting(node: &Node) -> usize {
    node.routes.partitions().iter().map(|partition| partition.waiting().0).sum()
}

#[test]
fn who_came_first_is_served_first() {
    let node = Node::start(&[]);
    let mut wires: Vec<Wire> = (0..4).map(|_| node.connect()).collect();
    for wire in &mut wires {
        park(&node, wire, b"blpop {a}x a 0\r\n");
    }
    let mut other = node.connect();
    other.ask(b"rpush a 1 2\r\nexists a\r\n", b":2\r\n:0\r\n");
    wires[0].expect(b"*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    wires[1].expect(b"*2\r\n$1\r\na\r\n$1\r\n2\r\n");
    // What is pushed between MULTI and EXEC is served after it.
    other.ask(b"multi\r\nrpush a 3 4\r\nlpop a\r\nexec\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n$1\r\n3\r\n");
    wires[2].expect(b"*2\r\n$1\r\na\r\n$1\r\n4\r\n");
    other.ask(b"rpush {a}x 5 6\r\n", b":2\r\n");
    wires[3].expect(b"*2\r\n$4\r\n{a}x\r\n$1\r\n5\r\n");
    other.ask(b"lrange {a}x 0 -1\r\n", b"*1\r\n$1\r\n6\r\n");
    assert_eq!(waiting(&node), 0);
}

#[test]
fn who_waits_is_served_between_the_commands_of_a_batch() {
    let node = Node::start(&[]);
    let mut wires: Vec<Wire> = (0..2).map(|_| node.connect()).collect();
    for wire in &mut wires {
        park(&node, wire, b"blpop a 0\r\n");
    }
    let mut other = node.connect();
    other.ask(b"lpush a 1\r\nlpush a 2\r\nlpush a 3\r\nlpush a 4\r\n", b":1\r\n:1\r\n:1\r\n:2\r\n");
    wires[0].expect(b"*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    wires[1].expect(b"*2\r\n$1\r\na\r\n$1\r\n2\r\n");
    other.ask(b"lrange a 0 -1\r\n", b"*2\r\n$1\r\n4\r\n$1\r\n3\r\n");
}

#[test]
fn what_comes_behind_a_wait_is_answered_after_it_however_much_was_sent_before() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let set = array(&[b"SET", b"k", &[b'x'; 1000]]);
    (0..4).for_each(|_| wire.ask(&set.repeat(64), &b"+OK\r\n".repeat(64)));
    wire.ask(
        b"blpop a 0.05\r\nping\r\nset k y\r\nblpop a 0.05\r\nget k\r\n",
        b"*-1\r\n+PONG\r\n+OK\r\n*-1\r\n$1\r\ny\r\n",
    );
    // More comes while it waits, whole and half.
    park(&node, &mut wire, b"blpop a 0\r\nping 1\r\nping 2");
    wire.send(b"3\r\nping 4\r\n");
    node.connect().ask(b"rpush a e\r\n", b":1\r\n");
    wire.expect(b"*2\r\n$1\r\na\r\n$1\r\ne\r\n$1\r\n1\r\n$2\r\n23\r\n$1\r\n4\r\n");
    let mut other = node.connect();
    other.ask(b"client pause 100 all\r\n", b"+OK\r\n");
    wire.ask(b"set k z\r\nget k\r\nping\r\n", b"+OK\r\n$1\r\nz\r\n+PONG\r\n");
}

#[test]
fn whatever_makes_a_list_serves() {
    let node = Node::start(&[]);
    let mut other = node.connect();
    let dump = {
        other.ask(b"rpush {a}d x\r\n", b":1\r\n");
        other.send(b"dump {a}d\r\n");
        let length: usize = other.line()[1..].parse().unwrap();
        let mut bytes = vec![0; length + 2];
        std::io::Read::read_exact(&mut other.socket, &mut bytes).unwrap();
        bytes.truncate(length);
        other.ask(b"del {a}d\r\n", b":1\r\n");
        bytes
    };
    for (make, reply) in [
        (&b"rpush {a}o x\r\nrename {a}o a\r\n"[..], &b":1\r\n+OK\r\n"[..]),
        (b"rpush {a}o x\r\ncopy {a}o a\r\ndel {a}o\r\n", b":1\r\n:1\r\n:1\r\n"),
        (b"rpush {a}o x\r\nlmove {a}o a left left\r\n", b":1\r\n$1\r\nx\r\n"),
        (&array(&[b"restore", b"a", b"0", &dump]), b"+OK\r\n"),
    ] {
        let mut wire = node.connect();
        park(&node, &mut wire, b"brpop a 0\r\n");
        other.ask(make, reply);
        wire.expect(b"*2\r\n$1\r\na\r\n$1\r\nx\r\n");
    }
    // Another type leaves them waiting; what waits for that type is served.
    let (mut list, mut set) = (node.connect(), node.connect());
    park(&node, &mut list, b"blmpop 0 1 a left count 5\r\n");
    park(&node, &mut set, b"bzpopmin a 0\r\n");
    other.ask(b"set a v\r\ndel a\r\nzadd a 1 m 2 n\r\n", b"+OK\r\n:1\r\n:2\r\n");
    set.expect(b"*3\r\n$1\r\na\r\n$1\r\nm\r\n$1\r\n1\r\n");
    other.ask(b"blpop a 0\r\n", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    other.ask(b"del a\r\nrpush a 1 2\r\n", b":1\r\n:2\r\n");
    list.expect(b"*2\r\n$1\r\na\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

#[test]
fn one_service_makes_another() {
    let node = Node::start(&[]);
    let (mut first, mut second, mut other) = (node.connect(), node.connect(), node.connect());
    park(&node, &mut second, b"blpop {a}b 0\r\n");
    park(&node, &mut first, b"brpoplpush a {a}b 0\r\n");
    other.ask(b"rpush a x\r\nexists a {a}b\r\n", b":1\r\n:0\r\n");
    first.expect(b"$1\r\nx\r\n");
    second.expect(b"*2\r\n$4\r\n{a}b\r\n$1\r\nx\r\n");
    // A destination of another type is an error to who waited, as in Redis, and the element stays.
    park(&node, &mut first, b"blmove a {a}b left left 0\r\n");
    other.ask(b"set {a}b v\r\nrpush a y\r\n", b"+OK\r\n:1\r\n");
    first.expect(b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    other.ask(b"llen a\r\n", b":1\r\n");
}

#[test]
fn time_is_up_when_it_is() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    for (command, ms) in [("blpop a 0.15", 150), ("bzmpop 0.06 1 a min", 60), ("blmove a a left left 0.001", 1)] {
        let begun = Instant::now();
        wire.ask(format!("{command}\r\n").as_bytes(), b"*-1\r\n");
        assert!(begun.elapsed() >= Duration::from_millis(ms), "{command}");
    }
    wire.send(b"hello 3\r\n");
    wire.send(b"blpop a 0.01\r\n");
    while wire.line() != "_" {}
    wire.ask(
        b"multi\r\nblpop a 0\r\nblmove a a left left 0\r\nexec\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n_\r\n_\r\n",
    );
    assert_eq!(waiting(&node), 0);
}

#[test]
fn who_is_gone_gets_nothing() {
    let node = Node::start(&[]);
    let (mut gone, mut stays, mut other) = (node.connect(), node.connect(), node.connect());
    // More than a bound of pipelined commands is behind it, which are not read.
    park(&node, &mut gone, b"blpop a 0\r\n");
    park(&node, &mut stays, b"blpop a 0\r\n");
    gone.send(b"ping\r\n");
    drop(gone);
    until("the wait is given up", || waiting(&node) == 1);
    other.ask(b"rpush a x\r\n", b":1\r\n");
    stays.expect(b"*2\r\n$1\r\na\r\n$1\r\nx\r\n");
}

#[test]
fn what_follows_waits_and_what_precedes_does_not() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    // In one batch, and in a later one.
    park(&node, &mut wire, b"set a 1\r\nblpop {a}l 0\r\nget a\r\nblpop {a}l 0\r\nget a\r\n");
    wire.expect(b"+OK\r\n");
    wire.send(b"get a\r\nget");
    other.ask(b"set a 2\r\nrpush {a}l x\r\n", b"+OK\r\n:1\r\n");
    wire.expect(b"*2\r\n$4\r\n{a}l\r\n$1\r\nx\r\n$1\r\n2\r\n");
    until("the second waits", || waiting(&node) == 1);
    other.ask(b"set a 3\r\nrpush {a}l y\r\n", b"+OK\r\n:1\r\n");
    wire.expect(b"*2\r\n$4\r\n{a}l\r\n$1\r\ny\r\n$1\r\n3\r\n$1\r\n3\r\n");
    wire.ask(b" a\r\n", b"$1\r\n3\r\n");
    // CLIENT REPLY holds for what waits.
    park(&node, &mut wire, b"client reply skip\r\nblpop {a}l 0\r\nget a\r\n");
    other.ask(b"rpush {a}l z\r\nexists {a}l\r\n", b":1\r\n:0\r\n");
    wire.expect(b"$1\r\n3\r\n");
}

#[test]
fn waits_are_ended_from_outside() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    wire.send(b"client id\r\n");
    let id = wire.line()[1..].to_string();
    other.ask(format!("client unblock {id}\r\n").as_bytes(), b":0\r\n");
    park(&node, &mut wire, b"blpop a 0\r\n");
    other.send(format!("client list id {id}\r\n").as_bytes());
    assert!(other.line().starts_with('$'));
    // Its line feed and the end of the bulk string are one line here.
    assert!(other.line().contains(" flags=b "));
    other.send(b"info clients\r\n");
    while other.line() != "blocked_clients:1" {}
    while !other.line().is_empty() {}
    other.ask(format!("client unblock {id}\r\n").as_bytes(), b":1\r\n");
    wire.expect(b"*-1\r\n");
    park(&node, &mut wire, b"blpop a 0\r\n");
    other.ask(format!("client unblock {id} error\r\n").as_bytes(), b":1\r\n");
    wire.expect(b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    park(&node, &mut wire, b"blpop a 0\r\n");
    other.ask(format!("client kill id {id}\r\n").as_bytes(), b":1\r\n");
    assert_eq!(wire.rest(), b"");
    until("nobody waits", || waiting(&node) == 0);
    let mut last = node.connect();
    park(&node, &mut last, b"blpop a 0\r\n");
    for client in larder::commands::port::NodePort::clients(&*node.node).list() {
        client.close_when_idle();
    }
    assert_eq!(last.rest(), b"");
}

#[test]
fn another_leader_is_found() {
    let node = Node::with_roles(&[], |_| Role::Follower(Some(NodeNo(2))));
    node.connect_cluster().ask(b"blpop a 0\r\n", b"-MOVED 15495 127.0.0.1:8002\r\n");
    let node = Node::start(&[]);
    let mut wire = node.connect_cluster();
    park(&node, &mut wire, b"blpop a 0\r\n");
    node.routes.partition_of(15495).lock().role = Role::Follower(Some(NodeNo(2)));
    wire.expect(b"-MOVED 15495 127.0.0.1:8002\r\n");
    // On the client port the wait goes on where this node leads again.
    let mut wire = node.connect();
    wire.send(b"blpop a 0\r\n");
    node.routes.partition_of(15495).lock().role = Role::Solo;
    until("it waits", || waiting(&node) == 1);
    let mut other = node.connect();
    other.ask(b"rpush a x\r\n", b":1\r\n");
    wire.expect(b"*2\r\n$1\r\na\r\n$1\r\nx\r\n");
}

#[test]
fn connections_of_other_nodes_wait_in_the_same_line() {
    let node = Node::start(&[]);
    let partition = node.routes.partition_of(15495).id();
    let encode = |words: &[&str]| {
        let text = words.concat();
        let mut at = 0;
        let ranges: Vec<(u32, u32)> = words
            .iter()
            .map(|word| {
                (at, {
                    at += word.len() as u32;
                    at
                })
            })
            .collect();
        let spec = table::all().find(|spec| spec.name == words[0]).unwrap();
        let mut out = bytes::BytesMut::new();
        block::encode(&mut out, spec, CommandOptions::default(), Args::new(text.as_bytes(), &ranges));
        out.freeze()
    };
    let wait = |session, timeout_ms, from| {
        let block = encode(&["blpop", "a", "0"]);
        let kind = ForwardKind::Wait { session, timeout_ms };
        let dispatcher = std::sync::Arc::clone(&node.dispatcher);
        async move { dispatcher.serve_forward(Forward::new(partition, kind, block, 1), NodeNo(from)).await }
    };
    let reply = |outcome| match outcome {
        ShareOutcome::Applied(replies) => String::from_utf8_lossy(&replies.bytes).into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(reply(node.block_on(wait(1, Some(20), 2))), "*-1\r\n");
    node.block_on(async {
        let (first, second, third) = (wait(1, None, 2), wait(2, None, 2), wait(3, None, 3));
        let other = async {
            while waiting(&node) < 3 {
                tokio::task::yield_now().await;
            }
            let unwait = ForwardKind::Unwait { session: 1 };
            node.dispatcher.serve_forward(Forward::new(partition, unwait, bytes::Bytes::new(), 0), NodeNo(2)).await;
            while waiting(&node) > 2 {
                tokio::task::yield_now().await;
            }
            node.dispatcher.drop_waits_of(NodeNo(3));
            while waiting(&node) > 1 {
                tokio::task::yield_now().await;
            }
            let push = encode(&["rpush", "a", "x"]);
            node.dispatcher.serve_forward(Forward::new(partition, ForwardKind::Run, push, 1), NodeNo(3)).await
        };
        let (first, second, third, _) = tokio::join!(first, second, third, other);
        assert_eq!([first, second, third].map(reply), ["*-1\r\n", "*2\r\n$1\r\na\r\n$1\r\nx\r\n", "*-1\r\n"]);
    });
    let node = Node::with_roles(&[], |_| Role::Follower(Some(NodeNo(2))));
    let kind = ForwardKind::Wait { session: 1, timeout_ms: None };
    let refused = node.block_on(
        node.dispatcher.serve_forward(Forward::new(partition, kind, encode(&["blpop", "a", "0"]), 1), NodeNo(3)),
    );
    assert!(matches!(refused, ShareOutcome::Refused(Refusal::NotLeader(Some(NodeNo(2))))), "{refused:?}");
}

#[test]
fn a_solo_node_has_no_followers_to_wait_for() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"wait 0 0\r\nset a 1\r\nwait 0 0\r\n", b":0\r\n+OK\r\n:0\r\n");
    let begun = Instant::now();
    wire.ask(b"wait 1 30\r\nget a\r\n", b":0\r\n$1\r\n1\r\n");
    assert!(begun.elapsed() >= Duration::from_millis(30));
    wire.ask(b"wait 1 x\r\n", b"-ERR timeout is not an integer or out of range\r\n");
    wire.ask(b"wait x x\r\n", b"-ERR value is not an integer or out of range\r\n");
    wire.ask(b"wait 1 -1\r\n", b"-ERR timeout is negative\r\n");
    let local: &[u8] = b"-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n";
    wire.ask(b"waitaof 1 0 0\r\n", local);
    wire.ask(b"waitaof 0 0 0\r\nwaitaof 0 1 10\r\n", b"*2\r\n:0\r\n:0\r\n*2\r\n:0\r\n:0\r\n");
    wire.ask(
        b"multi\r\nset a 2\r\nwait 3 0\r\nwaitaof 0 1 0\r\nexec\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:0\r\n*2\r\n:0\r\n:0\r\n",
    );
    let mut other = node.connect();
    wire.send(b"client id\r\n");
    let id = wire.line()[1..].to_string();
    for (how, reply) in [("timeout", &b":0\r\n"[..]), ("error", b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")]
    {
        wire.send(b"wait 1 0\r\n");
        until("it is unblocked", || {
            other.send(format!("client unblock {id} {how}\r\n").as_bytes());
            other.line() == ":1"
        });
        wire.expect(reply);
    }
}
