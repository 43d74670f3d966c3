//! Bitmaps, HyperLogLogs, and DUMP with RESTORE.

use crate::compare::{Mask, check};
use crate::generate::Generator;
use crate::local::Local;
use crate::redis::RedisServer;
use crate::{Command, reply, rounds, words};

const KEYS: &[&[u8]] = &[b"a", b"b", b"c", b"d"];
const ABSENT: &[&[u8]] = &[b"a", b"b", b"c", b"d", b"x"];
const OFFSETS: &[&str] =
    &["0", "1", "7", "8", "9", "100", "4294967295", "4294967296", "-1", "x", "", "9223372036854775808", "1.5"];
const BITS: &[&str] = &["0", "1", "0", "1", "0", "1", "0", "1", "2", "-1", "01", "x"];
const TYPES: &[&str] = &[
    "u1", "u8", "u8", "i8", "i8", "i5", "u63", "i64", "i64", "i16", "u33", "i1", "u2", "u0", "u64", "i65", "8", "",
    "U8",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "5",
    "100",
    "255",
    "256",
    "-128",
    "-129",
    "9223372036854775807",
    "-9223372036854775808",
    "4611686018427387904",
    "x",
    "9223372036854775808",
];

fn text(word: &str) -> Vec<u8> {
    word.as_bytes().to_vec()
}

fn offset(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(12) {
        // Never one that makes a string of 512 MiB: those are tried on their own.
        return text(generator.pick(&["4294967296", "-1", "x", "", "9223372036854775808", "1.5"]));
    }
    generator.below(300).to_string().into_bytes()
}

fn index(generator: &mut Generator) -> Vec<u8> {
    if generator.one_in(12) {
        return text(generator.pick(NUMBERS));
    }
    (generator.below(90) as i64 - 45).to_string().into_bytes()
}

fn unit(generator: &mut Generator) -> Vec<u8> {
    text(generator.pick(&["BYTE", "BIT", "bit", "byte", "BIT", "BITS"]))
}

fn bitfield(generator: &mut Generator, command: &mut Command) {
    for _ in 0..generator.below(5) {
        let kind = generator.below(5);
        if kind == 0 {
            command.push(generator.any_case("OVERFLOW"));
            command.push(text(generator.pick(&["WRAP", "SAT", "FAIL", "sat", "fail", "FOO"])));
            continue;
        }
        let name = ["GET", "SET", "INCRBY", "INCRBY"][kind - 1];
        command.push(generator.any_case(name));
        command.push(text(generator.pick(TYPES)));
        let mut at = offset(generator);
        if generator.one_in(3) {
            at.insert(0, b'#');
            at.truncate(3);
        }
        command.push(at);
        if name != "GET" {
            command.push(text(generator.pick(NUMBERS)));
        }
    }
}

fn bitmap_command(generator: &mut Generator) -> Command {
    let key = generator.pick(ABSENT).to_vec();
    let mut command: Command = Vec::new();
    match generator.below(14) {
        0 | 1 => command.extend([text("SETBIT"), key, offset(generator), text(generator.pick(BITS))]),
        2 => command.extend([text("GETBIT"), key, offset(generator)]),
        3 | 4 => {
            command.extend([text("BITCOUNT"), key]);
            match generator.below(4) {
                0 => {}
                1 => command.extend([index(generator), index(generator)]),
                2 => command.extend([index(generator), index(generator), unit(generator)]),
                _ => command.push(index(generator)),
            }
        }
        5 | 6 => {
            command.extend([text("BITPOS"), key, text(generator.pick(BITS))]);
            for _ in 0..generator.below(3) {
                command.push(index(generator));
            }
            if command.len() == 5 && !generator.one_in(3) {
                command.push(unit(generator));
            }
        }
        7 | 8 => {
            let operation = generator.pick(&["AND", "OR", "XOR", "NOT", "NOT", "and", "NAND"]);
            command.extend([text("BITOP"), text(operation), generator.pick(KEYS).to_vec()]);
            for _ in 0..1 + generator.below(3) {
                command.push(generator.pick(ABSENT).to_vec());
            }
        }
        9 | 10 => {
            command.extend([text("BITFIELD"), key]);
            bitfield(generator, &mut command);
        }
        11 => {
            command.extend([text("BITFIELD_RO"), key]);
            bitfield(generator, &mut command);
        }
        12 => {
            let key = generator.pick(KEYS).to_vec();
            let value = match generator.below(3) {
                0 => vec![[0, 255][generator.below(2)]; generator.below(40)],
                _ => generator.text(&[0, 1, 0x80, 0xFF, 0x55], 40),
            };
            command.extend([text("SET"), key, value]);
        }
        _ => command.extend([text(generator.pick(&["GET", "DEL", "STRLEN", "EXISTS", "GET"])), key]),
    }
    command
}

