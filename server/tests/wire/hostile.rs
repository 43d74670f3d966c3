//! Clients that mean harm: what they send takes no more than its share of memory and time, and shows nobody's secrets.

use super::harness::{Node, PATIENCE, Wire, array, until};
use larder::commands::port::NodePort;
use larder::commands::session::Activity;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Resident memory of this process.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
}

/// Whether the node still serves others.
#[track_caller]
fn serves(node: &Node) {
    node.connect().ask(b"set ok 1\r\nget ok\r\n", b"+OK\r\n$1\r\n1\r\n");
}

#[test]
fn a_stranger_sends_no_long_argument() {
    let node = Node::start(&[("requirepass", "secret")]);
    for (sent, told) in [
        (&b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"[..], "unauthenticated bulk length"),
        (b"*1000000\r\n", "unauthenticated multibulk length"),
        (b"*2147483647\r\n", "unauthenticated multibulk length"),
        (b"*1\r\n$536870912\r\n", "unauthenticated bulk length"),
    ] {
        let mut wire = node.connect();
        wire.send(sent);
        assert_eq!(String::from_utf8_lossy(&wire.rest()), format!("-ERR Protocol error: {told}\r\n"));
    }
    let mut wire = node.connect();
    // The node may close before it has read everything.
    let _ = std::io::Write::write_all(&mut wire.socket, &vec![b'x'; 200_000]);
    assert_eq!(wire.rest(), b"-ERR Protocol error: too big inline request\r\n");
}

#[test]
fn half_a_command_holds_what_was_sent_of_it() {
    const CLIENTS: usize = 200;
    let node = Node::start(&[]);
    let before = resident_bytes();
    let wires: Vec<Wire> = (0..CLIENTS)
        .map(|number| {
            let mut wire = node.connect();
            // Half a gigabyte is promised, a megabyte of arguments, a line without an end.
            wire.send(match number % 3 {
                0 => b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc",
                1 => b"*2147483647\r\n$3\r\nDEL\r\n$1\r\na\r\n",
                _ => b"set k \"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv",
            });
            wire
        })
        .collect();
    let waiting = |client: &std::sync::Arc<larder::commands::session::Client>| {
        client.activity() == Activity::Reading && client.query_bytes.load(Ordering::Relaxed) > 0
    };
    until("all are read", || node.node.clients().list().iter().filter(|client| waiting(client)).count() == CLIENTS);
    assert!(node.node.clients().list().iter().all(|client| client.query_bytes.load(Ordering::Relaxed) < 1000));
    // Other tests run in this process meanwhile; what was promised is a thousand times as much.
    assert!(resident_bytes() < before + (1 << 30), "{before} {}", resident_bytes());
    serves(&node);
    drop(wires);
    until("they are gone", || node.node.clients().is_empty());
}

#[test]
fn idle_connections_give_back_their_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Both ends are of this process, and other tests need some, too.
    let connections = (most / 4).min(2000) as usize;
    let node = Node::start(&[]);
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("/proc").count();
    let before = descriptors();
    for _ in 0..3 {
        let wires: Vec<Wire> = (0..connections)
            .map(|_| {
                let mut wire = node.connect();
                wire.ask(b"get a\r\n", b"$-1\r\n");
                wire
            })
            .collect();
        assert_eq!(node.node.clients().len(), connections);
        drop(wires);
        until("they are gone", || node.node.clients().is_empty());
    }
    until("descriptors are given back", || descriptors() < before + connections / 2);
}

