//! CLIENT UNBLOCK.

use super::super::arguments::{integer, is};
use super::ADMIN;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::Unblock;
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, ReplyBuffer};

/// CLIENT UNBLOCK client-id [TIMEOUT | ERROR]
pub(super) static UNBLOCK: CommandSpec = CommandSpec {
    name: "unblock",
    arity: Arity::AtLeast(3),
    flags: ADMIN,
    since: "5.0.0",
    complexity: "O(log N) where N is the number of client connections",
    summary: "Unblocks a client blocked by a blocking command from a different connection.",
    handler: Handler::Connection(unblock),
    ..CommandSpec::CONNECTION
};

fn unblock(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let how = match (args.len(), args.get(3)) {
        (3, _) => Unblock::Timeout,
        (4, Some(word)) if is(word, "TIMEOUT") => Unblock::Timeout,
        (4, Some(word)) if is(word, "ERROR") => Unblock::Error,
        (4, _) => return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(CommandError::Arity("client|unblock".into())),
    };
    let id = integer(&args[2])?;
    let client = u64::try_from(id).ok().and_then(|id| context.node.clients().find(id));
    reply.integer(i64::from(client.is_some_and(|client| client.unblock(how))));
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[tokio::test]
    async fn only_who_waits_is_unblocked_and_once() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let other = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "CLIENT UNBLOCK 2"), ":0\r\n");
        other.client.set_blocked(true);
        assert!(node.run(&mut session, "CLIENT LIST ID 2").contains("flags=b "));
        assert_eq!(node.run(&mut session, "CLIENT UNBLOCK 2 error"), ":1\r\n");
        assert_eq!(node.run(&mut session, "CLIENT UNBLOCK 2"), ":0\r\n");
        assert_eq!(other.client.until_unblocked().await, super::Unblock::Error);
        for (line, error) in [
            ("CLIENT UNBLOCK x", "ERR value is not an integer or out of range"),
            ("CLIENT UNBLOCK 2 x", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ] {
            assert_eq!(node.run(&mut session, line), format!("-{error}\r\n"));
        }
    }
}
