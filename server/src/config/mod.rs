//! The settings of a node: each is one row of [`SETTINGS`], from which the flags of `larder serve`, the keys of the
//! configuration file, and CONFIG GET, SET and REWRITE derive.
//!
//! Order of precedence: CONFIG SET, then flags, then the file, then the default.

mod file;
mod flags;
mod store;
mod table;
mod value;

pub use file::ConfigFileError;
pub use flags::{explicit, serve_flags};
pub use store::{Live, OutputLimit, SetError, Settings};
pub use table::{Change, Kind, POLICIES, SETTINGS, Setting, find};
pub use value::{parse_bytes, parse_host_port};
