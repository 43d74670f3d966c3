//! Error prefixes, spelled once.
//!
//! Clients match on the first word of an error reply, so each is a constant here and nowhere else.

/// Any error without a more precise prefix.
pub const ERR: &str = "ERR";
/// The key holds another type than the command works on.
pub const WRONGTYPE: &str = "WRONGTYPE";
/// The slot is served by another node: `MOVED <slot> <host>:<port>`.
pub const MOVED: &str = "MOVED";
/// This one request belongs to another node: `ASK <slot> <host>:<port>`.
pub const ASK: &str = "ASK";
/// The keys of a command hash to several slots.
pub const CROSSSLOT: &str = "CROSSSLOT";
/// No leader can be reached for the slot.
pub const CLUSTERDOWN: &str = "CLUSTERDOWN";
/// The keys of a command are split by a move that is going on.
pub const TRYAGAIN: &str = "TRYAGAIN";
/// The memory limit is reached and nothing may be evicted.
pub const OOM: &str = "OOM";
/// Authentication is required.
pub const NOAUTH: &str = "NOAUTH";
/// The password or user is wrong.
pub const WRONGPASS: &str = "WRONGPASS";
/// The user may not run this command.
pub const NOPERM: &str = "NOPERM";
/// The protocol version asked for by HELLO is unknown.
pub const NOPROTO: &str = "NOPROTO";
/// The node is starting.
pub const LOADING: &str = "LOADING";
/// A script is running.
pub const BUSY: &str = "BUSY";
/// A write reached a copy that may not take it.
pub const READONLY: &str = "READONLY";
/// A transaction was discarded because of an earlier error.
pub const EXECABORT: &str = "EXECABORT";
/// A write was proposed and its fate is not known. Never resent by the server; not a prefix that clients retry.
pub const UNCERTAIN: &str = "UNCERTAIN";
/// The target key of COPY, RESTORE exists.
pub const BUSYKEY: &str = "BUSYKEY";
/// The connection is refused (protected mode).
pub const DENIED: &str = "DENIED";
