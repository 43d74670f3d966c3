//! HELLO: <https://redis.io/docs/latest/commands/hello/>

use super::arguments::{integer, is};
use super::auth;
use super::client::check_name;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Flags, ProtocolVersion, ReplyBuffer};
use std::sync::atomic::Ordering;

/// HELLO [protover [AUTH username password] [SETNAME clientname]]
pub static HELLO: CommandSpec = CommandSpec {
    name: "hello",
    flags: Flags::ALLOW_BUSY
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH),
    since: "6.0.0",
    summary: "Handshakes with the Redis server.",
    handler: Handler::Connection(hello),
    ..CommandSpec::CONNECTION
};

/// The Redis version that clients are told: what Larder's commands follow.
pub const REDIS_VERSION: &str = "7.4.0";

fn hello(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let version = match args.get(1).map(integer) {
        None => None,
        Some(Ok(2)) => Some(ProtocolVersion::Resp2),
        Some(Ok(3)) => Some(ProtocolVersion::Resp3),
        Some(Ok(_)) => return Err(CommandError::text("NOPROTO unsupported protocol version")),
        Some(Err(_)) => {
            return Err(CommandError::text("ERR Protocol version is not an integer or out of range"));
        }
    };
    let (mut credentials, mut name) = (None, None);
    let mut at = 2;
    while let Some(option) = args.get(at) {
        match (option, args.get(at + 1), args.get(at + 2)) {
            (word, Some(user), Some(password)) if is(word, "AUTH") => {
                credentials = Some((user, password));
                at += 3;
            }
            (word, Some(given), _) if is(word, "SETNAME") => {
                check_name(given)?;
                name = Some(given.to_vec());
                at += 2;
            }
            _ => {
                return Err(CommandError::repeating(&[b"ERR Syntax error in HELLO option '", option, b"'"]));
            }
        }
    }
    if let Some((user, password)) = credentials {
        auth::authenticate(context, user, password)?;
    }
    if !context.session.authenticated {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        ));
    }
    if let Some(name) = name {
        context.session.client.labels.lock().name = name;
    }
    if let Some(version) = version {
        context.session.version = version;
        context.session.client.resp.store(resp_number(version), Ordering::Relaxed);
        reply.set_version(version);
    }
    greet(context, reply);
    Ok(Flow::Done)
}

fn resp_number(version: ProtocolVersion) -> u64 {
    match version {
        ProtocolVersion::Resp2 => 2,
        ProtocolVersion::Resp3 => 3,
    }
}

fn greet(context: &ConnectionContext<'_>, reply: &mut ReplyBuffer) {
    reply.map_header(7);
    reply.bulk(b"server");
    // Clients look for this word.
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(resp_number(context.session.version) as i64);
    reply.bulk(b"id");
    reply.integer(context.session.client.id as i64);
    reply.bulk(b"mode");
    reply.bulk(context.node.mode(context.session.port).as_bytes());
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array_header(0);
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn hello_switches_the_protocol_and_greets() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Cluster);
        let plain = node.run(&mut session, "HELLO");
        assert!(plain.starts_with("*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), "{plain}");
        assert!(plain.contains("$5\r\nproto\r\n:2\r\n"));
        let three = node.run(&mut session, "hello 3 SETNAME me");
        assert!(three.starts_with("%7\r\n") && three.contains("proto\r\n:3\r\n"), "{three}");
        assert!(three.contains("$4\r\nmode\r\n$7\r\ncluster\r\n"), "{three}");
        assert_eq!(node.run(&mut session, "CLIENT GETNAME"), "$2\r\nme\r\n");
        assert_eq!(node.run(&mut session, "HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
        let wrong = "-ERR Protocol version is not an integer or out of range\r\n";
        assert_eq!(node.run(&mut session, "HELLO x"), wrong);
        assert_eq!(node.run(&mut session, "HELLO 2 AUTH x"), "-ERR Syntax error in HELLO option 'AUTH'\r\n");
        assert!(node.run(&mut session, "HELLO 2").starts_with("*14"));
    }

    #[test]
    fn a_refused_hello_changes_nothing() {
        let node = StubNode::new();
        node.settings.set(&[("requirepass".into(), "x".into())]).unwrap();
        let mut session = node.connect(PortKind::Client);
        session.authenticated = false;
        assert!(node.run(&mut session, "HELLO 3 SETNAME n").starts_with("-NOAUTH HELLO must be called"));
        assert!(node.run(&mut session, "HELLO 3 AUTH default y").starts_with("-WRONGPASS"));
        assert_eq!(session.version, larder_protocol::ProtocolVersion::Resp2);
        assert!(session.client.labels.lock().name.is_empty());
        assert!(node.run(&mut session, "HELLO 3 AUTH default x").starts_with("%7"));
    }
}
