//! XACK: <https://redis.io/docs/latest/commands/xack/>

use super::ids;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::collections::stream::StreamId;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XACK key group id [id ...]
pub static XACK: CommandSpec = CommandSpec {
    name: "xack",
    id: 393,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(1) for each message ID processed.",
    summary: "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let has_group = context.peek_stream(&args[1])?.is_some_and(|stream| stream.group(&args[2]).is_some());
    if !has_group {
        reply.integer(0);
        return Ok(());
    }
    let ids: Vec<StreamId> = args.from(3).iter().map(|id| ids::strict(id, 0)).collect::<Result<_, _>>()?;
    let acknowledged = context.edit_stream(&args[1], OrCreate::No, |stream| {
        Ok(stream.edit_group(&args[2], |group, _| ids.iter().filter(|id| group.acknowledge(**id)).count()))
    })?;
    reply.integer(acknowledged.flatten().unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::stream::xgroup::CREATE;
    use crate::commands::testing::Bench;

    #[test]
    fn what_is_acknowledged_is_pending_no_more() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("XACK s g 1", ":0|"),
            ("XACK s g x", ":0|"),
            ("XADD s 1 f v", "$3|1-0|"),
            ("XADD s 2 f v", "$3|2-0|"),
        ]);
        bench.call(&CREATE, "XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g a STREAMS s >");
        bench.expect(&[
            ("XACK s g 1 1 7", ":1|"),
            ("XACK s g 2 x", "-ERR Invalid stream ID specified as stream command argument|"),
            ("XPENDING s g", "*4|:1|$3|2-0|$3|2-0|*1|*2|$1|a|$1|1|"),
            ("XACK s g 2", ":1|"),
            ("XPENDING s g", "*4|:0|$-1|$-1|*-1|"),
        ]);
    }
}
