//! Seeds of the simulated cluster: linearizable, nothing lost, copies alike, and the same run for the same seed.

#![allow(clippy::print_stdout)]

use cluster_tests::linearizability::{StringKey, check};
use cluster_tests::simulation::{Settings, simulate};

/// Seeds that the ordinary test runs; `LARDER_SEEDS=A..B` runs others.
fn seeds() -> std::ops::Range<u64> {
    let text = std::env::var("LARDER_SEEDS").unwrap_or_else(|_| "0..60".into());
    let parse = |part: &str| part.parse().expect("LARDER_SEEDS is A..B");
    let (from, to) = text.split_once("..").expect("LARDER_SEEDS is A..B");
    parse(from)..parse(to)
}

#[test]
fn histories_are_linearizable_and_copies_alike() {
    let (mut operations, mut failed, mut unknown) = (0, 0, 0);
    for seed in seeds() {
        let run = simulate(seed, Settings::default(), false);
        for (key, history) in run.history.keys() {
            let verdict = check(&StringKey, history);
            assert!(verdict.is_linearizable(), "seed {seed}, {key}");
        }
        assert!(run.digests.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: copies differ: {:?}", run.digests);
        let (ok, refused, uncertain) = run.history.outcomes();
        operations += ok;
        failed += refused;
        unknown += uncertain;
    }
    println!("{operations} operations answered, {failed} refused, {unknown} of unknown outcome");
    assert!(operations > failed, "the cluster served less than it refused");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let first = simulate(42, Settings::default(), true);
    let second = simulate(42, Settings::default(), true);
    if let Some(at) = first.trace.iter().zip(&second.trace).position(|(a, b)| a != b) {
        panic!("runs diverge at event {at}: {:?} and {:?}", first.trace[at], second.trace[at]);
    }
    assert_eq!(first.trace.len(), second.trace.len());
}
