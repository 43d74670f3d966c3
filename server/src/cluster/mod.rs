//! Nodes, placement, and who leads what.

pub mod copies;
pub mod forwarding;
pub mod orders;
pub mod placement;
pub mod routes;
pub mod service;
