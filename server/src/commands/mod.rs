//! The commands: one file each, by family, and the table that everything else derives from.
//!
//! A data handler works on one partition's [`Keyspace`](crate::keyspace::Keyspace) through a [`Context`]. It is a
//! function of keyspace, arguments and context alone: no clock of its own, no dice, no I/O. So the same function runs
//! under the lock of a solo partition, in Raft apply on every copy, and inside a transaction.

pub mod bitmap;
pub mod block;
pub mod blocking;
mod blocking_pop;
pub mod cluster;
mod collection_scan;
pub mod connection;
mod context;
mod dice;
#[cfg(test)]
mod docs;
mod error;
mod extended;
pub mod generic;
pub mod geo;
pub mod glob;
pub mod hash;
pub mod hyperloglog;
pub mod list;
pub mod maintenance;
pub mod number;
mod partial_sort;
pub mod port;
#[cfg(test)]
pub(crate) mod port_stub;
mod reply_mode;
pub mod server;
pub mod session;
pub mod set;
pub mod sorted_set;
pub mod spec;
pub mod stream;
pub mod string;
pub mod table;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
pub mod transactions;

pub use context::{Context, OrCreate};
pub use error::CommandError;
pub use spec::{CommandSpec, Family, Fanout, Handler};
