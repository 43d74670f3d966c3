//! Could a single, correct copy of the data have produced this history?
//!
//! Clients record what they asked, when, and what they learned ([`Operation`]). Linearizability is local (Herlihy and
//! Wing 1990, theorem 1): a history is linearizable if and only if the part of each key is. So every key is checked
//! alone, against a small [`Model`], with Wing and Gong's search and Lowe's memoization ("Testing for linearizability",
//! 2017): a configuration is the set of operations that took effect and the state they left; none is visited twice.
//!
//! An operation of unknown outcome has no return: it may take effect at any time after it was asked for, or never.
//! One that was certainly refused must not be seen at all.

mod checker;
mod counterexample;
mod history;
mod model;
pub mod oracle;
mod pair;
mod queue;
#[cfg(test)]
mod tests;

pub use checker::{CONFIGURATIONS_MAX, Verdict, check};
pub use counterexample::Counterexample;
pub use history::{History, Operation, Outcome};
pub use model::{Counter, CounterInput, Model, StringInput, StringKey, StringOutput};
pub use pair::{Pair, PairInput, PairOutput};
pub use queue::{Queue, QueueInput, QueueOutput};
