//! XINFO: <https://redis.io/docs/latest/commands/xinfo/>

use super::ids::reply_id;
use super::shapes::{bad_subcommand, limit, no_group, reply_entries, reply_entry};
use crate::commands::connection::arguments::help;
use crate::commands::port::{ConnectionContext, Flow};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::collections::stream::{Group, Pending, StreamId, StreamRef};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XINFO subcommand
pub static XINFO: CommandSpec = CommandSpec {
    name: "xinfo",
    id: 0,
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    keys: KeySpec::None,
    family: Family::Stream,
    since: "5.0.0",
    complexity: "Depends on subcommand.",
    summary: "A container for stream introspection commands.",
    handler: Handler::Container(&[&CONSUMERS, &GROUPS, &HELP, &STREAM]),
};

/// What the subcommands have in common.
const BASE: CommandSpec = CommandSpec {
    flags: Flags::READONLY,
    keys: KeySpec::at(2),
    family: Family::Stream,
    since: "5.0.0",
    ..CommandSpec::CONNECTION
};

/// XINFO CONSUMERS key group
pub static CONSUMERS: CommandSpec = CommandSpec {
    name: "consumers",
    id: 402,
    arity: Arity::Exactly(4),
    summary: "Returns a list of the consumers in a consumer group.",
    handler: Handler::Read(consumers),
    ..BASE
};

/// XINFO GROUPS key
pub static GROUPS: CommandSpec = CommandSpec {
    name: "groups",
    id: 403,
    arity: Arity::Exactly(3),
    summary: "Returns a list of the consumer groups of a stream.",
    handler: Handler::Read(groups),
    ..BASE
};

/// XINFO STREAM key [FULL [COUNT count]]
pub static STREAM: CommandSpec = CommandSpec {
    name: "stream",
    id: 404,
    arity: Arity::AtLeast(3),
    summary: "Returns information about a stream.",
    handler: Handler::Read(stream),
    ..BASE
};

/// XINFO HELP
pub static HELP: CommandSpec = CommandSpec {
    name: "help",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.union(Flags::STALE),
    keys: KeySpec::None,
    summary: "Returns helpful text about the different subcommands.",
    handler: Handler::Connection(show_help),
    ..BASE
};

/// Entries, and pending ones of each kind, that FULL shows unless COUNT says otherwise.
const COUNT_DEFAULT: i64 = 10;

fn find<'c>(context: &'c mut Context<'_>, key: &[u8]) -> Result<StreamRef<'c>, CommandError> {
    context.read_stream(key)?.ok_or(CommandError::NoSuchKey)
}

