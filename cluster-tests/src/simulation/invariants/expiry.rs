//! Items live as long as they were asked to: not seen later, and not gone sooner, than the clocks of the nodes differ.

use super::{Command, Evidence, Invariant, by_key};
use crate::linearizability::{Outcome, StringInput, StringOutput};
use crate::simulation::client::KeyKind;

/// Clocks show milliseconds, and nodes read them a little after true time is taken here.
const RESOLUTION_MS: u64 = 3;

/// The invariant.
pub struct Expiry;

impl Invariant for Expiry {
    fn name(&self) -> &'static str {
        "deadlines are kept"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        for (key, commands) in by_key(evidence).into_iter().filter(|(key, _)| KeyKind::of(key) == KeyKind::Expiring) {
            for read in commands.iter().filter(|command| command.input == StringInput::Get) {
                let slack_ms = evidence.skew_ms + RESOLUTION_MS;
                let checked = match &read.outcome {
                    Outcome::Ok(StringOutput::Value(Some(value))) => not_late(read, value, &commands, slack_ms),
                    Outcome::Ok(StringOutput::Value(None)) if !evidence.evicts => not_early(read, &commands, slack_ms),
                    _ => Ok(()),
                };
                checked.map_err(|wrong| format!("{key}: {wrong}"))?;
            }
        }
        Ok(())
    }
}

fn not_late(read: &Command, value: &[u8], commands: &[&Command], slack_ms: u64) -> Result<(), String> {
    let wrote = |other: &&&Command| matches!(&other.input, StringInput::Set(written) if written == value);
    let Some(write) = commands.iter().find(wrote) else { return Err(format!("nobody wrote {value:?}")) };
    let (Some(ttl_ms), Outcome::Ok(_)) = (write.ttl_ms, &write.outcome) else { return Ok(()) };
    let until_ns = write.returned_ns + (ttl_ms + slack_ms) * 1_000_000;
    if read.invoked_ns <= until_ns {
        return Ok(());
    }
    Err(format!("read {} ms after the deadline: {write}; {read}", (read.invoked_ns - until_ns) / 1_000_000))
}

fn not_early(read: &Command, commands: &[&Command], slack_ms: u64) -> Result<(), String> {
    // The last write that was answered before, if no other one may have come after it.
    let writes = || commands.iter().filter(|command| matches!(command.input, StringInput::Set(_)));
    let before =
        writes().filter(|write| matches!(write.outcome, Outcome::Ok(_)) && write.returned_ns < read.invoked_ns);
    let Some(write) = before.max_by_key(|write| write.invoked_ns) else { return Ok(()) };
    let alone = writes().all(|other| {
        other.connection == write.connection && other.number == write.number
            || other.outcome == Outcome::Failed
            || other.invoked_ns > read.returned_ns
            || (other.returned_ns < write.invoked_ns && matches!(other.outcome, Outcome::Ok(_)))
    });
    let least_ms = write.ttl_ms.unwrap_or(u64::MAX / 2_000_000).saturating_sub(slack_ms);
    if alone && read.returned_ns < write.invoked_ns + least_ms * 1_000_000 {
        return Err(format!("gone before its deadline: {write}; {read}"));
    }
    Ok(())
}
