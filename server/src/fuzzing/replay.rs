//! The corpus, and a bounded number of mutations of it, as tests.

use super::{Target, target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest input that mutations make.
const INPUT_BYTES_MAX: usize = 4096;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("a corpus").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn mutate(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    const WORDS: &[&[u8]] = &[
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\0\0\0\x80",
        b"-1",
        b"9223372036854775807",
        b"\r\n",
        b"*",
        b"$",
        b"\x80",
        b"\xff",
    ];
    let mut input = corpus[dice.below(corpus.len())].clone();
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(input.len() + 1);
        match dice.below(7) {
            0 | 1 if at < input.len() => input[at] = dice.next() as u8,
            2 if at < input.len() => input[at] ^= 1 << dice.below(8),
            3 => input.insert(at, dice.next() as u8),
            4 if !input.is_empty() => {
                let end = (at + 1 + dice.below(8)).min(input.len());
                input.drain(at.min(end)..end);
            }
            5 => drop(input.splice(at..at, WORDS[dice.below(WORDS.len())].iter().copied())),
            _ => {
                let other = &corpus[dice.below(corpus.len())];
                let start = dice.below(other.len() + 1);
                let end = (start + dice.below(64)).min(other.len());
                input.splice(at..at, other[start..end].iter().copied());
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn feed(target: &Target, input: &[u8], whence: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        eprintln!("target {}, {whence}, input: {}", target.name, input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

/// `LARDER_FUZZ_SEED=N` runs the mutations of one seed again.
fn replay(name: &str) {
    let target = target(name).expect("a target");
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "no corpus for {name}");
    for (number, input) in corpus.iter().enumerate() {
        feed(target, input, &format!("file {number} of the corpus"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as u64);
    let seed = std::env::var("LARDER_FUZZ_SEED").map_or(now, |seed| seed.parse().expect("a seed is a number"));
    let mut dice = Dice(seed);
    for _ in 0..target.rounds {
        feed(target, &mutate(&mut dice, &corpus), &format!("LARDER_FUZZ_SEED={seed}"));
    }
}

#[test]
fn requests_do_no_harm() {
    replay("requests");
}

#[test]
fn frames_do_no_harm() {
    replay("frames");
}

#[test]
fn pieces_do_no_harm() {
    replay("pieces");
}

#[test]
fn payloads_do_no_harm() {
    replay("payloads");
}

#[test]
fn commands_do_no_harm() {
    replay("commands");
}

#[test]
fn strings_are_what_the_model_says() {
    replay("strings");
}

#[test]
fn settings_do_no_harm() {
    replay("settings");
}
