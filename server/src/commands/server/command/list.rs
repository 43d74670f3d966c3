//! COMMAND LIST.

use super::super::glob;
use super::{BASE, classes, find};
use crate::commands::connection::arguments::is;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler, table};
use larder_protocol::{Args, Arity, ReplyBuffer};

/// COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]
pub(super) static LIST: CommandSpec = CommandSpec {
    name: "list",
    arity: Arity::AtLeast(2),
    since: "7.0.0",
    complexity: "O(N) where N is the total number of Redis commands",
    summary: "Returns a list of command names.",
    handler: Handler::Connection(list),
    ..BASE
};

fn list(_: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let top_level: Vec<&str> = table::all().map(|spec| spec.name).collect();
    let names: Vec<&str> = match (args.len(), args.get(2), args.get(3), args.get(4)) {
        (2, ..) => top_level,
        (5, Some(filter), Some(kind), Some(value)) if is(filter, "FILTERBY") => {
            // Filters look at subcommands as well, as Redis's do.
            let all = table::named().iter().filter(|(_, spec)| !spec.name.is_empty()).map(|(name, _)| name.as_str());
            if is(kind, "MODULE") {
                Vec::new()
            } else if is(kind, "ACLCAT") {
                let category = [&b"@"[..], value].concat().to_ascii_lowercase();
                let within = |name: &&str| {
                    find(name.as_bytes()).is_some_and(|(name, spec)| {
                        classes::categories(name, spec).iter().any(|known| known.as_bytes() == category)
                    })
                };
                all.filter(within).collect()
            } else if is(kind, "PATTERN") {
                all.filter(|name| glob::matches(value, name.as_bytes())).collect()
            } else {
                return Err(CommandError::Syntax);
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    reply.array_header(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn names_are_filtered() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let count = node.run(&mut session, "COMMAND COUNT").replace(':', "*");
        assert!(node.run(&mut session, "COMMAND LIST").starts_with(&count));
        assert_eq!(node.run(&mut session, "COMMAND LIST FILTERBY PATTERN pin?"), "*1\r\n$4\r\nping\r\n");
        assert_eq!(node.run(&mut session, "COMMAND LIST FILTERBY PATTERN client|i*").matches('$').count(), 2);
        assert!(node.run(&mut session, "COMMAND LIST FILTERBY ACLCAT string").contains("\r\nget\r\n"));
        assert_eq!(node.run(&mut session, "COMMAND LIST FILTERBY MODULE x"), "*0\r\n");
        assert_eq!(node.run(&mut session, "COMMAND LIST FILTERBY x y"), "-ERR syntax error\r\n");
    }
}
