//! The least of a wrong history that is still wrong, for people.

use super::checker::{Answer, Search};
use super::{Model, Operation, Outcome};
use std::fmt;

/// Configurations for each attempt at leaving something out.
const ATTEMPT_CONFIGURATIONS_MAX: usize = 100_000;

/// Operations that no order explains, and the longest order that explains some of them.
pub struct Counterexample<M: Model> {
    /// The operations, by the time they were asked for.
    pub operations: Vec<Operation<M::Input, M::Output>>,
    /// As far as an order goes: positions in `operations`.
    pub order: Vec<usize>,
    /// The state that this order leads to, which no remaining operation fits.
    pub state: M::State,
}

/// Leaves out whatever can be left out of a wrong history, such that what remains proves the whole wrong.
pub(super) fn shrink<M: Model>(model: &M, operations: &[Operation<M::Input, M::Output>]) -> Counterexample<M> {
    let mut kept = shortest_suffix(model, shortest_prefix(model, operations));
    loop {
        let before = kept.len();
        kept = without_groups(model, kept);
        if kept.len() == before {
            break;
        }
    }
    drop_unseen_refusals(model, &mut kept);
    kept.sort_by_key(|operation| operation.invoked_ns);
    let (order, state) = match Search::new(model, kept.iter()).run(usize::MAX) {
        Answer::NoOrder(stuck) => {
            let position = |wanted: &Operation<_, _>| kept.iter().position(|other| std::ptr::eq(other, wanted));
            (stuck.order.into_iter().filter_map(position).collect(), stuck.state)
        }
        Answer::Order | Answer::GaveUp => (Vec::new(), model.initial()),
    };
    Counterexample { operations: kept, order, state }
}

/// Leaves out what was refused, except a write whose value was seen all the same.
fn drop_unseen_refusals<M: Model>(model: &M, operations: &mut Vec<Operation<M::Input, M::Output>>) {
    let seen = seen_states(model, operations);
    operations.retain(|operation| {
        operation.outcome != Outcome::Failed
            || model.blind(&operation.input).is_some_and(|written| seen.contains(&written))
    });
}

/// Every state that a read saw.
fn seen_states<M: Model>(model: &M, operations: &[Operation<M::Input, M::Output>]) -> Vec<M::State> {
    let mut seen = Vec::new();
    for operation in operations {
        if let Outcome::Ok(output) = &operation.outcome
            && let Some(state) = model.seen(&operation.input, output)
            && !seen.contains(&state)
        {
            seen.push(state);
        }
    }
    seen
}

fn is_wrong<'a, M: Model + 'a>(
    model: &'a M,
    operations: impl Iterator<Item = &'a Operation<M::Input, M::Output>>,
) -> bool {
    matches!(Search::new(model, operations).run(ATTEMPT_CONFIGURATIONS_MAX), Answer::NoOrder(_))
}

/// The history up to the first return that makes it wrong. What has not returned by then is of unknown outcome.
/// Every prefix of a linearizable history is linearizable, so the instant can be found by halving.
fn shortest_prefix<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
) -> Vec<Operation<M::Input, M::Output>> {
    let mut returns: Vec<u64> =
        operations.iter().filter(|o| matches!(o.outcome, Outcome::Ok(_))).map(|o| o.returned_ns).collect();
    returns.sort_unstable();
    let prefix = |end: u64| -> Vec<Operation<M::Input, M::Output>> {
        let mut prefix: Vec<_> = operations.iter().filter(|o| o.invoked_ns <= end).cloned().collect();
        for operation in &mut prefix {
            if operation.returned_ns > end && operation.outcome != Outcome::Failed {
                operation.outcome = Outcome::Unknown;
            }
        }
        prefix
    };
    let (mut low, mut high) = (0, returns.len().saturating_sub(1));
    while low < high {
        let middle = (low + high) / 2;
        if is_wrong(model, prefix(returns[middle]).iter()) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    match returns.get(low).map(|end| prefix(*end)) {
        Some(shorter) if is_wrong(model, shorter.iter()) => shorter,
        _ => operations.to_vec(),
    }
}

/// The history from the last blind write that overlapped nothing and was not preceded by anything of unknown outcome, if
/// that is wrong by itself: the state after such a write does not depend on what came before.
fn shortest_suffix<M: Model>(
    model: &M,
    mut operations: Vec<Operation<M::Input, M::Output>>,
) -> Vec<Operation<M::Input, M::Output>> {
    operations.sort_by_key(|operation| operation.invoked_ns);
    let mut latest_return = 0;
    let mut starts = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        let next_invoked = operations.get(index + 1).map_or(u64::MAX, |next| next.invoked_ns);
        let certain = matches!(operation.outcome, Outcome::Ok(_));
        let alone = operation.invoked_ns > latest_return && operation.returned_ns < next_invoked;
        if certain && alone && model.blind(&operation.input).is_some() {
            starts.push(index);
        }
        latest_return = match operation.outcome {
            Outcome::Ok(_) => operation.returned_ns.max(latest_return),
            Outcome::Unknown if !model.is_pure(&operation.input, None) => u64::MAX,
            Outcome::Unknown | Outcome::Failed => latest_return,
        };
    }
    // A write whose value is read later is what people look for: it stays.
    let shows_its_values = |start: usize| {
        let (before, kept) = operations.split_at(start);
        let wrote = |part: &[Operation<M::Input, M::Output>], state: &M::State| {
            part.iter().any(|operation| model.blind(&operation.input).as_ref() == Some(state))
        };
        seen_states(model, kept).iter().all(|state| wrote(kept, state) || !wrote(before, state))
    };
    let is_start = |start: &usize| shows_its_values(*start) && is_wrong(model, operations[*start..].iter());
    match starts.into_iter().rev().find(is_start) {
        Some(start) => operations.split_off(start),
        None => operations,
    }
}

