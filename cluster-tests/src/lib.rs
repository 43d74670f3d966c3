//! Tests of many nodes: processes on loopback, stock clients, and the judge of what clients saw.

pub mod linearizability;
pub mod process;
pub mod simulation;
