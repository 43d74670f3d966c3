//! Streams.

use super::CommandSpec;

mod ids;
mod read_options;
mod shapes;
mod trim_options;
pub mod xack;
pub mod xadd;
pub mod xautoclaim;
pub mod xclaim;
pub mod xgroup;
pub mod xinfo;
pub mod xpending;
pub mod xrange;
pub mod xread;
pub mod xreadgroup;
pub mod xsetid;
pub mod xtrim;

/// The family's commands. Ids 384 to 447 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &xack::XACK,
    &xadd::XADD,
    &xautoclaim::XAUTOCLAIM,
    &xclaim::XCLAIM,
    &xtrim::XDEL,
    &xgroup::XGROUP,
    &xinfo::XINFO,
    &xrange::XLEN,
    &xpending::XPENDING,
    &xrange::XRANGE,
    &xread::XREAD,
    &xreadgroup::XREADGROUP,
    &xrange::XREVRANGE,
    &xsetid::XSETID,
    &xtrim::XTRIM,
];
