//! TIME: <https://redis.io/docs/latest/commands/time/>

use super::SERVER;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};
use std::time::{SystemTime, UNIX_EPOCH};

/// TIME
pub static TIME: CommandSpec = CommandSpec {
    name: "time",
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    since: "2.6.0",
    summary: "Returns the server time.",
    handler: Handler::Connection(time),
    ..SERVER
};

fn time(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    reply.array_header(2);
    reply.bulk(now.as_secs().to_string().as_bytes());
    reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(Flow::Done)
}
