//! XGROUP: <https://redis.io/docs/latest/commands/xgroup/>

use super::ids;
use super::shapes::{bad_subcommand, no_group};
use crate::commands::connection::arguments::help;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use crate::keyspace::collections::stream::StreamId;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XGROUP subcommand
pub static XGROUP: CommandSpec = CommandSpec {
    name: "xgroup",
    id: 0,
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    keys: KeySpec::None,
    family: Family::Stream,
    since: "5.0.0",
    complexity: "Depends on subcommand.",
    summary: "A container for consumer groups commands.",
    handler: Handler::Container(&[&CREATE, &CREATECONSUMER, &DELCONSUMER, &DESTROY, &HELP, &SETID]),
};

/// What the subcommands have in common.
const BASE: CommandSpec = CommandSpec {
    flags: Flags::WRITE,
    keys: KeySpec::at(2),
    family: Family::Stream,
    since: "5.0.0",
    ..CommandSpec::CONNECTION
};

/// XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]
pub static CREATE: CommandSpec = CommandSpec {
    name: "create",
    id: 397,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    summary: "Creates a consumer group.",
    handler: Handler::Write(create),
    ..BASE
};

/// XGROUP CREATECONSUMER key group consumer
pub static CREATECONSUMER: CommandSpec = CommandSpec {
    name: "createconsumer",
    id: 398,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    since: "6.2.0",
    summary: "Creates a consumer in a consumer group.",
    handler: Handler::Write(create_consumer),
    ..BASE
};

/// XGROUP DELCONSUMER key group consumer
pub static DELCONSUMER: CommandSpec = CommandSpec {
    name: "delconsumer",
    id: 399,
    arity: Arity::Exactly(5),
    summary: "Deletes a consumer from a consumer group.",
    handler: Handler::Write(delete_consumer),
    ..BASE
};

/// XGROUP DESTROY key group
pub static DESTROY: CommandSpec = CommandSpec {
    name: "destroy",
    id: 400,
    arity: Arity::Exactly(4),
    complexity: "O(N) where N is the number of entries in the group's pending entries list (PEL).",
    summary: "Destroys a consumer group.",
    handler: Handler::Write(destroy),
    ..BASE
};

/// XGROUP SETID key group id | $ [ENTRIESREAD entries-read]
pub static SETID: CommandSpec = CommandSpec {
    name: "setid",
    id: 401,
    arity: Arity::AtLeast(5),
    summary: "Sets the last-delivered ID of a consumer group.",
    handler: Handler::Write(set_id),
    ..BASE
};

/// XGROUP HELP
pub static HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.union(Flags::STALE),
    keys: KeySpec::None,
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(show_help),
    ..BASE
};

const NO_KEY: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
     to create an empty stream automatically.",
);
const ENTRIES_READ: CommandError = CommandError::text("ERR value for ENTRIESREAD must be positive or -1");
const BUSY: CommandError = CommandError::text("BUSYGROUP Consumer Group name already exists");

#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<i64>,
}

impl Options {
    /// Reads what comes after the id.
    fn parse(args: Args<'_>, may_make_stream: bool) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut words = args.from(5).iter();
        while let Some(word) = words.next() {
            if may_make_stream && word.eq_ignore_ascii_case(b"MKSTREAM") {
                options.make_stream = true;
            } else if word.eq_ignore_ascii_case(b"ENTRIESREAD")
                && let Some(count) = words.next()
            {
                let count = number::integer(count)?;
                if count < -1 {
                    return Err(ENTRIES_READ);
                }
                options.entries_read = (count != -1).then_some(count);
            } else {
                return Err(bad_subcommand("XGROUP", &args[1]));
            }
        }
        Ok(options)
    }
}

fn create(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let options = Options::parse(args, true)?;
    let last_id = context.peek_stream(&args[2])?.map(|stream| stream.last_id());
    if last_id.is_none() && !options.make_stream {
        return Err(NO_KEY);
    }
    if args.len() > 8 {
        return Err(bad_subcommand("XGROUP", &args[1]));
    }
    let last_id = match &args[4] {
        b"$" => last_id.unwrap_or_default(),
        id => ids::strict(id, 0)?,
    };
    context.edit_stream(&args[2], OrCreate::Yes, |stream| {
        stream.create();
        if stream.create_group(&args[3], last_id, options.entries_read) { Ok(()) } else { Err(BUSY) }
    })?;
    reply.ok();
    Ok(())
}

