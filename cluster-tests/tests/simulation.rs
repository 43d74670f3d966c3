//! Seeds of simulated clusters: every promise is kept, and the same seed is the same run.

#![allow(clippy::print_stdout)]

use cluster_tests::simulation::{runner, simulate};

/// Seeds that the ordinary test runs; `LARDER_SEEDS=A..B` runs others.
fn seeds() -> std::ops::Range<u64> {
    let text = std::env::var("LARDER_SEEDS").unwrap_or_else(|_| "0..2000".into());
    let parse = |part: &str| part.parse().expect("LARDER_SEEDS is A..B");
    let (from, to) = text.split_once("..").expect("LARDER_SEEDS is A..B");
    parse(from)..parse(to)
}

#[test]
fn promises_are_kept() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let report = runner::run(seeds(), &[], threads, None, 1);
    println!("{}{} seeds, {:.1} a second", report.counters, report.seeds, report.seeds_per_second());
    if let Some((seed, run)) = report.failed.first() {
        let violation = run.violation.as_ref().expect("it failed");
        panic!(
            "seed {seed}: {violation}\nreplay: cargo run --release -p cluster-tests -- simulate --seeds {seed} --trace"
        );
    }
    let counted =
        |text| report.counters.all().into_iter().find(|(name, _)| *name == text).map_or(0, |(_, count)| count);
    assert!(
        counted("commands answered") > 4 * counted("commands refused"),
        "the clusters served hardly more than they refused"
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 42] {
        let (first, second) = (simulate(seed, &[], true), simulate(seed, &[], true));
        if let Some(at) = first.trace.iter().zip(&second.trace).position(|(a, b)| a != b) {
            panic!("runs diverge at event {at}: {:?} and {:?}", first.trace[at], second.trace[at]);
        }
        assert_eq!((first.trace.len(), first.digest), (second.trace.len(), second.digest));
    }
}
