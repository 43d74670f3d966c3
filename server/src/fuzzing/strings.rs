//! Strings and their deadlines against a naive model.

use super::source::Source;
use crate::commands::table;
use crate::commands::testing::Bench;
use std::collections::BTreeMap;

#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>);

impl Model {
    fn forget_due(&mut self, now: u64) {
        self.0.retain(|_, (_, deadline)| deadline.is_none_or(|at| at > now));
    }

    fn value(&self, key: &[u8]) -> &[u8] {
        self.0.get(key).map_or(&[], |(value, _)| value)
    }

    fn entry(&mut self, key: &[u8]) -> &mut Vec<u8> {
        &mut self.0.entry(key.to_vec()).or_default().0
    }

    fn number(&self, key: &[u8]) -> Option<i64> {
        let Some((value, _)) = self.0.get(key) else { return Some(0) };
        let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
        (number.to_string().as_bytes() == value).then_some(number)
    }
}

pub(super) fn run(input: &[u8]) {
    let (mut source, mut bench, mut model) = (Source(input), Bench::new(), Model::default());
    for _ in 0..200 {
        if source.is_empty() {
            break;
        }
        step(&mut source, &mut bench, &mut model);
    }
    model.forget_due(bench.now);
    for (key, (value, _)) in &model.0 {
        assert_eq!(ask(&mut bench, &[b"GET", key]), bulk(Some(value)));
    }
    let mut copy = super::pieces::resent(&mut bench.keyspace);
    assert_eq!(copy.digest(), bench.keyspace.digest());
    bench.keyspace.check_invariants();
    copy.check_invariants();
}

fn step(source: &mut Source<'_>, bench: &mut Bench, model: &mut Model) {
    const INTEGERS: &[i64] = &[0, 1, -1, 7, -7, 100, 5000, 70_000, i64::MAX, i64::MIN, 1 << 40];
    let key: &[u8] = source.pick(&[&b"a"[..], b"b", b"key:with:a:longer:name", b"", b"\0\xff"]);
    let number = source.pick(INTEGERS);
    let text = number.to_string();
    let value: Vec<u8> = match source.below(4) {
        0 => source.bytes(30).to_vec(),
        1 => text.clone().into_bytes(),
        // Around the longest value that lies in its chunk, and those that lie outside.
        2 => vec![source.byte(); 40 + source.below(100)],
        _ => vec![source.byte(); source.below(20_000)],
    };
    model.forget_due(bench.now);
    let there = model.0.contains_key(key);
    let (asked, expected): (Vec<&[u8]>, Vec<u8>) = match source.below(14) {
        0 => {
            model.0.insert(key.into(), (value.clone(), None));
            (vec![b"SET", key, &value], ok())
        }
        1 => {
            let old = model.0.get(key).map(|(old, _)| old.clone());
            let deadline = model.0.get(key).and_then(|(_, at)| *at);
            model.0.insert(key.into(), (value.clone(), deadline));
            (vec![b"SET", key, &value, b"GET", b"KEEPTTL"], bulk(old.as_deref()))
        }
        2 if !there => {
            model.0.insert(key.into(), (value.clone(), None));
            (vec![b"SET", key, &value, b"NX"], ok())
        }
        2 => (vec![b"SET", key, &value, b"NX"], bulk(None)),
        3 => {
            model.0.insert(key.into(), (value.clone(), Some(bench.now + 5000)));
            (vec![b"SET", key, &value, b"PX", b"5000"], ok())
        }
        4 => {
            model.entry(key).extend_from_slice(&value);
            (vec![b"APPEND", key, &value], integer(model.value(key).len() as i64))
        }
        5 if (0..=70_000).contains(&number) => {
            let at = number as usize;
            if !value.is_empty() {
                let old = model.entry(key);
                old.resize(old.len().max(at + value.len()), 0);
                old[at..at + value.len()].copy_from_slice(&value);
            }
            (vec![b"SETRANGE", key, text.as_bytes(), &value], integer(model.value(key).len() as i64))
        }
        5 if number > 0 && value.is_empty() => {
            (vec![b"SETRANGE", key, text.as_bytes(), b""], integer(model.value(key).len() as i64))
        }
        5 if number > 0 => (
            vec![b"SETRANGE", key, text.as_bytes(), &value],
            b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n".to_vec(),
        ),
        5 => (vec![b"SETRANGE", key, text.as_bytes(), &value], b"-ERR offset is out of range\r\n".to_vec()),
        6 => (vec![b"GETRANGE", key, text.as_bytes(), b"-1"], bulk(Some(range(model.value(key), number)))),
        7 => (vec![b"STRLEN", key], integer(model.value(key).len() as i64)),
        8 => {
            let old = model.0.remove(key).map(|(old, _)| old);
            (vec![b"GETDEL", key], bulk(old.as_deref()))
        }
        9 => (vec![b"DEL", key], integer(i64::from(model.0.remove(key).is_some()))),
        10 => {
            let sum = model.number(key).map(|old| old.checked_add(number));
            let expected = match sum {
                None => b"-ERR value is not an integer or out of range\r\n".to_vec(),
                Some(None) => b"-ERR increment or decrement would overflow\r\n".to_vec(),
                Some(Some(sum)) => {
                    *model.entry(key) = sum.to_string().into_bytes();
                    integer(sum)
                }
            };
            (vec![b"INCRBY", key, text.as_bytes()], expected)
        }
        11 if (-70_000..=70_000).contains(&number) => {
            let at = bench.now.checked_add_signed(number).unwrap_or(0);
            match model.0.get_mut(key) {
                Some(_) if number <= 0 => drop(model.0.remove(key)),
                Some((_, deadline)) => *deadline = Some(at),
                None => {}
            }
            (vec![b"PEXPIRE", key, text.as_bytes()], integer(i64::from(there)))
        }
        12 => {
            let had = model.0.get_mut(key).and_then(|(_, deadline)| deadline.take()).is_some();
            (vec![b"PERSIST", key], integer(i64::from(had)))
        }
        _ => {
            let ttl = match model.0.get(key) {
                None => -2,
                Some((_, None)) => -1,
                Some((_, Some(at))) => (at - bench.now) as i64,
            };
            assert_eq!(ask(bench, &[b"PTTL", key]), integer(ttl));
            bench.now += u64::from(source.byte()) * 20;
            return;
        }
    };
    let got = ask(bench, &asked);
    let shown: Vec<String> = asked.iter().map(|word| word.escape_ascii().to_string()).collect();
    assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{shown:?}");
}

/// GETRANGE from `start` to the end.
fn range(value: &[u8], start: i64) -> &[u8] {
    let length = value.len() as i64;
    let start = if start < 0 { start.saturating_add(length).max(0) } else { start };
    usize::try_from(start).ok().and_then(|start| value.get(start..)).unwrap_or_default()
}

fn ask(bench: &mut Bench, words: &[&[u8]]) -> Vec<u8> {
    let name = String::from_utf8_lossy(words[0]).to_ascii_lowercase();
    let spec = table::all().find(|spec| spec.name == name).expect("a known command");
    bench.raw(spec, words)
}

fn ok() -> Vec<u8> {
    b"+OK\r\n".to_vec()
}

fn integer(number: i64) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

fn bulk(value: Option<&[u8]>) -> Vec<u8> {
    let Some(value) = value else { return b"$-1\r\n".to_vec() };
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}
