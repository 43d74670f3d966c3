//! The server and its figures.

use super::CommandSpec;

/// The family's commands.
pub static COMMANDS: &[&CommandSpec] = &[];
