//! Histories as text: one operation a line or between semicolons, `CLIENT FROM-TO COMMAND ARGUMENTS -> ANSWER`.
//!
//! An answer `!` is a certain refusal, `?` an unknown outcome; `nil` is null.

use crate::linearizability::{Operation, Outcome, StringInput, StringOutput};
use bytes::Bytes;

pub type StringOperation = Operation<StringInput, StringOutput>;

pub fn history(text: &str) -> Vec<StringOperation> {
    text.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty()).map(operation).collect()
}

fn operation(line: &str) -> StringOperation {
    let (asked, answer) = line.split_once("->").expect("an answer");
    let words: Vec<&str> = asked.split_whitespace().collect();
    let (from, to) = words[1].split_once('-').expect("FROM-TO");
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let input = match words[2..] {
        ["get"] => StringInput::Get,
        ["set", value] => StringInput::Set(bytes(value)),
        ["setnx", value] => StringInput::SetIfAbsent(bytes(value)),
        ["del"] => StringInput::Delete,
        ["append", tail] => StringInput::Append(bytes(tail)),
        ["incr"] => StringInput::Increment(1),
        _ => panic!("unknown command in {line:?}"),
    };
    let outcome = match (answer.trim(), &input) {
        ("!", _) => Outcome::Failed,
        ("?", _) => Outcome::Unknown,
        ("nil", StringInput::Get) => Outcome::Ok(StringOutput::Value(None)),
        ("nil", _) => Outcome::Ok(StringOutput::Refused),
        (value, StringInput::Get) => Outcome::Ok(StringOutput::Value(Some(bytes(value)))),
        ("ok", _) => Outcome::Ok(StringOutput::Done),
        (number, _) => Outcome::Ok(StringOutput::Integer(number.parse().expect("a number"))),
    };
    Operation {
        client: words[0].bytes().map(u32::from).sum::<u32>() - u32::from(b'a'),
        input,
        outcome,
        invoked_ns: from.parse().expect("a time"),
        returned_ns: to.parse().unwrap_or(u64::MAX),
    }
}
