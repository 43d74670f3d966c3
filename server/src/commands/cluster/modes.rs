//! READONLY, READWRITE and ASKING.

use super::CLUSTER_ROW;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};

/// READONLY. Until followers answer reads, such a connection is answered MOVED like any other, which is always right.
pub static READONLY: CommandSpec = CommandSpec {
    name: "readonly",
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    summary: "Enables read-only queries for a connection to a Redis Cluster replica node.",
    handler: Handler::Connection(readonly),
    ..CLUSTER_ROW
};

/// READWRITE
pub static READWRITE: CommandSpec = CommandSpec {
    name: "readwrite",
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    summary: "Enables read-write queries for a connection to a Redis Cluster replica node.",
    handler: Handler::Connection(readwrite),
    ..CLUSTER_ROW
};

/// ASKING
pub static ASKING: CommandSpec = CommandSpec {
    name: "asking",
    arity: Arity::Exactly(1),
    flags: Flags::FAST,
    summary: "Signals that a cluster client is following an -ASK redirect.",
    handler: Handler::Connection(asking),
    ..CLUSTER_ROW
};

fn readonly(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    context.session.readonly = true;
    reply.ok();
    Ok(Flow::Done)
}

fn readwrite(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    context.session.readonly = false;
    reply.ok();
    Ok(Flow::Done)
}

fn asking(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    context.session.asking = true;
    reply.ok();
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn modes_are_set() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Cluster);
        assert_eq!(node.run(&mut session, "READONLY"), "+OK\r\n");
        assert!(session.readonly);
        assert_eq!(node.run(&mut session, "READWRITE"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "ASKING"), "+OK\r\n");
        assert!(!session.readonly && session.asking);
    }
}
