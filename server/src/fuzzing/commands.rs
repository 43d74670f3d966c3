//! Sequences of commands against a keyspace. Whatever they are: nothing panics, every command gives one well-formed
//! reply, every structure agrees with the others and the memory account with what adding up gives, the same sequence on
//! another keyspace gives the same replies and the same items, and a snapshot carries all of it.

use super::reply;
use super::shapes::SHAPES;
use super::source::Source;
use crate::commands::spec::{CommandSpec, Handler};
use crate::commands::table;
use crate::commands::testing::Bench;
use crate::keyspace::collections::limits::Limits;
use larder_protocol::ProtocolVersion;

/// Commands of one sequence.
const COMMANDS_MAX: usize = 80;
/// A number of up to so much may be an offset or a count, and is done quickly.
const SMALL_MAX: i64 = 100_000;
/// From here on an offset or a count is refused, or means all.
const LARGE_MIN: i64 = 1 << 32;

const KEYS: &[&[u8]] =
    &[b"a", b"b", b"c", b"d", b"e", b"f", b"", b"long:key:0123456789012345678901234567890123456789", b"\0\xff"];
#[rustfmt::skip]
const FIELDS: &[&[u8]] = &[
    b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"0", b"1", b"-1", b"300", b"-70000", b"3000000000", b"9223372036854775807", b"-9223372036854775808",
    b"", b"007", b"\0\xff\r\n", b"sixty-four-bytes-are-the-longest-member-of-a-listpack-by-default", b"sixty-five-bytes-are-more-than-what-a-listpack-holds-by-default-!",
];
#[rustfmt::skip]
const INTEGERS: &[&[u8]] = &[
    b"0", b"1", b"2", b"-1", b"-2", b"3", b"10", b"100", b"-100", b"1000", b"60000", b"99999", b"-99999", b"9223372036854775807", b"-9223372036854775808",
    b"9223372036854775806", b"-9223372036854775807", b"9223372036854775808", b"4294967296", b"18446744073709551615", b"18446744073709551616", b"-4294967297",
    b"1700000000000", b"1700000005000", b"1.5", b"x", b"", b"#1", b"#9223372036854775807", b" 1", b"+1", b"01", b"-0",
];
#[rustfmt::skip]
const FLOATS: &[&[u8]] = &[
    b"0", b"1", b"-1", b"0.5", b"2.25", b"inf", b"-inf", b"+inf", b"nan", b"1e308", b"-1e308", b"1e-320", b"1e400", b"179.9", b"-180", b"85.05", b"-85.06", b"3.0",
    b"-0", b"", b"x", b"0x1p3", b"9007199254740993", b"100000", b"1e17",
];
#[rustfmt::skip]
const IDS: &[&[u8]] = &[
    b"*", b"-", b"+", b"$", b">", b"0", b"0-0", b"0-1", b"1-1", b"1-*", b"5", b"5-5", b"(1-1", b"(5", b"18446744073709551615-18446744073709551615", b"18446744073709551615",
    b"18446744073709551615-*", b"18446744073709551616-1", b"1700000000000-0", b"x", b"1-", b"-1", b"1-1-1",
];
#[rustfmt::skip]
const BOUNDS: &[&[u8]] = &[
    b"-", b"+", b"[a", b"(b", b"[", b"(", b"-inf", b"+inf", b"(1", b"2", b"0", b"-1", b"(inf", b"nan", b"x", b"*", b"a*", b"*a*a*a*b", b"[a-", b"(-inf",
];

pub(super) fn run(input: &[u8]) {
    let mut source = Source(input);
    let version = if source.byte() & 1 == 0 { ProtocolVersion::Resp2 } else { ProtocolVersion::Resp3 };
    let (mut one, mut two) = (Bench::new(), Bench::new());
    (one.version, two.version) = (version, version);
    for _ in 0..COMMANDS_MAX {
        if source.is_empty() {
            break;
        }
        match source.byte() {
            0..=3 => {
                one.now += 1 << source.below(18);
                two.now = one.now;
                continue;
            }
            4 => {
                check_copy(&mut one);
                continue;
            }
            // Thresholds change, on all copies at once.
            7 => {
                let limits = Limits::from_words(std::array::from_fn(|_| u32::from(source.byte()) % 9));
                one.keyspace.set_limits(limits);
                two.keyspace.set_limits(limits);
                continue;
            }
            // Collections grow beyond their compact forms.
            5 | 6 => {
                for words in filled(&mut source) {
                    call(&mut one, &mut two, &words);
                }
                continue;
            }
            _ => {}
        }
        let words = words(&mut source);
        call(&mut one, &mut two, &words);
    }
    one.keyspace.check_invariants();
    two.keyspace.check_invariants();
    assert_eq!(one.keyspace.digest(), two.keyspace.digest(), "copies differ");
    check_copy(&mut one);
    let garbage = one.keyspace.clear();
    one.keyspace.check_invariants();
    drop(garbage);
    assert!(one.keyspace.is_empty());
}

