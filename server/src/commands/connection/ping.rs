//! PING and ECHO: <https://redis.io/docs/latest/commands/ping/>, <https://redis.io/docs/latest/commands/echo/>

use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};

/// PING [message]
pub static PING: CommandSpec = CommandSpec {
    name: "ping",
    flags: Flags::FAST,
    summary: "Returns the server's liveliness response.",
    handler: Handler::Connection(ping),
    ..CommandSpec::CONNECTION
};

/// ECHO message
pub static ECHO: CommandSpec = CommandSpec {
    name: "echo",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    summary: "Returns the given string.",
    handler: Handler::Connection(echo),
    ..CommandSpec::CONNECTION
};

fn ping(_: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    match (args.len(), args.get(1)) {
        (1, _) => reply.simple("PONG"),
        (2, Some(message)) => reply.bulk(message),
        _ => return Err(CommandError::Arity("ping".into())),
    }
    Ok(Flow::Done)
}

fn echo(_: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.bulk(&args[1]);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn ping_and_echo_answer() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "PING"), "+PONG\r\n");
        assert_eq!(node.run(&mut session, "ping hi"), "$2\r\nhi\r\n");
        assert_eq!(node.run(&mut session, "ping a b"), "-ERR wrong number of arguments for 'ping' command\r\n");
        assert_eq!(node.run(&mut session, "ECHO hi"), "$2\r\nhi\r\n");
    }
}
