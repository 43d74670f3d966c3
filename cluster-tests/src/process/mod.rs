//! Larder as its users run it: processes on loopback, ended in every way that processes end.
//!
//! [`Node`] is one process with its data directory and log file; [`Cluster`] starts several that find each other;
//! [`Load`] keeps clients busy and records what they saw, for the checker in [`linearizability`](crate::linearizability).
//! [`Network`] gives each node a namespace whose links can be cut and slowed, [`SmallDisk`] a disk that can be full,
//! [`WallClock`] a wall clock that can be wrong; [`Windows`] measures how long writes fail.
//! The client here is tiny and blocking on purpose: it shares no code with what it tests.
//!
//! Nothing outlives a test: processes are killed when their [`Node`] is dropped, and by a watchdog when the test itself
//! is killed. Logs are shown where a test fails.

mod binary;
mod cluster;
mod disk;
mod failover;
mod load;
mod netns;
mod node;
mod ports;
mod redis;
mod resp;
mod topology;
mod wait;
mod wall_clock;
mod watchdog;
mod windows;

pub use binary::larder_binary;
pub use cluster::Cluster;
pub use disk::SmallDisk;
pub use failover::every_slot_writable;
pub use load::{Load, Problem, Report};
pub use netns::{Network, NoNetwork};
pub use node::{Node, NodeOptions, Place, run_larder};
pub use ports::{Ports, free_ports};
pub use redis::RedisServer;
pub use resp::{Client, Value, encode, read_value};
pub use topology::{SlotRange, slot_ranges};
pub use wait::wait_until;
pub use wall_clock::WallClock;
pub use windows::Windows;
