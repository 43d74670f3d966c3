//! CLIENT SETNAME, GETNAME and SETINFO: what a client says of itself.

use super::super::arguments::is;
use super::COMMON;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, ReplyBuffer};

/// CLIENT GETNAME
pub(super) static GETNAME: CommandSpec = CommandSpec {
    name: "getname",
    arity: Arity::Exactly(2),
    flags: COMMON,
    since: "2.6.9",
    summary: "Returns the name of the connection.",
    handler: Handler::Connection(get_name),
    ..CommandSpec::CONNECTION
};

/// CLIENT SETNAME connection-name
pub(super) static SETNAME: CommandSpec = CommandSpec {
    name: "setname",
    arity: Arity::Exactly(3),
    flags: COMMON,
    since: "2.6.9",
    summary: "Sets the connection name.",
    handler: Handler::Connection(set_name),
    ..CommandSpec::CONNECTION
};

/// CLIENT SETINFO LIB-NAME libname | LIB-VER libver
pub(super) static SETINFO: CommandSpec = CommandSpec {
    name: "setinfo",
    arity: Arity::Exactly(4),
    flags: COMMON,
    since: "7.2.0",
    summary: "Sets information specific to the client or connection.",
    handler: Handler::Connection(set_info),
    ..CommandSpec::CONNECTION
};

fn printable(label: &[u8]) -> bool {
    label.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// Whether `name` may be a connection's name: it must not break the lines of CLIENT LIST.
pub(in crate::commands::connection) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if printable(name) {
        return Ok(());
    }
    Err(CommandError::text("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn get_name(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let labels = context.session.client.labels.lock();
    reply.bulk_or_null(Some(labels.name.as_slice()).filter(|name| !name.is_empty()));
    Ok(Flow::Done)
}

fn set_name(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    check_name(&args[2])?;
    context.session.client.labels.lock().name = args[2].to_vec();
    reply.ok();
    Ok(Flow::Done)
}

fn set_info(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let (attribute, value) = (&args[2], &args[3]);
    let valid = |name: &str| {
        let error = format!("ERR {name} cannot contain spaces, newlines or special characters.");
        if printable(value) { Ok(value.to_vec()) } else { Err(CommandError::Other(error.into())) }
    };
    if is(attribute, "LIB-NAME") {
        context.session.client.labels.lock().library_name = valid("lib-name")?;
    } else if is(attribute, "LIB-VER") {
        context.session.client.labels.lock().library_version = valid("lib-ver")?;
    } else {
        return Err(CommandError::repeating(&[b"ERR Unrecognized option '", attribute, b"'"]));
    }
    reply.ok();
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn labels_are_kept_and_checked() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "CLIENT GETNAME"), "$-1\r\n");
        assert_eq!(node.run(&mut session, "CLIENT SETNAME me"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "CLIENT GETNAME"), "$2\r\nme\r\n");
        let spaced = node.run_words(&mut session, &[b"CLIENT", b"SETNAME", b"a b"]).0;
        assert_eq!(spaced, "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
        assert_eq!(node.run(&mut session, "CLIENT SETINFO LIB-NAME redis-py(x_v1)"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "CLIENT SETINFO lib-ver 1.2"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "CLIENT SETINFO x y"), "-ERR Unrecognized option 'x'\r\n");
        let spaced = node.run_words(&mut session, &[b"CLIENT", b"SETINFO", b"LIB-VER", b"a\nb"]).0;
        assert_eq!(spaced, "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n");
        assert_eq!(node.run_words(&mut session, &[b"CLIENT", b"SETNAME", b""]).0, "+OK\r\n");
        assert_eq!(node.run(&mut session, "CLIENT GETNAME"), "$-1\r\n");
    }
}
