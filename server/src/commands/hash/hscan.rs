//! HSCAN: <https://redis.io/docs/latest/commands/hscan/>

use crate::commands::collection_scan::{ScanOptions, reply_nothing, reply_step};
use crate::commands::generic::scan::parse_cursor;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]
pub static HSCAN: CommandSpec = CommandSpec {
    name: "hscan",
    id: 143,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Hash,
    since: "2.8.0",
    complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
    summary: "Iterates over fields and values of a hash.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let from = parse_cursor(&args[2])?;
    // Redis looks at the options only where there is something to scan.
    let Some(hash) = context.read_hash(&args[1])? else {
        reply_nothing(reply);
        return Ok(());
    };
    let options = ScanOptions::parse(args.from(3), true)?;
    reply_step(reply, |reply| {
        let (mut shown, mut text) = (0, Default::default());
        let next = hash.scan(from, options.count, &mut |field, value| {
            let field = field.bytes(&mut text);
            if options.filter.allows(field) {
                reply.bulk(field);
                shown += 1;
                if !options.no_values {
                    reply.bulk(value.bytes(&mut text));
                    shown += 1;
                }
            }
        });
        (next, shown)
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use std::collections::HashSet;

    #[test]
    fn a_small_hash_is_one_step() {
        Bench::new().expect(&[
            ("HSET h a 1 b 2", ":2|"),
            ("HSCAN h 0", "*2|$1|0|*4|$1|a|$1|1|$1|b|$1|2|"),
            ("HSCAN h 0 MATCH b* COUNT 5", "*2|$1|0|*2|$1|b|$1|2|"),
            ("HSCAN h 0 NOVALUES", "*2|$1|0|*2|$1|a|$1|b|"),
            ("HSCAN h x", "-ERR invalid cursor|"),
            ("HSCAN h 0 COUNT 0", "-ERR syntax error|"),
            ("HSCAN h 0 TYPE hash", "-ERR syntax error|"),
            ("HSCAN x 0 FOO", "*2|$1|0|*0|"),
        ]);
    }

    #[test]
    fn what_stays_is_met_while_others_come_and_go() {
        let mut bench = Bench::new();
        (0..700).for_each(|n| drop(bench.run(&format!("HSET h stays{n} {n}"))));
        let (mut cursor, mut seen, mut round) = (String::from("0"), HashSet::new(), 0);
        loop {
            let reply = bench.run(&format!("HSCAN h {cursor} COUNT 10 NOVALUES"));
            let parts: Vec<&str> = reply.split('|').collect();
            cursor = parts[2].into();
            seen.extend(parts[4..].iter().filter(|part| part.starts_with("stays")).map(|part| part.to_string()));
            if cursor == "0" {
                break;
            }
            round += 1;
            for n in 0..200 {
                let line = if round % 8 < 4 {
                    format!("HSET h goes{round}.{n} 1")
                } else {
                    format!("HDEL h goes{}.{n}", round - 4)
                };
                bench.run(&line);
            }
        }
        assert_eq!(seen.len(), 700);
    }
}
