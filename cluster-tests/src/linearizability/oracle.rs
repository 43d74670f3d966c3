//! What must still be there at the end: writes that were answered.
//!
//! Cheaper than the search, and clearer in what it says. It looks at one key's operations and the value that was read
//! after all of them, and knows three kinds of keys by what was done to them: registers (SET, DEL), logs (APPEND of
//! tokens that differ and end alike) and counters (INCRBY of positive numbers). Mixed keys are left to the checker.

use super::{Operation, Outcome, StringInput, StringOutput};
use bytes::Bytes;

/// One key's operation.
type StringOperation = Operation<StringInput, StringOutput>;

/// The byte that ends every token of a log key.
pub const TOKEN_END: u8 = b';';

/// What is wrong with `last`, the value of a key after all its `operations`; empty where nothing is.
pub fn lost_writes(operations: &[StringOperation], last: Option<&[u8]>) -> Vec<String> {
    let writes: Vec<&StringOperation> = operations.iter().filter(|o| !matches!(o.input, StringInput::Get)).collect();
    let all = |kind: fn(&StringInput) -> bool| writes.iter().all(|write| kind(&write.input));
    if all(|input| matches!(input, StringInput::Set(_) | StringInput::Delete)) {
        register(&writes, last)
    } else if all(|input| matches!(input, StringInput::Append(_))) {
        log(&writes, last.unwrap_or_default())
    } else if all(|input| matches!(input, StringInput::Increment(by) if *by > 0)) {
        counter(&writes, last)
    } else {
        Vec::new()
    }
}

fn answered(write: &StringOperation) -> bool {
    matches!(write.outcome, Outcome::Ok(_))
}

/// The last value was written by a write that no answered write wholly follows.
fn register(writes: &[&StringOperation], last: Option<&[u8]>) -> Vec<String> {
    let written = |write: &StringOperation| match &write.input {
        StringInput::Set(value) => Some(value.clone()),
        _ => None,
    };
    let last = last.map(Bytes::copy_from_slice);
    let latest = writes.iter().filter(|write| answered(write)).max_by_key(|write| write.invoked_ns);
    let Some(latest) = latest else {
        let possible = last.is_none() || writes.iter().any(|w| w.outcome == Outcome::Unknown && written(w) == last);
        return if possible { Vec::new() } else { vec![format!("{last:?} was never written")] };
    };
    let may_be_last = |write: &&&StringOperation| match write.outcome {
        Outcome::Ok(_) => write.returned_ns >= latest.invoked_ns,
        Outcome::Unknown => true,
        Outcome::Failed => false,
    };
    if writes.iter().filter(may_be_last).any(|write| written(write) == last) {
        return Vec::new();
    }
    vec![format!("answered {:?} of client {} is lost: the last value is {last:?}", latest.input, latest.client)]
}

/// Every answered token is there once, every other at most once, those of one client in the order sent.
fn log(writes: &[&StringOperation], last: &[u8]) -> Vec<String> {
    let tokens: Vec<&[u8]> = last.split_inclusive(|byte| *byte == TOKEN_END).collect();
    let mut wrong = Vec::new();
    let mut places: Vec<(&StringOperation, usize)> = Vec::new();
    for write in writes {
        let StringInput::Append(token) = &write.input else { continue };
        let mut found =
            tokens.iter().enumerate().filter(|(_, other)| **other == token.as_ref()).map(|(place, _)| place);
        let (first, again) = (found.next(), found.next());
        match (&write.outcome, first) {
            (Outcome::Ok(_), None) => wrong.push(format!("answered {token:?} of client {} is lost", write.client)),
            (Outcome::Failed, Some(_)) => wrong.push(format!("refused {token:?} took effect")),
            (Outcome::Ok(_), Some(place)) => places.push((write, place)),
            (Outcome::Failed, None) | (Outcome::Unknown, _) => {}
        }
        if again.is_some() {
            wrong.push(format!("{token:?} took effect more than once"));
        }
    }
    for token in &tokens {
        if !writes.iter().any(|write| matches!(&write.input, StringInput::Append(other) if other.as_ref() == *token)) {
            wrong.push(format!("{:?} was never appended", Bytes::copy_from_slice(token)));
        }
    }
    places.sort_by_key(|(_, place)| *place);
    let mut latest_invoked: Option<&StringOperation> = None;
    for (write, _) in places {
        if let Some(before) = latest_invoked.filter(|before| before.invoked_ns > write.returned_ns) {
            wrong.push(format!(
                "{:?} was answered before {:?} was asked for, yet stands after it",
                write.input, before.input
            ));
        }
        if latest_invoked.is_none_or(|before| before.invoked_ns < write.invoked_ns) {
            latest_invoked = Some(write);
        }
    }
    wrong
}

/// The sum of what was answered, and perhaps of what is unknown.
fn counter(writes: &[&StringOperation], last: Option<&[u8]>) -> Vec<String> {
    let by = |write: &StringOperation| if let StringInput::Increment(by) = write.input { by } else { 0 };
    let least: i64 = writes.iter().filter(|write| answered(write)).map(|write| by(write)).sum();
    let most: i64 = least + writes.iter().filter(|w| w.outcome == Outcome::Unknown).map(|w| by(w)).sum::<i64>();
    let value = match last {
        None => Some(0),
        Some(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
    };
    match value {
        Some(value) if (least..=most).contains(&value) => Vec::new(),
        Some(value) if value < least => {
            vec![format!("{} of answered increments are lost: {value} < {least}", least - value)]
        }
        Some(value) => vec![format!("increments took effect more than once: {value} > {most}")],
        None => vec![format!("not a number: {:?}", last.map(Bytes::copy_from_slice))],
    }
}
