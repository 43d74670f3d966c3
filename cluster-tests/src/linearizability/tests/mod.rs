//! The checker against histories that are right, histories that are wrong, and a checker that tries every order.

mod fixtures;
mod lost;
mod right;
mod search;
mod wrong;
