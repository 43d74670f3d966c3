//! What one correct copy of a key does.

use bytes::Bytes;
use std::fmt::Debug;
use std::hash::Hash;

/// A sequential specification: one key, one operation at a time.
pub trait Model {
    /// The key's state.
    type State: Clone + Eq + Hash + Debug;
    /// What is asked.
    type Input: Clone + PartialEq + Debug;
    /// What is answered.
    type Output: Clone + Eq + Debug;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// What `input` answers in `state`, and the state it leaves.
    fn step(&self, state: &Self::State, input: &Self::Input) -> (Self::State, Self::Output);

    /// Whether `input`, where it answers `output`, leaves every state as it is. `None`: whatever it answers.
    ///
    /// Such an operation may be ordered as soon as it fits, without a branch in the search; and leaving it out never
    /// turns a right history into a wrong one.
    fn is_pure(&self, input: &Self::Input, output: Option<&Self::Output>) -> bool;

    /// The value that `input` writes regardless of the state, and the value that a pure `output` saw, as far as the
    /// model can tell. Where every operation of a history is a blind write or a read, a write can be left out together
    /// with all reads of its value, which keeps counterexamples short.
    fn blind(&self, _input: &Self::Input) -> Option<Self::State> {
        None
    }

    /// The state that a read which answered `output` saw, where `input` is a read.
    fn seen(&self, _input: &Self::Input, _output: &Self::Output) -> Option<Self::State> {
        None
    }
}

/// A string key of Redis.
#[derive(Clone, Copy, Debug, Default)]
pub struct StringKey;

/// Commands on a [`StringKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringInput {
    /// GET
    Get,
    /// SET
    Set(Bytes),
    /// SET NX
    SetIfAbsent(Bytes),
    /// DEL
    Delete,
    /// APPEND
    Append(Bytes),
    /// INCRBY
    Increment(i64),
}

/// Answers of a [`StringKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringOutput {
    /// A value, or null.
    Value(Option<Bytes>),
    /// OK
    Done,
    /// Null: the condition did not hold.
    Refused,
    /// An integer.
    Integer(i64),
    /// `value is not an integer or out of range`
    NotInteger,
}

impl Model for StringKey {
    type State = Option<Bytes>;
    type Input = StringInput;
    type Output = StringOutput;

    fn initial(&self) -> Self::State {
        None
    }

    fn step(&self, state: &Self::State, input: &StringInput) -> (Self::State, StringOutput) {
        match input {
            StringInput::Get => (state.clone(), StringOutput::Value(state.clone())),
            StringInput::Set(value) => (Some(value.clone()), StringOutput::Done),
            StringInput::SetIfAbsent(_) if state.is_some() => (state.clone(), StringOutput::Refused),
            StringInput::SetIfAbsent(value) => (Some(value.clone()), StringOutput::Done),
            StringInput::Delete => (None, StringOutput::Integer(i64::from(state.is_some()))),
            StringInput::Append(tail) => {
                let value = [state.as_deref().unwrap_or_default(), tail].concat();
                let length = value.len() as i64;
                (Some(value.into()), StringOutput::Integer(length))
            }
            StringInput::Increment(by) => {
                let number = match state {
                    None => Some(0),
                    Some(value) => std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()),
                };
                match number.and_then(|number| number.checked_add(*by)) {
                    Some(sum) => (Some(sum.to_string().into()), StringOutput::Integer(sum)),
                    None => (state.clone(), StringOutput::NotInteger),
                }
            }
        }
    }

    fn is_pure(&self, input: &StringInput, output: Option<&StringOutput>) -> bool {
        matches!(
            (input, output),
            (StringInput::Get, _)
                | (StringInput::SetIfAbsent(_), Some(StringOutput::Refused))
                | (StringInput::Delete, Some(StringOutput::Integer(0)))
                | (StringInput::Increment(_), Some(StringOutput::NotInteger))
        )
    }

    fn blind(&self, input: &StringInput) -> Option<Self::State> {
        if let StringInput::Set(value) = input { Some(Some(value.clone())) } else { None }
    }

    fn seen(&self, _input: &StringInput, output: &StringOutput) -> Option<Self::State> {
        if let StringOutput::Value(value) = output { Some(value.clone()) } else { None }
    }
}

/// A counter that starts at zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// Commands on a [`Counter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterInput {
    /// GET, absent as 0.
    Read,
    /// INCRBY
    Add(i64),
}

impl Model for Counter {
    type State = i64;
    type Input = CounterInput;
    type Output = i64;

    fn initial(&self) -> i64 {
        0
    }

    fn step(&self, state: &i64, input: &CounterInput) -> (i64, i64) {
        let after = match input {
            CounterInput::Read => *state,
            CounterInput::Add(by) => state.wrapping_add(*by),
        };
        (after, after)
    }

    fn is_pure(&self, input: &CounterInput, _output: Option<&i64>) -> bool {
        matches!(input, CounterInput::Read)
    }
}
