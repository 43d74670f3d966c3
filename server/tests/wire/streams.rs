//! Streams: where their keys are, and what a transaction makes of waiting.

use super::harness::{Node, Wire, array, until};
use std::time::{Duration, Instant};

fn words(line: &str) -> bytes::Bytes {
    array(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

#[test]
fn keys_of_a_read_are_of_one_slot() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(&words("XADD {t}a 1 f v"), b"$3\r\n1-0\r\n");
    wire.ask(&words("XADD {t}b 2 f v"), b"$3\r\n2-0\r\n");
    let both = b"*2\r\n*2\r\n$4\r\n{t}a\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n\
                 *2\r\n$4\r\n{t}b\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
    wire.ask(&words("XREAD STREAMS {t}a {t}b 0 0"), both);
    let refused = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    wire.ask(&words("XREAD COUNT 1 STREAMS a b 0 0"), refused);
    wire.ask(&words("XREADGROUP GROUP g c STREAMS a b 0 0"), refused);
    // What has no keys that could be told is refused in Redis's words.
    wire.ask(&words("XREAD FOO STREAMS a 0"), b"-ERR syntax error\r\n");
    wire.ask(
        &words("XREAD STREAMS a b 0"),
        b"-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.\r\n",
    );
}

#[test]
fn nothing_waits_in_a_transaction() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(&words("XGROUP CREATE s g $ MKSTREAM"), b"+OK\r\n");
    wire.ask(
        b"MULTI\r\nXREAD BLOCK 0 STREAMS s $\r\nXREADGROUP GROUP g c BLOCK 0 STREAMS s >\r\nEXEC\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*-1\r\n*-1\r\n",
    );
    wire.ask(
        b"XGROUP CREATE s g $\r\nXGROUP FOO\r\n",
        b"-BUSYGROUP Consumer Group name already exists\r\n-ERR unknown subcommand 'FOO'. Try XGROUP HELP.\r\n",
    );
}

/// Sends a command that is to wait, and waits until it does.
fn park(node: &Node, wire: &mut Wire, command: &str) {
    let waiting = || node.routes.partitions().iter().map(|partition| partition.waiting().0).sum::<usize>();
    let before = waiting();
    wire.send(&words(command));
    until("it waits", || waiting() > before);
}

fn entry(key: &str, id: &str) -> Vec<u8> {
    let (keys, ids) = (key.len(), id.len());
    format!("*1\r\n*2\r\n${keys}\r\n{key}\r\n*1\r\n*2\r\n${ids}\r\n{id}\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n").into_bytes()
}

#[test]
fn who_reads_waits_for_what_comes() {
    let node = Node::start(&[]);
    let (mut one, mut two, mut other) = (node.connect(), node.connect(), node.connect());
    other.ask(&words("XADD s 5 f v"), b"$3\r\n5-0\r\n");
    // `$` is what it was when the command came.
    park(&node, &mut one, "XREAD BLOCK 0 STREAMS {s}none s $ $");
    park(&node, &mut two, "XREAD BLOCK 100000 STREAMS s 6");
    other.ask(&words("XADD s 6 f v"), b"$3\r\n6-0\r\n");
    one.expect(&entry("s", "6-0"));
    park(&node, &mut one, "XREAD BLOCK 0 STREAMS {s}none s $ $");
    other.ask(&words("XADD s 7 f v"), b"$3\r\n7-0\r\n");
    one.expect(&entry("s", "7-0"));
    two.expect(&entry("s", "7-0"));
    // Another type leaves them waiting, and so does a deletion.
    park(&node, &mut one, "XREAD BLOCK 0 STREAMS s $");
    other.ask(b"DEL s\r\nSET s v\r\nDEL s\r\nXADD s 8 f v\r\n", b":1\r\n+OK\r\n:1\r\n$3\r\n8-0\r\n");
    one.expect(&entry("s", "8-0"));
    let begun = Instant::now();
    one.ask(&words("XREAD BLOCK 60 STREAMS s $"), b"*-1\r\n");
    assert!(begun.elapsed() >= Duration::from_millis(60));
    one.ask(&words("XREAD BLOCK 60 STREAMS s +"), &entry("s", "8-0"));
    one.ask(&words("XREAD BLOCK -1 STREAMS s $"), b"-ERR timeout is negative\r\n");
}

#[test]
fn consumers_wait_in_order() {
    let node = Node::start(&[]);
    let (mut one, mut two, mut other) = (node.connect(), node.connect(), node.connect());
    let read = "XREADGROUP GROUP g c BLOCK 0 STREAMS s >";
    let gone = b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
    one.ask(&words(read), gone);
    other.ask(&words("XGROUP CREATE s g $ MKSTREAM"), b"+OK\r\n");
    park(&node, &mut one, read);
    park(&node, &mut two, read);
    other.ask(&words("XADD s 1 f v"), b"$3\r\n1-0\r\n");
    one.expect(&entry("s", "1-0"));
    other.ask(&words("XADD s 2 f v"), b"$3\r\n2-0\r\n");
    two.expect(&entry("s", "2-0"));
    // What is pending is answered at once.
    one.ask(&words("XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS s 0"), &entry("s", "1-0"));
    // Who waits for a group that goes is told so.
    for destroy in ["XGROUP DESTROY s g", "DEL s"] {
        park(&node, &mut one, read);
        other.ask(&words(destroy), b":1\r\n");
        one.expect(gone);
        other.ask(&words("XGROUP CREATE s g $ MKSTREAM"), b"+OK\r\n");
    }
}
