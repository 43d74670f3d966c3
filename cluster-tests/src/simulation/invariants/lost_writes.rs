//! A write that was answered is there at the end, once; one that was refused is not.

use super::{Evidence, Invariant, history, kept};
use crate::linearizability::oracle::lost_writes;
use crate::linearizability::{Outcome, StringInput, StringOutput};

/// The invariant.
pub struct LostWrites;

impl Invariant for LostWrites {
    fn name(&self) -> &'static str {
        "no answered write is lost"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        for (key, commands) in kept(evidence) {
            let reads = commands.iter().filter(|command| command.input == StringInput::Get);
            let Some(last) = reads.max_by_key(|command| command.invoked_ns) else { continue };
            let Outcome::Ok(StringOutput::Value(value)) = &last.outcome else { continue };
            if let Some(wrong) = lost_writes(&history(&commands), value.as_deref()).first() {
                return Err(format!("{key}: {wrong}"));
            }
        }
        Ok(())
    }
}
