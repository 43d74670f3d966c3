//! What is pushed to a queue is popped once, in order, whoever waits for it and wherever; and who waits is served in
//! order of arrival.

use super::{Evidence, Invariant, is_covered};
use crate::linearizability::{Queue, Verdict, check};

/// The invariant.
pub struct Queues;

impl Invariant for Queues {
    fn name(&self) -> &'static str {
        "elements are popped once"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        for (key, operations) in evidence.queues.keys().filter(|(key, _)| is_covered(key, evidence)) {
            if let Verdict::Violation(example) = check(&Queue, operations) {
                return Err(format!("{key}: {example}"));
            }
        }
        evidence.line.map_or(Ok(()), |reason| Err(reason.to_owned()))
    }
}
