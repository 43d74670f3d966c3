//! Tests of many nodes: simulations, processes, stock clients, long runs, and the judge of what clients saw.

pub mod linearizability;
pub mod process;
pub mod simulation;
pub mod soak;
