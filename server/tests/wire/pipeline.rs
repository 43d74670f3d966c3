//! Frames, pipelines, errors of protocol and of gates.

use super::harness::{Node, array};
use std::sync::atomic::Ordering;

#[test]
fn commands_in_any_frame_are_answered_in_order() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n", b"+OK\r\n$1\r\n1\r\n");
    wire.ask(b"set b 2\r\nGeT b\nget \"b\"\r\n", b"+OK\r\n$1\r\n2\r\n$1\r\n2\r\n");
    wire.ask(b"\r\n*0\r\nget nosuch\r\n", b"$-1\r\n");
    for byte in array(&[b"GET", b"a"]).iter() {
        wire.send(&[*byte]);
    }
    wire.expect(b"$1\r\n1\r\n");
}

#[test]
fn a_pipeline_of_100_000_is_answered_whole() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"set k v\r\n", b"+OK\r\n");
    let mut writer = wire.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        use std::io::Write;
        writer.write_all(&array(&[b"GET", b"k"]).repeat(100_000)).unwrap();
    });
    wire.expect(&b"$1\r\nv\r\n".repeat(100_000));
    sender.join().unwrap();
}

#[test]
fn a_large_value_arrives_in_pieces_and_goes_back_whole() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let value: Vec<u8> = (0..5_000_000u32).map(|n| n as u8).collect();
    wire.ask(&array(&[b"SET", b"big", &value]), b"+OK\r\n");
    let mut reply = format!("${}\r\n", value.len()).into_bytes();
    reply.extend_from_slice(&value);
    reply.extend_from_slice(b"\r\n");
    wire.ask(b"GET big\r\nGET nosuch\r\n", &[&reply[..], b"$-1\r\n"].concat());
}

#[test]
fn a_protocol_error_comes_after_the_replies_before_it_and_closes() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.send(b"set a 1\r\n*1\r\n+x\r\nget a\r\n");
    assert_eq!(wire.rest(), b"+OK\r\n-ERR Protocol error: expected '$', got '+'\r\n");
    let mut wire = node.connect();
    wire.send(b"*2147483648\r\n");
    assert_eq!(wire.rest(), b"-ERR Protocol error: invalid multibulk length\r\n");
    let mut wire = node.connect();
    wire.send(b"*1\r\n$1000000000\r\n");
    assert_eq!(wire.rest(), b"-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn who_speaks_http_is_cut_off() {
    let node = Node::start(&[]);
    for request in ["POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a 1\r\n", "host: x\r\nSET a 1\r\n"] {
        let mut wire = node.connect();
        wire.send(request.as_bytes());
        assert_eq!(wire.rest(), b"");
    }
    node.connect().ask(b"GET a\r\n", b"$-1\r\n");
}

#[test]
fn gates_refuse_in_redis_words() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"nosuch a b\r\n", b"-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' \r\n");
    wire.ask(b"nosuch\r\n", b"-ERR unknown command 'nosuch', with args beginning with: \r\n");
    wire.ask(b"get\r\n", b"-ERR wrong number of arguments for 'get' command\r\n");
    wire.ask(b"GET a b\r\n", b"-ERR wrong number of arguments for 'get' command\r\n");
    node.memory.full.store(true, Ordering::Relaxed);
    wire.ask(b"set a 1\r\n", b"-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    wire.ask(b"get a\r\n", b"$-1\r\n");
    node.memory.full.store(false, Ordering::Relaxed);
    node.node.waiting.store(true, Ordering::Relaxed);
    wire.send(b"get a\r\n");
    assert!(wire.line().starts_with("-CLUSTERDOWN "));
}

