//! The search for an order in which the operations could have taken effect.

use super::counterexample::{self, Counterexample};
use super::{Model, Operation, Outcome};
use std::collections::HashSet;

/// Configurations that are visited before a key is given up as undecided.
pub const CONFIGURATIONS_MAX: usize = 2_000_000;

/// What is known of a history.
pub enum Verdict<M: Model> {
    /// It has a legal order.
    Linearizable,
    /// It has none.
    Violation(Counterexample<M>),
    /// The search was given up.
    Undecided,
}

impl<M: Model> Verdict<M> {
    /// Whether an order was found.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Self::Linearizable)
    }
}

/// Whether one key's `operations`, in any order, are linearizable.
pub fn check<M: Model>(model: &M, operations: &[Operation<M::Input, M::Output>]) -> Verdict<M> {
    match Search::new(model, operations.iter()).run(CONFIGURATIONS_MAX) {
        Answer::Order => Verdict::Linearizable,
        Answer::GaveUp => Verdict::Undecided,
        Answer::NoOrder(_) => Verdict::Violation(counterexample::shrink(model, operations)),
    }
}

/// What a search ends with.
pub(super) enum Answer<'a, M: Model> {
    /// There is an order.
    Order,
    /// There is none; the longest that was found, and what state it led to.
    NoOrder(Stuck<'a, M>),
    /// Too many configurations.
    GaveUp,
}

/// The furthest that a search came.
pub(super) struct Stuck<'a, M: Model> {
    pub order: Vec<&'a Operation<M::Input, M::Output>>,
    pub state: M::State,
}

/// Operations by the time they were asked for, and which of them have been ordered.
pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    /// Those that must be ordered. They have a return.
    certain: Vec<&'a Operation<M::Input, M::Output>>,
    /// Those that may be.
    unknown: Vec<&'a Operation<M::Input, M::Output>>,
    certain_done: Bits,
    unknown_done: Bits,
    order: Vec<Pick>,
}

/// An operation that was put next in the order.
#[derive(Clone, Copy)]
enum Pick {
    Certain(usize),
    Unknown(usize),
}

/// A configuration whose successors are being tried.
struct Frame<S> {
    /// Length of the order before this configuration's pure operations were taken.
    order_start: usize,
    /// What may come next, with the state that it leaves; last first.
    choices: Vec<(Pick, S)>,
}

impl<'a, M: Model> Search<'a, M> {
    pub fn new(model: &'a M, operations: impl Iterator<Item = &'a Operation<M::Input, M::Output>>) -> Self {
        let mut certain = Vec::new();
        let mut unknown = Vec::new();
        for operation in operations {
            match operation.outcome {
                Outcome::Ok(_) => certain.push(operation),
                // Without effect or answer there is nothing to order.
                Outcome::Unknown if !model.is_pure(&operation.input, None) => unknown.push(operation),
                Outcome::Unknown | Outcome::Failed => {}
            }
        }
        certain.sort_by_key(|operation| operation.invoked_ns);
        unknown.sort_by_key(|operation| operation.invoked_ns);
        let (certain_done, unknown_done) = (Bits::new(certain.len()), Bits::new(unknown.len()));
        Self { model, certain, unknown, certain_done, unknown_done, order: Vec::new() }
    }

