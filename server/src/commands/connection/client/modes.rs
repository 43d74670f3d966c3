//! CLIENT REPLY, NO-EVICT, NO-TOUCH, PAUSE and UNPAUSE: how a connection, or all of them, go on.

use super::super::arguments::{integer, is, on_or_off};
use super::{ADMIN, COMMON};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::PauseKind;
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, ReplyBuffer};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// CLIENT REPLY ON | OFF | SKIP
pub(super) static REPLY: CommandSpec = CommandSpec {
    name: "reply",
    arity: Arity::Exactly(3),
    flags: COMMON,
    since: "3.2.0",
    summary: "Instructs the server whether to reply to commands.",
    handler: Handler::Connection(set_reply),
    ..CommandSpec::CONNECTION
};

/// CLIENT NO-EVICT ON | OFF
pub(super) static NO_EVICT: CommandSpec = CommandSpec {
    name: "no-evict",
    arity: Arity::Exactly(3),
    flags: ADMIN,
    since: "7.0.0",
    summary: "Sets the client eviction mode of the connection.",
    handler: Handler::Connection(no_evict),
    ..CommandSpec::CONNECTION
};

/// CLIENT NO-TOUCH ON | OFF
pub(super) static NO_TOUCH: CommandSpec = CommandSpec {
    name: "no-touch",
    arity: Arity::Exactly(3),
    flags: COMMON,
    since: "7.2.0",
    summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
    handler: Handler::Connection(no_touch),
    ..CommandSpec::CONNECTION
};

/// CLIENT PAUSE timeout [WRITE | ALL]
pub(super) static PAUSE: CommandSpec = CommandSpec {
    name: "pause",
    arity: Arity::AtLeast(3),
    flags: ADMIN,
    since: "3.0.0",
    summary: "Suspends commands processing.",
    handler: Handler::Connection(pause),
    ..CommandSpec::CONNECTION
};

/// CLIENT UNPAUSE
pub(super) static UNPAUSE: CommandSpec = CommandSpec {
    name: "unpause",
    arity: Arity::Exactly(2),
    flags: ADMIN,
    since: "6.2.0",
    complexity: "O(N) Where N is the number of paused clients",
    summary: "Resumes processing commands from paused clients.",
    handler: Handler::Connection(unpause),
    ..CommandSpec::CONNECTION
};

fn set_reply(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    let session = &mut *context.session;
    match &args[2] {
        word if is(word, "ON") => {
            session.reply_mode.turn_on();
            reply.ok();
        }
        word if is(word, "OFF") => session.reply_mode.turn_off(),
        word if is(word, "SKIP") => session.reply_mode.skip_next(),
        _ => return Err(CommandError::Syntax),
    }
    Ok(Flow::Done)
}

fn no_evict(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    context.session.client.no_evict.store(on_or_off(&args[2])?, Ordering::Relaxed);
    reply.ok();
    Ok(Flow::Done)
}

fn no_touch(
    context: &mut ConnectionContext<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<Flow, CommandError> {
    context.session.no_touch = on_or_off(&args[2])?;
    context.session.client.no_touch.store(context.session.no_touch, Ordering::Relaxed);
    reply.ok();
    Ok(Flow::Done)
}

fn pause(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let kind = match (args.len(), args.get(3)) {
        (3, _) => PauseKind::All,
        (4, Some(word)) if is(word, "ALL") => PauseKind::All,
        (4, Some(word)) if is(word, "WRITE") => PauseKind::Writes,
        _ => return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout = integer(&args[2]).map_err(|_| CommandError::text("ERR timeout is not an integer or out of range"))?;
    let timeout = u64::try_from(timeout).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    let until = Instant::now().checked_add(Duration::from_millis(timeout));
    let until = until.ok_or(CommandError::text("ERR timeout is out of range"))?;
    context.node.clients().pause(kind, until);
    reply.ok();
    Ok(Flow::Done)
}

fn unpause(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    context.node.clients().unpause();
    reply.ok();
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn modes_are_set_and_checked() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "CLIENT REPLY SKIP"), "");
        assert!(!session.reply_mode.is_silent() && !session.reply_mode.is_on());
        session.reply_mode.end_command();
        assert!(session.reply_mode.is_silent());
        session.reply_mode.end_command();
        assert!(session.reply_mode.is_on());
        assert_eq!(node.run(&mut session, "CLIENT REPLY OFF"), "");
        node.run(&mut session, "CLIENT REPLY SKIP");
        session.reply_mode.end_command();
        assert!(session.reply_mode.is_silent());
        assert_eq!(node.run(&mut session, "CLIENT REPLY ON"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "CLIENT NO-TOUCH ON"), "+OK\r\n");
        assert_eq!(node.run(&mut session, "CLIENT NO-EVICT x"), "-ERR syntax error\r\n");
        assert!(node.run(&mut session, "CLIENT INFO").contains(" flags=T "));
        assert_eq!(node.run(&mut session, "CLIENT PAUSE 100000 WRITE"), "+OK\r\n");
        assert!(node.clients.paused(true).is_some() && node.clients.paused(false).is_none());
        assert_eq!(node.run(&mut session, "CLIENT UNPAUSE"), "+OK\r\n");
        assert!(node.clients.paused(true).is_none());
        assert_eq!(node.run(&mut session, "CLIENT PAUSE -1"), "-ERR timeout is negative\r\n");
        assert_eq!(node.run(&mut session, "CLIENT PAUSE 1 x"), "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
        assert!(node.run(&mut session, "CLIENT PAUSE 9223372036854775807").starts_with(['+', '-']));
    }
}
