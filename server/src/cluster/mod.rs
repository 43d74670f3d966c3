//! Nodes, placement, and who leads what.

pub mod control;
pub mod copies;
pub mod directory;
pub mod forwarding;
mod gate;
pub mod identity;
mod joining;
mod leaving;
pub mod node;
mod operations;
pub mod orders;
pub mod picture;
pub mod placement;
pub mod reach;
mod readiness;
pub mod reconciler;
pub mod routes;
pub mod service;
pub mod skew;
#[cfg(test)]
mod tests;
mod waiting;

pub use waiting::Waiting;