fn reply_number(reply: &mut ReplyBuffer, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

fn reply_number_or_null(reply: &mut ReplyBuffer, name: &str, number: Option<i64>) {
    reply.bulk(name.as_bytes());
    match number {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

fn reply_bytes(reply: &mut ReplyBuffer, name: &str, bytes: &[u8]) {
    reply.bulk(name.as_bytes());
    reply.bulk(bytes);
}

fn reply_id_of(reply: &mut ReplyBuffer, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    reply_id(reply, id);
}

fn consumers(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let now_ms = context.now.cast_signed();
    let group = find(context, &args[2])?.group(&args[3]);
    let group = group.ok_or_else(|| no_group(&args[2], &args[3]))?;
    reply.array_header(group.consumers().len());
    for (_, consumer) in group.consumers() {
        let since = |ms: i64| now_ms.saturating_sub(ms);
        reply.map_header(4);
        reply_bytes(reply, "name", consumer.name());
        reply_number(reply, "pending", consumer.pending() as i64);
        reply_number(reply, "idle", since(consumer.seen_ms).max(0));
        reply_number(reply, "inactive", if consumer.active_ms == -1 { -1 } else { since(consumer.active_ms) });
    }
    Ok(())
}

fn groups(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let stream = find(context, &args[2])?;
    reply.array_header(stream.groups().len());
    for group in stream.groups() {
        reply.map_header(6);
        reply_bytes(reply, "name", group.name());
        reply_number(reply, "consumers", group.consumers().len() as i64);
        reply_number(reply, "pending", group.pending_count() as i64);
        reply_id_of(reply, "last-delivered-id", group.last_id);
        reply_number_or_null(reply, "entries-read", group.entries_read);
        reply_number_or_null(reply, "lag", stream.lag(group));
    }
    Ok(())
}

fn stream(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let stream = find(context, &args[2])?;
    let count = full_count(args)?;
    reply.map_header(if count.is_some() { 9 } else { 10 });
    let (blocks, nodes) = stream.blocks();
    reply_number(reply, "length", stream.len() as i64);
    reply_number(reply, "radix-tree-keys", blocks as i64);
    reply_number(reply, "radix-tree-nodes", nodes as i64);
    reply_id_of(reply, "last-generated-id", stream.last_id());
    reply_id_of(reply, "max-deleted-entry-id", stream.max_deleted_id());
    reply_number(reply, "entries-added", stream.entries_added().cast_signed());
    reply_id_of(reply, "recorded-first-entry-id", stream.first_id());
    let all = StreamId::MIN..=StreamId::MAX;
    let Some(count) = count else {
        reply_number(reply, "groups", stream.groups().len() as i64);
        for (name, entry) in
            [("first-entry", stream.range(all.clone()).next()), ("last-entry", stream.range_back(all).next())]
        {
            reply.bulk(name.as_bytes());
            match entry {
                Some(entry) => reply_entry(reply, &entry),
                None => reply.null(),
            }
        }
        return Ok(());
    };
    reply.bulk(b"entries");
    reply_entries(reply, stream.range(all).take(count));
    reply.bulk(b"groups");
    reply.array_header(stream.groups().len());
    stream.groups().for_each(|group| full_group(stream, group, count, reply));
    Ok(())
}

/// How much FULL shows of everything; `None` where it is not asked for.
fn full_count(args: Args<'_>) -> Result<Option<usize>, CommandError> {
    let is = |at: usize, word: &str| args.get(at).is_some_and(|given| given.eq_ignore_ascii_case(word.as_bytes()));
    let count = match args.len() {
        3 => return Ok(None),
        4 if is(3, "FULL") => COUNT_DEFAULT,
        6 if is(3, "FULL") && is(4, "COUNT") => number::integer(&args[5])?,
        _ => return Err(bad_subcommand("XINFO", &args[1])),
    };
    Ok(Some(limit(if count < 0 { COUNT_DEFAULT } else { count })))
}

fn full_group(stream: StreamRef<'_>, group: &Group, count: usize, reply: &mut ReplyBuffer) {
    reply.map_header(7);
    reply_bytes(reply, "name", group.name());
    reply_id_of(reply, "last-delivered-id", group.last_id);
    reply_number_or_null(reply, "entries-read", group.entries_read);
    reply_number_or_null(reply, "lag", stream.lag(group));
    reply_number(reply, "pel-count", group.pending_count() as i64);
    reply.bulk(b"pending");
    reply.array_header(group.pending_count().min(count));
    let delivery = |reply: &mut ReplyBuffer, pending: &Pending| {
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries.cast_signed());
    };
    for pending in group.pending_from(StreamId::MIN).take(count) {
        reply.array_header(4);
        reply_id(reply, pending.id);
        reply.bulk(group.owner(pending).name());
        delivery(reply, pending);
    }
    reply.bulk(b"consumers");
    reply.array_header(group.consumers().len());
    for (of, consumer) in group.consumers() {
        reply.map_header(5);
        reply_bytes(reply, "name", consumer.name());
        reply_number(reply, "seen-time", consumer.seen_ms);
        reply_number(reply, "active-time", consumer.active_ms);
        reply_number(reply, "pel-count", consumer.pending() as i64);
        reply.bulk(b"pending");
        reply.array_header(consumer.pending().min(count));
        for pending in group.pending_of(of, StreamId::MIN).take(count) {
            reply.array_header(3);
            reply_id(reply, pending.id);
            delivery(reply, pending);
        }
    }
}

fn show_help(_: &mut ConnectionContext<'_>, _: Args<'_>, reply: &mut ReplyBuffer) -> Result<Flow, CommandError> {
    let lines = [
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
    ];
    help(reply, "XINFO", &lines);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::stream::xgroup::CREATE;
    use crate::commands::testing::Bench;

    #[test]
    fn all_is_told() {
        let mut bench = Bench::new();
        assert_eq!(bench.call(&STREAM, "XINFO STREAM s FOO"), "-ERR no such key|");
        (1..=3).for_each(|n| drop(bench.run(&format!("XADD s {n} f v"))));
        bench.call(&CREATE, "XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >");
        bench.now += 5;
        let info = bench.call(&STREAM, "XINFO STREAM s");
        assert_eq!(
            info,
            "*20|$6|length|:3|$15|radix-tree-keys|:1|$16|radix-tree-nodes|:2|$17|last-generated-id|$3|3-0|$20|max-deleted-entry-id|$3|0-0|\
             $13|entries-added|:3|$23|recorded-first-entry-id|$3|1-0|$6|groups|:1|$11|first-entry|*2|$3|1-0|*2|$1|f|$1|v|\
             $10|last-entry|*2|$3|3-0|*2|$1|f|$1|v|"
        );
        assert_eq!(
            bench.call(&GROUPS, "XINFO GROUPS s"),
            "*1|*12|$4|name|$1|g|$9|consumers|:1|$7|pending|:2|$17|last-delivered-id|$3|2-0|$12|entries-read|:2|$3|lag|:1|"
        );
        assert_eq!(
            bench.call(&CONSUMERS, "XINFO CONSUMERS s g"),
            "*1|*8|$4|name|$1|a|$7|pending|:2|$4|idle|:5|$8|inactive|:5|"
        );
        let full = bench.call(&STREAM, "XINFO STREAM s FULL COUNT 1");
        assert!(full.ends_with(
            "$7|entries|*1|*2|$3|1-0|*2|$1|f|$1|v|$6|groups|*1|*14|$4|name|$1|g|$17|last-delivered-id|$3|2-0|$12|entries-read|:2|\
             $3|lag|:1|$9|pel-count|:2|$7|pending|*1|*4|$3|1-0|$1|a|:1700000000000|:1|$9|consumers|*1|*10|$4|name|$1|a|\
             $9|seen-time|:1700000000000|$11|active-time|:1700000000000|$9|pel-count|:2|$7|pending|*1|*3|$3|1-0|:1700000000000|:1|"
        ), "{full}");
        assert_eq!(
            bench.call(&STREAM, "XINFO STREAM s FULL COUNT"),
            "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.|"
        );
        assert_eq!(
            bench.call(&CONSUMERS, "XINFO CONSUMERS s x"),
            "-NOGROUP No such consumer group 'x' for key name 's'|"
        );
    }
}
