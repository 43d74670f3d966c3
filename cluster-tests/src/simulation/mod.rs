//! Whole clusters in one deterministic process: nodes that start, join, move copies, fail and stop, under clients.
//!
//! ```text
//! run (one seed) -> Cluster: machines --start--> Node: the server's Copies, groups, Routes, reconciler, Upkeep, Dispatcher
//!                      |  \--- faults                 |            \--- connections of clients (client)
//!                      |---- Directory (a model)      |---- Network: delay, loss, duplication, cuts
//!                      \---- Judge: one file a promise (invariants), the trace
//! ```
//! Everything runs on [`runtime`]: one thread, virtual time, a clock for every machine, all order from the seed. The same
//! seed is the same run, event for event.

mod client;
mod cluster;
mod directory;
mod extras;
mod faults;
mod invariants;
mod judge;
mod lasting;
mod line;
mod network;
mod node;
mod port;
mod queues;
mod run;
pub mod runner;
mod runtime;
mod statistics;
mod transactions;

pub use faults::{FAULTS, Fault};
pub use judge::Violation;
pub use run::{Run, simulate};
pub use statistics::Counters;
