//! Two keys that transactions change together.

use super::Model;
use bytes::Bytes;

/// Two string keys of one slot, which are changed only together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair;

/// What is asked of a [`Pair`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairInput {
    /// MULTI, APPEND to both, EXEC.
    AppendBoth(Bytes),
    /// MULTI, GET of both, EXEC.
    ReadBoth,
    /// GET of the first.
    ReadFirst,
    /// WATCH and GET of the first, which was answered `seen`; MULTI, SET of both, EXEC.
    Swap {
        /// What the first was.
        seen: Option<Bytes>,
        /// What both are to be.
        value: Bytes,
    },
}

/// Answers of a [`Pair`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairOutput {
    /// The lengths of both.
    Lengths(i64, i64),
    /// Both.
    Both(Option<Bytes>, Option<Bytes>),
    /// The first.
    First(Option<Bytes>),
    /// OK
    Done,
    /// EXEC answered null: what was watched had changed.
    Refused,
}

fn longer(value: &Option<Bytes>, tail: &Bytes) -> (Option<Bytes>, i64) {
    let value = [value.as_deref().unwrap_or_default(), tail].concat();
    let length = value.len() as i64;
    (Some(value.into()), length)
}

impl Model for Pair {
    type State = (Option<Bytes>, Option<Bytes>);
    type Input = PairInput;
    type Output = PairOutput;

    fn initial(&self) -> Self::State {
        (None, None)
    }

    fn step(&self, state: &Self::State, input: &PairInput) -> (Self::State, PairOutput) {
        let unchanged = || state.clone();
        match input {
            PairInput::AppendBoth(tail) => {
                let ((first, one), (second, other)) = (longer(&state.0, tail), longer(&state.1, tail));
                ((first, second), PairOutput::Lengths(one, other))
            }
            PairInput::ReadBoth => (unchanged(), PairOutput::Both(state.0.clone(), state.1.clone())),
            PairInput::ReadFirst => (unchanged(), PairOutput::First(state.0.clone())),
            PairInput::Swap { seen, value } if *seen == state.0 => {
                ((Some(value.clone()), Some(value.clone())), PairOutput::Done)
            }
            PairInput::Swap { .. } => (unchanged(), PairOutput::Refused),
        }
    }

    fn is_pure(&self, input: &PairInput, _output: Option<&PairOutput>) -> bool {
        matches!(input, PairInput::ReadBoth | PairInput::ReadFirst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::{Operation, Outcome, Verdict, check};

    fn history(operations: &[(PairInput, Option<PairOutput>)]) -> Vec<Operation<PairInput, PairOutput>> {
        let operation = |(at, (input, output)): (usize, &(PairInput, Option<PairOutput>))| Operation {
            client: at as u32,
            input: input.clone(),
            outcome: output.clone().map_or(Outcome::Unknown, Outcome::Ok),
            invoked_ns: 10 * at as u64,
            returned_ns: 10 * at as u64 + 5,
        };
        operations.iter().enumerate().map(operation).collect()
    }

    fn text(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn half_of_a_transaction_is_found() {
        let append = (PairInput::AppendBoth("x".into()), None);
        let whole = (PairInput::ReadBoth, Some(PairOutput::Both(text("x"), text("x"))));
        let half = (PairInput::ReadBoth, Some(PairOutput::Both(text("x"), None)));
        assert!(matches!(check(&Pair, &history(&[append.clone(), whole])), Verdict::Linearizable));
        assert!(matches!(check(&Pair, &history(&[append, half])), Verdict::Violation(_)));
    }

    #[test]
    fn a_swap_of_what_had_changed_is_found() {
        let append = (PairInput::AppendBoth("x".into()), Some(PairOutput::Lengths(1, 1)));
        let swap = |seen| (PairInput::Swap { seen, value: "y".into() }, Some(PairOutput::Done));
        assert!(matches!(check(&Pair, &history(&[append.clone(), swap(text("x"))])), Verdict::Linearizable));
        assert!(matches!(check(&Pair, &history(&[append, swap(None)])), Verdict::Violation(_)));
    }
}
