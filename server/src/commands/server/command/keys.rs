//! COMMAND GETKEYS and GETKEYSANDFLAGS.

use super::key_access;
use super::{BASE, find};
use crate::commands::connection::arguments::integer;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler, table};
use larder_protocol::{Args, Arity, KeySpec, ReplyBuffer, migrate_keys, stream_keys};

/// COMMAND GETKEYS command [arg [arg ...]]
pub(super) static GETKEYS: CommandSpec = CommandSpec {
    name: "getkeys",
    arity: Arity::AtLeast(4),
    complexity: "O(N) where N is the number of arguments to the command",
    summary: "Extracts the key names from an arbitrary command.",
    handler: Handler::Connection(get_keys),
    ..BASE
};

/// COMMAND GETKEYSANDFLAGS command [arg [arg ...]]
pub(super) static GETKEYSANDFLAGS: CommandSpec = CommandSpec {
    name: "getkeysandflags",
    arity: Arity::AtLeast(4),
    since: "7.0.0",
    complexity: "O(N) where N is the number of arguments to the command",
    summary: "Extracts the key names and access flags for an arbitrary command.",
    handler: Handler::Connection(get_keys_and_flags),
    ..BASE
};

/// The command that `args` spell, and the positions of its keys among them.
fn locate(args: Args<'_>) -> Result<(&'static CommandSpec, Vec<usize>), CommandError> {
    let (_, mut spec) = find(&args[0]).ok_or(CommandError::text("ERR Invalid command specified"))?;
    if matches!(spec.handler, Handler::Container(_)) {
        let wanted = args.get(1).unwrap_or_default();
        let sub = table::subcommands(spec).find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(wanted));
        spec = sub.ok_or(CommandError::text("ERR Invalid command specified"))?;
    }
    if spec.keys == KeySpec::None {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !spec.arity.allows(args.len()) {
        return Err(CommandError::text("ERR Invalid number of arguments specified for command"));
    }
    // A count that says more than there is, or nothing, is wrong; `positions` would take what there is.
    if let KeySpec::Counted { count } | KeySpec::StoreCounted { count } = spec.keys {
        let at = usize::from(count);
        let keys = args.get(at).and_then(|count| integer(count).ok()).and_then(|keys| usize::try_from(keys).ok());
        if keys.is_none_or(|keys| keys == 0 || keys > args.len() - at - 1) {
            return Err(CommandError::text("ERR Invalid arguments specified for command"));
        }
    }
    let count = |at: usize| args.get(at).and_then(|count| integer(count).ok()).and_then(|n| usize::try_from(n).ok());
    let positions: Vec<usize> = match spec.keys {
        KeySpec::Streams => stream_keys(args.iter()).into_iter().flatten().collect(),
        KeySpec::Migrate => migrate_keys(args).collect(),
        keys => keys.positions(args.len(), count).chain(keys.stores(args)).collect(),
    };
    if positions.is_empty() {
        return Err(CommandError::text("ERR Invalid arguments specified for command"));
    }
    Ok((spec, positions))
}

fn get_keys(_: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let command = args.from(2);
    let (_, positions) = locate(command)?;
    reply.array_header(positions.len());
    positions.iter().for_each(|at| reply.bulk(&command[*at]));
    Ok(Flow::Done)
}

fn get_keys_and_flags(
    _: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let command = args.from(2);
    let (spec, positions) = locate(command)?;
    let runs = key_access::runs(spec);
    reply.array_header(positions.len());
    for at in positions {
        let run = runs.iter().rev().find(|run| usize::from(run.first) <= at).or(runs.first());
        let flags = run.map_or(&[][..], |run| key_access::of_call(spec, command).unwrap_or(run.flags));
        reply.array_header(2);
        reply.bulk(&command[at]);
        reply.set_header(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn keys_are_where_the_table_says() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "COMMAND GETKEYS SET k v EX 5"), "*1\r\n$1\r\nk\r\n");
        let keys = node.run(&mut session, "COMMAND GETKEYS georadius k 1 1 1 m COUNT STORE STORE d");
        assert_eq!(keys, "*2\r\n$1\r\nk\r\n$1\r\nd\r\n");
        let keys = node.run(&mut session, "COMMAND GETKEYS XREADGROUP GROUP streams c COUNT 1 STREAMS a b > 0");
        assert_eq!(keys, "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        let keys = node.run(&mut session, "COMMAND GETKEYS MIGRATE h 1 k 0 9 COPY");
        assert_eq!(keys, "*1\r\n$1\r\nk\r\n");
        let flags = "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n";
        assert_eq!(node.run(&mut session, "COMMAND GETKEYSANDFLAGS XREAD STREAMS a 0"), flags);
        let flags = "*1\r\n*2\r\n$1\r\nk\r\n*2\r\n+RO\r\n+access\r\n";
        assert_eq!(node.run(&mut session, "COMMAND GETKEYSANDFLAGS get k"), flags);
        for (line, flags) in [
            ("set k v", "*2\r\n+OW\r\n+update\r\n"),
            ("set k v get", "*3\r\n+RW\r\n+access\r\n+update\r\n"),
            ("bitfield k get u8 0", "*2\r\n+RO\r\n+access\r\n"),
            ("bitfield k get u8 0 set u8 0 1", "*3\r\n+RW\r\n+access\r\n+update\r\n"),
        ] {
            let reply = node.run(&mut session, &format!("COMMAND GETKEYSANDFLAGS {line}"));
            assert_eq!(reply, format!("*1\r\n*2\r\n$1\r\nk\r\n{flags}"));
        }
        for (line, error) in [
            ("COMMAND GETKEYS zunion 3 a b", "Invalid arguments specified for command"),
            ("COMMAND GETKEYS zunion x a", "Invalid arguments specified for command"),
            ("COMMAND GETKEYS zunion 0 a", "Invalid arguments specified for command"),
            ("COMMAND GETKEYS nonsense k", "Invalid command specified"),
            ("COMMAND GETKEYS XREAD STREAMS a b 0", "Invalid arguments specified for command"),
            ("COMMAND GETKEYS ping x", "The command has no key arguments"),
            ("COMMAND GETKEYS get a b", "Invalid number of arguments specified for command"),
        ] {
            assert_eq!(node.run(&mut session, line), format!("-ERR {error}\r\n"));
        }
    }
}
