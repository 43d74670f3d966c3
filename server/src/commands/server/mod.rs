//! The server and its figures: <https://redis.io/docs/latest/commands/?group=server>

use super::{CommandSpec, Family};

pub mod command;
pub mod config;
mod glob;
pub mod info;
pub mod memory;
pub mod role;
pub mod shutdown;
pub mod time;

/// What rows of this family have in common.
const SERVER: CommandSpec = CommandSpec { family: Family::Server, ..CommandSpec::CONNECTION };

/// The family's commands.
pub static COMMANDS: &[&CommandSpec] =
    &[&command::COMMAND, &config::CONFIG, &info::INFO, &memory::MEMORY, &role::ROLE, &shutdown::SHUTDOWN, &time::TIME];
