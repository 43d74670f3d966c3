//! Sorted sets.

use super::CommandSpec;

pub mod algebra;
pub mod bzpop;
pub(in crate::commands) mod score;
pub mod zadd;
pub mod zpop;
pub mod zrandmember;
pub mod zrange;
pub mod zrem;
pub mod zscan;
pub mod zscore;

/// The family's commands. Ids 320 to 383 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &bzpop::BZMPOP,
    &bzpop::BZPOPMAX,
    &bzpop::BZPOPMIN,
    &zadd::ZADD,
    &zscore::ZCARD,
    &zscore::ZCOUNT,
    &algebra::ZDIFF,
    &algebra::ZDIFFSTORE,
    &zadd::ZINCRBY,
    &algebra::ZINTER,
    &algebra::ZINTERCARD,
    &algebra::ZINTERSTORE,
    &zscore::ZLEXCOUNT,
    &zpop::ZMPOP,
    &zscore::ZMSCORE,
    &zpop::ZPOPMAX,
    &zpop::ZPOPMIN,
    &zrandmember::ZRANDMEMBER,
    &zrange::ZRANGE,
    &zrange::ZRANGEBYLEX,
    &zrange::ZRANGEBYSCORE,
    &zrange::ZRANGESTORE,
    &zscore::ZRANK,
    &zrem::ZREM,
    &zrem::ZREMRANGEBYLEX,
    &zrem::ZREMRANGEBYRANK,
    &zrem::ZREMRANGEBYSCORE,
    &zrange::ZREVRANGE,
    &zrange::ZREVRANGEBYLEX,
    &zrange::ZREVRANGEBYSCORE,
    &zscore::ZREVRANK,
    &zscan::ZSCAN,
    &zscore::ZSCORE,
    &algebra::ZUNION,
    &algebra::ZUNIONSTORE,
];
