//! What commands that may wait have beside their handlers.
//!
//! The handler of such a command is the attempt: it does what there is to do, or answers null, and so it runs in a
//! transaction and in a log entry. That null means to wait is said here, for whoever leads the partition
//! ([`raft::waiters`](crate::raft::Ticket)): how long, for which keys, and when another attempt is worth it.

use super::extended::Extended;
use super::{CommandError, CommandSpec, Context, list, sorted_set, stream};
use crate::keyspace::ValueRef;
use larder_protocol::Args;

/// How long a command waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// It does not: a null answer is its answer (XREAD without BLOCK).
    Nothing,
    /// For ever (a timeout of 0).
    Ever,
    /// So long.
    Ms(u64),
}

/// How a command waits.
pub struct Blocking {
    /// The command. Its handler answers null where it has to wait.
    pub command: &'static CommandSpec,
    /// Checks all arguments, in Redis's order and words, and says how long it waits. Called before the handler, whose
    /// checks say the same: it runs alone inside a transaction.
    pub timeout: fn(Args<'_>) -> Result<WaitFor, CommandError>,
    /// The keys that it waits for: the first, and the one behind the last. Called where `timeout` found no fault.
    pub keys: fn(Args<'_>) -> (usize, usize),
    /// How many attempts are worth making with what a key holds now; 0 where it would be null for certain.
    pub worth: WorthFn,
    /// Arguments that mean the instant at which the command came, with what they mean (XREAD's `$`): by position.
    pub settle: Option<SettleFn>,
}

/// See [`Blocking::worth`].
pub type WorthFn = fn(Option<ValueRef<'_>>) -> usize;

/// See [`Blocking::settle`].
pub type SettleFn = fn(&mut Context<'_>, Args<'_>) -> Vec<(usize, Vec<u8>)>;

/// Every command that may wait.
static BLOCKING: &[&Blocking] = &[
    &list::bpop::BLPOP_WAITS,
    &list::bpop::BRPOP_WAITS,
    &list::bpop::BLMPOP_WAITS,
    &list::blmove::BLMOVE_WAITS,
    &list::blmove::BRPOPLPUSH_WAITS,
    &sorted_set::bzpop::BZPOPMIN_WAITS,
    &sorted_set::bzpop::BZPOPMAX_WAITS,
    &sorted_set::bzpop::BZMPOP_WAITS,
    &stream::xread::XREAD_WAITS,
    &stream::xreadgroup::XREADGROUP_WAITS,
];

/// How `command` waits, if it may.
pub fn of(command: &CommandSpec) -> Option<&'static Blocking> {
    BLOCKING.iter().copied().find(|blocking| std::ptr::eq(blocking.command, command))
}

/// Longest wait: its end must be an instant that 64 bits hold, for a thousand years to come. No clock is read, since this
/// runs in log entries, too.
const MS_MAX: i64 = i64::MAX - (1 << 45);

const OUT_OF_RANGE: CommandError = CommandError::text("ERR timeout is out of range");

/// Reads a timeout in seconds, as Redis 7.4 does: rounded up to a millisecond.
///
/// # Errors
/// Redis's.
pub fn seconds(text: &[u8]) -> Result<WaitFor, CommandError> {
    let not_a_float = CommandError::text("ERR timeout is not a float or out of range");
    let ms = (Extended::parse(text).ok_or(not_a_float)?.to_f64() * 1000.0).ceil();
    if ms >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    from_ms(ms as i64)
}

/// Reads a timeout in milliseconds, as Redis does.
///
/// # Errors
/// Redis's.
pub fn milliseconds(text: &[u8]) -> Result<WaitFor, CommandError> {
    let not_an_integer = CommandError::text("ERR timeout is not an integer or out of range");
    from_ms(super::number::parse_i64(text).ok_or(not_an_integer)?)
}

fn from_ms(ms: i64) -> Result<WaitFor, CommandError> {
    match ms {
        _ if ms > MS_MAX => Err(OUT_OF_RANGE),
        ..0 => Err(CommandError::text("ERR timeout is negative")),
        0 => Ok(WaitFor::Ever),
        ms => Ok(WaitFor::Ms(ms as u64)),
    }
}

/// Whether `reply` is a null, of either protocol: the command has to wait.
pub fn is_null(reply: &[u8]) -> bool {
    matches!(reply, b"*-1\r\n" | b"$-1\r\n" | b"_\r\n")
}

/// How many pops a list is worth.
pub fn list_elements(value: Option<ValueRef<'_>>) -> usize {
    match value {
        Some(ValueRef::List(list)) => list.len(),
        _ => 0,
    }
}

/// How many pops a sorted set is worth.
pub fn sorted_set_members(value: Option<ValueRef<'_>>) -> usize {
    match value {
        Some(ValueRef::SortedSet(set)) => set.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_protocol::Flags;

    #[test]
    fn timeouts_are_read_as_redis_reads_them() {
        for (text, expected) in [
            ("0", WaitFor::Ever),
            ("-0", WaitFor::Ever),
            ("0.0001", WaitFor::Ms(1)),
            ("0.1", WaitFor::Ms(100)),
            ("1e1", WaitFor::Ms(10_000)),
            ("0x10", WaitFor::Ms(16_000)),
        ] {
            assert_eq!(seconds(text.as_bytes()), Ok(expected), "{text}");
        }
        for (text, error) in [
            ("", "ERR timeout is not a float or out of range"),
            ("nan", "ERR timeout is not a float or out of range"),
            ("1 ", "ERR timeout is not a float or out of range"),
            ("-1", "ERR timeout is negative"),
            ("-inf", "ERR timeout is negative"),
            ("inf", "ERR timeout is out of range"),
            ("1e300", "ERR timeout is out of range"),
            ("9223372036854775", "ERR timeout is out of range"),
        ] {
            assert_eq!(seconds(text.as_bytes()).unwrap_err().to_string(), error, "{text}");
        }
        assert_eq!(milliseconds(b"1.5").unwrap_err().to_string(), "ERR timeout is not an integer or out of range");
        assert_eq!(milliseconds(b"15"), Ok(WaitFor::Ms(15)));
    }

    #[test]
    fn who_may_wait_says_so() {
        for blocking in BLOCKING {
            assert!(blocking.command.flags.contains(Flags::BLOCKING), "{}", blocking.command.name);
        }
        // WAITAOF works on no data.
        let flagged = crate::commands::table::all().filter(|spec| spec.id != 0 && spec.flags.contains(Flags::BLOCKING));
        assert_eq!(flagged.count(), BLOCKING.len());
    }
}