#[test]
fn a_client_that_sends_without_reading_is_made_to_wait() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let request = b"nosuch with some arguments that the error repeats\r\n".repeat(1000);
    // Until neither side's socket takes more.
    wire.socket.set_nonblocking(true).unwrap();
    let (mut sent, mut refused) = (0, 0);
    while refused < 100 && sent < (1 << 30) {
        match std::io::Write::write(&mut wire.socket, &request) {
            Ok(length) => (sent, refused) = (sent + length, 0),
            Err(_) => {
                refused += 1;
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
    }
    assert!(sent < 256 << 20, "{sent} bytes were taken of a client that reads nothing");
    let client = node.node.clients().list().remove(0);
    until("it waits to write", || client.activity() == Activity::Writing);
    assert!(client.output_bytes.load(Ordering::Relaxed) < 2 << 20);
    serves(&node);
}

#[test]
fn patterns_take_time_in_proportion() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let long = b"a".repeat(10_000);
    wire.ask(&array(&[b"SET", &long, b"v"]), b"+OK\r\n");
    wire.ask(&array(&[b"HSET", b"h", &long, b"v"]), b":1\r\n");
    wire.ask(&array(&[b"SADD", b"s", &long]), b":1\r\n");
    let pattern = [b"a*".repeat(60), b"b".to_vec()].concat();
    let started = Instant::now();
    wire.ask(&array(&[b"KEYS", &pattern]), b"*0\r\n");
    wire.ask(&array(&[b"SCAN", b"0", b"MATCH", &pattern, b"COUNT", b"1000"]), b"*2\r\n$1\r\n0\r\n*0\r\n");
    wire.ask(&array(&[b"HSCAN", b"h", b"0", b"MATCH", &pattern]), b"*2\r\n$1\r\n0\r\n*0\r\n");
    wire.ask(&array(&[b"SSCAN", b"s", b"0", b"MATCH", &pattern]), b"*2\r\n$1\r\n0\r\n*0\r\n");
    wire.ask(&array(&[b"CONFIG", b"GET", &pattern]), b"*0\r\n");
    wire.ask(&array(&[b"CONFIG", b"GET", &b"*?".repeat(10_000)]), b"*0\r\n");
    assert!(started.elapsed() < PATIENCE / 4);
}

#[test]
fn a_scan_step_is_short_whatever_its_count() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let mut add: Vec<Vec<u8>> = vec![b"SADD".to_vec(), b"s".to_vec()];
    add.extend((0..25_000).map(|number| format!("member:{number}").into_bytes()));
    let add: Vec<&[u8]> = add.iter().map(Vec::as_slice).collect();
    wire.ask(&array(&add), b":25000\r\n");
    let (mut cursor, mut seen, mut steps) = (String::from("0"), 0, 0);
    loop {
        wire.send(&array(&[b"SSCAN", b"s", cursor.as_bytes(), b"COUNT", b"9223372036854775807"]));
        assert_eq!(wire.line(), "*2");
        wire.line();
        cursor = wire.line();
        let count: usize = wire.line()[1..].parse().unwrap();
        assert!(count <= 11_000, "{count} in a step");
        for _ in 0..2 * count {
            wire.line();
        }
        (seen, steps) = (seen + count, steps + 1);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((seen, steps), (25_000, 3));
}

#[test]
fn replies_that_are_multiples_of_requests_end() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    wire.ask(b"sadd s a\r\nhset h a 1\r\nzadd z 1 a\r\n", b":1\r\n:1\r\n:1\r\n");
    for command in ["srandmember s", "hrandfield h", "zrandmember z"] {
        for count in ["-16777217", "-9223372036854775807"] {
            wire.ask(format!("{command} {count}\r\n").as_bytes(), b"-ERR value is out of range\r\n");
        }
        let least = b"-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n";
        wire.ask(format!("{command} -9223372036854775808\r\n").as_bytes(), least);
    }
    // Redis's bound on LCS: what it compares in takes four bytes a pair.
    wire.ask(&array(&[b"SET", b"{l}a", &vec![b'x'; 50_000]]), b"+OK\r\n");
    let long = b"-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n";
    wire.ask(b"lcs {l}a {l}a\r\n", long);
}

#[test]
fn a_name_cannot_forge_lines_of_the_client_list() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let refused = b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
    for name in [&b"a b"[..], b"a\nid=1", b"a\r", b"\x01", b"\x7f", b"\xff"] {
        wire.ask(&array(&[b"CLIENT", b"SETNAME", name]), refused);
        let info = b"-ERR lib-name cannot contain spaces, newlines or special characters.\r\n";
        wire.ask(&array(&[b"CLIENT", b"SETINFO", b"LIB-NAME", name]), info);
    }
    wire.send(&array(&[b"HELLO", b"2", b"SETNAME", b"a\nb"]));
    assert!(wire.line().starts_with("-ERR Client names cannot contain spaces"));
    wire.send(b"client list\r\n");
    let length: usize = wire.line()[1..].parse().unwrap();
    let mut list = vec![0; length + 2];
    std::io::Read::read_exact(&mut wire.socket, &mut list).unwrap();
    assert_eq!(list.iter().filter(|byte| **byte == b'\n').count(), 2, "{}", list.escape_ascii());
}

