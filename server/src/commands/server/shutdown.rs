//! SHUTDOWN: <https://redis.io/docs/latest/commands/shutdown/>

use super::SERVER;
use crate::commands::connection::arguments::is;
use crate::commands::port::{ConnectionContext, Flow, ShutdownMode};
use crate::commands::{CommandError, CommandSpec, Handler};
use futures::FutureExt;
use larder_protocol::{Args, Flags, ReplyBuffer};

/// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]
pub static SHUTDOWN: CommandSpec = CommandSpec {
    name: "shutdown",
    flags: Flags::ADMIN
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::NO_MULTI)
        .union(Flags::ALLOW_BUSY),
    complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
    summary: "Stops the server after a graceful hand-over of what it leads.",
    handler: Handler::Connection(shutdown),
    ..SERVER
};

fn shutdown(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let mut mode = ShutdownMode::default();
    let (mut save, mut no_save, mut abort) = (false, false, false);
    for option in args.from(1).iter() {
        match option {
            word if is(word, "NOSAVE") => no_save = true,
            word if is(word, "SAVE") => save = true,
            word if is(word, "NOW") => mode.now = true,
            word if is(word, "FORCE") => mode.force = true,
            word if is(word, "ABORT") => abort = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    if (abort && args.len() > 2) || (save && no_save) {
        return Err(CommandError::Syntax);
    }
    if abort {
        if !context.node.abort_shutdown() {
            return Err(CommandError::text("ERR No shutdown in progress."));
        }
        reply.ok();
        return Ok(Flow::Done);
    }
    if save {
        // Items are never written to disk: an OK would be a lie.
        return Err(CommandError::text("ERR SHUTDOWN SAVE is not possible: this server keeps no data on disk"));
    }
    let stopping = context.node.shutdown(mode);
    let version = reply.version();
    // As in Redis, a shutdown that takes place is answered by the end of the connection.
    let refused = stopping.map(move |outcome| {
        let mut reply = ReplyBuffer::new(version);
        if let Err(reason) = outcome {
            reply.error(&reason);
        }
        reply.take()
    });
    Ok(Flow::Wait(refused.boxed()))
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn options_are_checked_and_passed_on() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert_eq!(
            node.run(&mut session, "SHUTDOWN NOSAVE NOW FORCE"),
            "-ERR ShutdownMode { now: true, force: true }\r\n"
        );
        for wrong in ["SHUTDOWN x", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW"] {
            assert_eq!(node.run(&mut session, wrong), "-ERR syntax error\r\n");
        }
        assert_eq!(node.run(&mut session, "SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
        assert!(node.run(&mut session, "SHUTDOWN SAVE").starts_with("-ERR SHUTDOWN SAVE is not possible"));
    }
}
