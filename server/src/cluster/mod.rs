//! Nodes, placement, and who leads what.

pub mod control;
pub mod copies;
pub mod directory;
pub mod forwarding;
pub mod identity;
pub mod node;
pub mod orders;
pub mod placement;
mod reconciler;
pub mod routes;
pub mod service;
#[cfg(test)]
mod tests;
