//! Reading of arguments.

use crate::commands::CommandError;
use std::borrow::Cow;

/// Whether `argument` is `word`, in any case.
pub(in crate::commands) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// `argument` as text, for messages and for names that are text anyway.
pub(in crate::commands) fn text(argument: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(argument)
}

/// A 64-bit decimal integer as Redis's `string2ll` reads it: no spaces, no plus sign, no leading zeros.
pub(in crate::commands) fn integer(argument: &[u8]) -> Result<i64, CommandError> {
    let digits = argument.strip_prefix(b"-").unwrap_or(argument);
    let strict = digits == b"0" && digits.len() == argument.len() || matches!(digits.first(), Some(b'1'..=b'9'));
    let parsed = std::str::from_utf8(argument).ok().filter(|_| strict).and_then(|text| text.parse().ok());
    parsed.ok_or(CommandError::NotInteger)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_strictly_as_redis_does() {
        for (text, value) in
            [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(integer(text.as_bytes()), Ok(value));
        }
        for wrong in ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "x"] {
            assert_eq!(integer(wrong.as_bytes()), Err(CommandError::NotInteger), "{wrong}");
        }
    }
}
