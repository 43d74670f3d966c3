//! One connection's commands to a key take effect in the order in which they were sent, pipelined or not, wherever they
//! are routed; and a connection sees what it wrote.

use super::{Command, Evidence, Invariant, by_key};
use crate::linearizability::oracle::TOKEN_END;
use crate::linearizability::{Outcome, StringInput, StringOutput};
use crate::simulation::client::KeyKind;
use std::collections::BTreeMap;

/// The invariant.
pub struct ConnectionOrder;

impl Invariant for ConnectionOrder {
    fn name(&self) -> &'static str {
        "the order of a connection"
    }

    fn finish(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        for (key, commands) in by_key(evidence).into_iter().filter(|(key, _)| KeyKind::of(key) == KeyKind::Log) {
            check(&commands).map_err(|wrong| format!("{key}: {wrong}"))?;
        }
        Ok(())
    }
}

fn check(commands: &[&Command]) -> Result<(), String> {
    for command in commands {
        let Outcome::Ok(StringOutput::Value(value)) = &command.outcome else { continue };
        let value = value.as_deref().unwrap_or_default();
        let text = std::str::from_utf8(value).map_err(|_| "the value is no text".to_owned())?;
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for token in text.split_terminator(TOKEN_END as char) {
            let (connection, number) = token.split_once('.').ok_or_else(|| format!("{token:?} is no token"))?;
            let connection: u64 = connection.parse().map_err(|_| format!("{token:?} is no token"))?;
            let number: u64 = number.parse().map_err(|_| format!("{token:?} is no token"))?;
            if let Some(before) = last.insert(connection, number)
                && before >= number
            {
                return Err(format!("connection {connection} sent {number} before {before}, which stands before it"));
            }
        }
        let own = commands.iter().filter(|other| {
            other.connection == command.connection
                && other.number < command.number
                && matches!(other.outcome, Outcome::Ok(_))
        });
        for other in own {
            if let StringInput::Append(token) = &other.input
                && !value.windows(token.len()).any(|window| window == token)
            {
                return Err(format!(
                    "connection {} reads in its command {} a value without what it appended in {}",
                    command.connection, command.number, other.number
                ));
            }
        }
    }
    Ok(())
}
