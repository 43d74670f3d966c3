//! What the commands on deadlines of fields have in common: times, and `FIELDS n field ...`.

use crate::clock::UnixMs;
use crate::commands::{CommandError, number};
use larder_protocol::Args;

/// The last deadline that a field can have.
pub(super) const DEADLINE_MAX: UnixMs = (1 << 46) - 1;

/// How a time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeForm {
    /// In seconds, else in milliseconds.
    pub(super) seconds: bool,
    /// Counted from the instant of the command, else from 1970.
    pub(super) relative: bool,
}

impl TimeForm {
    /// EX, PX, EXAT and PXAT.
    pub(super) fn of_option(word: &[u8]) -> Option<Self> {
        let form = |seconds, relative| Some(Self { seconds, relative });
        match word.to_ascii_uppercase().as_slice() {
            b"EX" => form(true, true),
            b"PX" => form(false, true),
            b"EXAT" => form(true, false),
            b"PXAT" => form(false, false),
            _ => None,
        }
    }

    /// The deadline that a text says. It may have passed.
    ///
    /// # Errors
    /// Where it is no number, negative, or later than a field's deadline can be.
    pub(super) fn deadline(self, text: &[u8], now: UnixMs, command: &'static str) -> Result<UnixMs, CommandError> {
        const NEGATIVE: CommandError = CommandError::text("ERR invalid expire time, must be >= 0");
        let time = u64::try_from(number::integer(text)?).map_err(|_| NEGATIVE)?;
        let ms = if self.seconds { time.checked_mul(1000) } else { Some(time) };
        let at = ms.and_then(|ms| ms.checked_add(if self.relative { now } else { 0 }));
        at.filter(|at| *at <= DEADLINE_MAX).ok_or(CommandError::InvalidExpire(command))
    }
}

/// What is said of a number of fields that is none.
pub(super) const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

/// The fields of `FIELDS n field ...`, which begins at `at`.
///
/// # Errors
/// Where it does not begin there, where the number is not above 0 (`not_positive`), or is not that of the fields.
pub(super) fn fields<'a>(args: Args<'a>, at: usize, not_positive: &'static str) -> Result<Args<'a>, CommandError> {
    const MISSING: CommandError =
        CommandError::text("ERR Mandatory argument FIELDS is missing or not at the right position");
    const MISMATCH: CommandError =
        CommandError::text("ERR The `numfields` parameter must match the number of arguments");
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"FIELDS")) {
        return Err(MISSING);
    }
    let count = number::key_count_or(args.get(at + 1).unwrap_or_default(), CommandError::text(not_positive))?;
    let fields = args.from(at + 2);
    if fields.len() == count { Ok(fields) } else { Err(MISMATCH) }
}
