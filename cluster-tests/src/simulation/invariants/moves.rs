//! Moves end: left in peace, a cluster comes to rest with every partition on the copies that it should have, and every key
//! can be read.

use super::{Evidence, Invariant};

/// The invariant.
pub struct Moves;

impl Invariant for Moves {
    fn name(&self) -> &'static str {
        "moves end"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        evidence.unsettled.map_or(Ok(()), |reason| Err(reason.to_owned()))
    }
}