/// Leaves out groups of operations, many at once where that works.
fn without_groups<M: Model>(
    model: &M,
    mut kept: Vec<Operation<M::Input, M::Output>>,
) -> Vec<Operation<M::Input, M::Output>> {
    let mut chunk = groups(model, &kept).len().div_ceil(2);
    while chunk > 0 {
        let mut start = 0;
        loop {
            let groups = groups(model, &kept);
            let Some(leave_out) = groups.get(start..(start + chunk).min(groups.len())).filter(|g| !g.is_empty()) else {
                break;
            };
            let mut stays = vec![true; kept.len()];
            leave_out.iter().flatten().for_each(|&index| stays[index] = false);
            let remaining = kept.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(operation, _)| operation);
            if is_wrong(model, remaining) {
                let mut stays = stays.into_iter();
                kept.retain(|_| stays.next().unwrap_or(true));
            } else {
                start += chunk;
            }
        }
        chunk /= 2;
    }
    kept
}

/// Sets of operations that a right history can always do without, so that what remains of a wrong one, if wrong, proves
/// the whole wrong: what has no effect; what is not known to have had one and is not seen; and, where all others are
/// blind writes and reads, a write together with all reads of its value.
fn groups<M: Model>(model: &M, operations: &[Operation<M::Input, M::Output>]) -> Vec<Vec<usize>> {
    let pure = |operation: &Operation<M::Input, M::Output>| match &operation.outcome {
        Outcome::Ok(output) => model.is_pure(&operation.input, Some(output)),
        // Without effect, but evidence where it was seen: see `unseen_refusals`.
        Outcome::Failed => false,
        Outcome::Unknown => model.is_pure(&operation.input, None),
    };
    let seen = |operation: &Operation<M::Input, M::Output>| match &operation.outcome {
        Outcome::Ok(output) => model.seen(&operation.input, output),
        Outcome::Failed | Outcome::Unknown => None,
    };
    let mut groups: Vec<Vec<usize>> =
        (0..operations.len()).filter(|&index| pure(&operations[index])).map(|index| vec![index]).collect();
    let only_blind = operations.iter().all(|operation| {
        operation.outcome == Outcome::Failed
            || (operation.outcome == Outcome::Unknown && pure(operation))
            || seen(operation).is_some()
            || model.blind(&operation.input).is_some()
    });
    if only_blind {
        for index in 0..operations.len() {
            let Some(written) = model.blind(&operations[index].input) else { continue };
            let same = |other: &Operation<M::Input, M::Output>| {
                model.blind(&other.input).as_ref() == Some(&written) || seen(other).as_ref() == Some(&written)
            };
            groups.push((0..operations.len()).filter(|&other| same(&operations[other])).collect());
        }
    }
    groups
}

impl<M: Model> fmt::Display for Counterexample<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.operations.iter().map(|operation| operation.invoked_ns).min().unwrap_or(0);
        let us = |instant: u64| format!("{}.{:03}", (instant - start) / 1000, (instant - start) % 1000);
        writeln!(f, "not linearizable: no order explains these operations (times in microseconds)")?;
        for (index, operation) in self.operations.iter().enumerate() {
            let place = match self.order.iter().position(|ordered| *ordered == index) {
                Some(place) => format!("#{}", place + 1),
                None if operation.outcome == Outcome::Failed => "-".into(),
                None => "?".into(),
            };
            let (end, outcome) = match &operation.outcome {
                Outcome::Ok(output) => (us(operation.returned_ns), format!("{output:?}")),
                Outcome::Failed => (us(operation.returned_ns), "refused, certainly without effect".into()),
                Outcome::Unknown => ("...".into(), "outcome unknown".into()),
            };
            let (client, begin, input) = (operation.client, us(operation.invoked_ns), &operation.input);
            writeln!(f, "{place:>5}  client {client:<3} {begin:>14} .. {end:<14} {input:?} -> {outcome}")?;
        }
        write!(f, "the longest order (#) leads to {:?}; nothing that must come next (?) fits it", self.state)
    }
}

impl<M: Model> fmt::Debug for Counterexample<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