#[test]
fn counters_count() {
    use larder::commands::port::NodePort;
    use larder::commands::table;
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(
        b"set a 1\r\nget a\r\nget b\r\nget\r\n",
        b"+OK\r\n$1\r\n1\r\n$-1\r\n-ERR wrong number of arguments for 'get' command\r\n",
    );
    let stats = node.node.stats();
    let get = stats.command(table::named().iter().position(|(name, _)| name == "get").unwrap());
    assert_eq!((get.calls.load(Ordering::Relaxed), get.rejected_calls.load(Ordering::Relaxed)), (2, 1));
    assert_eq!(stats.keyspace_hits.load(Ordering::Relaxed), 1);
    assert_eq!(stats.keyspace_misses.load(Ordering::Relaxed), 1);
    assert_eq!(stats.commands_processed.load(Ordering::Relaxed), 3);
    assert_eq!(stats.errors()["ERR"], 1);
}

#[test]
fn each_of_many_equal_commands_in_a_row_is_judged_by_itself() {
    use larder::commands::port::NodePort;
    use larder::commands::table;
    let node = Node::start(&[]);
    let mut wire = node.connect();
    // Errors of gates, of a handler, and another key of the same partition between them.
    wire.ask(b"set {a}str x\r\n", b"+OK\r\n");
    wire.ask(
        b"lpush a 1\r\nlpush a 2\r\nlpush a\r\nlpush a 3\r\nlpush {a}str 4\r\nlpush {a}b 5\r\nlpush a 6\r\nlpush a 7\r\n",
        b":1\r\n:2\r\n-ERR wrong number of arguments for 'lpush' command\r\n:3\r\n\
          -WRONGTYPE Operation against a key holding the wrong kind of value\r\n:1\r\n:4\r\n:5\r\n",
    );
    wire.ask(b"lpush a 8\r\nclient reply skip\r\nlpush a 9\r\nlpush a 10\r\n", b":6\r\n:8\r\n");
    wire.ask(b"multi\r\nlpush a 11\r\nlpush a 12\r\nexec\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:9\r\n:10\r\n");
    wire.ask(b"lrange a 0 3\r\n", b"*4\r\n$2\r\n12\r\n$2\r\n11\r\n$2\r\n10\r\n$1\r\n9\r\n");
    let lpush = table::named().iter().position(|(name, _)| name == "lpush").unwrap();
    let counted = |node: &Node| {
        let counters = node.node.stats().command(lpush);
        [&counters.calls, &counters.failed_calls, &counters.rejected_calls].map(|count| count.load(Ordering::Relaxed))
    };
    assert_eq!(counted(&node), [12, 1, 1]);
    // However long the row is, and however long its commands are.
    let long: Vec<&[u8]> = [&b"LPUSH"[..], b"c"].into_iter().chain(std::iter::repeat_n(&b"x"[..], 100)).collect();
    wire.send(&array(&long).repeat(40));
    (1..=40).for_each(|row| wire.expect(format!(":{}\r\n", row * 100).as_bytes()));
    node.memory.full.store(true, Ordering::Relaxed);
    wire.ask(&b"lpush a 1\r\n".repeat(2), &b"-OOM command not allowed when used memory > 'maxmemory'.\r\n".repeat(2));
}

#[test]
fn errors_repeat_arguments_byte_by_byte() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(&array(&[b"EXPIRE", b"k", b"1", b"\xff\r\n"]), b"-ERR Unsupported option \xff  \r\n");
    wire.ask(&array(&[b"SET", b"k", b"1"]), b"+OK\r\n");
    wire.ask(&array(&[b"CLIENT", b"SETINFO", b"\xfe", b"x"]), b"-ERR Unrecognized option '\xfe'\r\n");
    wire.ask(
        &array(&[b"XREADGROUP", b"GROUP", b"\xfe", b"c", b"STREAMS", b"\xfd", b">"]),
        b"-NOGROUP No such key '\xfd' or consumer group '\xfe' in XREADGROUP with GROUP option\r\n",
    );
    // Within a transaction, too.
    let queued = [array(&[b"MULTI"]), array(&[b"EXPIRE", b"k", b"1", b"\xff"]), array(&[b"EXEC"])].concat();
    wire.ask(&queued, b"+OK\r\n+QUEUED\r\n*1\r\n-ERR Unsupported option \xff\r\n");
}
