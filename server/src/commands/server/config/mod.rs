//! CONFIG: <https://redis.io/docs/latest/commands/config/>

use super::SERVER;
use super::glob;
use crate::commands::connection::arguments::{help, text};
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::session::PortKind;
use crate::commands::{CommandError, CommandSpec, Handler};
use crate::config::{SETTINGS, SetError};
use futures::FutureExt;
use larder_protocol::{Args, Arity, Flags, ReplyBuffer};
use std::sync::Arc;

const ADMIN: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE);

/// CONFIG
pub static CONFIG: CommandSpec = CommandSpec {
    name: "config",
    arity: Arity::AtLeast(2),
    since: "2.0.0",
    complexity: "Depends on subcommand.",
    summary: "A container for server configuration commands.",
    handler: Handler::Container(&[&GET, &HELP, &RESETSTAT, &REWRITE, &SET]),
    ..SERVER
};

/// CONFIG GET parameter [parameter ...]
static GET: CommandSpec = CommandSpec {
    name: "get",
    arity: Arity::AtLeast(3),
    flags: ADMIN,
    since: "2.0.0",
    complexity: "O(N) when N is the number of configuration parameters provided",
    summary: "Returns the effective values of configuration parameters.",
    handler: Handler::Connection(get),
    ..SERVER
};

/// CONFIG SET parameter value [parameter value ...]
static SET: CommandSpec = CommandSpec {
    name: "set",
    arity: Arity::AtLeast(4),
    flags: ADMIN,
    since: "2.0.0",
    complexity: "O(N) when N is the number of configuration parameters provided",
    summary: "Sets configuration parameters in-flight.",
    handler: Handler::Connection(set),
    ..SERVER
};

/// CONFIG RESETSTAT
static RESETSTAT: CommandSpec = CommandSpec {
    name: "resetstat",
    arity: Arity::Exactly(2),
    flags: ADMIN,
    since: "2.0.0",
    summary: "Resets the server's statistics.",
    handler: Handler::Connection(reset_stat),
    ..SERVER
};

/// CONFIG REWRITE
static REWRITE: CommandSpec = CommandSpec {
    name: "rewrite",
    arity: Arity::Exactly(2),
    flags: ADMIN,
    since: "2.8.0",
    summary: "Persists the effective configuration to file.",
    handler: Handler::Connection(rewrite),
    ..SERVER
};

/// CONFIG HELP
static HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.union(Flags::STALE),
    since: "5.0.0",
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(show_help),
    ..SERVER
};

fn get(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let patterns = args.from(2);
    // A name that is asked for as it is comes back as it was written.
    let shown = |name: &'static str| {
        let pattern = patterns.iter().find(|pattern| glob::matches(pattern, name.as_bytes()))?;
        Some(if pattern.eq_ignore_ascii_case(name.as_bytes()) { pattern } else { name.as_bytes() })
    };
    let found = SETTINGS.iter().enumerate().flat_map(|(index, setting)| {
        let names = setting.names().filter_map(&shown);
        names.map(move |shown| (index, setting, shown))
    });
    let found: Vec<_> = found.collect();
    reply.map_header(found.len());
    for (index, setting, shown) in found {
        reply.bulk(shown);
        let value = match (setting.name, context.session.port) {
            // The one setting that the port of a connection decides, like INFO's redis_mode.
            ("cluster-enabled", PortKind::Cluster) => "yes".to_string(),
            _ => context.node.settings().at(index),
        };
        reply.bulk(value.as_bytes());
    }
    Ok(Flow::Done)
}

fn set(context: &mut ConnectionContext<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let words: Vec<String> = args.from(2).iter().map(|word| text(word).into_owned()).collect();
    let pairs: Vec<_> = words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    context.node.settings().set(&pairs).map_err(|error| {
        let text = match error {
            SetError::Unknown(name) => {
                format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Invalid { name, reason } => {
                format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        };
        CommandError::Other(text.into())
    })?;
    context.node.settings_changed();
    reply.ok();
    Ok(Flow::Done)
}

fn reset_stat(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    context.node.stats().reset();
    reply.ok();
    Ok(Flow::Done)
}

fn rewrite(context: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    if context.node.settings().file().is_none() {
        return Err(CommandError::text("ERR The server is running without a config file"));
    }
    let node = Arc::clone(context.node);
    let version = reply.version();
    // The file is synced: a disk's time, which the event loop must not wait for.
    let written = async move {
        let written = tokio::task::spawn_blocking(move || node.settings().rewrite()).await;
        let mut reply = ReplyBuffer::new(version);
        match written {
            Ok(Ok(())) => reply.ok(),
            Ok(Err(error)) => reply.error(&format!("ERR Rewriting config file: {error}")),
            Err(_) => reply.error("ERR Rewriting config file: the node is stopping"),
        }
        reply.take()
    };
    Ok(Flow::Wait(written.boxed()))
}

fn show_help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let lines = [
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
    ];
    help(reply, "CONFIG", &lines);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use crate::commands::port_stub::StubNode;
    use crate::commands::session::PortKind;

    #[test]
    fn settings_are_read_by_pattern_and_set_together() {
        let node = StubNode::new();
        let mut session = node.connect(PortKind::Client);
        assert_eq!(node.run(&mut session, "CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
        assert_eq!(node.run(&mut session, "CONFIG GET nothing*"), "*0\r\n");
        for (pattern, names) in [("hash-max-ziplist-value", 1), ("zset-max-*-value", 2), ("set-max-*", 3)] {
            let found = node.run(&mut session, &format!("CONFIG GET {pattern}"));
            assert!(found.starts_with(&format!("*{}\r\n", 2 * names)), "{found}");
        }
        let both = node.run(&mut session, "CONFIG GET maxmemor* timeou?");
        assert!(both.starts_with("*6\r\n") && both.contains("$10\r\nnoeviction"), "{both}");
        assert_eq!(node.run(&mut session, "CONFIG SET maxmemory 1mb timeout 5"), "+OK\r\n");
        assert!(node.run(&mut session, "CONFIG GET maxmemory").contains("1048576"));
        let errors = [
            ("CONFIG SET x 1", "Unknown option or number of arguments for CONFIG SET - 'x'"),
            ("CONFIG SET timeout 1 x", "syntax error"),
            (
                "CONFIG SET timeout x",
                "CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer",
            ),
            (
                "CONFIG SET port 1",
                "CONFIG SET failed (possibly related to argument 'port') - can't set immutable config",
            ),
            (
                "CONFIG SET timeout 1 timeout 2",
                "CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter",
            ),
            (
                "CONFIG SET maxmemory lots",
                "CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
            ),
            (
                "CONFIG SET protected-mode maybe",
                "CONFIG SET failed (possibly related to argument 'protected-mode') - argument must be 'yes' or 'no'",
            ),
            ("CONFIG REWRITE", "The server is running without a config file"),
        ];
        for (line, error) in errors {
            assert_eq!(node.run(&mut session, line), format!("-ERR {error}\r\n"));
        }
        let mut session = node.connect(PortKind::Cluster);
        assert!(node.run(&mut session, "CONFIG GET cluster-enabled").contains("yes"));
    }
}
