//! RESET: <https://redis.io/docs/latest/commands/reset/>

use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::ReplyMode;
use crate::commands::{CommandError, CommandSpec, Handler};
use crate::ids::DatabaseNo;
use larder_protocol::{Args, Arity, Flags, ProtocolVersion, ReplyBuffer};
use std::sync::atomic::Ordering;

/// RESET
pub static RESET: CommandSpec = CommandSpec {
    name: "reset",
    arity: Arity::Exactly(1),
    flags: Flags::ALLOW_BUSY
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH),
    since: "6.2.0",
    summary: "Resets the connection.",
    handler: Handler::Connection(reset),
    ..CommandSpec::CONNECTION
};

fn reset(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let session = &mut *context.session;
    session.reset = true;
    session.version = ProtocolVersion::Resp2;
    session.client.resp.store(2, Ordering::Relaxed);
    session.authenticated = !context.node.settings().live().has_password();
    session.select(DatabaseNo::FIRST);
    session.readonly = false;
    session.asking = false;
    session.no_touch = false;
    session.reply_mode = ReplyMode::default();
    session.client.no_touch.store(false, Ordering::Relaxed);
    session.client.no_evict.store(false, Ordering::Relaxed);
    session.client.labels.lock().name.clear();
    reply.set_version(ProtocolVersion::Resp2);
    reply.simple("RESET");
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn reset_makes_the_connection_as_new() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        node.run(&mut session, "HELLO 3 SETNAME me");
        node.run(&mut session, "READONLY");
        node.settings.set(&[("requirepass".into(), "x".into())]).unwrap();
        assert_eq!(node.run(&mut session, "RESET"), "+RESET\r\n");
        assert!(session.reset && !session.readonly && !session.authenticated);
        assert_eq!(node.run(&mut session, "CLIENT GETNAME"), "$-1\r\n");
    }
}
