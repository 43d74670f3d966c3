//! Random SORTs. All keys share a hash tag: patterns may lead to no others.

use crate::generate::Generator;
use crate::{Command, words};

const ELEMENTS: &[&str] = &[
    "1",
    "2",
    "3",
    "10",
    "-1",
    "1.5",
    "007",
    "1e3",
    "0x10",
    "a",
    "b",
    "ab",
    "B",
    "hello",
    "",
    " 4",
    "5 ",
    "inf",
    "-inf",
    "nan",
    "100000000000",
    "é",
];
const KEYS: &[&str] = &["{t}list", "{t}long", "{t}set", "{t}sorted", "{t}numbers", "{t}none", "{t}w1"];

/// Collections to sort, and what patterns lead to.
pub fn fill(generator: &mut Generator) -> Vec<Command> {
    let mut commands = Vec::new();
    let element = |generator: &mut Generator, numbers: bool| match numbers {
        true => (generator.below(60) as i64 - 20).to_string(),
        false => generator.pick(ELEMENTS).to_string(),
    };
    let numbers_only = generator.one_in(2);
    for (name, key, most) in
        [("RPUSH", "{t}list", 12), ("RPUSH", "{t}long", 120), ("SADD", "{t}set", 12), ("RPUSH", "{t}numbers", 40)]
    {
        let mut command = words(&format!("{name} {key}"));
        for _ in 0..=generator.below(most) {
            command.push(element(generator, numbers_only || key == "{t}numbers").into_bytes());
        }
        commands.push(command);
    }
    let mut sorted = words("ZADD {t}sorted");
    for _ in 0..=generator.below(9) {
        sorted.push(generator.below(5).to_string().into_bytes());
        sorted.push(element(generator, numbers_only).into_bytes());
    }
    commands.push(sorted);
    for _ in 0..30 {
        let (to, weight) = (element(generator, numbers_only), element(generator, numbers_only));
        let set = [b"SET".to_vec(), format!("{{t}}w{to}").into_bytes(), weight.clone().into_bytes()];
        let hash = [b"HSET".to_vec(), format!("{{t}}h{to}x").into_bytes(), b"f".to_vec(), weight.into_bytes()];
        commands.push(if generator.one_in(2) { set.to_vec() } else { hash.to_vec() });
    }
    commands
}

/// The next SORT, and a look at what it stored.
pub fn next(generator: &mut Generator) -> Vec<Command> {
    let key = generator.pick(KEYS);
    let name = generator.pick(&["SORT", "SORT", "SORT_RO", "sort"]);
    let mut command = words(&format!("{name} {key}"));
    // Of equal weights, and of sets that are not sorted, Redis's order is any.
    let is_list = !matches!(key, "{t}set" | "{t}sorted");
    let stores = generator.one_in(3);
    let by_pattern = generator.one_in(2);
    for _ in 0..generator.below(5) {
        let option = match generator.below(if is_list { 13 } else { 9 }) {
            0 => "ASC".into(),
            1 => "desc".into(),
            2 | 3 => format!("LIMIT {} {}", generator.below(30) as i64 - 3, generator.below(30) as i64 - 3),
            4 => "GET #".into(),
            5 => generator.pick(&["GET {t}w*", "get {t}h*x->f", "GET {t}w*->f", "GET {t}w1", "GET {t}h*x->"]).into(),
            6 if by_pattern || is_list => generator.pick(&["BY {t}w*", "by {t}h*x->f"]).into(),
            6 | 7 if !by_pattern || is_list => "ALPHA".into(),
            8 if stores => "STORE {t}d".into(),
            9 | 10 => "BY nosort".into(),
            11 => generator.pick(&["LIMIT 1", "FOO", "LIMIT x 1", "LIMIT 1 9223372036854775807"]).into(),
            12 => "ALPHA".to_string(),
            _ => "DESC".into(),
        };
        command.extend(words(&option));
    }
    vec![command, words("LRANGE {t}d 0 -1"), words("EXISTS {t}d")]
}
