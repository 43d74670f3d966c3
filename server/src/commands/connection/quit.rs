//! QUIT: <https://redis.io/docs/latest/commands/quit/>

use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Flags, ReplyBuffer};

/// QUIT
pub static QUIT: CommandSpec = CommandSpec {
    name: "quit",
    flags: Flags::ALLOW_BUSY
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH),
    summary: "Closes the connection.",
    handler: Handler::Connection(quit),
    ..CommandSpec::CONNECTION
};

fn quit(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.ok();
    Ok(Flow::Close)
}
