//! XPENDING: <https://redis.io/docs/latest/commands/xpending/>

use super::ids::{self, reply_id};
use super::shapes::{no_key_or_group, reply_array};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use crate::keyspace::collections::stream::{Group, Pending, StreamId};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XPENDING key group [[IDLE min-idle-time] start end count [consumer]]
pub static XPENDING: CommandSpec = CommandSpec {
    name: "xpending",
    id: 394,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
    summary: "Returns the information and entries from a stream consumer group's pending entries list.",
    handler: Handler::Read(read),
};

/// What is asked for beyond the summary.
struct Listing<'a> {
    idle_ms_min: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Listing<'a> {
    fn parse(args: Args<'a>) -> Result<Option<Self>, CommandError> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(CommandError::Syntax);
        }
        let (mut at, mut idle_ms_min) = (3, 0);
        if args[3].eq_ignore_ascii_case(b"IDLE") {
            idle_ms_min = number::integer(&args[4])?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            at = 5;
        }
        let count = usize::try_from(number::integer(&args[at + 2])?).unwrap_or(0);
        let (start, end) = (ids::start(&args[at])?, ids::end(&args[at + 1])?);
        Ok(Some(Self { idle_ms_min, start, end, count, consumer: args.get(at + 3) }))
    }
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let listing = Listing::parse(args)?;
    let now_ms = context.now.cast_signed();
    let group = context.read_stream(&args[1])?.and_then(|stream| stream.group(&args[2]));
    let group = group.ok_or_else(|| no_key_or_group(&args[1], &args[2], ""))?;
    match listing {
        None => summary(group, reply),
        Some(listing) => list(group, &listing, now_ms, reply),
    }
    Ok(())
}

fn summary(group: &Group, reply: &mut ReplyBuffer) {
    reply.array_header(4);
    reply.integer(group.pending_count() as i64);
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(reply, first);
    reply_id(reply, last);
    let busy = || group.consumers().map(|(_, consumer)| consumer).filter(|consumer| consumer.pending() > 0);
    reply.array_header(busy().count());
    for consumer in busy() {
        reply.array_header(2);
        reply.bulk(consumer.name());
        reply.bulk(itoa::Buffer::new().format(consumer.pending()).as_bytes());
    }
}

fn list(group: &Group, listing: &Listing<'_>, now_ms: i64, reply: &mut ReplyBuffer) {
    match listing.consumer.map(|name| group.find(name)) {
        None => show(group, group.pending_from(listing.start), listing, now_ms, reply),
        Some(Some(of)) => show(group, group.pending_of(of, listing.start), listing, now_ms, reply),
        Some(None) => reply.array_header(0),
    }
}

fn show<'a>(
    group: &Group,
    pending: impl Iterator<Item = &'a Pending>,
    listing: &Listing<'_>,
    now_ms: i64,
    reply: &mut ReplyBuffer,
) {
    let idle_ms = |pending: &Pending| now_ms.saturating_sub(pending.delivered_ms);
    let wanted = pending
        .take_while(|pending| pending.id <= listing.end)
        .filter(|pending| listing.idle_ms_min == 0 || idle_ms(pending) >= listing.idle_ms_min)
        .take(listing.count);
    reply_array(reply, |reply| {
        wanted
            .map(|pending| {
                reply.array_header(4);
                reply_id(reply, pending.id);
                reply.bulk(group.owner(pending).name());
                reply.integer(idle_ms(pending).max(0));
                reply.integer(pending.deliveries.cast_signed());
            })
            .count()
    });
}

#[cfg(test)]
mod tests {
    use crate::commands::stream::xgroup::CREATE;
    use crate::commands::testing::Bench;

    #[test]
    fn pending_entries_are_listed() {
        let mut bench = Bench::new();
        bench.expect(&[("XPENDING s g", "-NOGROUP No such key 's' or consumer group 'g'|")]);
        (1..=3).for_each(|n| drop(bench.run(&format!("XADD s {n} f v"))));
        bench.call(&CREATE, "XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >");
        bench.now += 50;
        bench.run("XREADGROUP GROUP g b STREAMS s >");
        bench.now += 1;
        bench.expect(&[
            ("XPENDING s g - + 9 b", "*1|*4|$3|3-0|$1|b|:1|:1|"),
            ("XPENDING s g (1 + 1", "*1|*4|$3|2-0|$1|a|:51|:1|"),
            ("XPENDING s g IDLE 51 - + 9", "*2|*4|$3|1-0|$1|a|:51|:1|*4|$3|2-0|$1|a|:51|:1|"),
            ("XPENDING s g IDLE 52 - + 9", "*0|"),
            ("XPENDING s g - + 9 x", "*0|"),
            ("XPENDING s g - + -9", "*0|"),
            ("XPENDING s g -", "-ERR syntax error|"),
            ("XPENDING s g IDLE 5 - +", "-ERR syntax error|"),
            ("XPENDING s g - + x", "-ERR value is not an integer or out of range|"),
        ]);
    }
}
