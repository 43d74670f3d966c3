//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use super::harness::Node;
use std::sync::atomic::Ordering;

#[test]
fn a_transaction_runs_together() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(
        b"multi\r\nset a 1\r\nget a\r\nget {a}b\r\nexec\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n$1\r\n1\r\n$-1\r\n",
    );
    wire.ask(b"multi\r\nset a 2\r\ndiscard\r\nget a\r\n", b"+OK\r\n+QUEUED\r\n+OK\r\n$1\r\n1\r\n");
    wire.ask(b"multi\r\nexec\r\n", b"+OK\r\n*0\r\n");
}

#[test]
fn misuse_is_refused_in_redis_words() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"exec\r\n", b"-ERR EXEC without MULTI\r\n");
    wire.ask(b"discard\r\n", b"-ERR DISCARD without MULTI\r\n");
    wire.ask(b"multi\r\nmulti\r\n", b"+OK\r\n-ERR MULTI calls can not be nested\r\n");
    wire.ask(b"watch a\r\n", b"-ERR WATCH inside MULTI is not allowed\r\n");
    wire.ask(b"set a 1\r\nexec\r\n", b"+QUEUED\r\n*1\r\n+OK\r\n");
    let abort: &[u8] = b"-EXECABORT Transaction discarded because of previous errors.\r\n";
    wire.ask(b"multi\r\nget\r\n", b"+OK\r\n-ERR wrong number of arguments for 'get' command\r\n");
    wire.ask(b"set a 2\r\nexec\r\nget a\r\n", &[b"+QUEUED\r\n", abort, b"$1\r\n1\r\n"].concat());
    let cross: &[u8] = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    wire.ask(b"multi\r\nset a 2\r\nset b 2\r\nexec\r\n", &[b"+OK\r\n+QUEUED\r\n", cross, abort].concat());
    wire.ask(b"watch a b\r\n", cross);
    wire.ask(b"watch a\r\nwatch b\r\n", &[b"+OK\r\n", cross].concat());
    wire.ask(b"multi\r\nget b\r\n", &[b"+OK\r\n", cross].concat());
}

#[test]
fn what_is_watched_decides() {
    let node = Node::start(&[]);
    let (mut wire, mut other) = (node.connect(), node.connect());
    let transaction: &[u8] = b"multi\r\nset a mine\r\nexec\r\n";
    wire.ask(b"watch a\r\n", b"+OK\r\n");
    other.ask(b"set a theirs\r\n", b"+OK\r\n");
    wire.ask(transaction, b"+OK\r\n+QUEUED\r\n*-1\r\n");
    wire.ask(b"get a\r\n", b"$6\r\ntheirs\r\n");
    wire.ask(transaction, b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    wire.ask(b"watch a\r\nunwatch\r\n", b"+OK\r\n+OK\r\n");
    other.ask(b"set a theirs\r\n", b"+OK\r\n");
    wire.ask(transaction, b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    wire.ask(b"watch a\r\nset a mine\r\n", b"+OK\r\n+OK\r\n");
    wire.ask(transaction, b"+OK\r\n+QUEUED\r\n*-1\r\n");
    wire.ask(b"watch a\r\nmulti\r\n", b"+OK\r\n+OK\r\n");
    other.ask(b"set {a}b 1\r\n", b"+OK\r\n");
    wire.ask(b"get a\r\nexec\r\n", b"+QUEUED\r\n*1\r\n$4\r\nmine\r\n");
}

#[test]
fn full_memory_aborts() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"multi\r\nset a 1\r\n", b"+OK\r\n+QUEUED\r\n");
    node.memory.full.store(true, Ordering::Relaxed);
    wire.ask(
        b"exec\r\n",
        b"-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.\r\n",
    );
    wire.ask(b"exec\r\n", b"-ERR EXEC without MULTI\r\n");
}

#[test]
fn a_watch_is_forgotten_with_its_connection() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"watch a {a}b\r\n", b"+OK\r\n");
    drop(wire);
    use larder::commands::port::NodePort;
    super::harness::until("the connection is gone", || node.node.clients().is_empty());
}
