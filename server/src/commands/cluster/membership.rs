//! CLUSTER MEET and CLUSTER FORGET.

use super::nodes::my_name;
use super::{ADMIN, CLUSTER_ROW};
use crate::commands::connection::arguments::{integer, text};
use crate::commands::port::{ConnectionContext, Flow, resolve_node};
use crate::commands::{CommandError, CommandSpec, Handler};
use crate::topology::HostPort;
use futures::FutureExt;
use futures::future::BoxFuture;
use larder_protocol::{Args, Arity, ProtocolVersion, ReplyBuffer};

/// CLUSTER MEET ip port [cluster-bus-port]
pub(super) static MEET: CommandSpec = CommandSpec {
    name: "meet",
    arity: Arity::AtLeast(4),
    flags: ADMIN,
    summary: "Forces a node to handshake with another node.",
    handler: Handler::Connection(meet),
    ..CLUSTER_ROW
};

/// CLUSTER FORGET node-id
pub(super) static FORGET: CommandSpec = CommandSpec {
    name: "forget",
    arity: Arity::Exactly(3),
    flags: ADMIN,
    summary: "Removes a node from the nodes table.",
    handler: Handler::Connection(forget),
    ..CLUSTER_ROW
};

/// OK once `work` has succeeded, or its error.
pub(super) fn ok_or_error(version: ProtocolVersion, work: BoxFuture<'static, Result<(), String>>) -> Flow {
    let answered = work.map(move |result| {
        let mut reply = ReplyBuffer::new(version);
        match result {
            Ok(()) => reply.ok(),
            Err(reason) => reply.error(&reason),
        }
        reply.take()
    });
    Flow::Wait(answered.boxed())
}

fn port(argument: &[u8], kind: &str) -> Result<u16, CommandError> {
    let port = integer(argument).ok().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    port.ok_or_else(|| CommandError::Other(format!("ERR Invalid {kind} port specified: {}", text(argument)).into()))
}

fn meet(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    if args.len() > 5 {
        return Err(CommandError::Arity("cluster|meet".into()));
    }
    let client_port = port(&args[3], "base")?;
    let peer_port = args.get(4).map(|argument| port(argument, "bus")).transpose()?;
    let host = text(&args[2]).into_owned();
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(CommandError::Other(format!("ERR Invalid node address specified: {host}:{client_port}").into()));
    }
    let work = context.node.meet(HostPort { host, port: client_port }, peer_port);
    Ok(ok_or_error(reply.version(), work))
}

fn forget(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let topology = context.node.topology();
    let wanted = text(&args[2]).into_owned();
    let name = resolve_node(&topology, &wanted).map_err(|error| CommandError::Other(error.into()))?;
    if name == my_name(&topology) {
        return Err(CommandError::text("ERR I tried hard but I can't forget myself..."));
    }
    Ok(ok_or_error(reply.version(), context.node.forget(name.to_string())))
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::{StubNode, topology};
    use crate::commands::session::PortKind;
    use std::sync::Arc;

    #[test]
    fn addresses_and_names_are_checked() {
        let node = StubNode::new();
        *node.topology.lock() = Arc::new(topology(2, &[1, 2]));
        let mut session = node.connect(PortKind::Client);
        for (line, reply) in [
            ("CLUSTER MEET 127.0.0.1 6380", "+OK"),
            ("CLUSTER MEET 127.0.0.1 6380 16380", "+OK"),
            ("CLUSTER MEET 127.0.0.1 x", "-ERR Invalid base port specified: x"),
            ("CLUSTER MEET 127.0.0.1 1 99999", "-ERR Invalid bus port specified: 99999"),
            ("CLUSTER FORGET 02", "+OK"),
            ("CLUSTER FORGET 127.0.0.1:6380", "+OK"),
            ("CLUSTER FORGET 01", "-ERR I tried hard but I can't forget myself..."),
            ("CLUSTER FORGET 0", "-ERR More than one node's id begins with 0"),
            ("CLUSTER FORGET ff", "-ERR Unknown node ff"),
        ] {
            assert_eq!(node.run(&mut session, line), format!("{reply}\r\n"), "{line}");
        }
    }
}
