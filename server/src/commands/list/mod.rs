//! Lists.

use super::CommandSpec;
use crate::keyspace::collections::list::End;

pub mod blmove;
pub mod bpop;
pub mod lmove;
pub mod lpos;
pub mod lrange;
pub mod lset;
pub mod pop;
pub mod push;

/// LEFT or RIGHT.
fn end_of(word: &[u8]) -> Option<End> {
    if word.eq_ignore_ascii_case(b"LEFT") {
        Some(End::Left)
    } else {
        word.eq_ignore_ascii_case(b"RIGHT").then_some(End::Right)
    }
}

/// The family's commands. Ids 256 to 319 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &blmove::BLMOVE,
    &bpop::BLMPOP,
    &bpop::BLPOP,
    &bpop::BRPOP,
    &blmove::BRPOPLPUSH,
    &lrange::LINDEX,
    &lset::LINSERT,
    &lrange::LLEN,
    &lmove::LMOVE,
    &pop::LMPOP,
    &pop::LPOP,
    &lpos::LPOS,
    &push::LPUSH,
    &push::LPUSHX,
    &lrange::LRANGE,
    &lset::LREM,
    &lset::LSET,
    &lset::LTRIM,
    &pop::RPOP,
    &lmove::RPOPLPUSH,
    &push::RPUSH,
    &push::RPUSHX,
];