    /// Searches depth first, visiting at most `limit` configurations.
    pub fn run(mut self, limit: usize) -> Answer<'a, M> {
        let mut visited = HashSet::new();
        let mut stack: Vec<Frame<M::State>> = Vec::new();
        let mut best: Option<(Vec<Pick>, M::State)> = None;
        let mut state = self.model.initial();
        loop {
            let order_start = self.order.len();
            self.take_pure(&state);
            if self.certain_done.first_clear == self.certain.len() {
                return Answer::Order;
            }
            if best.as_ref().is_none_or(|(order, _)| order.len() < self.order.len()) {
                best = Some((self.order.clone(), state.clone()));
            }
            let fresh = visited.insert((self.certain_done.key(), self.unknown_done.key(), state.clone()));
            if visited.len() > limit {
                return Answer::GaveUp;
            }
            let choices = if fresh { self.choices(&state) } else { Vec::new() };
            stack.push(Frame { order_start, choices });
            // Back to the nearest configuration that has a successor left.
            loop {
                let Some(frame) = stack.last_mut() else {
                    let (order, state) = best.unwrap_or((Vec::new(), self.model.initial()));
                    let order = order.into_iter().map(|pick| self.operation(pick)).collect();
                    return Answer::NoOrder(Stuck { order, state });
                };
                if let Some((pick, next)) = frame.choices.pop() {
                    self.mark(pick);
                    state = next;
                    break;
                }
                let start = frame.order_start;
                stack.pop();
                self.unmark_from(start);
                // And undo the choice that led here, which the frame below made.
                if !stack.is_empty() {
                    self.unmark_from(start - 1);
                }
            }
        }
    }

    fn operation(&self, pick: Pick) -> &'a Operation<M::Input, M::Output> {
        match pick {
            Pick::Certain(index) => self.certain[index],
            Pick::Unknown(index) => self.unknown[index],
        }
    }

    fn mark(&mut self, pick: Pick) {
        match pick {
            Pick::Certain(index) => self.certain_done.set(index),
            Pick::Unknown(index) => self.unknown_done.set(index),
        }
        self.order.push(pick);
    }

    fn unmark_from(&mut self, length: usize) {
        for pick in self.order.drain(length..) {
            match pick {
                Pick::Certain(index) => self.certain_done.clear(index),
                Pick::Unknown(index) => self.unknown_done.clear(index),
            }
        }
    }

    /// Certain operations that may come next: those that no other one of them precedes.
    fn minimal(&self) -> (Vec<usize>, u64) {
        let mut minimal = Vec::new();
        let mut first_return = u64::MAX;
        for index in self.certain_done.first_clear..self.certain.len() {
            let operation = self.certain[index];
            if operation.invoked_ns > first_return {
                break;
            }
            if !self.certain_done.get(index) {
                first_return = first_return.min(operation.returned_ns);
                minimal.push(index);
            }
        }
        minimal.retain(|&index| self.certain[index].invoked_ns <= first_return);
        (minimal, first_return)
    }

    /// Orders every pure operation that fits `state` now: it fits nowhere better.
    fn take_pure(&mut self, state: &M::State) {
        loop {
            let length = self.order.len();
            for index in self.minimal().0 {
                let operation = self.certain[index];
                let Outcome::Ok(output) = &operation.outcome else { continue };
                if self.model.is_pure(&operation.input, Some(output))
                    && self.model.step(state, &operation.input).1 == *output
                {
                    self.mark(Pick::Certain(index));
                }
            }
            if self.order.len() == length {
                return;
            }
        }
    }

    /// Whether an unknown operation that asks the same could be taken instead: two that differ in nothing but when they
    /// were asked for would otherwise be tried in each other's place.
    fn has_earlier_twin(&self, index: usize) -> bool {
        let twin = |other: usize| self.unknown[other].input == self.unknown[index].input;
        (self.unknown_done.first_clear..index).any(|other| !self.unknown_done.get(other) && twin(other))
    }

    /// What may come next: certain operations first, in the order asked, then unknown ones that change something.
    fn choices(&self, state: &M::State) -> Vec<(Pick, M::State)> {
        let (minimal, first_return) = self.minimal();
        let certain = minimal.into_iter().filter_map(|index| {
            let operation = self.certain[index];
            let (next, output) = self.model.step(state, &operation.input);
            (operation.outcome == Outcome::Ok(output)).then_some((Pick::Certain(index), next))
        });
        let unknown = (self.unknown_done.first_clear..self.unknown.len())
            .take_while(|&index| self.unknown[index].invoked_ns <= first_return)
            .filter(|&index| !self.unknown_done.get(index) && !self.has_earlier_twin(index))
            .filter_map(|index| {
                let (next, _) = self.model.step(state, &self.unknown[index].input);
                (next != *state).then_some((Pick::Unknown(index), next))
            });
        let mut choices: Vec<_> = certain.chain(unknown).collect();
        choices.reverse();
        choices
    }
}

/// A set of small numbers that knows its first gap.
struct Bits {
    words: Vec<u64>,
    length: usize,
    first_clear: usize,
}

impl Bits {
    fn new(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(64)], length, first_clear: 0 }
    }

    fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    fn set(&mut self, index: usize) {
        self.words[index / 64] |= 1 << (index % 64);
        while self.first_clear < self.length && self.get(self.first_clear) {
            self.first_clear += 1;
        }
    }

    fn clear(&mut self, index: usize) {
        self.words[index / 64] &= !(1 << (index % 64));
        self.first_clear = self.first_clear.min(index);
    }

    /// The set in few words: its full prefix is one number.
    fn key(&self) -> (usize, Vec<u64>) {
        let start = self.first_clear / 64;
        let end = self.words.iter().rposition(|word| *word != 0).map_or(start, |last| last + 1);
        (start, self.words[start..end.max(start)].to_vec())
    }
}