#[test]
fn many_arguments_of_connection_commands_take_their_time_only_once() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    let ids: Vec<Vec<u8>> = (0..100_000u32).map(|id| (1_000_000 + id).to_string().into_bytes()).collect();
    let mut list: Vec<&[u8]> = vec![b"CLIENT", b"LIST", b"ID"];
    list.extend(ids.iter().map(Vec::as_slice));
    let started = Instant::now();
    wire.send(&array(&list));
    assert!(wire.line().starts_with('$'));
    wire.line();
    let mut kill: Vec<&[u8]> = vec![b"CLIENT", b"KILL"];
    (0..50_000).for_each(|_| kill.extend([&b"ID"[..], b"1000000"]));
    wire.ask(&array(&kill), b":0\r\n");
    let mut hello: Vec<&[u8]> = vec![b"HELLO", b"2"];
    (0..50_000).for_each(|_| hello.extend([&b"SETNAME"[..], b"me"]));
    wire.send(&array(&hello));
    assert!(wire.line().starts_with('*'));
    assert!(started.elapsed() < PATIENCE / 4);
}

#[test]
fn what_clients_authenticate_with_is_shown_to_nobody() {
    const SECRETS: &[&str] = &["open-sesame", "wrong-password", "second-secret", "token-of-http"];
    let node = Node::start(&[("requirepass", "open-sesame"), ("http-token", "token-of-http")]);
    let mut wire = node.connect();
    wire.send(b"auth wrong-password\r\nauth nosuch open-sesame\r\nhello 3 auth default wrong-password\r\n");
    for _ in 0..3 {
        assert!(wire.line().starts_with("-WRONGPASS"));
    }
    // A command of another connection's: what it sent last is told of by name alone.
    let mut other = node.connect();
    other.ask(b"auth open-sesame\r\n", b"+OK\r\n");
    other.ask(b"config set requirepass second-secret\r\n", b"+OK\r\n");
    wire.ask(b"auth second-secret\r\n", b"+OK\r\n");
    let mut shown = String::new();
    wire.send(b"client list\r\ninfo everything\r\nclient info\r\nping end-of-it\r\n");
    while !shown.ends_with("end-of-it\n") {
        shown.push_str(&wire.line());
        shown.push('\n');
    }
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    // As in Redis, who has authenticated may ask for it.
    wire.ask(b"config get requirepass\r\n", b"*2\r\n$11\r\nrequirepass\r\n$13\r\nsecond-secret\r\n");
    let mut stranger = node.connect();
    stranger.ask(b"config get requirepass\r\n", b"-NOAUTH Authentication required.\r\n");
}

#[test]
fn payloads_with_a_right_checksum_and_wrong_contents_are_refused() {
    let node = Node::start(&[]);
    let mut wire = node.connect();
    // A list that promises 2^63 elements, sealed as any client can.
    for body in [
        &b"\x01\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x01a"[..],
        b"\x02\x80\xff\xff\xff\xff\x01a",
        b"\x00\xc3\x02\x81\x00\x00\x00\x00\xff\xff\xff\xffab",
        b"\x63abc",
        b"",
    ] {
        let mut payload = [body, b"\x0c\x00"].concat();
        payload.extend(crc64(&payload).to_le_bytes());
        wire.send(&array(&[b"RESTORE", b"k", b"0", &payload]));
        let told = wire.line();
        assert!(told == "-ERR Bad data format" || told == "-ERR DUMP payload version or checksum are wrong", "{told}");
    }
    // The same member twice.
    let mut payload = b"\x02\x02\x01a\x01a\x0c\x00".to_vec();
    payload.extend(crc64(&payload).to_le_bytes());
    wire.ask(&array(&[b"RESTORE", b"k", b"0", &payload]), b"-ERR Bad data format\r\n");
    wire.ask(b"exists k\r\n", b":0\r\n");
}

/// CRC-64 (Jones), as the end of a payload has it.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u64::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x95AC_9329_AC4B_C9B5 } else { crc >> 1 },
        )
    })
}
