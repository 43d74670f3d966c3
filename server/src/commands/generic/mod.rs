//! Keys of any type, and the keyspace as a whole.

use super::CommandSpec;

pub mod copy;
pub mod dbsize;
pub mod del;
pub mod dump;
pub mod exists;
pub mod expire;
pub mod flush;
pub mod keys;
pub mod memory_usage;
pub mod migrate;
pub mod move_;
pub mod object;
mod payload;
pub mod persist;
pub mod randomkey;
pub mod rename;
pub mod restore;
pub mod scan;
pub mod sort;
mod stream_payload;
pub mod swapdb;
pub mod touch;
pub mod ttl;
pub mod type_;
pub mod wait;

pub use memory_usage::MEMORY_USAGE;

/// The family's commands, and those of Redis's `server` group that work on data. Ids 64 to 127 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &copy::COPY,
    &dbsize::DBSIZE,
    &del::DEL,
    &dump::DUMP,
    &exists::EXISTS,
    &expire::EXPIRE,
    &expire::EXPIREAT,
    &ttl::EXPIRETIME,
    &flush::FLUSHALL,
    &flush::FLUSHDB,
    &keys::KEYS,
    &migrate::MIGRATE,
    &move_::MOVE,
    &object::OBJECT,
    &persist::PERSIST,
    &expire::PEXPIRE,
    &expire::PEXPIREAT,
    &ttl::PEXPIRETIME,
    &ttl::PTTL,
    &randomkey::RANDOMKEY,
    &rename::RENAME,
    &rename::RENAMENX,
    &restore::RESTORE,
    &restore::RESTORE_ASKING,
    &scan::SCAN,
    &sort::SORT,
    &sort::SORT_RO,
    &swapdb::SWAPDB,
    &touch::TOUCH,
    &ttl::TTL,
    &type_::TYPE,
    &del::UNLINK,
    &wait::WAIT,
    &wait::WAITAOF,
];
