//! SELECT: <https://redis.io/docs/latest/commands/select/>

use super::arguments::integer;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};

/// SELECT index
pub static SELECT: CommandSpec = CommandSpec {
    name: "select",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    summary: "Changes the selected database.",
    handler: Handler::Connection(select),
    ..CommandSpec::CONNECTION
};

fn select(_: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    match integer(&args[1]) {
        Ok(0) => reply.ok(),
        Ok(_) => return Err(CommandError::text("ERR DB index is out of range")),
        Err(_) => return Err(CommandError::NotInteger),
    }
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn there_is_one_database() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "SELECT 0"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "SELECT 1"), "-ERR DB index is out of range\r\n");
        assert_eq!(node.run(&mut session, "SELECT x"), "-ERR value is not an integer or out of range\r\n");
    }
}
