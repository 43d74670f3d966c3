//! Nodes, placement, and who leads what.

pub mod forwarding;
pub mod routes;
pub mod service;
