//! A transaction takes effect as a whole, at one instant, or not at all; under WATCH only if nothing has changed.

use super::{Evidence, Invariant, is_covered};
use crate::linearizability::{Pair, Verdict, check};

/// The invariant.
pub struct Transactions;

impl Invariant for Transactions {
    fn name(&self) -> &'static str {
        "transactions are whole"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        // The hash tag of a pair's keys is its name.
        for (pair, operations) in evidence.pairs.keys().filter(|(pair, _)| is_covered(pair, evidence)) {
            if let Verdict::Violation(example) = check(&Pair, operations) {
                return Err(format!("{pair}: {example}"));
            }
        }
        Ok(())
    }
}
