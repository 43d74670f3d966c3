//! What the connection's own commands do to what follows them.

use super::harness::{Node, until};
use larder::commands::port::NodePort;

#[test]
fn hello_switches_the_protocol_for_what_follows() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"get nosuch\r\n", b"$-1\r\n");
    wire.send(b"hello 3\r\n");
    assert!(wire.line().starts_with('%'));
    wire.send(b"ping\r\n");
    while wire.line() != "+PONG" {}
    wire.ask(b"get nosuch\r\nmget a b\r\n", b"_\r\n*2\r\n_\r\n_\r\n");
    wire.ask(b"watch a\r\nset a 1\r\nmulti\r\nget a\r\nexec\r\n", b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n_\r\n");
}

#[test]
fn reset_drops_transaction_and_watches() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"watch a\r\nset a 1\r\nreset\r\n", b"+OK\r\n+OK\r\n+RESET\r\n");
    wire.ask(b"multi\r\nget a\r\nexec\r\n", b"+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n");
    wire.ask(b"multi\r\nreset\r\nexec\r\n", b"+OK\r\n+RESET\r\n-ERR EXEC without MULTI\r\n");
}

#[test]
fn authentication_opens_the_gate_within_a_pipeline() {
    let node = Node::start(&[("requirepass", "secret")]);
    let mut wire = node.connect();
    let large = vec![b'x'; 100_000];
    let mut request = b"get a\r\nauth secret\r\n".to_vec();
    request.extend_from_slice(&super::harness::array(&[b"SET", b"a", &large]));
    wire.ask(&request, b"-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n");
}

#[test]
fn client_kill_closes_another_and_itself() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    other.send(b"client id\r\n");
    let id = other.line();
    wire.ask(format!("client kill id {}\r\n", &id[1..]).as_bytes(), b":1\r\n");
    assert_eq!(other.rest(), b"");
    wire.send(b"client kill type normal skipme no\r\nget a\r\n");
    assert_eq!(wire.rest(), b":1\r\n");
    until("both are gone", || node.node.clients().is_empty());
}

#[test]
fn a_pause_holds_writes_until_it_is_over() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    wire.ask(b"client pause 100000 write\r\n", b"+OK\r\n");
    other.ask(b"get a\r\n", b"$-1\r\n");
    other.send(b"get a\r\nset a 1\r\nget a\r\n");
    wire.ask(b"get a\r\nclient unpause\r\n", b"$-1\r\n+OK\r\n");
    other.expect(b"$-1\r\n+OK\r\n$1\r\n1\r\n");
}

#[test]
fn what_came_before_a_paused_write_is_answered_at_once() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    let blocked = |wire: &mut super::harness::Wire, count: usize| {
        until("INFO says so", || {
            wire.send(b"info clients\r\nping\r\n");
            let mut lines = Vec::new();
            while lines.last().map(String::as_str) != Some("+PONG") {
                lines.push(wire.line());
            }
            lines.contains(&format!("blocked_clients:{count}"))
        });
    };
    wire.ask(b"client pause 100000 write\r\n", b"+OK\r\n");
    other.ask(b"ping\r\nset a 1\r\nping\r\n", b"+PONG\r\n");
    blocked(&mut wire, 1);
    wire.send(b"client id\r\n");
    let id: u64 = wire.line()[1..].parse().unwrap();
    // It is held, which is no wait that one may end.
    wire.ask(format!("client unblock {}\r\n", id + 1).as_bytes(), b":0\r\n");
    wire.ask(b"client unpause\r\n", b"+OK\r\n");
    other.expect(b"+OK\r\n+PONG\r\n");
    blocked(&mut wire, 0);
    wire.ask(b"client pause 100000 write\r\n", b"+OK\r\n");
    other.ask(b"multi\r\nset a 2\r\nget a\r\nexec\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    wire.ask(b"client unpause\r\n", b"+OK\r\n");
    other.expect(b"*2\r\n+OK\r\n$1\r\n2\r\n");
    // One that goes meanwhile is gone.
    wire.ask(b"client pause 100000 write\r\n", b"+OK\r\n");
    other.ask(b"ping\r\nset a 3\r\n", b"+PONG\r\n");
    drop(other);
    until("it is gone", || node.node.clients().len() == 1);
    wire.ask(b"client unpause\r\nget a\r\n", b"+OK\r\n$1\r\n2\r\n");
}
