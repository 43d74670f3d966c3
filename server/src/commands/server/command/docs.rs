//! COMMAND DOCS.

use super::{BASE, find};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler, table};
use larder_protocol::{Args, Arity, ReplyBuffer};

/// COMMAND DOCS [command-name [command-name ...]]
pub(super) static DOCS: CommandSpec = CommandSpec {
    name: "docs",
    arity: Arity::AtLeast(2),
    since: "7.0.0",
    complexity: "O(N) where N is the number of commands to look up",
    summary: "Returns documentary information about one, multiple or all commands.",
    handler: Handler::Connection(docs),
    ..BASE
};

fn docs(_: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let wanted: Vec<(&str, &'static CommandSpec)> = match args.len() {
        2 => table::all().map(|spec| (spec.name, spec)).collect(),
        _ => args.from(2).iter().filter_map(find).collect(),
    };
    reply.map_header(wanted.len());
    for (name, spec) in wanted {
        document(name, spec, reply);
    }
    Ok(Flow::Done)
}

fn document(name: &str, spec: &'static CommandSpec, reply: &mut ReplyBuffer) {
    let subcommands: Vec<_> = table::subcommands(spec).filter(|sub| !sub.name.is_empty()).collect();
    reply.bulk(name.as_bytes());
    reply.map_header(4 + usize::from(!subcommands.is_empty()));
    for (field, value) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.family.wire()),
        ("complexity", spec.complexity),
    ] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map_header(subcommands.len());
        for sub in subcommands {
            document(&format!("{name}|{}", sub.name), sub, reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn documents_come_from_the_table() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let get = node.run(&mut session, "COMMAND DOCS get nonsense");
        assert!(get.starts_with("*2\r\n$3\r\nget\r\n*8\r\n$7\r\nsummary\r\n"), "{get}");
        let client = node.run(&mut session, "COMMAND DOCS client|id client");
        assert!(client.contains("$9\r\nclient|id\r\n") && client.contains("subcommands"), "{client}");
        assert!(!node.run(&mut session, "COMMAND DOCS").contains("command|\r\n"));
    }
}
