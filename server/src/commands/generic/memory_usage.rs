//! MEMORY USAGE: <https://redis.io/docs/latest/commands/memory-usage/>

use crate::commands::{CommandError, CommandSpec, Context, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// MEMORY USAGE key [SAMPLES count], for the container in the server family.
pub static MEMORY_USAGE: CommandSpec = CommandSpec {
    name: "usage",
    id: 91,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: KeySpec::at(2),
    family: Family::Server,
    since: "4.0.0",
    complexity: "O(N) where N is the number of samples.",
    summary: "Estimates the memory usage of a key.",
    handler: Handler::Read(read),
};

/// SAMPLES is checked and then not needed: what an item takes is known exactly.
fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[2];
    let mut words = args.from(3).iter();
    while let Some(word) = words.next() {
        let samples = words.next().filter(|_| word.eq_ignore_ascii_case(b"SAMPLES")).ok_or(CommandError::Syntax)?;
        if number::integer(samples)? < 0 {
            return Err(CommandError::Syntax);
        }
    }
    // No hit, no miss, no recency: an operator looks, not a client of the data.
    let alive = context.keyspace.get(key, context.now, None).is_some();
    match context.keyspace.item_bytes(key).filter(|_| alive) {
        Some(bytes) => reply.integer(bytes as i64),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn longer_values_take_more() {
        let mut bench = Bench::new();
        let mut usage = |line: &str| bench.call(&MEMORY_USAGE, line);
        assert_eq!(usage("MEMORY USAGE k"), "$-1|");
        assert_eq!(usage("MEMORY USAGE k SAMPLES -1"), "-ERR syntax error|");
        assert_eq!(usage("MEMORY USAGE k SAMPLES x"), "-ERR value is not an integer or out of range|");
        assert_eq!(usage("MEMORY USAGE k SAMPLES"), "-ERR syntax error|");
        assert_eq!(usage("MEMORY USAGE k FOO 1"), "-ERR syntax error|");
        bench.run(&format!("MSET a 1 b {}", "x".repeat(1000)));
        let bytes = |reply: String| reply.trim_matches([':', '|']).parse::<u64>().unwrap();
        let short = bytes(bench.call(&MEMORY_USAGE, "MEMORY USAGE a SAMPLES 0"));
        let long = bytes(bench.call(&MEMORY_USAGE, "MEMORY USAGE b samples 5"));
        assert!(short > 0 && long > short + 900, "{short} {long}");
    }
}