fn check_copy(bench: &mut Bench) {
    let mut copy = super::pieces::resent(&mut bench.keyspace);
    copy.check_invariants();
    assert_eq!((copy.len(), copy.digest()), (bench.keyspace.len(), bench.keyspace.digest()), "a snapshot differs");
}

fn call(one: &mut Bench, two: &mut Bench, words: &[Vec<u8>]) {
    let Some(spec) = spec_of(words) else { return };
    if !spec.arity.allows(words.len()) || words.iter().any(|word| takes_long(word)) {
        return;
    }
    let shown: Vec<String> = words.iter().map(|word| word[..word.len().min(100)].escape_ascii().to_string()).collect();
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let answer = one.raw(spec, &words);
    reply::check(&answer, &shown);
    assert_eq!(answer, two.raw(spec, &words), "{shown:?} answers differently on another copy");
}

/// Whether a word may be an offset that makes a string of hundreds of megabytes, or a count as large.
fn takes_long(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"#").unwrap_or(word);
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i64>().ok());
    number.is_some_and(|number| {
        (SMALL_MAX..LARGE_MIN).contains(&number.saturating_abs()) && word != b"3000000000" && word != b"-70000"
    })
}

/// The row of a data command.
fn spec_of(words: &[Vec<u8>]) -> Option<&'static CommandSpec> {
    let name = words.first()?.to_ascii_lowercase();
    let mut spec = table::all().find(|spec| spec.name.as_bytes() == name)?;
    if matches!(spec.handler, Handler::Container(_)) {
        let name = words.get(1)?.to_ascii_lowercase();
        spec = table::subcommands(spec).find(|spec| spec.name.as_bytes() == name)?;
    }
    crate::commands::testing::data_fn(spec).map(|_| spec)
}

/// Enough elements for a large collection.
fn filled(source: &mut Source<'_>) -> Vec<Vec<Vec<u8>>> {
    let (name, shape) =
        source.pick(&[("RPUSH", "V"), ("SADD", "F"), ("HSET", "FV"), ("ZADD", "NF"), ("PFADD", "F"), ("XADD", "*FV")]);
    let key = source.pick(KEYS);
    let mut one: Vec<Vec<u8>> = vec![name.into(), key.into()];
    let mut all = Vec::new();
    for number in 0..source.below(700) {
        let word = |shape| match shape {
            'N' => (number / 3).to_string().into_bytes(),
            '*' => b"*".to_vec(),
            _ => format!("member:{number}").into_bytes(),
        };
        if shape.starts_with('*') {
            all.push([&one[..], &shape.chars().map(word).collect::<Vec<_>>()].concat());
        } else {
            one.extend(shape.chars().map(word));
        }
    }
    if one.len() > 2 {
        all.push(one);
    }
    all
}

fn words(source: &mut Source<'_>) -> Vec<Vec<u8>> {
    let shape = source.pick(SHAPES);
    let mut words = Vec::new();
    let mut rest = shape;
    while !rest.is_empty() {
        let (group, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        let chosen = if rest.starts_with('[') {
            let options: Vec<&str> = group.split('|').collect();
            // None of them, too.
            options.get(source.below(options.len() + 1)).copied().unwrap_or_default()
        } else {
            group
        };
        words.extend(chosen.split(' ').filter(|token| !token.is_empty()).map(|token| word(token, source)));
        rest = after.trim_start();
    }
    match source.byte() {
        0..=7 if words.len() > 1 => drop(words.remove(1 + source.below(words.len() - 1))),
        8..=15 => words.push(word(source.pick(&["I", "K", "F", "V", "N", "S", "R"]), source)),
        16..=19 => (0..source.below(40)).for_each(|_| words.push(word("F", source))),
        _ => {}
    }
    words
}

fn word(token: &str, source: &mut Source<'_>) -> Vec<u8> {
    // Where it is not what it should be, it is something else.
    let token = match token {
        "K" | "F" | "V" | "I" | "N" | "S" | "R" if source.one_in(24) => {
            source.pick(&["K", "F", "V", "I", "N", "S", "R"])
        }
        token => token,
    };
    match token {
        "K" => source.pick(KEYS).to_vec(),
        "F" => source.pick(FIELDS).to_vec(),
        "I" => source.pick(INTEGERS).to_vec(),
        "N" => source.pick(FLOATS).to_vec(),
        "S" => source.pick(IDS).to_vec(),
        "R" => source.pick(BOUNDS).to_vec(),
        "D" => payload(source),
        "V" => match source.below(4) {
            0 => source.pick(FIELDS).to_vec(),
            1 => source.pick(BOUNDS).to_vec(),
            2 => source.bytes(24).to_vec(),
            _ => vec![source.byte(); source.below(9000)],
        },
        literal => literal.as_bytes().to_vec(),
    }
}

fn payload(source: &mut Source<'_>) -> Vec<u8> {
    let mut writer = crate::rdb::Writer::new(source.byte() % 26);
    writer.raw(source.bytes(200));
    crate::rdb::seal(writer)
}
