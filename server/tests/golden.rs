//! The commands against a real redis-server, byte for byte.
//!
//! Random sequences of commands run on both sides: on a redis-server that the test starts (on a socket of its own, where
//! one is installed; else the tests say so and pass), and on the handlers in this process. A failure prints its seed;
//! `GOLDEN_SEED=n` runs that one alone, `GOLDEN_ROUNDS=n` runs more.

#[path = "golden/bits.rs"]
mod bits;
#[path = "golden/compare.rs"]
mod compare;
#[path = "golden/databases.rs"]
mod databases;
#[path = "golden/generate.rs"]
mod generate;
#[path = "golden/local.rs"]
mod local;
#[path = "golden/redis.rs"]
mod redis;
#[path = "golden/reply.rs"]
mod reply;
#[path = "golden/shapes.rs"]
mod shapes;
#[path = "golden/sort.rs"]
mod sort;
#[path = "golden/streams.rs"]
mod streams;

use compare::{Mask, check};
use generate::Generator;
use larder_protocol::ProtocolVersion;
use local::Local;
use redis::RedisServer;

type Command = Vec<Vec<u8>>;

fn words(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Runs `round` for every seed on fresh keyspaces, in both protocols in turn.
fn rounds(count: u64, mut round: impl FnMut(&mut RedisServer, &mut Local, u64)) {
    let Some(mut server) = RedisServer::start() else {
        eprintln!("redis-server is not installed: nothing to compare with");
        return;
    };
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = variable("GOLDEN_ROUNDS").unwrap_or(count);
    let seeds = match variable("GOLDEN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..count + 1,
    };
    // GOLDEN_FAILURES=n goes on until so many seeds have failed.
    let most_failures = variable("GOLDEN_FAILURES").unwrap_or(1);
    let mut failed = 0;
    for seed in seeds {
        let (version, hello) = match seed % 2 {
            0 => (ProtocolVersion::Resp2, "HELLO 2"),
            _ => (ProtocolVersion::Resp3, "HELLO 3"),
        };
        server.call(&words(hello));
        server.call(&words("FLUSHALL"));
        let one = std::panic::AssertUnwindSafe(|| round(&mut server, &mut Local::new(version), seed));
        failed += u64::from(std::panic::catch_unwind(one).is_err());
        assert!(failed < most_failures, "{failed} seeds failed");
    }
    assert_eq!(failed, 0, "seeds failed");
}

#[test]
fn random_sequences_are_answered_alike() {
    rounds(120, |server, local, seed| {
        let mut generator = Generator::new(seed);
        let mut history = Vec::new();
        for _ in 0..250 {
            for command in generator.next_commands() {
                history.push(command.clone());
                let (theirs, ours) = (server.call(&command), local.call(&command));
                check(&command, generator.mask(&command), &theirs, &ours, seed, &history);
            }
        }
    });
}

/// Random sequences of one family, with a large value among small ones.
fn sequences(family: &'static shapes::Family) {
    rounds(400, |server, local, seed| {
        let mut generator = Generator::of(family, seed);
        let mut history = Vec::new();
        let mut commands = vec![words("SET s v")];
        if seed.is_multiple_of(3) {
            commands.push(generator.fill(family));
        }
        for _ in 0..120 {
            commands.extend(generator.next_commands());
        }
        for command in commands {
            history.push(command.clone());
            let (theirs, ours) = (server.call(&command), local.call(&command));
            check(&command, generator.mask(&command), &theirs, &ours, seed, &history);
        }
    });
}

#[test]
fn hashes_are_answered_alike() {
    sequences(&shapes::HASHES);
}

#[test]
fn sets_are_answered_alike() {
    sequences(&shapes::SETS);
}

#[test]
fn lists_are_answered_alike() {
    sequences(&shapes::LISTS);
}

#[test]
fn sorted_sets_are_answered_alike() {
    sequences(&shapes::SORTED_SETS);
    sequences(&shapes::LEXICAL_SETS);
}

/// Thresholds that Redis 7.0 has, by the seed.
const THRESHOLDS: [&[(&str, &str)]; 4] = [
    &[
        ("hash-max-listpack-entries", "4"),
        ("hash-max-ziplist-value", "9"),
        ("zset-max-listpack-entries", "6"),
        ("zset-max-listpack-value", "9"),
        ("set-max-intset-entries", "3"),
        ("list-max-listpack-size", "3"),
        ("stream-node-max-entries", "7"),
        ("stream-node-max-bytes", "4kb"),
    ],
    &[
        ("hash-max-listpack-entries", "0"),
        ("hash-max-listpack-value", "64"),
        ("zset-max-listpack-entries", "0"),
        ("zset-max-listpack-value", "64"),
        // Beyond this many 7.0 has a table at once, 7.2 and later a listpack.
        ("set-max-intset-entries", "3"),
        ("list-max-listpack-size", "-1"),
        ("stream-node-max-entries", "0"),
        ("stream-node-max-bytes", "200"),
    ],
    &[
        ("hash-max-listpack-entries", "2000"),
        ("hash-max-listpack-value", "1mb"),
        ("zset-max-listpack-entries", "2000"),
        ("zset-max-listpack-value", "1mb"),
        ("set-max-intset-entries", "2000"),
        ("list-max-listpack-size", "-5"),
        ("stream-node-max-entries", "1000"),
        ("stream-node-max-bytes", "0"),
    ],
    // Redis's defaults, so that the server is left as it was.
    &[
        ("hash-max-listpack-entries", "512"),
        ("hash-max-listpack-value", "64"),
        ("zset-max-listpack-entries", "128"),
        ("zset-max-listpack-value", "64"),
        ("set-max-intset-entries", "512"),
        ("list-max-listpack-size", "-2"),
        ("stream-node-max-entries", "100"),
        ("stream-node-max-bytes", "4096"),
    ],
];

/// Sequences of one family under other thresholds, which change in the middle.
#[test]
fn collections_are_answered_alike_under_other_thresholds() {
    const FAMILIES: [&shapes::Family; 6] =
        [&shapes::HASHES, &shapes::SORTED_SETS, &shapes::LEXICAL_SETS, &shapes::SETS, &shapes::LISTS, &shapes::PLACES];
    rounds(600, |server, local, seed| {
        let family = FAMILIES[seed as usize / 2 % FAMILIES.len()];
        let mut generator = Generator::of(family, seed);
        let mut history = Vec::new();
        for step in 0..160 {
            if step % 80 == 0 {
                set_thresholds(server, local, seed as usize / 12 + step / 80);
            }
            let mut commands = generator.next_commands();
            if step == 20 && seed.is_multiple_of(3) {
                commands.push(generator.fill(family));
            }
            for command in commands {
                history.push(command.clone());
                let (theirs, ours) = (server.call(&command), local.call(&command));
                check(&command, generator.mask(&command), &theirs, &ours, seed, &history);
            }
        }
    });
}

fn set_thresholds(server: &mut RedisServer, local: &mut Local, number: usize) {
    let pairs = THRESHOLDS[number % THRESHOLDS.len()];
    let line: Vec<String> = pairs.iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(server.call(&words(&format!("CONFIG SET {}", line.join(" ")))), b"+OK\r\n");
    local.set_thresholds(pairs);
}

/// Commands on streams; then what DUMP says of each is restored on the other side.
#[test]
fn streams_are_answered_alike() {
    rounds(400, |server, local, seed| {
        let mut streams = streams::Streams::new(seed);
        set_thresholds(server, local, seed as usize / 2);
        let mut history = vec![words("SET s v")];
        history.extend((0..if seed.is_multiple_of(3) { 250 } else { 0 }).map(|n| words(&format!("XADD k1 0-* f {n}"))));
        history.extend((0..200).map(|_| streams.command()));
        let show = |command: &Command| command.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>();
        let shown = |upto: usize| history[..=upto].iter().map(|command| show(command).join(" ")).collect::<Vec<_>>();
        for (number, command) in history.iter().enumerate() {
            let theirs = if streams::may_wait(command) { server.call_at_once(command) } else { server.call(command) };
            let ours = local.call(command);
            if streams::is_newer(&ours) || streams::is_by_clock(command, &theirs, &ours) {
                return;
            }
            if !theirs.starts_with(b"-") {
                streams::consumers_made(command).iter().for_each(|command| drop(server.call(command)));
            }
            assert!(
                streams::alike(&theirs, &ours, streams.plain),
                "GOLDEN_SEED={seed}: {:?}\n redis: {}\n here:  {}\nafter:\n{}",
                show(command),
                theirs.escape_ascii(),
                ours.escape_ascii(),
                shown(number).join("\n"),
            );
        }
        for key in ["k1", "k2", "k3"] {
            let at = format!("GOLDEN_SEED={seed} {key}");
            let (dump, full) = (words(&format!("DUMP {key}")), words(&format!("XINFO STREAM {key} FULL COUNT 0")));
            let restore = |payload: &[u8]| {
                let start = payload.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
                let mut command = words(&format!("RESTORE {key} 0 - REPLACE"));
                command[3] = payload[start..payload.len() - 2].to_vec();
                command
            };
            let (theirs, ours) = (server.call(&dump), local.call(&dump));
            if theirs.starts_with(b"$-1") || theirs.starts_with(b"_") {
                continue;
            }
            let before = (server.call(&full), local.call(&full));
            assert_eq!(local.call(&restore(&theirs)), b"+OK\r\n", "{at}");
            assert_eq!(server.call(&restore(&ours)), b"+OK\r\n", "{at}");
            let after = (server.call(&full), local.call(&full));
            let show = |reply: &[u8]| reply.escape_ascii().to_string();
            assert!(streams::alike(&before.0, &after.1, streams.plain), "{at}: {} {}", show(&before.0), show(&after.1));
            assert!(streams::alike(&after.0, &before.1, streams.plain), "{at}: {} {}", show(&after.0), show(&before.1));
            if !String::from_utf8_lossy(&before.0).contains("pel-count") {
                assert!(theirs == ours, "{at}: payloads differ: {} {}", show(&theirs), show(&ours));
            }
        }
    });
}

/// Inside of a transaction nothing waits: what there is is taken, or the answer is null.
#[test]
fn blocking_commands_are_answered_alike_where_they_cannot_wait() {
    rounds(30, |server, local, seed| {
        let mut generator = Generator::new(seed);
        let mut pick = |words: &[&'static str]| words[generator.below(words.len())];
        for _ in 0..150 {
            let (key, other) = (pick(&["l", "m", "z", "y", "s", "x"]), pick(&["l", "m", "z", "s", "x"]));
            let seconds = pick(&["0", "0.1", "1e-3", "0x1", "-1", "x", "nan", "", "-0.5"]);
            let (from, to) = (pick(&["LEFT", "right", "UP"]), pick(&["LEFT", "RIGHT", "LEFT", "5"]));
            let (end, count) =
                (pick(&["MIN", "max", "LEFT"]), pick(&["COUNT 2", "COUNT 0", "COUNT", "FOO", "COUNT 1 COUNT 1"]));
            let keys = pick(&["1", "2", "0", "x", "-1", "3"]);
            let line = match generator_line(&mut pick) {
                0 => format!("RPUSH {key} 1 2 3"),
                1 => format!("ZADD {key} 1 a 2 b 3.5 c"),
                2 => "SET s v".into(),
                3 => format!("BLPOP {key} {other} {seconds}"),
                4 => format!("BRPOP {key} {seconds}"),
                5 => format!("BLMOVE {key} {other} {from} {to} {seconds}"),
                6 => format!("BRPOPLPUSH {key} {other} {seconds}"),
                7 => format!("BLMPOP {seconds} {keys} {key} {other} {from} {count}"),
                8 => format!("BLMPOP 0 2 {key} {other} LEFT"),
                9 => format!("BZPOPMIN {key} {other} {seconds}"),
                10 => format!("BZPOPMAX {key} 0"),
                11 => format!("BZMPOP {seconds} {keys} {key} {other} {end} {count}"),
                _ => format!("BZMPOP 0 2 {key} {other} MAX COUNT 2"),
            };
            let command = words(&line);
            server.call(&words("MULTI"));
            let queued = server.call(&command);
            assert_eq!(queued, b"+QUEUED\r\n", "{line}");
            let theirs = server.call(&words("EXEC"));
            let ours = [b"*1\r\n".to_vec(), local.call(&command)].concat();
            check(&command, Mask::Exact, &theirs, &ours, seed, &[]);
        }
    });
}

fn generator_line(pick: &mut impl FnMut(&[&'static str]) -> &'static str) -> u8 {
    let all = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
    pick(&all).parse().expect("a number")
}

#[test]
fn places_are_answered_alike() {
    sequences(&shapes::PLACES);
}

#[test]
fn sorting_is_answered_alike() {
    rounds(400, |server, local, seed| {
        let mut generator = Generator::new(seed);
        let mut commands = sort::fill(&mut generator);
        (0..40).for_each(|_| commands.extend(sort::next(&mut generator)));
        for at in 0..commands.len() {
            let (theirs, ours) = (server.call(&commands[at]), local.call(&commands[at]));
            check(&commands[at], Mask::Exact, &theirs, &ours, seed, &commands[..=at]);
        }
    });
}

/// Random sequences over several databases; then all that each holds.
#[test]
fn databases_are_answered_alike() {
    rounds(150, |server, local, seed| {
        let mut generator = Generator::new(seed);
        let mut history = vec![words("SELECT 0")];
        history.extend((0..250).map(|_| databases::command(&mut generator)));
        history.extend(databases::look());
        for at in 0..history.len() {
            let (theirs, ours) = (server.call(&history[at]), local.call(&history[at]));
            check(&history[at], databases::mask(&history[at]), &theirs, &ours, seed, &history[..=at]);
        }
    });
}

#[test]
fn floats_are_read_and_printed_alike() {
    rounds(40, |server, local, seed| {
        let mut generator = Generator::new(seed);
        for _ in 0..100 {
            let commands = [
                vec![b"SET".to_vec(), b"f".to_vec(), generator.float()],
                vec![b"INCRBYFLOAT".to_vec(), b"f".to_vec(), generator.float()],
            ];
            for command in &commands {
                let (theirs, ours) = (server.call(command), local.call(command));
                check(command, Mask::Exact, &theirs, &ours, seed, &commands);
            }
        }
    });
}

#[test]
fn patterns_match_alike() {
    rounds(20, |server, local, seed| {
        let mut generator = Generator::new(seed);
        for _ in 0..40 {
            let command = vec![b"SET".to_vec(), generator.text(b"ab]-^\\\x80\xff", 6), b"v".to_vec()];
            server.call(&command);
            local.call(&command);
        }
        for _ in 0..200 {
            let command = vec![b"KEYS".to_vec(), generator.text(b"ab*?[]^-\\\x80\xff", 9)];
            let (theirs, ours) = (server.call(&command), local.call(&command));
            check(&command, Mask::Unordered, &theirs, &ours, seed, &[]);
        }
    });
}

#[test]
fn the_limit_of_a_string_is_the_same() {
    rounds(2, |server, local, seed| {
        for line in [
            "SETRANGE k 536870911 xy",
            "SETRANGE k 536870912 x",
            "SETRANGE k 9223372036854775807 x",
            "SETRANGE k 9223372036854775808 x",
            "EXISTS k",
            "SETRANGE a 11999 x",
            "SETRANGE b 11999 y",
            "LCS a b",
            "LCS a b LEN",
        ] {
            let command = words(line);
            let (theirs, ours) = (server.call(&command), local.call(&command));
            check(&command, Mask::Exact, &theirs, &ours, seed, &[]);
        }
    });
}
