//! The connection itself.

use super::CommandSpec;

/// The family's commands.
pub static COMMANDS: &[&CommandSpec] = &[];
