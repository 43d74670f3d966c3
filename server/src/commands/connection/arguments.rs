//! Reading of arguments.

use crate::commands::{CommandError, number};
use std::borrow::Cow;

/// Whether `argument` is `word`, in any case.
pub(in crate::commands) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// `argument` as text, for messages and for names that are text anyway.
pub(in crate::commands) fn text(argument: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(argument)
}

/// A 64-bit decimal integer.
pub(in crate::commands) fn integer(argument: &[u8]) -> Result<i64, CommandError> {
    number::integer(argument)
}

/// ON or OFF.
pub(in crate::commands) fn on_or_off(argument: &[u8]) -> Result<bool, CommandError> {
    match argument {
        word if is(word, "ON") => Ok(true),
        word if is(word, "OFF") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// The reply of a container's HELP.
pub(in crate::commands) fn help(reply: &mut larder_protocol::ReplyBuffer, container: &str, lines: &[&str]) {
    reply.array_header(lines.len() + 3);
    reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| reply.simple(line));
    reply.simple("HELP");
    reply.simple("    Prints this help.");
}
