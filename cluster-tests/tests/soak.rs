//! The soak, short: each kind of trouble once. `cargo run --release -p cluster-tests -- soak --operations N` goes on.
#![allow(missing_docs)]

use cluster_tests::soak;

#[test]
fn a_cluster_that_works_for_a_while_is_what_it_was() {
    let findings = soak::run(soak::ROUND_OPERATIONS, |round| eprintln!("{round}"));
    findings.check().unwrap();
}
