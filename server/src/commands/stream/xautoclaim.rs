//! XAUTOCLAIM: <https://redis.io/docs/latest/commands/xautoclaim/>

use super::ids::{self, reply_id};
use super::shapes::{no_key_or_group, reply_entry};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use crate::keyspace::collections::stream::{Group, StreamId, StreamRef};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]
pub static XAUTOCLAIM: CommandSpec = CommandSpec {
    name: "xautoclaim",
    id: 396,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "6.2.0",
    complexity: "O(1) if COUNT is small.",
    summary: "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member.",
    handler: Handler::Write(apply),
};

const MIN_IDLE: CommandError = CommandError::text("ERR Invalid min-idle-time argument for XAUTOCLAIM");
const COUNT: CommandError = CommandError::text("ERR COUNT must be > 0");
const COUNT_DEFAULT: u64 = 100;
const COUNT_MAX: i64 = i64::MAX / 16;
/// Pending entries that are looked at for each that may be claimed.
const ATTEMPTS: u64 = 10;

struct Claim {
    idle_ms_min: i64,
    start: StreamId,
    count: u64,
    just_ids: bool,
}

/// What was claimed, encoded, and what was found deleted.
struct Claimed {
    next: StreamId,
    entries: ReplyBuffer,
    count: usize,
    deleted: Vec<StreamId>,
}

impl Claim {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let idle_ms_min = number::parse_i64(&args[4]).ok_or(MIN_IDLE)?.max(0);
        let mut claim = Self { idle_ms_min, start: ids::start(&args[5])?, count: COUNT_DEFAULT, just_ids: false };
        let mut words = args.from(6).iter();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"COUNT")
                && let Some(count) = words.next()
            {
                let count = number::parse_i64(count).filter(|count| (1..=COUNT_MAX).contains(count)).ok_or(COUNT)?;
                claim.count = count.cast_unsigned();
            } else if word.eq_ignore_ascii_case(b"JUSTID") {
                claim.just_ids = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(claim)
    }

    fn carry_out(
        &self,
        group: &mut Group,
        stream: StreamRef<'_>,
        consumer: &[u8],
        now_ms: i64,
        mut entries: ReplyBuffer,
    ) -> Claimed {
        let consumer = group.hear(consumer, now_ms);
        let (mut count, mut deleted) = (0, Vec::new());
        let mut left = self.count;
        let mut from = Some(self.start);
        for _ in 0..self.count * ATTEMPTS {
            let Some(pending) = from.filter(|_| left > 0).and_then(|from| group.pending_from(from).next().copied())
            else {
                break;
            };
            from = pending.id.next();
            let Some(entry) = stream.entry(pending.id) else {
                group.acknowledge(pending.id);
                deleted.push(pending.id);
                left -= 1;
                continue;
            };
            if self.idle_ms_min > 0 && now_ms.saturating_sub(pending.delivered_ms) < self.idle_ms_min {
                continue;
            }
            let deliveries = pending.deliveries.saturating_add(u64::from(!self.just_ids));
            group.assign(pending.id, consumer, now_ms, deliveries);
            group.set_active(consumer, now_ms);
            if self.just_ids {
                reply_id(&mut entries, pending.id);
            } else {
                reply_entry(&mut entries, &entry);
            }
            count += 1;
            left -= 1;
        }
        let next = from.and_then(|from| group.pending_from(from).next()).map(|pending| pending.id);
        Claimed { next: next.unwrap_or_default(), entries, count, deleted }
    }
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (key, group, consumer) = (&args[1], &args[2], &args[3]);
    let claim = Claim::parse(args)?;
    let now_ms = context.now.cast_signed();
    let entries = ReplyBuffer::new(reply.version());
    let claimed = context.edit_stream(key, OrCreate::No, |stream| {
        Ok(stream.edit_group(group, |group, stream| claim.carry_out(group, stream, consumer, now_ms, entries)))
    })?;
    let claimed = claimed.flatten().ok_or_else(|| no_key_or_group(key, group, ""))?;
    reply.array_header(3);
    reply_id(reply, claimed.next);
    reply.array_header(claimed.count);
    reply.raw(claimed.entries.as_slice());
    reply.array_header(claimed.deleted.len());
    claimed.deleted.iter().for_each(|id| reply_id(reply, *id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::stream::xgroup::CREATE;
    use crate::commands::testing::Bench;

    #[test]
    fn what_lay_idle_is_claimed() {
        let mut bench = Bench::new();
        (1..=5).for_each(|n| drop(bench.run(&format!("XADD s {n} f v"))));
        bench.call(&CREATE, "XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g a STREAMS s >");
        bench.now += 100;
        bench.expect(&[
            ("XDEL s 2", ":1|"),
            ("XAUTOCLAIM s g b 101 0", "*3|$3|0-0|*0|*1|$3|2-0|"),
            ("XAUTOCLAIM s g b 100 0 COUNT 2", "*3|$3|4-0|*2|*2|$3|1-0|*2|$1|f|$1|v|*2|$3|3-0|*2|$1|f|$1|v|*0|"),
            ("XAUTOCLAIM s g b 100 4 JUSTID", "*3|$3|0-0|*2|$3|4-0|$3|5-0|*0|"),
            ("XPENDING s g", "*4|:4|$3|1-0|$3|5-0|*1|*2|$1|b|$1|4|"),
            ("XAUTOCLAIM s g b 0 0 COUNT 0", "-ERR COUNT must be > 0|"),
            ("XAUTOCLAIM s g b 0 0 COUNT x", "-ERR COUNT must be > 0|"),
            ("XAUTOCLAIM s g b 0 0 FOO", "-ERR syntax error|"),
            ("XAUTOCLAIM s x b 0 0", "-NOGROUP No such key 's' or consumer group 'x'|"),
        ]);
    }
}
