//! The oracle of lost writes.

use super::fixtures::history;
use crate::linearizability::oracle::lost_writes;

#[test]
fn what_may_be_the_last_value_is_accepted() {
    for (what, text, last) in [
        ("never written", "", None),
        ("the last answered write", "a 0-1 set x -> ok; a 2-3 set y -> ok", Some("y")),
        ("either of two that overlap", "a 0-5 set x -> ok; b 2-7 set y -> ok", Some("x")),
        ("an unknown write", "a 0-1 set x -> ?; b 2-3 set y -> ok", Some("x")),
        ("deleted", "a 0-1 set x -> ok; a 2-3 del -> 1", None),
        ("appended in order", "a 0-1 append x; -> 2", Some("x;")),
        ("an unknown token", "a 0-1 append x -> ?; b 2-3 append y -> 1", Some("y")),
        ("counted", "a 0-1 incr -> 1; a 2-3 incr -> 2; b 2-3 incr -> ?", Some("2")),
        ("counted with the unknown one", "a 0-1 incr -> 1; b 2-3 incr -> ?", Some("2")),
    ] {
        let operations = history(&text.replace("x;", "x"));
        assert_eq!(lost_writes(&operations, last.map(|v| v.trim_end_matches(';').as_bytes())), [""; 0], "{what}");
    }
}

#[test]
fn lost_and_doubled_writes_are_found() {
    for (what, text, last) in [
        ("lost register", "a 0-1 set x -> ok; a 2-3 set y -> ok", Some("x")),
        ("lost first write", "a 0-1 set x -> ok", None),
        ("refused write", "a 0-1 set x -> ok; a 2-3 set y -> !", Some("y")),
        ("never written", "a 0-1 set x -> ?", Some("y")),
        ("lost token", "a 0-1 append x -> 1", None),
        ("refused token", "a 0-1 append x -> !", Some("x")),
        ("unknown token", "a 0-1 append x -> 1", Some("z")),
        ("lost increment", "a 0-1 incr -> 1; a 2-3 incr -> 2", Some("1")),
        ("doubled increment", "a 0-1 incr -> 1; b 2-3 incr -> ?", Some("3")),
        ("not a number", "a 0-1 incr -> 1", Some("x")),
    ] {
        assert_ne!(lost_writes(&history(text), last.map(str::as_bytes)), [""; 0], "{what}");
    }
}

#[test]
fn tokens_are_told_apart() {
    let token = |text: &str| text.replace('x', "x;").replace('y', "y;");
    let mut operations = history("a 0-1 append x -> 2; a 2-3 append y -> 4");
    for operation in &mut operations {
        if let crate::linearizability::StringInput::Append(tail) = &mut operation.input {
            *tail = token(std::str::from_utf8(tail).unwrap()).into();
        }
    }
    assert_eq!(lost_writes(&operations, Some(b"x;y;")), [""; 0]);
    assert_ne!(lost_writes(&operations, Some(b"y;x;")), [""; 0], "out of order");
    assert_ne!(lost_writes(&operations, Some(b"x;y;x;")), [""; 0], "twice");
    assert_ne!(lost_writes(&operations, Some(b"x;")), [""; 0], "lost");
}
