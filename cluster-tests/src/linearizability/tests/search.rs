//! The search against one that tries every order, and on histories made from a real order.

use super::fixtures::StringOperation;
use crate::linearizability::{Model, Operation, Outcome, StringInput, StringKey, StringOutput, Verdict, check};
use bytes::Bytes;
use proptest::prelude::*;

/// Whether some order of some of the rest explains it, tried one by one.
fn brute_force(state: &Option<Bytes>, rest: &mut Vec<StringOperation>) -> bool {
    if rest.iter().all(|operation| operation.outcome == Outcome::Unknown) {
        return true;
    }
    let first_return = rest
        .iter()
        .filter(|operation| operation.outcome != Outcome::Unknown)
        .map(|operation| operation.returned_ns)
        .min()
        .unwrap_or(u64::MAX);
    for index in 0..rest.len() {
        if rest[index].invoked_ns > first_return {
            continue;
        }
        let operation = rest.remove(index);
        let (next, output) = StringKey.step(state, &operation.input);
        let fits = operation.outcome == Outcome::Unknown || operation.outcome == Outcome::Ok(output);
        let found = fits && brute_force(&next, rest);
        rest.insert(index, operation);
        if found {
            return true;
        }
    }
    false
}

fn any_operation() -> impl Strategy<Value = StringOperation> {
    let value = || prop_oneof![Just("1"), Just("x"), Just("1x")].prop_map(|text| Bytes::from_static(text.as_bytes()));
    let input = prop_oneof![
        4 => Just(StringInput::Get),
        2 => value().prop_map(StringInput::Set),
        1 => value().prop_map(StringInput::SetIfAbsent),
        1 => Just(StringInput::Delete),
        1 => value().prop_map(StringInput::Append),
        1 => Just(StringInput::Increment(1)),
    ];
    (input, 0u32..3, 0u64..12, 0u64..6, 0u8..8, prop::option::of(value()), 0i64..4).prop_map(
        |(input, client, invoked_ns, lasts, luck, seen, number)| {
            let output = match input {
                StringInput::Get => StringOutput::Value(seen),
                StringInput::Set(_) => StringOutput::Done,
                StringInput::SetIfAbsent(_) if number % 2 == 0 => StringOutput::Done,
                StringInput::SetIfAbsent(_) => StringOutput::Refused,
                StringInput::Delete => StringOutput::Integer(number % 2),
                StringInput::Increment(_) if number == 0 => StringOutput::NotInteger,
                StringInput::Append(_) | StringInput::Increment(_) => StringOutput::Integer(number),
            };
            let outcome = match luck {
                0 => Outcome::Unknown,
                1 => Outcome::Failed,
                _ => Outcome::Ok(output),
            };
            Operation { client, input, outcome, invoked_ns, returned_ns: invoked_ns + lasts }
        },
    )
}

/// The search is exponential in them at worst; a crash leaves few on one key.
const UNKNOWN_MAX: usize = 8;

/// Operations with instants at which they took effect, and the answers that follow from that.
fn made_from_an_order(seeds: Vec<(StringOperation, u64, u64)>) -> Vec<StringOperation> {
    let mut operations = seeds;
    operations.sort_by_key(|(operation, at, _)| operation.invoked_ns * 5 + at);
    let mut state = None;
    let mut history = Vec::new();
    let mut unknown = 0;
    for (at, (mut operation, _, lag)) in operations.into_iter().enumerate() {
        let at = 100 * (at as u64 + 1);
        (operation.invoked_ns, operation.returned_ns) = (at - lag % 100, at + lag / 2);
        if operation.outcome == Outcome::Unknown {
            unknown += 1;
            if unknown > UNKNOWN_MAX {
                operation.outcome = Outcome::Failed;
            }
        }
        match operation.outcome {
            Outcome::Failed => {}
            Outcome::Unknown if lag % 3 == 0 => {}
            Outcome::Unknown => state = StringKey.step(&state, &operation.input).0,
            Outcome::Ok(_) => {
                let (next, output) = StringKey.step(&state, &operation.input);
                (state, operation.outcome) = (next, Outcome::Ok(output));
            }
        }
        history.push(operation);
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn agrees_with_trying_every_order(operations in prop::collection::vec(any_operation(), 0..7)) {
        let mut rest: Vec<_> = operations.iter().filter(|o| o.outcome != Outcome::Failed).cloned().collect();
        let expected = brute_force(&None, &mut rest);
        prop_assert_eq!(check(&StringKey, &operations).is_linearizable(), expected);
    }

    #[test]
    fn counterexamples_prove_the_whole_wrong(operations in prop::collection::vec(any_operation(), 2..7)) {
        if let Verdict::Violation(counterexample) = check(&StringKey, &operations) {
            let mut rest = counterexample.operations;
            rest.retain(|operation| operation.outcome != Outcome::Failed);
            prop_assert!(!brute_force(&None, &mut rest));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn accepts_what_a_real_order_produced(
        seeds in prop::collection::vec((any_operation(), 0u64..5, 0u64..400), 0..150),
    ) {
        prop_assert!(check(&StringKey, &made_from_an_order(seeds)).is_linearizable());
    }

    #[test]
    fn finds_one_impossible_answer_in_many(
        seeds in prop::collection::vec((any_operation(), 0u64..5, 0u64..400), 40..100),
        which in any::<prop::sample::Index>(),
    ) {
        let mut operations = made_from_an_order(seeds);
        let reads: Vec<usize> = (0..operations.len())
            .filter(|&index| operations[index].input == StringInput::Get)
            .filter(|&index| matches!(operations[index].outcome, Outcome::Ok(_)))
            .collect();
        prop_assume!(!reads.is_empty());
        let read = reads[which.index(reads.len())];
        operations[read].outcome = Outcome::Ok(StringOutput::Value(Some(Bytes::from_static(b"nobody's"))));
        prop_assert!(matches!(check(&StringKey, &operations), Verdict::Violation(_)));
    }
}
