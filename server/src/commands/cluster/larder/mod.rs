//! LARDER: what the operator's commands (`larder status`, `drain`, `remove`) are made of. Not a Redis command.

mod status;

use super::membership::ok_or_error;
use super::{ADMIN, CLUSTER_ROW};
use crate::commands::connection::arguments::{help, is, text};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use futures::FutureExt;
use larder_protocol::{Args, Arity, ReplyBuffer};

pub use status::{NodeStatus, PartitionStatus, Status};

/// Rows of this container: `since` is a version of Larder.
const LARDER_ROW: CommandSpec = CommandSpec { flags: ADMIN, since: "0.1.0", ..CLUSTER_ROW };

/// LARDER
pub static LARDER: CommandSpec = CommandSpec {
    name: "larder",
    arity: Arity::AtLeast(2),
    complexity: "Depends on subcommand.",
    summary: "A container for Larder's own commands for operators; not part of Redis.",
    handler: Handler::Container(&[&DRAIN, &HELP, &REMOVE, &STATUS]),
    ..LARDER_ROW
};

/// LARDER STATUS [JSON]
static STATUS: CommandSpec = CommandSpec {
    name: "status",
    arity: Arity::AtLeast(2),
    complexity: "O(N) where N is the number of nodes and partitions",
    summary: "Shows nodes, partitions, and what moves, as a table or as JSON.",
    handler: Handler::Connection(show_status),
    ..LARDER_ROW
};

/// LARDER DRAIN node
static DRAIN: CommandSpec = CommandSpec {
    name: "drain",
    arity: Arity::Exactly(3),
    summary: "Starts to move everything off a node; LARDER STATUS shows how far it is.",
    handler: Handler::Connection(drain),
    ..LARDER_ROW
};

/// LARDER REMOVE node [FORCE-QUORUM]
static REMOVE: CommandSpec = CommandSpec {
    name: "remove",
    arity: Arity::AtLeast(3),
    summary: "Removes a node that is dead and must stay stopped; FORCE-QUORUM also without a majority of the directory.",
    handler: Handler::Connection(remove),
    ..LARDER_ROW
};

/// LARDER HELP
static HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: Arity::Exactly(2),
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(show_help),
    ..LARDER_ROW
};

fn show_status(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let json = match (args.len(), args.get(2)) {
        (2, _) => false,
        (3, Some(word)) if is(word, "JSON") => true,
        _ => return Err(CommandError::Syntax),
    };
    let topology = context.node.topology();
    let version = reply.version();
    let shown = context.node.status().map(move |cluster| {
        let status = Status::new(&topology, cluster);
        let mut reply = ReplyBuffer::new(version);
        match json {
            true => reply.bulk(&serde_json::to_vec(&status).unwrap_or_default()),
            false => reply.verbatim(status.to_string().as_bytes()),
        }
        reply.take()
    });
    Ok(Flow::Wait(shown.boxed()))
}

fn drain(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let work = context.node.drain(text(&args[2]).into_owned());
    Ok(ok_or_error(reply.version(), work))
}

fn remove(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let force_quorum = match (args.len(), args.get(3)) {
        (3, _) => false,
        (4, Some(word)) if is(word, "FORCE-QUORUM") => true,
        _ => return Err(CommandError::Syntax),
    };
    let work = context.node.remove(text(&args[2]).into_owned(), force_quorum);
    Ok(ok_or_error(reply.version(), work))
}

fn show_help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let lines = [
        "STATUS [JSON]",
        "    Show nodes, partitions, and what moves.",
        "DRAIN <node>",
        "    Start to move everything off <node>. STATUS shows how far it is.",
        "REMOVE <node> [FORCE-QUORUM]",
        "    Remove <node>, which is dead and must stay stopped. With FORCE-QUORUM, also where",
        "    the directory has lost its majority: what only the lost nodes knew is gone.",
        "A <node> is an id, a unique beginning of one, or the node's client address HOST:PORT.",
    ];
    help(reply, "LARDER", &lines);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::port_stub::{StubNode, topology};
    use crate::commands::session::PortKind;
    use std::sync::Arc;

    #[test]
    fn status_is_shown_and_orders_are_passed_on() {
        let node = StubNode::new();
        *node.topology.lock() = Arc::new(topology(2, &[1, 2, 2]));
        let mut session = node.connect(PortKind::Client);
        let json = node.run(&mut session, "LARDER STATUS JSON");
        let json = json.split_once("\r\n").unwrap().1.trim_end();
        let status: Status = serde_json::from_str(json).unwrap();
        assert_eq!((status.nodes.len(), status.partitions.len(), status.nodes[1].leads), (2, 3, 2));
        assert!(status.ready);
        let table = node.run(&mut session, "LARDER STATUS");
        assert!(table.contains("127.0.0.1:6379") && table.contains("epoch 3"), "{table}");
        assert_eq!(node.run(&mut session, "LARDER DRAIN 02"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "LARDER REMOVE zz FORCE-QUORUM"), "-ERR Unknown node zz\r\n");
        assert_eq!(node.run(&mut session, "LARDER REMOVE 02 x"), "-ERR syntax error\r\n");
    }
}