/// Before 7.2 Redis looked at the other arguments of these only where the key exists and the range has something in it.
fn only_newer_refuse(command: &Command, theirs: &[u8], ours: &[u8]) -> bool {
    let looks_late = command[0].starts_with(b"BITCOUNT") || command[0].starts_with(b"BITPOS");
    looks_late && (theirs == b":0\r\n" || theirs == b":-1\r\n") && ours.starts_with(b"-ERR ")
}

#[test]
fn bitmaps_are_answered_alike() {
    rounds(60, |server, local, seed| {
        let mut generator = Generator::new(seed);
        let mut history = Vec::new();
        for _ in 0..400 {
            let command = bitmap_command(&mut generator);
            history.push(command.clone());
            let (theirs, ours) = (server.call(&command), local.call(&command));
            if !only_newer_refuse(&command, &theirs, &ours) {
                check(&command, Mask::Exact, &theirs, &ours, seed, &history);
            }
            // The second argument is the key, or it is the third.
            command[1..].iter().take(2).for_each(|key| same(server, local, seed, &history, &[b"GET", key]));
        }
    });
}

#[test]
fn the_last_bit_is_the_same() {
    rounds(2, |server, local, seed| {
        for at in OFFSETS {
            for line in [format!("SETBIT k {at} 1"), format!("GETBIT k {at}"), format!("BITFIELD k GET u8 {at}")] {
                same_line(server, local, seed, &line);
            }
        }
        for line in ["BITCOUNT k", "BITPOS k 1 1 -1 BIT", "BITPOS k 1 -1 -1 BIT", "BITPOS k 0 -9 -1 BIT", "STRLEN k"] {
            same_line(server, local, seed, line);
        }
    });
}

fn same(server: &mut RedisServer, local: &mut Local, seed: u64, history: &[Command], command: &[&[u8]]) {
    let command: Command = command.iter().map(|word| word.to_vec()).collect();
    let (theirs, ours) = (server.call(&command), local.call(&command));
    check(&command, Mask::Exact, &theirs, &ours, seed, history);
}

fn same_line(server: &mut RedisServer, local: &mut Local, seed: u64, line: &str) {
    let command = words(line);
    let (theirs, ours) = (server.call(&command), local.call(&command));
    check(&command, Mask::Exact, &theirs, &ours, seed, &[]);
}

/// The content of a bulk reply.
fn bulk(reply: &[u8]) -> Vec<u8> {
    let start = reply.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    reply.get(start..reply.len() - 2).unwrap_or_default().to_vec()
}

