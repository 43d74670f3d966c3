//! CLIENT KILL: <https://redis.io/docs/latest/commands/client-kill/>

use super::super::arguments::{integer, is};
use super::ADMIN;
use super::line::{ClientType, client_type};
use crate::clock;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::Client;
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, ReplyBuffer};

/// CLIENT KILL ip:port | [ID client-id] [TYPE ...] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO]
/// [MAXAGE maxage]
pub(super) static KILL: CommandSpec = CommandSpec {
    name: "kill",
    arity: Arity::AtLeast(3),
    flags: ADMIN,
    since: "2.4.0",
    complexity: "O(N) where N is the number of client connections",
    summary: "Terminates open connections.",
    handler: Handler::Connection(kill),
    ..CommandSpec::CONNECTION
};

/// Which connections are meant: those that every filter that is set admits.
#[derive(Debug, Default)]
struct Filter<'a> {
    id: Option<u64>,
    kind: Option<ClientType>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    age_seconds_min: Option<u64>,
    skip_me: bool,
}

impl Filter<'_> {
    fn admits(&self, client: &Client, me: u64, now_ms: u64) -> bool {
        self.id.is_none_or(|id| client.id == id)
            && self.kind.is_none_or(|kind| kind == ClientType::Normal)
            && self.address.is_none_or(|address| client.address.to_string().as_bytes() == address)
            && self.local_address.is_none_or(|address| client.local_address.to_string().as_bytes() == address)
            && self.age_seconds_min.is_none_or(|age| now_ms.saturating_sub(client.created_ms) / 1000 >= age)
            && !(self.skip_me && client.id == me)
    }
}

fn parse<'a>(args: Args<'a>) -> Result<Filter<'a>, CommandError> {
    let mut filter = Filter { skip_me: true, ..Filter::default() };
    let mut at = 2;
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1).ok_or(CommandError::Syntax)?;
        at += 2;
        if is(option, "ID") {
            let id = integer(value).ok().filter(|id| *id > 0);
            filter.id = Some(id.ok_or(CommandError::text("ERR client-id should be greater than 0"))? as u64);
        } else if is(option, "MAXAGE") {
            let age = integer(value).map_err(|_| CommandError::text("ERR maxage is not an integer or out of range"))?;
            if age <= 0 {
                return Err(CommandError::text("ERR maxage should be greater than 0"));
            }
            filter.age_seconds_min = Some(age as u64);
        } else if is(option, "TYPE") {
            filter.kind = Some(client_type(value)?);
        } else if is(option, "ADDR") {
            filter.address = Some(value);
        } else if is(option, "LADDR") {
            filter.local_address = Some(value);
        } else if is(option, "USER") {
            if value != b"default" {
                return Err(CommandError::repeating(&[b"ERR No such user '", value, b"'"]));
            }
        } else if is(option, "SKIPME") {
            filter.skip_me = match value {
                word if is(word, "YES") => true,
                word if is(word, "NO") => false,
                _ => return Err(CommandError::Syntax),
            };
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(filter)
}

fn kill(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let old_form = args.len() == 3;
    let filter = match args.get(2) {
        Some(address) if old_form => Filter { address: Some(address), ..Filter::default() },
        _ => parse(args)?,
    };
    let me = context.session.client.id;
    let now_ms = clock::unix_ms();
    let (mut killed, mut killed_me) = (0, false);
    for client in context.node.clients().list() {
        if filter.admits(&client, me, now_ms) {
            killed += 1;
            match client.id == me {
                // The reply still goes out.
                true => killed_me = true,
                false => client.kill(),
            }
        }
    }
    match (old_form, killed) {
        (true, 0) => return Err(CommandError::text("ERR No such client")),
        (true, _) => reply.ok(),
        (false, killed) => reply.integer(killed),
    }
    Ok(if killed_me { Flow::Close } else { Flow::Done })
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn filters_choose_who_is_closed() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let other = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "CLIENT KILL ID 2 LADDR 1.1.1.1:1"), ":0\r\n");
        assert_eq!(node.run(&mut session, "CLIENT KILL TYPE pubsub"), ":0\r\n");
        assert_eq!(node.run(&mut session, "CLIENT KILL 1.1.1.1:1"), "-ERR No such client\r\n");
        assert!(!other.client.is_killed());
        assert_eq!(node.run(&mut session, "CLIENT KILL ADDR 127.0.0.1:50000 USER default MAXAGE 1"), ":1\r\n");
        assert!(other.client.is_killed() && !session.client.is_killed());
        let (reply, closed) = node.run_words(&mut session, &[b"CLIENT", b"KILL", b"ID", b"1", b"SKIPME", b"no"]);
        assert_eq!((reply.as_str(), closed), (":1\r\n", true));
        for (line, error) in [
            ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
            ("CLIENT KILL ID x", "ERR client-id should be greater than 0"),
            ("CLIENT KILL USER no", "ERR No such user 'no'"),
            ("CLIENT KILL TYPE no", "ERR Unknown client type 'no'"),
            ("CLIENT KILL SKIPME no ID", "ERR syntax error"),
            ("CLIENT KILL MAXAGE x", "ERR maxage is not an integer or out of range"),
        ] {
            assert_eq!(node.run(&mut session, line), format!("-{error}\r\n"));
        }
    }
}
