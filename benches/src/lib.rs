//! What does an operation cost, and how long does it take, beside the server that people would use otherwise?
//!
//! [`generator`] keeps fixed connections busy from one thread that costs little, for a fixed number of operations.
//! [`target`] starts servers, or finds those that run, and knows their processes. [`compare`] runs all of them turn by
//! turn, so that a machine that slows down slows all; [`cluster`] sends writes to the leaders of several nodes.
//! [`hitratio`] compares what matters most of a cache, hits at equal memory. [`load`] says what clients wait beside heavy
//! work.
//!
//! Throughput on a shared machine moves with its neighbours; CPU time per operation over a fixed number of operations
//! holds still, and is the figure to trust.

pub mod cluster;
pub mod compare;
pub mod cpu;
pub mod figures;
pub mod generator;
pub mod hitratio;
pub mod load;
pub mod machine;
pub mod memory;
pub mod target;
