//! Histories that no single copy could have produced: each must be found.

use super::fixtures::history;
use crate::linearizability::{StringKey, Verdict, check};

/// What is wrong, the history, and how many of its operations prove it.
static WRONG: &[(&str, &str, usize)] = &[
    ("stale read", "a 0-1 set x -> ok; a 2-3 set y -> ok; b 4-5 get -> x", 3),
    (
        "stale read at another client, after the new value was read",
        "a 0-9 set x -> ok; b 1-2 get -> x; c 3-4 get -> nil",
        3,
    ),
    ("lost write", "a 0-1 set x -> ok; b 2-3 get -> nil", 2),
    ("lost overwrite", "a 0-1 set x -> ok; a 2-3 set y -> ok; b 4-5 get -> y; c 6-7 get -> x", 3),
    ("lost append", "a 0-1 append x -> 1; b 2-3 append y -> 1; c 4-5 get -> y", 2),
    ("lost increment", "a 0-1 incr -> 1; b 2-3 incr -> 1", 2),
    ("lost delete", "a 0-1 set x -> ok; a 2-3 del -> 1; b 4-5 get -> x", 3),
    ("append applied twice", "a 0-1 append x -> 1; a 2-3 get -> xx", 2),
    ("increment applied twice", "a 0-1 incr -> 1; a 2-3 get -> 2", 2),
    ("increment skips a number", "a 0-1 incr -> 1; a 2-3 incr -> 3", 2),
    ("two increments with one answer", "a 0-9 incr -> 1; b 0-9 incr -> 1", 2),
    ("reordering of one client's writes", "a 0-1 set x -> ok; a 2-3 set y -> ok; b 4-5 get -> y; b 6-7 get -> x", 3),
    (
        "two clients see two orders",
        "a 0-9 set x -> ok; b 0-9 set y -> ok; c 0-1 get -> x; c 2-3 get -> y; d 0-1 get -> y; d 2-3 get -> x; e 10-11 get -> x",
        6,
    ),
    ("appends in the wrong order", "a 0-1 append x -> 1; b 2-3 append y -> 2; c 4-5 get -> yx", 3),
    ("a read of what was never written", "a 0-1 set x -> ok; b 2-3 get -> z", 1),
    ("a read of what is not written yet", "a 0-1 get -> x; b 2-3 set x -> ok", 1),
    ("a refused write is seen", "a 0-1 set x -> !; b 2-3 get -> x", 2),
    ("a refused increment is counted", "a 0-1 incr -> !; b 2-3 incr -> 2", 1),
    ("an unknown write is seen, then unseen", "a 0-1 set x -> ok; b 2-3 set y -> ?; c 4-5 get -> y; c 6-7 get -> x", 4),
    (
        "an unknown write is seen, overwritten, and seen again",
        "a 0-1 set x -> ?; b 2-3 get -> x; c 4-5 set y -> ok; b 6-7 get -> y; b 8-9 get -> x",
        4,
    ),
    ("an unknown write is seen before it was asked for", "b 0-1 get -> x; a 2-3 set x -> ?", 1),
    ("an unknown append happens twice", "a 0-1 append x -> ?; b 2-3 get -> x; b 4-5 get -> xx", 2),
    ("an unknown increment is counted twice", "a 0-1 incr -> ?; b 2-3 incr -> 3", 2),
    (
        "an unknown delete happens twice",
        "a 0-1 set x -> ok; b 2-3 del -> ?; c 4-5 get -> nil; a 6-7 setnx y -> ok; c 8-9 get -> nil",
        4,
    ),
    ("a delete that found nothing there", "a 0-1 set x -> ok; b 2-3 del -> 0", 2),
    ("a delete that answers twice", "a 0-1 set x -> ok; b 2-9 del -> 1; c 2-9 del -> 1", 3),
    ("two winners of set if absent", "a 0-9 setnx x -> ok; b 0-9 setnx y -> ok", 2),
    ("set if absent loses against nothing", "a 0-1 setnx x -> nil", 1),
    (
        "an old value comes back after a failover",
        "a 0-1 set x -> ok; a 2-3 set y -> ok; b 4-5 get -> y; a 6-7 append z -> 2; b 8-9 get -> xz",
        3,
    ),
];

#[test]
fn every_wrong_history_is_found() {
    for (what, text, _) in WRONG {
        assert!(matches!(check(&StringKey, &history(text)), Verdict::Violation(_)), "{what}");
    }
}

#[test]
fn wrong_histories_are_found_among_right_operations() {
    // The same, with a thousand right operations before, and reads of some other client all along.
    for (what, text, operations_max) in WRONG {
        let mut operations = Vec::new();
        for round in 0..500 {
            let (from, value) = (10 * round, format!("early{round}"));
            operations.extend(history(&format!(
                "p {}-{} set {value} -> ok; q {}-{} get -> {value}",
                from,
                from + 4,
                from + 5,
                from + 8
            )));
        }
        operations.extend(history("p 5000-5001 del -> 1"));
        for mut operation in history(text) {
            operation.invoked_ns += 6000;
            operation.returned_ns = operation.returned_ns.saturating_add(6000);
            operations.push(operation);
        }
        let Verdict::Violation(counterexample) = check(&StringKey, &operations) else { panic!("{what}") };
        // Nothing of what came before is needed, but for the write that made a clean start.
        let kept = counterexample.operations.len();
        assert!(kept <= operations_max + 2, "{what}: {kept} operations remain\n{counterexample}");
    }
}

#[test]
fn counterexamples_are_as_short_as_they_can_be() {
    let mut longer = String::new();
    for (what, text, operations) in WRONG {
        let Verdict::Violation(counterexample) = check(&StringKey, &history(text)) else { panic!("{what}") };
        if counterexample.operations.len() != *operations {
            longer += &format!("{what}: {} operations\n{counterexample}\n\n", counterexample.operations.len());
        }
    }
    assert!(longer.is_empty(), "{longer}");
}

#[test]
fn blind_writes_that_do_not_matter_are_left_out() {
    let mut operations = Vec::new();
    for round in 0..500 {
        let from = 10 * round;
        operations.extend(history(&format!(
            "p {}-{} set v{round} -> ok; q {}-{} get -> v{round}",
            from,
            from + 4,
            from + 5,
            from + 8
        )));
    }
    operations.extend(history("q 5000-5001 get -> v498"));
    let Verdict::Violation(counterexample) = check(&StringKey, &operations) else { panic!("accepted") };
    assert_eq!(counterexample.operations.len(), 3, "{counterexample}");
}

#[test]
fn a_counterexample_reads_well() {
    let text = "a 0-1000 set x -> ok; b 2000-3000 set y -> ?; c 4000-5000 get -> y; c 6000-7000 get -> x";
    let Verdict::Violation(counterexample) = check(&StringKey, &history(text)) else { panic!("accepted") };
    let shown = counterexample.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 6, "{shown}");
    assert!(lines[1].contains("client 0") && lines[1].contains("Set(b\"x\") -> Done"), "{shown}");
    assert!(lines[2].contains("2.000 .. ...") && lines[2].contains("outcome unknown"), "{shown}");
    assert!(lines[4].trim_start().starts_with('?'), "{shown}");
}
