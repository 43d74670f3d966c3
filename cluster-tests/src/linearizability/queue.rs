//! A list that is pushed to at one end and popped from at the other.

use super::Model;
use bytes::Bytes;

/// A list key as a queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue;

/// Commands on a [`Queue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueInput {
    /// RPUSH of one element.
    Push(Bytes),
    /// LPOP or BLPOP.
    Pop,
}

/// Answers of a [`Queue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOutput {
    /// How many elements there were then. One that goes to somebody who waits was there for a moment.
    Length(i64),
    /// An element, or null: at some time while it was waited for there was none.
    Popped(Option<Bytes>),
}

impl Model for Queue {
    type State = Vec<Bytes>;
    type Input = QueueInput;
    type Output = QueueOutput;

    fn initial(&self) -> Vec<Bytes> {
        Vec::new()
    }

    fn step(&self, state: &Vec<Bytes>, input: &QueueInput) -> (Vec<Bytes>, QueueOutput) {
        let mut after = state.clone();
        let output = match input {
            QueueInput::Push(element) => {
                after.push(element.clone());
                QueueOutput::Length(after.len() as i64)
            }
            QueueInput::Pop if after.is_empty() => QueueOutput::Popped(None),
            QueueInput::Pop => QueueOutput::Popped(Some(after.remove(0))),
        };
        (after, output)
    }

    fn is_pure(&self, input: &QueueInput, output: Option<&QueueOutput>) -> bool {
        matches!((input, output), (QueueInput::Pop, Some(QueueOutput::Popped(None))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::{Operation, Outcome, Verdict, check};

    fn push(element: &'static str, length: i64) -> (QueueInput, Option<QueueOutput>) {
        (QueueInput::Push(element.into()), Some(QueueOutput::Length(length)))
    }

    fn pop(element: Option<&'static str>) -> (QueueInput, Option<QueueOutput>) {
        (QueueInput::Pop, Some(QueueOutput::Popped(element.map(Bytes::from))))
    }

    fn is_right(operations: &[(QueueInput, Option<QueueOutput>)]) -> bool {
        let operation = |(at, (input, output)): (usize, &(QueueInput, Option<QueueOutput>))| Operation {
            client: at as u32,
            input: input.clone(),
            outcome: output.clone().map_or(Outcome::Unknown, Outcome::Ok),
            invoked_ns: 10 * at as u64,
            returned_ns: 10 * at as u64 + 5,
        };
        let history: Vec<_> = operations.iter().enumerate().map(operation).collect();
        matches!(check(&Queue, &history), Verdict::Linearizable)
    }

    #[test]
    fn elements_that_are_lost_doubled_or_out_of_order_are_found() {
        assert!(is_right(&[push("a", 1), push("b", 2), pop(Some("a")), pop(Some("b")), pop(None)]));
        assert!(!is_right(&[push("a", 1), pop(None)]), "lost");
        assert!(!is_right(&[push("a", 1), pop(Some("a")), pop(Some("a"))]), "doubled");
        assert!(!is_right(&[push("a", 1), push("b", 2), pop(Some("b")), pop(Some("a"))]), "out of order");
        assert!(!is_right(&[pop(Some("a"))]), "out of nothing");
    }

    #[test]
    fn a_pop_of_unknown_fate_may_have_taken_one() {
        let lost = (QueueInput::Pop, None);
        assert!(is_right(&[push("a", 1), lost.clone(), pop(None)]));
        assert!(is_right(&[push("a", 1), lost.clone(), pop(Some("a"))]));
        assert!(!is_right(&[push("a", 1), push("b", 2), lost, pop(None)]));
    }
}
