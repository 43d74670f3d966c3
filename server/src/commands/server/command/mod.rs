//! COMMAND: <https://redis.io/docs/latest/commands/command/>
//!
//! Everything it says derives from the table, so it is true: cluster clients learn from it where keys stand.

mod classes;
mod deprecated;
mod details;
mod docs;
mod key_access;
mod keys;
mod list;

use super::SERVER;
use crate::commands::connection::arguments::help;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Family, Handler, table};
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};

const QUERY: Flags = Flags::LOADING.union(Flags::STALE);
const BASE: CommandSpec = CommandSpec { family: Family::Server, flags: QUERY, since: "2.8.13", ..SERVER };

/// COMMAND
pub static COMMAND: CommandSpec = CommandSpec {
    name: "command",
    complexity: "O(N) where N is the total number of Redis commands",
    summary: "Returns detailed information about all commands.",
    handler: Handler::Container(&[
        &WITHOUT_SUBCOMMAND,
        &COUNT,
        &docs::DOCS,
        &keys::GETKEYS,
        &keys::GETKEYSANDFLAGS,
        &HELP,
        &details::INFO,
        &list::LIST,
    ]),
    ..BASE
};

/// COMMAND alone.
static WITHOUT_SUBCOMMAND: CommandSpec = CommandSpec {
    name: "",
    arity: Arity::Exactly(1),
    handler: Handler::Connection(details::all),
    summary: "Returns detailed information about all commands.",
    ..BASE
};

/// COMMAND COUNT
static COUNT: CommandSpec = CommandSpec {
    name: "count",
    arity: Arity::Exactly(2),
    summary: "Returns a count of commands.",
    handler: Handler::Connection(count),
    ..BASE
};

/// COMMAND HELP
static HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: Arity::Exactly(2),
    since: "5.0.0",
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(show_help),
    ..BASE
};

/// The command called `name`, in any case; a subcommand is called `container|name`.
fn find(name: &[u8]) -> Option<(&'static str, &'static CommandSpec)> {
    let found = table::named().iter().find(|(full, _)| full.as_bytes().eq_ignore_ascii_case(name));
    found.map(|(full, spec)| (full.as_str(), *spec))
}

fn count(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    reply.integer(table::all().count() as i64);
    Ok(Flow::Done)
}

fn show_help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let lines = [
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full Redis command.",
    ];
    help(reply, "COMMAND", &lines);
    Ok(Flow::Done)
}
