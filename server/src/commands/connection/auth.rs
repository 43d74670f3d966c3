//! AUTH: <https://redis.io/docs/latest/commands/auth/>

use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};

/// AUTH [username] password
pub static AUTH: CommandSpec = CommandSpec {
    name: "auth",
    arity: Arity::AtLeast(2),
    flags: Flags::ALLOW_BUSY
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH),
    complexity: "O(N) where N is the number of passwords defined for the user",
    summary: "Authenticates the connection.",
    handler: Handler::Connection(auth),
    ..CommandSpec::CONNECTION
};

fn auth(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    match args.len() {
        2 => {
            // The old form is for `requirepass` alone, and says so where there is none.
            if !context.node.settings().live().has_password() {
                return Err(CommandError::text(
                    "ERR AUTH <password> called without any password configured for the default user. \
                     Are you sure your configuration is correct?",
                ));
            }
            authenticate(context, b"default", &args[1])?;
        }
        3 => authenticate(context, &args[1], &args[2])?,
        _ => return Err(CommandError::Syntax),
    }
    reply.ok();
    Ok(Flow::Done)
}

/// Checks a user and a password. There is one user, `default`; without a password set, any will do for it, as in Redis.
pub(super) fn authenticate(
    context: &mut ConnectionContext<'_>,
    user: &[u8],
    password: &[u8],
) -> Result<(), CommandError> {
    let live = context.node.settings().live();
    if user == b"default" && (!live.has_password() || live.password_is(password)) {
        context.session.authenticated = true;
        return Ok(());
    }
    Err(CommandError::text("WRONGPASS invalid username-password pair or user is disabled."))
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn passwords_are_checked() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert!(node.run(&mut session, "AUTH x").starts_with("-ERR AUTH <password> called without any password"));
        node.settings.set(&[("requirepass".into(), "x".into())]).unwrap();
        session.authenticated = false;
        for wrong in ["AUTH y", "AUTH default y", "AUTH other x"] {
            let reply = node.run(&mut session, wrong);
            assert_eq!(reply, "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
        }
        assert!(!session.authenticated);
        assert_eq!(node.run(&mut session, "AUTH default x"), "+OK\r\n");
        assert!(session.authenticated);
        assert_eq!(node.run(&mut session, "AUTH a b c"), "-ERR syntax error\r\n");
    }
}
