//! What does an operation cost, and how long does it take, beside the server that people would use otherwise?
//!
//! [`generator`] keeps fixed connections busy from one thread that costs little, for a fixed number of operations.
//! [`target`] starts servers, or finds those that run, and knows their processes. [`compare`] runs all of them turn by
//! turn, so that a machine that slows down slows all: one node beside redis-server, or a cluster, to whose [`leaders`] each
//! key goes, beside a redis-server with as many replicas. [`hitratio`] compares what matters most of a cache, hits at equal
//! memory. [`load`] says what clients wait beside heavy work, [`scale`] what growth costs. [`plot`] draws a comparison.
//! [`types`] measures commands on collections, and what those weigh.
//!
//! Throughput on a shared machine moves with its neighbours; CPU time per operation over a fixed number of operations
//! holds still, and is the figure to trust.

pub mod compare;
pub mod cpu;
pub mod figures;
pub mod generator;
pub mod hitratio;
pub mod leaders;
pub mod load;
pub mod machine;
pub mod memory;
pub mod plot;
pub mod scale;
pub mod target;
pub mod types;
