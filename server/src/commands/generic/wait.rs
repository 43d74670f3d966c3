//! WAIT and WAITAOF: <https://redis.io/docs/latest/commands/wait/>
//!
//! Rows and arguments; what they do is part of a connection's control flow, which `dispatch::copies` holds.

use crate::commands::blocking::{WaitFor, milliseconds};
use crate::commands::number::{integer, parse_i64};
use crate::commands::{CommandError, CommandSpec, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec};

/// WAIT numreplicas timeout
pub static WAIT: CommandSpec = CommandSpec {
    name: "wait",
    id: 0,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT,
    keys: KeySpec::None,
    family: Family::Generic,
    since: "3.0.0",
    complexity: "O(1)",
    summary: "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed.",
    handler: Handler::Dispatch,
};

/// WAITAOF numlocal numreplicas timeout
pub static WAITAOF: CommandSpec = CommandSpec {
    name: "waitaof",
    id: 0,
    arity: Arity::Exactly(4),
    flags: Flags::BLOCKING,
    keys: KeySpec::None,
    family: Family::Generic,
    since: "7.2.0",
    complexity: "O(1)",
    summary: "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas.",
    handler: Handler::Dispatch,
};

/// Reads WAIT's arguments: how many copies, and for how long.
///
/// # Errors
/// Redis's.
pub fn read_wait(args: Args<'_>) -> Result<(i64, WaitFor), CommandError> {
    Ok((integer(&args[1])?, milliseconds(&args[2])?))
}

/// Reads WAITAOF's arguments: how many copies are to have it on disk, and for how long.
///
/// # Errors
/// Redis's, for a server without AOF.
pub fn read_waitaof(args: Args<'_>) -> Result<(i64, WaitFor), CommandError> {
    const RANGE: CommandError = CommandError::text("ERR value is out of range, value must between 0 and 1");
    let local = Some(integer(&args[1])?).filter(|local| (0..=1).contains(local)).ok_or(RANGE)?;
    let copies = parse_i64(&args[2]).filter(|copies| *copies >= 0).ok_or(CommandError::NotPositive)?;
    let wait = milliseconds(&args[3])?;
    if local > 0 {
        return Err(CommandError::text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    Ok((copies, wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of Redis 7.4 (`waitaofCommand`), which reads all arguments before it looks at itself.
    #[test]
    fn arguments_of_waitaof_are_read_as_redis_reads_them() {
        let read = |line: &str| {
            let (mut buffer, mut ranges) = (String::new(), Vec::new());
            for word in line.split(' ') {
                ranges.push((buffer.len() as u32, (buffer.len() + word.len()) as u32));
                buffer.push_str(word);
            }
            read_waitaof(Args::new(buffer.as_bytes(), &ranges)).map_err(|error| error.to_string())
        };
        assert_eq!(read("WAITAOF 0 2 0"), Ok((2, WaitFor::Ever)));
        for (line, error) in [
            ("WAITAOF x 0 0", "ERR value is not an integer or out of range"),
            ("WAITAOF 2 0 0", "ERR value is out of range, value must between 0 and 1"),
            ("WAITAOF -1 x x", "ERR value is out of range, value must between 0 and 1"),
            ("WAITAOF 0 -1 0", "ERR value is out of range, must be positive"),
            ("WAITAOF 0 x 0", "ERR value is out of range, must be positive"),
            ("WAITAOF 1 0 x", "ERR timeout is not an integer or out of range"),
            ("WAITAOF 1 0 -5", "ERR timeout is negative"),
            ("WAITAOF 1 0 5", "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
        ] {
            assert_eq!(read(line), Err(error.to_string()), "{line}");
        }
    }
}
