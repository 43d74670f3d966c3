//! Bitmaps: strings, seen as bits. Bit 0 is the most significant bit of the first byte.

use super::CommandSpec;

pub mod bitcount;
pub mod bitfield;
pub mod bitop;
pub mod bitpos;
mod bits;
mod field;
pub mod getbit;
mod offset;
pub mod setbit;

/// The family's commands. Ids 40 to 47 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &bitcount::BITCOUNT,
    &bitfield::BITFIELD,
    &bitfield::BITFIELD_RO,
    &bitop::BITOP,
    &bitpos::BITPOS,
    &getbit::GETBIT,
    &setbit::SETBIT,
];
