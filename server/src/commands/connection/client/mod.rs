//! CLIENT: <https://redis.io/docs/latest/commands/client/>

mod kill;
mod labels;
mod line;
mod modes;
mod unblock;

use super::arguments::help;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Handler};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};

pub(super) use labels::check_name;

const COMMON: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const ADMIN: Flags = COMMON.union(Flags::ADMIN);

/// CLIENT
pub static CLIENT: CommandSpec = CommandSpec {
    name: "client",
    arity: Arity::AtLeast(2),
    since: "2.4.0",
    complexity: "Depends on subcommand.",
    summary: "A container for client connection commands.",
    handler: Handler::Container(&[
        &labels::GETNAME,
        &HELP,
        &ID,
        &line::INFO,
        &kill::KILL,
        &line::LIST,
        &modes::NO_EVICT,
        &modes::NO_TOUCH,
        &modes::PAUSE,
        &modes::REPLY,
        &labels::SETINFO,
        &labels::SETNAME,
        &unblock::UNBLOCK,
        &modes::UNPAUSE,
    ]),
    ..CommandSpec::CONNECTION
};

/// CLIENT ID
static ID: CommandSpec = CommandSpec {
    name: "id",
    arity: Arity::Exactly(2),
    flags: COMMON,
    since: "5.0.0",
    summary: "Returns the unique client ID of the connection.",
    handler: Handler::Connection(id),
    ..CommandSpec::CONNECTION
};

/// CLIENT HELP
static HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.union(Flags::STALE),
    since: "5.0.0",
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(show_help),
    ..CommandSpec::CONNECTION
};

fn id(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.integer(context.session.client.id as i64);
    Ok(Flow::Done)
}

fn show_help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    help(reply, "CLIENT", HELP_LINES);
    Ok(Flow::Done)
}

const HELP_LINES: &[&str] = &[
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id>",
    "      Kill connections by client id.",
    "    * MAXAGE <maxage>",
    "      Kill connections older than the specified age.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * ID <client-id> [<client-id> [...]]",
    "      Return clients of specified IDs only.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
];
