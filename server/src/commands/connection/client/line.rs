//! CLIENT INFO and CLIENT LIST: one line a connection.

use super::super::arguments::{integer, is, text};
use super::{ADMIN, COMMON};
use crate::clock;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::Client;
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, ReplyBuffer};
use std::sync::atomic::Ordering::Relaxed;

/// CLIENT INFO
pub(super) static INFO: CommandSpec = CommandSpec {
    name: "info",
    arity: Arity::Exactly(2),
    flags: COMMON,
    since: "6.2.0",
    summary: "Returns information about the connection.",
    handler: Handler::Connection(info),
    ..CommandSpec::CONNECTION
};

/// CLIENT LIST [TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id [client-id ...]]
pub(super) static LIST: CommandSpec = CommandSpec {
    name: "list",
    arity: Arity::AtLeast(2),
    flags: ADMIN,
    since: "2.4.0",
    complexity: "O(N) where N is the number of client connections",
    summary: "Lists open connections.",
    handler: Handler::Connection(list),
    ..CommandSpec::CONNECTION
};

fn info(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let mut line = String::new();
    write_line(&mut line, &context.session.client, context.session.readonly);
    reply.verbatim(line.as_bytes());
    Ok(Flow::Done)
}

fn list(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let clients = match (args.len(), args.get(2)) {
        (2, _) => context.node.clients().list(),
        (4, Some(word)) if is(word, "TYPE") => match client_type(&args[3])? {
            ClientType::Normal => context.node.clients().list(),
            // There are no replication links and no subscribers among the connections of the client ports.
            ClientType::Other => Vec::new(),
        },
        (4.., Some(word)) if is(word, "ID") => {
            let mut clients = Vec::new();
            for id in args.from(3).iter() {
                let id = integer(id).map_err(|_| CommandError::text("ERR Invalid client ID"))?;
                clients.extend(u64::try_from(id).ok().and_then(|id| context.node.clients().find(id)));
            }
            clients
        }
        _ => return Err(CommandError::Syntax),
    };
    let mut lines = String::with_capacity(clients.len() * 320);
    for client in clients {
        let readonly = client.id == context.session.client.id && context.session.readonly;
        write_line(&mut lines, &client, readonly);
    }
    reply.verbatim(lines.as_bytes());
    Ok(Flow::Done)
}

/// Redis's classes of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    Other,
}

pub(super) fn client_type(word: &[u8]) -> Result<ClientType, CommandError> {
    if is(word, "NORMAL") {
        return Ok(ClientType::Normal);
    }
    if ["MASTER", "SLAVE", "REPLICA", "PUBSUB"].iter().any(|other| is(word, other)) {
        return Ok(ClientType::Other);
    }
    Err(CommandError::repeating(&[b"ERR Unknown client type '", word, b"'"]))
}

/// Redis's line for one client. Parsers expect every field; what Larder does not have (descriptors by number, buffers
/// apart from input and output) is -1 or 0.
fn write_line(out: &mut String, client: &Client, readonly: bool) {
    use std::fmt::Write;
    let now = clock::unix_ms();
    let seconds_since = |then: u64| now.saturating_sub(then) / 1000;
    let labels = client.labels.lock().clone();
    let multi = client.multi.load(Relaxed);
    let mut flags = String::new();
    for (set, flag) in [
        (multi > 0, 'x'),
        (client.is_blocked(), 'b'),
        (readonly, 'r'),
        (client.no_evict.load(Relaxed), 'e'),
        (client.no_touch.load(Relaxed), 'T'),
        (client.is_killed(), 'A'),
    ] {
        if set {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let (query, output) = (client.query_bytes.load(Relaxed), client.output_bytes.load(Relaxed));
    let _ = writeln!(
        out,
        "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 multi={} watch={} \
         qbuf={query} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={output} oll=0 omem={output} tot-mem={} \
         events={} cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        client.id,
        client.address,
        client.local_address,
        text(&labels.name),
        seconds_since(client.created_ms),
        seconds_since(client.last_active_ms.load(Relaxed)),
        client.database.load(Relaxed),
        multi as i64 - 1,
        client.watching.load(Relaxed),
        query + output + size_of::<Client>() as u64,
        if output > 0 { "rw" } else { "r" },
        if labels.last_command.is_empty() { "NULL" } else { labels.last_command },
        client.resp.load(Relaxed),
        text(&labels.library_name),
        text(&labels.library_version),
    );
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn lines_carry_redis_fields() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        let _other = node.connect(PortKind::Client);
        let info = node.run(&mut session, "CLIENT INFO");
        let fields = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem \
                      multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver";
        let names: Vec<_> = info.lines().nth(1).unwrap().split(' ').map(|f| f.split('=').next().unwrap()).collect();
        assert_eq!(names.join(" "), fields);
        assert_eq!(node.run(&mut session, "CLIENT LIST").matches("id=").count(), 2);
        assert_eq!(node.run(&mut session, "CLIENT LIST ID 2 9").matches("laddr=").count(), 1);
        assert_eq!(node.run(&mut session, "CLIENT LIST TYPE pubsub"), "$0\r\n\r\n");
        assert_eq!(node.run(&mut session, "CLIENT LIST TYPE x"), "-ERR Unknown client type 'x'\r\n");
        assert_eq!(node.run(&mut session, "CLIENT LIST ID x"), "-ERR Invalid client ID\r\n");
        assert_eq!(node.run(&mut session, "CLIENT LIST x"), "-ERR syntax error\r\n");
        node.run(&mut session, "HELLO 3");
        assert!(node.run(&mut session, "CLIENT INFO").starts_with('='));
    }
}
