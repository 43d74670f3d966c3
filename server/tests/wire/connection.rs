//! Who is let in, who is thrown out, and how a node stops.

use super::harness::{Node, array, until};
use larder::commands::port::NodePort;
use larder::commands::session::{Activity, PortKind};
use larder::ids::NodeNo;
use larder::raft::Role;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn maxclients_holds() {
    let node = Node::start(&[("maxclients", "2")]);
    let (mut a, mut b) = (node.connect(), node.connect());
    a.ask(b"get a\r\n", b"$-1\r\n");
    b.ask(b"get a\r\n", b"$-1\r\n");
    assert_eq!(node.connect().rest(), b"-ERR max number of clients reached\r\n");
    drop(a);
    until("a place is free", || node.node.clients().len() == 1);
    node.connect().ask(b"get a\r\n", b"$-1\r\n");
    assert_eq!(node.node.stats().connections_rejected.load(Ordering::Relaxed), 1);
}

#[test]
fn a_client_that_does_not_read_holds_one_batch_and_can_be_killed() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let value = vec![b'x'; 300_000];
    wire.ask(&array(&[b"SET", b"k", &value]), b"+OK\r\n");
    // Far more replies than any socket buffer takes.
    wire.send(&b"GET k\r\n".repeat(500));
    until("the connection waits to write", || node.node.clients().list()[0].activity() == Activity::Writing);
    let client = node.node.clients().list().remove(0);
    assert!(client.output_bytes.load(Ordering::Relaxed) < 2_000_000);
    assert!(client.commands.load(Ordering::Relaxed) < 500);
    client.kill();
    until("it is gone", || node.node.clients().is_empty());
    assert!(wire.rest().len() < 500 * 300_000);
}

#[test]
fn replies_over_the_output_limit_close() {
    let node = Node::start(&[("client-output-buffer-limit", "normal 100000 0 0")]);
    let mut wire = node.connect();
    wire.ask(&array(&[b"SET", b"k", &vec![b'x'; 60_000]]), b"+OK\r\n");
    wire.send(b"GET k\r\nGET k\r\n");
    assert_eq!(wire.rest(), b"");
    assert_eq!(node.node.stats().output_limit_disconnections.load(Ordering::Relaxed), 1);
}

#[test]
fn an_idle_client_times_out() {
    let node = Node::start(&[("timeout", "1")]);
    let mut wire = node.connect();
    wire.ask(b"get a\r\n", b"$-1\r\n");
    assert_eq!(wire.rest(), b"");
}

#[test]
fn killing_interrupts_a_read() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"get a\r\n", b"$-1\r\n");
    wire.send(b"*2\r\n$3\r\nGET");
    node.node.clients().list()[0].kill();
    assert_eq!(wire.rest(), b"");
}

#[test]
fn a_stop_answers_what_has_begun() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"set a 1\r\n", b"+OK\r\n");
    node.block_on(node.server.stop(Duration::from_secs(10)));
    assert_eq!(wire.rest(), b"");
    assert!(std::net::TcpStream::connect(node.address(PortKind::Client)).is_err(), "nobody is let in any more");
}

#[test]
fn ipv6_is_served_too() {
    use larder::net::listen;
    let Ok(listener) = listen("[::1]:0".parse().unwrap(), PortKind::Client) else { return };
    assert!(listener.local_addr().unwrap().is_ipv6());
}

#[test]
fn a_stranger_must_authenticate_and_sends_little() {
    let node = Node::start(&[("requirepass", "secret")]);
    let mut wire = node.connect();
    wire.ask(b"get a\r\n", b"-NOAUTH Authentication required.\r\n");
    wire.ask(b"multi\r\n", b"-NOAUTH Authentication required.\r\n");
    wire.send(b"*11\r\n");
    assert_eq!(wire.rest(), b"-ERR Protocol error: unauthenticated multibulk length\r\n");
}

#[test]
fn the_cluster_port_sends_clients_to_the_leader() {
    let node = Node::with_roles(&[], |id| if id < 6 { Role::Solo } else { Role::Follower(Some(NodeNo(2))) });
    let mut wire = node.connect_cluster();
    // a hashes to 15495, b to 3300.
    wire.ask(b"get a\r\n", b"-MOVED 15495 127.0.0.1:8002\r\n");
    wire.ask(b"set b 1\r\nget b\r\n", b"+OK\r\n$1\r\n1\r\n");
    wire.ask(b"watch a\r\n", b"-MOVED 15495 127.0.0.1:8002\r\n");
    wire.ask(
        b"multi\r\nget a\r\nexec\r\n",
        b"+OK\r\n-MOVED 15495 127.0.0.1:8002\r\n-EXECABORT Transaction discarded because of previous errors.\r\n",
    );
}

#[test]
fn without_a_leader_the_cluster_is_down() {
    let node = Node::with_roles(&[], |id| if id < 6 { Role::Solo } else { Role::Follower(None) });
    let down: &[u8] = b"-CLUSTERDOWN The cluster is down\r\n";
    let mut wire = node.connect_cluster();
    wire.ask(b"set b 1\r\nget a\r\nget b\r\n", &[b"+OK\r\n", down, b"$1\r\n1\r\n"].concat());
    // What waits for a leader is carried out once there is one; order holds.
    let mut wire = node.connect();
    wire.send(b"set a 1\r\nget b\r\nget a\r\n");
    let partition = node.routes.partition_of(15495);
    std::thread::sleep(Duration::from_millis(20));
    partition.lock().role = Role::Solo;
    wire.expect(b"+OK\r\n$1\r\n1\r\n$1\r\n1\r\n");
}
