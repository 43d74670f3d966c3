//! Nodes, placement, and who leads what.

pub mod routes;
