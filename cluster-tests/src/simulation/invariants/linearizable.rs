//! Each key behaves as if there were one copy of it: what is answered fits some order of the commands that respects
//! time, where a command of unknown fate took effect once, at any time after it was sent, or never.

use super::{Evidence, Invariant, history, kept};
use crate::linearizability::{StringKey, Verdict, check};

/// The invariant.
pub struct Linearizable;

impl Invariant for Linearizable {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        for (key, commands) in kept(evidence) {
            if let Verdict::Violation(example) = check(&StringKey, &history(&commands)) {
                return Err(format!("{key}: {example}"));
            }
        }
        Ok(())
    }
}
