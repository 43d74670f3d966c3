//! Seeded simulation: one partition's copies, their network and their clients in one deterministic process.
//!
//! Everything runs on openraft's simulated runtime: one thread, virtual time, all randomness from the seed. The same
//! seed gives the same run, event for event. Only what Larder itself does is simulated here: groups, log, machine,
//! proposer, leases and snapshots are the server's own code.

mod clients;
mod network;
mod world;

pub use clients::{Run, Settings, simulate};
pub use network::Faults;
pub use world::World;
