//! COMMAND DOCS.

use super::deprecated::{Deprecated, deprecated, doc_flags};
use super::{BASE, find};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Family, Handler, table};
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
    let (flags, deprecated) = (doc_flags(name), deprecated(name));
    let fields = 4 + usize::from(!flags.is_empty()) + 2 * usize::from(deprecated.is_some());
    reply.map_header(fields + usize::from(!subcommands.is_empty()));
    // It works on a key, as RESTORE does, but is for servers.
    let group = if name == "restore-asking" { Family::Server } else { spec.family };
    for (field, value) in
        [("summary", spec.summary), ("since", spec.since), ("group", group.wire()), ("complexity", spec.complexity)]
    {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if !flags.is_empty() {
        reply.bulk(b"doc_flags");
        reply.set_header(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
    if let Some(Deprecated { since, replaced_by }) = deprecated {
        reply.bulk(b"deprecated_since");
        reply.bulk(since.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(replaced_by.as_bytes());
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
        session.version = larder_protocol::ProtocolVersion::Resp3;
        let getset = node.run(&mut session, "COMMAND DOCS getset");
        let flags =
            "$9\r\ndoc_flags\r\n~1\r\n+deprecated\r\n$16\r\ndeprecated_since\r\n$5\r\n6.2.0\r\n$11\r\nreplaced_by\r\n";
        assert!(getset.contains("getset\r\n%7\r\n") && getset.contains(flags), "{getset}");
    }
}
