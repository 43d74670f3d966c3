//! XCLAIM: <https://redis.io/docs/latest/commands/xclaim/>

use super::ids::{self, reply_id};
use super::shapes::{no_key_or_group, reply_array, reply_entry, text};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate, number};
use crate::keyspace::collections::stream::{Group, StreamId, StreamRef};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE]
/// [JUSTID] [LASTID lastid]
pub static XCLAIM: CommandSpec = CommandSpec {
    name: "xclaim",
    id: 395,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(log N) with N being the number of messages in the PEL of the consumer group.",
    summary: "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member.",
    handler: Handler::Write(apply),
};

const MIN_IDLE: CommandError = CommandError::text("ERR Invalid min-idle-time argument for XCLAIM");
const IDLE: CommandError = CommandError::text("ERR Invalid IDLE option argument for XCLAIM");
const TIME: CommandError = CommandError::text("ERR Invalid TIME option argument for XCLAIM");
const RETRY_COUNT: CommandError = CommandError::text("ERR Invalid RETRYCOUNT option argument for XCLAIM");

struct Claim {
    idle_ms_min: i64,
    ids: Vec<StreamId>,
    delivered_ms: i64,
    deliveries: Option<u64>,
    force: bool,
    just_ids: bool,
    last_id: StreamId,
}

impl Claim {
    fn parse(args: Args<'_>, now_ms: i64) -> Result<Self, CommandError> {
        let idle_ms_min = number::parse_i64(&args[4]).ok_or(MIN_IDLE)?.max(0);
        let ids: Vec<StreamId> = args.from(5).iter().map_while(|id| ids::strict(id, 0).ok()).collect();
        let mut words = args.from(5 + ids.len()).iter();
        let (last_id, delivered_ms) = (StreamId::MIN, -1);
        let mut claim =
            Self { idle_ms_min, ids, delivered_ms, deliveries: None, force: false, just_ids: false, last_id };
        while let Some(word) = words.next() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("FORCE") {
                claim.force = true;
            } else if is("JUSTID") {
                claim.just_ids = true;
            } else if is("IDLE") && words.len() > 0 {
                let idle_ms = words.next().and_then(number::parse_i64).ok_or(IDLE)?;
                claim.delivered_ms = now_ms.wrapping_sub(idle_ms);
            } else if is("TIME") && words.len() > 0 {
                claim.delivered_ms = words.next().and_then(number::parse_i64).ok_or(TIME)?;
            } else if is("RETRYCOUNT") && words.len() > 0 {
                let count = words.next().and_then(number::parse_i64).ok_or(RETRY_COUNT)?;
                // A negative one is as good as none.
                claim.deliveries = u64::try_from(count).ok();
            } else if is("LASTID")
                && let Some(id) = words.next()
            {
                claim.last_id = ids::strict(id, 0)?;
            } else {
                return Err(CommandError::repeating(&[b"ERR Unrecognized XCLAIM option '", text(word), b"'"]));
            }
        }
        // Clients' clocks differ: a time that cannot be is taken for now.
        if !(0..=now_ms).contains(&claim.delivered_ms) {
            claim.delivered_ms = now_ms;
        }
        Ok(claim)
    }

    /// Claims, and answers with what was claimed; how many entries that is.
    fn carry_out(
        &self,
        group: &mut Group,
        stream: StreamRef<'_>,
        consumer: &[u8],
        now_ms: i64,
        reply: &mut ReplyBuffer,
    ) -> usize {
        group.last_id = group.last_id.max(self.last_id);
        let consumer = group.hear(consumer, now_ms);
        let mut claimed = 0;
        for id in &self.ids {
            let pending = group.pending(*id).copied();
            let Some(entry) = stream.entry(*id) else {
                // Nobody can work on what was deleted.
                group.acknowledge(*id);
                continue;
            };
            let deliveries = match pending {
                Some(pending) => {
                    if self.idle_ms_min > 0 && now_ms.saturating_sub(pending.delivered_ms) < self.idle_ms_min {
                        continue;
                    }
                    pending.deliveries
                }
                None if self.force => 1,
                None => continue,
            };
            let counted = deliveries.saturating_add(u64::from(!self.just_ids));
            group.assign(*id, consumer, self.delivered_ms, self.deliveries.unwrap_or(counted));
            group.set_active(consumer, now_ms);
            if self.just_ids {
                reply_id(reply, *id);
            } else {
                reply_entry(reply, &entry);
            }
            claimed += 1;
        }
        claimed
    }
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (key, group, consumer) = (&args[1], &args[2], &args[3]);
    let now_ms = context.now.cast_signed();
    if context.peek_stream(key)?.is_none_or(|stream| stream.group(group).is_none()) {
        return Err(no_key_or_group(key, group, ""));
    }
    let claim = Claim::parse(args, now_ms)?;
    context.edit_stream(key, OrCreate::No, |stream| {
        stream.edit_group(group, |group, stream| {
            reply_array(reply, |reply| claim.carry_out(group, stream, consumer, now_ms, reply));
        });
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::stream::xgroup::CREATE;
    use crate::commands::testing::Bench;

    #[test]
    fn entries_change_hands() {
        let mut bench = Bench::new();
        (1..=4).for_each(|n| drop(bench.run(&format!("XADD s {n} f v"))));
        bench.call(&CREATE, "XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g a COUNT 2 STREAMS s >");
        bench.now += 100;
        bench.expect(&[
            ("XCLAIM s g b 101 1 2", "*0|"),
            ("XCLAIM s g b 100 1 9", "*1|*2|$3|1-0|*2|$1|f|$1|v|"),
            ("XCLAIM s g b 0 1 3 JUSTID", "*1|$3|1-0|"),
            ("XCLAIM s g b 0 4 FORCE JUSTID IDLE 7 RETRYCOUNT 6 LASTID 4", "*1|$3|4-0|"),
            ("XPENDING s g - + 9", "*3|*4|$3|1-0|$1|b|:0|:2|*4|$3|2-0|$1|a|:100|:1|*4|$3|4-0|$1|b|:7|:6|"),
            ("XDEL s 2", ":1|"),
            ("XCLAIM s g b 0 2", "*0|"),
            ("XPENDING s g", "*4|:2|$3|1-0|$3|4-0|*1|*2|$1|b|$1|2|"),
            ("XREADGROUP GROUP g a STREAMS s >", "*-1|"),
            ("XCLAIM s g b x 1", "-ERR Invalid min-idle-time argument for XCLAIM|"),
            ("XCLAIM s g b 0 1 FOO", "-ERR Unrecognized XCLAIM option 'FOO'|"),
            ("XCLAIM s g b 0 1 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM|"),
            ("XCLAIM s x b 0 1", "-NOGROUP No such key 's' or consumer group 'x'|"),
        ]);
    }
}
