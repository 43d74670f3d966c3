//! Transactions: <https://redis.io/docs/latest/develop/interact/transactions/>
//!
//! Rows only: what they do is part of a connection's control flow, which `dispatch::transaction` holds.

use super::{CommandSpec, Family, Handler};
use larder_protocol::{Arity, Flags, KeySpec};

/// The family's commands.
pub static COMMANDS: &[&CommandSpec] = &[&MULTI, &EXEC, &DISCARD, &WATCH, &UNWATCH];

const CONTROL: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);

/// MULTI
pub static MULTI: CommandSpec = CommandSpec {
    name: "multi",
    id: 0,
    arity: Arity::Exactly(1),
    flags: CONTROL.union(Flags::FAST).union(Flags::ALLOW_BUSY),
    keys: KeySpec::None,
    family: Family::Transactions,
    since: "1.2.0",
    complexity: "O(1)",
    summary: "Starts a transaction.",
    handler: Handler::Dispatch,
};

/// EXEC
pub static EXEC: CommandSpec = CommandSpec {
    name: "exec",
    id: 0,
    arity: Arity::Exactly(1),
    flags: CONTROL.union(Flags::SKIP_SLOWLOG),
    keys: KeySpec::None,
    family: Family::Transactions,
    since: "1.2.0",
    complexity: "Depends on commands in the transaction",
    summary: "Executes all commands in a transaction.",
    handler: Handler::Dispatch,
};

/// DISCARD
pub static DISCARD: CommandSpec = CommandSpec {
    name: "discard",
    id: 0,
    arity: Arity::Exactly(1),
    flags: CONTROL.union(Flags::FAST).union(Flags::ALLOW_BUSY),
    keys: KeySpec::None,
    family: Family::Transactions,
    since: "2.0.0",
    complexity: "O(N), when N is the number of queued commands",
    summary: "Discards a transaction.",
    handler: Handler::Dispatch,
};

/// WATCH key [key ...]
pub static WATCH: CommandSpec = CommandSpec {
    name: "watch",
    // Carries the keys of a connection to the node that leads their partition.
    id: 1001,
    arity: Arity::AtLeast(2),
    flags: CONTROL.union(Flags::FAST).union(Flags::ALLOW_BUSY),
    keys: KeySpec::from(1, 1),
    family: Family::Transactions,
    since: "2.2.0",
    complexity: "O(1) for every key.",
    summary: "Monitors changes to keys to determine the execution of a transaction.",
    handler: Handler::Dispatch,
};

/// UNWATCH
pub static UNWATCH: CommandSpec = CommandSpec {
    name: "unwatch",
    id: 0,
    arity: Arity::Exactly(1),
    flags: CONTROL.union(Flags::FAST).union(Flags::ALLOW_BUSY),
    keys: KeySpec::None,
    family: Family::Transactions,
    since: "2.2.0",
    complexity: "O(1)",
    summary: "Forgets about watched keys of a transaction.",
    handler: Handler::Dispatch,
};
