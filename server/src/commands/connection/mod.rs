//! Connections: <https://redis.io/docs/latest/commands/?group=connection>

use super::CommandSpec;

pub(in crate::commands) mod arguments;
pub mod auth;
pub mod client;
pub mod hello;
pub mod ping;
pub mod quit;
pub mod reset;
pub mod select;

/// The family's commands.
pub static COMMANDS: &[&CommandSpec] = &[
    &auth::AUTH,
    &client::CLIENT,
    &ping::ECHO,
    &hello::HELLO,
    &ping::PING,
    &quit::QUIT,
    &reset::RESET,
    &select::SELECT,
];
