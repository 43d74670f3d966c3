//! Larder as its users run it: processes on loopback, ended in every way that processes end.
//!
//! [`Node`] is one process with its data directory and log file; [`Cluster`] starts several that find each other;
//! [`Load`] keeps clients busy and records what they saw, for the checker in [`linearizability`](crate::linearizability).
//! The client here is tiny and blocking on purpose: it shares no code with what it tests.
//!
//! Nothing outlives a test: processes are killed when their [`Node`] is dropped, and by a watchdog when the test itself
//! is killed. Logs are shown where a test fails.

mod binary;
mod cluster;
mod failover;
mod load;
mod node;
mod ports;
mod redis;
mod resp;
mod topology;
mod wait;
mod watchdog;

pub use binary::larder_binary;
pub use cluster::Cluster;
pub use failover::every_slot_writable;
pub use load::{Load, Problem, Report};
pub use node::{Node, NodeOptions, run_larder};
pub use ports::{Ports, free_ports};
pub use redis::RedisServer;
pub use resp::{Client, Value};
pub use topology::{SlotRange, slot_ranges};
pub use wait::wait_until;
