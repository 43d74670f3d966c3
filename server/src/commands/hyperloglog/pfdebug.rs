//! PFDEBUG: <https://redis.io/docs/latest/commands/pfdebug/>

use super::value::{Corrupt, Encoding, HEADER_BYTES, HyperLogLog, each_run};
use super::{REGISTERS, sparse};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use std::fmt::Write;

/// PFDEBUG GETREG | DECODE | ENCODING | TODENSE key
pub static PFDEBUG: CommandSpec = CommandSpec {
    name: "pfdebug",
    id: 51,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::ADMIN),
    keys: KeySpec::at(2),
    family: Family::HyperLogLog,
    since: "2.8.9",
    complexity: "N/A",
    summary: "Internal commands for debugging HyperLogLog values.",
    handler: Handler::Write(apply),
};

const NO_KEY: CommandError = CommandError::text("ERR The specified key does not exist");
const NOT_SPARSE: CommandError = CommandError::text("ERR HLL encoding is not sparse");

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let (subcommand, key) = (&args[1], &args[2]);
    let is = |name: &[u8]| subcommand.eq_ignore_ascii_case(name);
    let encoding = context.string_for_write(key, Encoding::of)?.ok_or(NO_KEY)??;
    if is(b"GETREG") {
        make_dense(context, key)?;
        reply.array_header(REGISTERS);
        let show = |value: &[u8]| each_run(value, |_, register, _| reply.integer(i64::from(register)));
        context.string_for_write(key, show)?.unwrap_or(Ok(()))?;
    } else if is(b"DECODE") {
        if encoding != Encoding::Sparse {
            return Err(NOT_SPARSE);
        }
        let text = context.string_for_write(key, |value| decode(&value[HEADER_BYTES..]))?.ok_or(NO_KEY)??;
        reply.bulk(text.as_bytes());
    } else if is(b"ENCODING") {
        reply.simple(if encoding == Encoding::Sparse { "sparse" } else { "dense" });
    } else if is(b"TODENSE") {
        reply.integer(i64::from(make_dense(context, key)?));
    } else {
        return Err(CommandError::repeating(&[b"ERR Unknown PFDEBUG subcommand '", subcommand, b"'"]));
    }
    Ok(())
}

/// Makes the HyperLogLog at `key` dense; whether it was not.
fn make_dense(context: &mut Context<'_>, key: &[u8]) -> Result<bool, CommandError> {
    let sparse_bytes = context.keyspace.limits().sparse_bytes;
    let copy = context.string_for_write(key, |value| HyperLogLog::copy_of(value, sparse_bytes))?;
    let mut copy = copy.ok_or(NO_KEY)??;
    let sparse = copy.encoding() == Encoding::Sparse;
    if sparse {
        copy.make_dense()?;
        context.keyspace.set_string(key, &copy.to_value(false), Deadline::Keep, context.touch);
    }
    Ok(sparse)
}

/// The runs, as text: `z` and `Z` are zeros in one and two bytes.
fn decode(runs: &[u8]) -> Result<String, Corrupt> {
    if runs.len() > sparse::BYTES_MAX {
        return Err(Corrupt);
    }
    let mut text = String::new();
    for run in sparse::runs(runs) {
        let run = run.ok_or(Corrupt)?;
        let separator = if text.is_empty() { "" } else { " " };
        let _ = match (run.value, run.bytes) {
            (0, 1) => write!(text, "{separator}z:{}", run.length),
            (0, _) => write!(text, "{separator}Z:{}", run.length),
            (value, _) => write!(text, "{separator}v:{value},{}", run.length),
        };
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn registers_can_be_looked_at() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("PFDEBUG ENCODING h", "-ERR The specified key does not exist|"),
            ("PFADD h a", ":1|"),
            ("PFDEBUG encoding h", "+sparse|"),
            ("PFDEBUG DECODE h", "$20|Z:12711 v:2,1 Z:3672|"),
            ("PFDEBUG FOO h", "-ERR Unknown PFDEBUG subcommand 'FOO'|"),
            ("PFDEBUG TODENSE h", ":1|"),
            ("PFDEBUG TODENSE h", ":0|"),
            ("PFDEBUG DECODE h", "-ERR HLL encoding is not sparse|"),
            ("PFADD g a", ":1|"),
        ]);
        let registers = bench.run("PFDEBUG GETREG g");
        assert!(registers.starts_with("*16384|:0|"));
        assert_eq!(registers.split('|').position(|register| register == ":2"), Some(12711 + 1));
        bench.expect(&[("PFDEBUG ENCODING g", "+dense|"), ("PFCOUNT g", ":1|")]);
    }
}
