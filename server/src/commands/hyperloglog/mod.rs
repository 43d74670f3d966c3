//! HyperLogLogs: strings in Redis's own format, byte for byte, so that values copy across by GET and SET.
//!
//! ```text
//! 0      4          5        8                     16
//! "HYLL" encoding   unused   cached cardinality    registers: 16384 of 6 bits (dense), or runs of them (sparse)
//! ```
//! The top bit of the cached cardinality says that it is stale. Redis's PFCOUNT fills the cache, which is a write that
//! it sends to its replicas. Here a read changes nothing that the copies of a partition share, so PFCOUNT computes; a
//! cardinality that a value brings from Redis is used while it is fresh.

use super::CommandSpec;

mod dense;
mod element;
mod estimate;
pub mod pfadd;
pub mod pfcount;
pub mod pfdebug;
pub mod pfmerge;
pub mod pfselftest;
mod sparse;
mod value;

/// Registers of a HyperLogLog: 2^14.
const REGISTERS: usize = 1 << 14;

/// The family's commands. Ids 48 to 55 are theirs.
pub static COMMANDS: &[&CommandSpec] =
    &[&pfadd::PFADD, &pfcount::PFCOUNT, &pfdebug::PFDEBUG, &pfmerge::PFMERGE, &pfselftest::PFSELFTEST];
