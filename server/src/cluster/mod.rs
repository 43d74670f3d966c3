//! Nodes, placement, and who leads what.

pub mod directory;
pub mod identity;
pub mod placement;
pub mod routes;