fn pf_command(generator: &mut Generator, elements: usize) -> Command {
    let key = generator.pick(ABSENT).to_vec();
    let mut command: Command = Vec::new();
    match generator.below(12) {
        0..=5 => {
            command.extend([text("PFADD"), key]);
            for _ in 0..generator.below(elements + 1) {
                command.push(generator.text(b"abcdefgh0123456789\0\xff", 24));
            }
        }
        6 | 7 => {
            command.push(text("PFCOUNT"));
            (0..1 + generator.below(3)).for_each(|_| command.push(generator.pick(ABSENT).to_vec()));
        }
        8 => {
            command.extend([text("PFMERGE"), generator.pick(KEYS).to_vec()]);
            (0..generator.below(3)).for_each(|_| command.push(generator.pick(ABSENT).to_vec()));
        }
        9 => {
            let subcommand = generator.pick(&["ENCODING", "DECODE", "encoding", "DECODE", "TODENSE", "GETREG", "FOO"]);
            command.extend([text("PFDEBUG"), text(subcommand), key]);
        }
        10 if generator.one_in(4) => command.extend([text("SET"), key, text("no HyperLogLog")]),
        10 if generator.one_in(3) => command.extend([text("DEL"), key]),
        _ => command.extend([text("STRLEN"), key]),
    }
    command
}

/// The raw values are the same, but for the cached cardinality: Redis's PFCOUNT writes it.
fn check_values(server: &mut RedisServer, local: &mut Local, seed: u64, history: &[Command]) {
    for key in ABSENT {
        let command = vec![text("GET"), key.to_vec()];
        let masked = |reply: Vec<u8>| {
            let mut value = bulk(&reply);
            if value.starts_with(b"HYLL") {
                value[8..16].fill(0);
            }
            value
        };
        let (theirs, ours) = (masked(server.call(&command)), masked(local.call(&command)));
        assert!(
            theirs == ours,
            "GOLDEN_SEED={seed}: GET {} differs after {} commands",
            key.escape_ascii(),
            history.len()
        );
    }
}

#[test]
fn hyperloglogs_are_the_same() {
    rounds(40, |server, local, seed| {
        let mut generator = Generator::new(seed);
        let mut history = Vec::new();
        // Some stay sparse, some become dense soon.
        let elements = [3, 30, 200][generator.below(3)];
        for step in 0..150 {
            let command = pf_command(&mut generator, elements);
            history.push(command.clone());
            let (theirs, ours) = (server.call(&command), local.call(&command));
            check(&command, Mask::Exact, &theirs, &ours, seed, &history);
            if step % 10 == 0 {
                check_values(server, local, seed, &history);
            }
        }
        check_values(server, local, seed, &history);
    });
}

#[test]
fn hyperloglogs_count_alike_as_they_grow() {
    rounds(4, |server, local, seed| {
        let mut number = seed * 1_000_000;
        for batch in [1usize, 9, 90, 300, 600, 4_000, 20_000, 75_000] {
            for _ in 0..batch.div_ceil(1000) {
                let mut command = vec![text("PFADD"), text("h")];
                for _ in 0..batch.min(1000) {
                    number += 1;
                    command.push(number.to_string().into_bytes());
                }
                let (theirs, ours) = (server.call(&command), local.call(&command));
                check(&vec![text("PFADD"), text("h")], Mask::Exact, &theirs, &ours, seed, &[]);
            }
            same_line(server, local, seed, "PFCOUNT h");
            same_line(server, local, seed, "PFCOUNT h h");
        }
    });
}

#[test]
fn corrupt_hyperloglogs_are_refused_alike() {
    rounds(60, |server, local, seed| {
        let mut generator = Generator::new(seed);
        let mut history = Vec::new();
        for _ in 0..40 {
            let key = generator.pick(KEYS).to_vec();
            let mut value = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff".to_vec();
            for _ in 0..1 + generator.below(3) {
                match generator.below(5) {
                    0 => drop(value.pop()),
                    1 => value[generator.below(5)] ^= 1 << generator.below(2),
                    2 => value.truncate(generator.below(19)),
                    3 => value.extend([0x80 | generator.below(128) as u8, generator.below(64) as u8]),
                    _ if value.len() > 16 => value[16] = generator.below(128) as u8,
                    _ => {}
                }
                if value.len() < 5 {
                    value = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff\0".to_vec();
                }
            }
            // A sequence that ends within a run is corrupt here; Redis reads on in the byte behind the string.
            let runs = value.get(16..).unwrap_or_default();
            if ends_within_run(runs) {
                continue;
            }
            let commands = [
                vec![text("SET"), key.clone(), value],
                vec![text("PFCOUNT"), key.clone()],
                vec![text("PFCOUNT"), key.clone(), text("x")],
                vec![text("PFMERGE"), text("new"), key.clone()],
                vec![text("PFDEBUG"), text("DECODE"), key.clone()],
                vec![text("PFADD"), key.clone(), text("element")],
                vec![text("PFDEBUG"), text("TODENSE"), key.clone()],
            ];
            for command in commands {
                history.push(command.clone());
                let (theirs, ours) = (server.call(&command), local.call(&command));
                check(&command, Mask::Exact, &theirs, &ours, seed, &history);
            }
            same_line(server, local, seed, "DEL new");
        }
    });
}

