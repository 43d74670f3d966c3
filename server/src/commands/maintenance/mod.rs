//! Mutations that nodes give themselves: what leaves a partition without a client's asking.
//!
//! Which items go is decided where the partition is led; what was decided travels in entries like any command, so that
//! every copy removes the same items. They have ids but no names that a client could call. One of them, SETTLE, is a question.

use super::CommandSpec;

pub mod evict;
pub mod migrated;
pub mod reap;
pub mod settle;

/// The first id of the family; clients' commands stay below.
pub const FIRST_ID: u16 = 0xFF00;

/// All of them, by `id - FIRST_ID`.
pub static MUTATIONS: &[&CommandSpec] = &[&evict::EVICT, &reap::REAP, &migrated::MIGRATED, &settle::SETTLE];
