//! What an operator sees of a node: logs, counters, and the HTTP port.

mod http;
mod logs;
mod stats;

pub use http::{Page, Probe, serve_http};
pub use logs::{init_logs, set_level};
pub use stats::{CommandCounters, Rates, Stats};