fn ends_within_run(mut runs: &[u8]) -> bool {
    while let Some((first, rest)) = runs.split_first() {
        let long = first >> 6 == 1;
        if long && rest.is_empty() {
            return true;
        }
        runs = if long { &rest[1..] } else { rest };
    }
    false
}

/// A value that was made here is one that Redis goes on with, and the other way round.
#[test]
fn hyperloglogs_copy_across() {
    rounds(6, |server, local, seed| {
        let mut generator = Generator::new(seed);
        for elements in [5, 100, 5000] {
            let mut add = vec![text("PFADD"), text("h")];
            (0..elements).for_each(|_| add.push(generator.text(b"abcdefgh01234567", 12)));
            server.call(&add);
            server.call(&words("PFCOUNT h"));
            // The cardinality that Redis cached comes with the value.
            let value = bulk(&server.call(&words("GET h")));
            local.call(&[text("SET"), text("h"), value]);
            same_line(server, local, seed, "PFCOUNT h");
            let more = vec![text("PFADD"), text("h"), text("one more"), text("and another")];
            let (theirs, ours) = (server.call(&more), local.call(&more));
            check(&more, Mask::Exact, &theirs, &ours, seed, &[]);
            let value = bulk(&local.call(&words("GET h")));
            assert_eq!(value, bulk(&server.call(&words("GET h"))));
            server.call(&[text("SET"), text("h"), value]);
            same_line(server, local, seed, "PFCOUNT h");
            assert!(reply::integer(&local.call(&words("PFCOUNT h"))).is_some());
            same_line(server, local, seed, "DEL h");
        }
    });
}

fn dumpable(generator: &mut Generator) -> Vec<u8> {
    match generator.below(5) {
        0 => text(generator.pick(NUMBERS)),
        1 => (generator.below(1 << 20) as i64 * generator.below(1 << 20) as i64 - (1 << 16)).to_string().into_bytes(),
        2 => generator.text(b"ab", 300),
        3 => generator.text(b"abcdefghijklmnopqrstuvwxyz0123456789", 60),
        _ => vec![generator.below(256) as u8; generator.below(40_000)],
    }
}

/// Both DUMP the same, and RESTORE it.
#[test]
fn payloads_go_both_ways() {
    rounds(20, |server, local, seed| {
        let mut generator = Generator::new(seed);
        for _ in 0..50 {
            let set = vec![text("SET"), text("k"), dumpable(&mut generator)];
            server.call(&set);
            local.call(&set);
            let dump = words("DUMP k");
            let (theirs, ours) = (bulk(&server.call(&dump)), bulk(&local.call(&dump)));
            assert!(theirs == ours, "GOLDEN_SEED={seed}: DUMP of {}", set[2].escape_ascii());
            for payload in [theirs, ours] {
                let restore = vec![text("RESTORE"), text("k"), text("0"), payload, text("REPLACE")];
                for side in [server.call(&restore), local.call(&restore)] {
                    assert_eq!(side, b"+OK\r\n", "GOLDEN_SEED={seed}: {:?}", set[2]);
                }
                let value = (bulk(&server.call(&words("GET k"))), bulk(&local.call(&words("GET k"))));
                assert_eq!(value, (set[2].clone(), set[2].clone()), "GOLDEN_SEED={seed}");
            }
        }
    });
}
