//! SELECT: <https://redis.io/docs/latest/commands/select/>

use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler, number};
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

fn select(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let databases = context.node.settings().live().databases();
    context.session.select(number::database(&args[1], databases)?);
    reply.ok();
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;
    use crate::ids::DatabaseNo;

    #[test]
    fn one_of_so_many_is_selected() {
        let node = StubNode::new();
        for port in [PortKind::Client, PortKind::Cluster] {
            let mut session = node.connect(port);
            assert_eq!(node.run(&mut session, "SELECT 15"), "+OK\r\n");
            for (wrong, why) in [
                ("16", "DB index is out of range"),
                ("-1", "DB index is out of range"),
                ("x", "value is not an integer or out of range"),
                ("99999999999", "value is out of range, value must between -2147483648 and 2147483647"),
            ] {
                assert_eq!(node.run(&mut session, &format!("SELECT {wrong}")), format!("-ERR {why}\r\n"));
            }
            assert_eq!(session.database, DatabaseNo(15));
            assert!(node.run(&mut session, "CLIENT INFO").contains(" db=15 "));
            assert_eq!(node.run(&mut session, "RESET"), "+RESET\r\n");
            assert_eq!(session.database, DatabaseNo(0));
        }
    }
}
