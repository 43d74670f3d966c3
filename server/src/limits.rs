//! Every limit in one place, with its unit in its name.

/// Longest bulk string that a client may send, and longest string value (Redis: `proto-max-bulk-len`).
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most arguments of one command (Redis: 1024 * 1024).
pub const ARGS_MAX: usize = 1024 * 1024;
/// Longest inline command (Redis: `PROTO_INLINE_MAX_SIZE`).
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most commands of one connection that are in flight at once; further ones wait in the socket.
pub const BATCH_COMMANDS_MAX: usize = 1024;
/// Once so many bytes of replies wait, they are sent before the next command of the batch is carried out.
pub const OUTPUT_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Most connections of other nodes that watch keys of this one.
pub const REMOTE_WATCHES_MAX: usize = 64 * 1024;
/// Most bytes of arguments that wait between MULTI and EXEC.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;
/// Databases unless `databases` says otherwise.
pub const DATABASES_DEFAULT: u16 = 16;
