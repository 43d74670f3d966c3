//! Nodes, placement, and who leads what.

pub mod placement;
pub mod routes;
