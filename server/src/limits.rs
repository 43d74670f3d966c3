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
/// Most memory that the commands between MULTI and EXEC take.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;
/// Databases unless `databases` says otherwise.
pub const DATABASES_DEFAULT: u16 = 16;
/// What a command among them takes besides its arguments, and an argument besides its bytes, about.
pub const TRANSACTION_COMMAND_BYTES: usize = 32;
/// See [`TRANSACTION_COMMAND_BYTES`].
pub const TRANSACTION_ARGUMENT_BYTES: usize = 8;
/// Longest reply of a command, and of all commands of a transaction. One that is longer gives way to an error, since
/// what a client asks for must not be able to take all memory (Redis has no such limit, but for
/// `client-output-buffer-limit`).
pub const REPLY_BYTES_MAX: usize = 1 << 30;
/// Most elements that one step of SCAN, HSCAN, SSCAN or ZSCAN visits, whatever COUNT says, which Redis documents as a
/// hint: nobody else gets at the partition meanwhile.
pub const SCAN_COUNT_MAX: usize = 10_000;
