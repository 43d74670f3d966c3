//! XTRIM and XDEL: <https://redis.io/docs/latest/commands/xtrim/>

use super::ids;
use super::trim_options::{Of, Options};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, OrCreate};
use crate::keyspace::collections::stream::StreamId;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]
pub static XTRIM: CommandSpec = CommandSpec {
    name: "xtrim",
    id: 385,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.",
    summary: "Deletes messages from the beginning of a stream.",
    handler: Handler::Write(trim),
};

/// XDEL key id [id ...]
pub static XDEL: CommandSpec = CommandSpec {
    name: "xdel",
    id: 386,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::Stream,
    since: "5.0.0",
    complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
    summary: "Returns the number of messages after removing them from a stream.",
    handler: Handler::Write(delete),
};

fn trim(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let trim = Options::parse(args, Of::Trim, context.keyspace.limits())?.trim;
    let trimmed =
        context.edit_stream(&args[1], OrCreate::No, |stream| Ok(trim.map_or(0, |trim| stream.trim(&trim))))?;
    reply.integer(trimmed.unwrap_or(0) as i64);
    Ok(())
}

fn delete(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let deleted = context.edit_stream(&args[1], OrCreate::No, |stream| {
        let ids: Vec<StreamId> = args.from(2).iter().map(|id| ids::strict(id, 0)).collect::<Result<_, _>>()?;
        Ok(stream.delete(&ids))
    })?;
    reply.integer(deleted.unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn entries_go_from_the_front() {
        let mut bench = Bench::new();
        (1..=250).for_each(|n| drop(bench.run(&format!("XADD s {n} f v"))));
        bench.expect(&[
            ("XTRIM s MAXLEN ~ 149", ":100|"),
            ("XTRIM s MAXLEN ~ 149", ":0|"),
            ("XTRIM s MAXLEN ~ 10 LIMIT 99", ":0|"),
            ("XTRIM s MINID = 120", ":19|"),
            ("XTRIM s MAXLEN 100", ":31|"),
            ("XRANGE s - + COUNT 1", "*1|*2|$5|151-0|*2|$1|f|$1|v|"),
            ("XDEL s 151 152 1 152", ":2|"),
            ("XDEL s x", "-ERR Invalid stream ID specified as stream command argument|"),
            ("XDEL none x", ":0|"),
            ("XTRIM none MAXLEN 1", ":0|"),
            ("XTRIM s MAXLEN 0", ":98|"),
            ("EXISTS s", ":1|"),
            ("XADD s 250 f v", "-ERR The ID specified in XADD is equal or smaller than the target stream top item|"),
        ]);
        assert_eq!(
            bench.run("XTRIM s LIMIT 1 LIMIT 2"),
            "-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy|"
        );
        assert_eq!(bench.run("XTRIM s LIMIT 0"), "-ERR syntax error, XTRIM must be called with a trimming strategy|");
        assert_eq!(
            bench.run("XTRIM s MAXLEN 1 LIMIT 5"),
            "-ERR syntax error, LIMIT cannot be used without the special ~ option|"
        );
        assert_eq!(
            bench.run("XTRIM s MAXLEN 1 MINID 5"),
            "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible|"
        );
        assert_eq!(bench.run("XTRIM s MAXLEN -1"), "-ERR The MAXLEN argument must be >= 0.|");
        assert_eq!(bench.run("XTRIM s MAXLEN ~ 1 LIMIT -1"), "-ERR The LIMIT argument must be >= 0.|");
    }
}
