//! What INFO counts of errors is what Redis counts.

use super::harness::{Node, Wire};
use super::redis::Redis;
use larder::commands::session::PortKind;

/// Sends `lines` one by one, and shows what INFO says of errors then.
fn errors_after(wire: &mut Wire, lines: &[&str]) -> Vec<String> {
    lines.iter().for_each(|line| wire.send(format!("{line}\r\n").as_bytes()));
    wire.send(b"info errorstats\r\ninfo stats\r\ninfo commandstats\r\nping end-of-it\r\n");
    let mut found = Vec::new();
    loop {
        let line = wire.line();
        if line == "end-of-it" {
            break;
        }
        if line.starts_with("errorstat_") || line.starts_with("total_error_replies") {
            found.push(line);
        } else if let Some((name, figures)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':')) {
            let of = |what: &str| {
                let found = figures.split(',').find_map(|figure| figure.strip_prefix(what));
                found.and_then(|number| number.strip_prefix('=')).unwrap().to_string()
            };
            let (rejected, failed) = (of("rejected_calls"), of("failed_calls"));
            if rejected != "0" || failed != "0" {
                found.push(format!("{name} calls {} rejected {rejected} failed {failed}", of("calls")));
            }
        }
    }
    found.sort();
    found
}

const LINES: &[&str] = &[
    "config resetstat",
    "set {t}str 1",
    "lpush {t}str a",
    "lpush {t}str a",
    "lpush {t}str a",
    "set {t}nn abc",
    "incr {t}nn",
    "hello 9",
    "auth x",
    "memory",
    "object",
    "get",
    "multi",
    "lpush {t}str a",
    "incr {t}nn",
    "get {t}nn",
    "exec",
    "multi",
    "ping",
    "lpush {t}str a",
    "exec",
    "multi",
    "nosuch",
    "exec",
    "exec",
    "blpop {t}str 1",
    "restore r 0 nonsense",
    "config set nosuch 1",
    "client kill id x",
    "mget a",
    "xadd {t}str * a b",
];

#[test]
fn errors_are_counted_as_redis_counts_them() {
    let node = Node::start(&[]);
    let got = errors_after(&mut node.connect(), LINES);
    for line in ["errorstat_NOPROTO:count=1", "errorstat_WRONGTYPE:count=7", "errorstat_EXECABORT:count=1"] {
        assert!(got.iter().any(|found| found == line), "{line}: {got:#?}");
    }
    assert!(got.contains(&"lpush calls 5 rejected 0 failed 5".to_string()), "{got:#?}");
    assert!(got.contains(&"memory calls 0 rejected 1 failed 0".to_string()), "{got:#?}");
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not installed: nothing to compare with");
        return;
    };
    let expected = errors_after(&mut Wire::connect(redis.address), LINES);
    assert_eq!(got, expected);
}

#[test]
fn what_nobody_reads_counts_too() {
    let node = Node::start(&[]);
    let mut wire = Wire::connect(node.address(PortKind::Client));
    wire.send(b"set {t}str 1\r\nclient reply off\r\nlpush {t}str a\r\nclient reply on\r\n");
    wire.expect(b"+OK\r\n+OK\r\n");
    let got = errors_after(&mut wire, &[]);
    assert_eq!(got, ["errorstat_WRONGTYPE:count=1", "lpush calls 1 rejected 0 failed 1", "total_error_replies:1"]);
}
