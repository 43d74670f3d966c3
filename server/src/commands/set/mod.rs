//! Sets.

use super::CommandSpec;

pub mod algebra;
pub mod sadd;
pub mod sismember;
pub mod smove;
pub mod spop;
pub mod srandmember;
pub mod sscan;

/// The family's commands. Ids 192 to 255 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &sadd::SADD,
    &sismember::SCARD,
    &algebra::SDIFF,
    &algebra::SDIFFSTORE,
    &algebra::SINTER,
    &algebra::SINTERCARD,
    &algebra::SINTERSTORE,
    &sismember::SISMEMBER,
    &sismember::SMEMBERS,
    &sismember::SMISMEMBER,
    &smove::SMOVE,
    &spop::SPOP,
    &srandmember::SRANDMEMBER,
    &sadd::SREM,
    &sscan::SSCAN,
    &algebra::SUNION,
    &algebra::SUNIONSTORE,
];