/// Checks that the key is there, and has the group.
fn find(context: &mut Context<'_>, args: Args<'_>) -> Result<StreamId, CommandError> {
    let stream = context.peek_stream(&args[2])?.ok_or(NO_KEY)?;
    stream.group(&args[3]).ok_or_else(|| no_group(&args[2], &args[3]))?;
    Ok(stream.last_id())
}

fn set_id(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let options = Options::parse(args, false)?;
    let last_id = find(context, args)?;
    if !matches!(args.len(), 5 | 7) {
        return Err(bad_subcommand("XGROUP", &args[1]));
    }
    let last_id = match &args[4] {
        b"$" => last_id,
        id => ids::any(id, 0)?,
    };
    context.edit_stream(&args[2], OrCreate::No, |stream| {
        stream.edit_group(&args[3], |group, _| {
            (group.last_id, group.entries_read) = (last_id, options.entries_read);
        });
        Ok(())
    })?;
    reply.ok();
    Ok(())
}

fn destroy(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let destroyed = context.edit_stream(&args[2], OrCreate::No, |stream| Ok(stream.destroy_group(&args[3])))?;
    reply.integer(i64::from(destroyed.ok_or(NO_KEY)?));
    Ok(())
}

fn create_consumer(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    find(context, args)?;
    let now_ms = context.now.cast_signed();
    let created = context.edit_stream(&args[2], OrCreate::No, |stream| {
        Ok(stream.edit_group(&args[3], |group, _| group.create(&args[4], now_ms).is_some()))
    })?;
    reply.integer(i64::from(created.flatten() == Some(true)));
    Ok(())
}

fn delete_consumer(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    find(context, args)?;
    let pending = context.edit_stream(&args[2], OrCreate::No, |stream| {
        Ok(stream.edit_group(&args[3], |group, _| group.find(&args[4]).map_or(0, |of| group.delete(of))))
    })?;
    reply.integer(pending.flatten().unwrap_or(0) as i64);
    Ok(())
}

fn show_help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let lines = [
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
    ];
    help(reply, "XGROUP", &lines);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn groups_come_and_go() {
        let mut bench = Bench::new();
        let no_key = format!("-{NO_KEY}|");
        for (spec, line, reply) in [
            (&CREATE, "XGROUP CREATE s g $", no_key.as_str()),
            (&CREATE, "XGROUP CREATE s g x MKSTREAM", "-ERR Invalid stream ID specified as stream command argument|"),
            (
                &CREATE,
                "XGROUP CREATE s g $ MKSTREAM ENTRIESREAD -2",
                "-ERR value for ENTRIESREAD must be positive or -1|",
            ),
            (&DESTROY, "XGROUP DESTROY s g", &no_key),
            (&CREATE, "XGROUP CREATE s g $ MKSTREAM", "+OK|"),
            (
                &CREATE,
                "XGROUP create s g $ FOO",
                "-ERR unknown subcommand or wrong number of arguments for 'create'. Try XGROUP HELP.|",
            ),
            (&CREATE, "XGROUP CREATE s g $", "-BUSYGROUP Consumer Group name already exists|"),
            (&CREATECONSUMER, "XGROUP CREATECONSUMER s g c", ":1|"),
            (&CREATECONSUMER, "XGROUP CREATECONSUMER s g c", ":0|"),
            (&CREATECONSUMER, "XGROUP CREATECONSUMER s x c", "-NOGROUP No such consumer group 'x' for key name 's'|"),
            (&SETID, "XGROUP SETID s g -", "+OK|"),
            (&SETID, "XGROUP SETID s g + ENTRIESREAD 5", "+OK|"),
            (&SETID, "XGROUP SETID s g 0", "+OK|"),
            (&DELCONSUMER, "XGROUP DELCONSUMER s g x", ":0|"),
        ] {
            assert_eq!(bench.call(spec, line), reply, "{line}");
        }
        bench.run("XADD s 1 f v");
        bench.run("XREADGROUP GROUP g c STREAMS s >");
        assert_eq!(bench.call(&DELCONSUMER, "XGROUP DELCONSUMER s g c"), ":1|");
        assert_eq!(bench.run("XPENDING s g"), "*4|:0|$-1|$-1|*-1|");
        assert_eq!(bench.call(&DESTROY, "XGROUP DESTROY s g"), ":1|");
        assert_eq!(bench.call(&DESTROY, "XGROUP DESTROY s g"), ":0|");
        bench.keyspace.check_invariants();
    }
}
