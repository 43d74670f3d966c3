//! Strings.

use super::CommandSpec;

pub mod get;
pub mod set;

/// The family's commands.
pub static COMMANDS: &[&CommandSpec] = &[&get::GET, &set::SET];
