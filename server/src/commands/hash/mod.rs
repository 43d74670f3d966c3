//! Hashes.

use super::CommandSpec;

pub mod hdel;
pub mod hexists;
pub mod hget;
pub mod hgetall;
pub mod hincrby;
pub mod hincrbyfloat;
pub mod hrandfield;
pub mod hscan;
pub mod hset;
pub mod hsetnx;

/// The family's commands. Ids 128 to 191 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &hdel::HDEL,
    &hexists::HEXISTS,
    &hget::HGET,
    &hgetall::HGETALL,
    &hincrby::HINCRBY,
    &hincrbyfloat::HINCRBYFLOAT,
    &hgetall::HKEYS,
    &hexists::HLEN,
    &hget::HMGET,
    &hset::HMSET,
    &hrandfield::HRANDFIELD,
    &hscan::HSCAN,
    &hset::HSET,
    &hsetnx::HSETNX,
    &hexists::HSTRLEN,
    &hgetall::HVALS,
];
