//! XREADGROUP: <https://redis.io/docs/latest/commands/xreadgroup/>

use super::ids::{self, reply_id};
use super::read_options::{self, Of, Options};
use super::shapes::{no_key_or_group, reply_entry};
use super::xread::Parts;
use crate::commands::blocking::Blocking;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::ValueRef;
use crate::keyspace::collections::stream::{ConsumerRef, Group, StreamId, StreamRef};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]
pub static XREADGROUP: CommandSpec = CommandSpec {
    name: "xreadgroup",
    id: 392,
    arity: Arity::AtLeast(7),
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    keys: KeySpec::Streams,
    family: Family::Stream,
    since: "5.0.0",
    complexity: "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.",
    summary: "Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available otherwise.",
    handler: Handler::Write(apply),
};

/// How XREADGROUP waits.
pub static XREADGROUP_WAITS: Blocking = Blocking {
    command: &XREADGROUP,
    timeout: |args| Ok(Options::parse(args, Of::ReadGroup)?.wait),
    keys: read_options::keys,
    worth: always,
    settle: None,
};

/// Which group it is about is not known here; and where key or group are gone, who waits is told.
fn always(_: Option<ValueRef<'_>>) -> usize {
    usize::MAX
}

const LAST_HERE: CommandError = CommandError::text(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
     specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
);
const LAST_ENTRY_HERE: CommandError = CommandError::text(
    "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
     specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.",
);
/// What `>` stands for. Who spells the last id out means the same, as in Redis.
const NEW: StreamId = StreamId::MAX;

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    if !answer(context, args, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// Answers with what there is. False, and nothing is written, where there is nothing. The consumers are made and noted as
/// seen either way.
fn answer(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<bool, CommandError> {
    let options = Options::parse(args, Of::ReadGroup)?;
    let (group, consumer) = options.group.expect("it was asked for");
    let after = resolve(context, &options, group)?;
    let now_ms = context.now.cast_signed();
    let mut parts = Parts::new(reply.version());
    for (key, after) in options.keys.iter().zip(after) {
        context.edit_stream(key, OrCreate::No, |stream| {
            stream.edit_group(group, |group, stream| {
                let reading = Reading { now_ms, count: options.count, no_ack: options.no_ack, consumer };
                reading.serve(group, stream, after, key, &mut parts);
            });
            Ok(())
        })?;
    }
    Ok(parts.finish(reply))
}

/// The ids after which entries are wanted.
fn resolve(context: &mut Context<'_>, options: &Options<'_>, group: &[u8]) -> Result<Vec<StreamId>, CommandError> {
    let mut after = Vec::with_capacity(options.ids.len());
    for (key, id) in options.keys.iter().zip(options.ids.iter()) {
        if context.peek_stream(key)?.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(no_key_or_group(key, group, " in XREADGROUP with GROUP option"));
        }
        after.push(match id {
            b"$" => return Err(LAST_HERE),
            b"+" => return Err(LAST_ENTRY_HERE),
            b">" => NEW,
            id => ids::strict(id, 0)?,
        });
    }
    Ok(after)
}

/// One consumer reads one stream.
struct Reading<'a> {
    now_ms: i64,
    count: usize,
    no_ack: bool,
    consumer: &'a [u8],
}

impl Reading<'_> {
    fn serve<'k>(
        &self,
        group: &mut Group,
        stream: StreamRef<'_>,
        after: StreamId,
        key: &'k [u8],
        parts: &mut Parts<'k>,
    ) {
        let consumer = group.hear(self.consumer, self.now_ms);
        if after != NEW {
            parts.begin(key);
            self.history(group, stream, after, consumer, parts);
        } else if stream.last_entry_id().is_some_and(|last| last > group.last_id) {
            parts.begin(key);
            self.new_entries(group, stream, consumer, parts);
        }
    }

    /// What is pending for the consumer; what was deleted meanwhile shows without its fields.
    fn history(
        &self,
        group: &mut Group,
        stream: StreamRef<'_>,
        after: StreamId,
        consumer: ConsumerRef,
        parts: &mut Parts<'_>,
    ) {
        let Some(start) = after.next() else { return };
        let pending: Vec<_> = group.pending_of(consumer, start).take(self.count).map(|pending| pending.id).collect();
        for id in pending {
            match stream.entry(id) {
                Some(entry) => {
                    parts.entry(|reply| reply_entry(reply, &entry));
                    group.delivered_again(id, self.now_ms);
                }
                None => parts.entry(|reply| {
                    reply.array_header(2);
                    reply_id(reply, id);
                    reply.null_array();
                }),
            }
        }
    }

    fn new_entries(&self, group: &mut Group, stream: StreamRef<'_>, consumer: ConsumerRef, parts: &mut Parts<'_>) {
        let Some(start) = group.last_id.next() else { return };
        for entry in stream.range(start..=StreamId::MAX).take(self.count) {
            group.advance(entry.id, stream);
            parts.entry(|reply| reply_entry(reply, &entry));
            if !self.no_ack {
                // It may be pending for somebody: XGROUP SETID can go back.
                group.assign(entry.id, consumer, self.now_ms, 1);
                group.set_active(consumer, self.now_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::stream::xgroup::CREATE;
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn consumers_share_what_is_new() {
        let mut bench = Bench::new();
        for n in 1..=3 {
            bench.run(&format!("XADD s {n} f v"));
        }
        assert_eq!(bench.call(&CREATE, "XGROUP CREATE s g 0"), "+OK|");
        bench.expect(&[
            ("XREADGROUP GROUP g a COUNT 1 STREAMS s >", "*1|*2|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|v|"),
            ("XREADGROUP GROUP g b COUNT 1 STREAMS s >", "*1|*2|$1|s|*1|*2|$3|2-0|*2|$1|f|$1|v|"),
            ("XREADGROUP GROUP g a STREAMS s 0", "*1|*2|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|v|"),
            ("XDEL s 1", ":1|"),
            ("XREADGROUP GROUP g a STREAMS s 0", "*1|*2|$1|s|*1|*2|$3|1-0|*-1|"),
            ("XREADGROUP GROUP g a STREAMS s 1", "*1|*2|$1|s|*0|"),
            ("XREADGROUP GROUP g c NOACK STREAMS s >", "*1|*2|$1|s|*1|*2|$3|3-0|*2|$1|f|$1|v|"),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "*-1|"),
            ("XPENDING s g", "*4|:2|$3|1-0|$3|2-0|*2|*2|$1|a|$1|1|*2|$1|b|$1|1|"),
            (
                "XREADGROUP GROUP x a STREAMS s >",
                "-NOGROUP No such key 's' or consumer group 'x' in XREADGROUP with GROUP option|",
            ),
            ("XREADGROUP STREAMS s 1 1 1 1 1", "-ERR Missing GROUP option for XREADGROUP|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("XREADGROUP GROUP g a STREAMS s 0", "%1|$1|s|*1|*2|$3|1-0|_|")]);
    }
}
