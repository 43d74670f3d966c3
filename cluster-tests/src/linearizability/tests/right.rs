//! Histories that one copy could have produced.

use super::fixtures::history;
use crate::linearizability::{StringKey, check};

#[test]
fn right_histories_are_accepted() {
    for (what, text) in [
        ("nothing at all", ""),
        ("one client", "a 0-1 get -> nil; a 2-3 set x -> ok; a 4-5 get -> x; a 6-7 del -> 1; a 8-9 del -> 0"),
        ("a write overlaps reads of both values", "a 0-9 set x -> ok; b 1-2 get -> nil; b 3-4 get -> x"),
        ("overlapping writes in either order", "a 0-9 set x -> ok; b 0-9 set y -> ok; c 10-11 get -> x"),
        ("an overlapping write is read before it returns", "a 0-100 set x -> ok; b 1-2 get -> x; b 3-4 get -> x"),
        ("instants that touch may go either way", "a 0-5 set x -> ok; b 5-6 get -> nil"),
        ("a refused write leaves no trace", "a 0-1 set x -> !; a 2-3 get -> nil"),
        ("an unknown write never happens", "a 0-1 set x -> ?; b 2-3 get -> nil; b 900-901 get -> nil"),
        ("an unknown write happens late", "a 0-1 set x -> ?; b 2-3 get -> nil; b 900-901 get -> x"),
        (
            "an unknown write overwrites what came after it",
            "a 0-1 set x -> ?; b 2-3 set y -> ok; b 4-5 get -> y; c 6-7 get -> x",
        ),
        ("two unknown writes, both seen", "a 0-1 set x -> ?; b 0-1 set y -> ?; c 2-3 get -> y; c 4-5 get -> x"),
        ("an unknown append explains a length", "a 0-1 append xx -> ?; b 2-3 append y -> 3; b 4-5 get -> xxy"),
        ("an unknown delete explains a gap", "a 0-1 set x -> ok; b 2-3 del -> ?; a 4-5 get -> x; a 6-7 get -> nil"),
        ("an unknown read says nothing", "a 0-1 set x -> ok; b 2-3 get -> ?; a 4-5 get -> x"),
        ("increments out of order while they overlap", "a 0-9 incr -> 2; b 0-9 incr -> 1; c 10-11 get -> 2"),
        ("an unknown increment is counted once", "a 0-1 incr -> ?; b 2-3 incr -> 2; b 4-5 incr -> 3"),
        ("set if absent: one winner", "a 0-9 setnx x -> nil; b 0-9 setnx y -> ok; c 10-11 get -> y"),
        (
            "delete between two sets if absent",
            "a 0-1 setnx x -> ok; b 0-9 del -> 1; c 2-3 setnx y -> ok; c 10-11 get -> y",
        ),
    ] {
        assert!(check(&StringKey, &history(text)).is_linearizable(), "{what}");
    }
}
