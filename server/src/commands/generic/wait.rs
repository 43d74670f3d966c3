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
    let local = parse_i64(&args[1]).filter(|local| (0..=1).contains(local));
    let local = local.ok_or(CommandError::text("ERR value is out of range, must be between 0 and 1"))?;
    let copies = parse_i64(&args[2]).filter(|copies| *copies >= 0).ok_or(CommandError::NotPositive)?;
    let wait = milliseconds(&args[3])?;
    if local > 0 {
        return Err(CommandError::text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    Ok((copies, wait))
}
