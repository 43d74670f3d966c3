//! PFADD: <https://redis.io/docs/latest/commands/pfadd/>

use super::dense;
use super::element::Observation;
use super::value::{self, Encoding, HEADER_BYTES, HyperLogLog};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use crate::keyspace::Deadline;
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use smallvec::SmallVec;

/// PFADD key [element [element ...]]
pub static PFADD: CommandSpec = CommandSpec {
    name: "pfadd",
    id: 48,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    keys: KeySpec::at(1),
    family: Family::HyperLogLog,
    since: "2.8.9",
    complexity: "O(1) to add every element.",
    summary: "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
    handler: Handler::Write(apply),
};

/// What is to be done with the string that is there.
enum Plan {
    /// No register rises.
    Nothing,
    /// Registers rise in place.
    InPlace,
    /// This takes its place.
    Replace(Vec<u8>),
}

fn plan(value: &[u8], observed: &[Observation], sparse_bytes: u32) -> Result<Plan, CommandError> {
    if Encoding::of(value)? == Encoding::Dense {
        let registers = &value[HEADER_BYTES..];
        let rises = |observation: &Observation| observation.count > dense::get(registers, observation.index);
        return Ok(if observed.iter().any(rises) { Plan::InPlace } else { Plan::Nothing });
    }
    let mut copy = HyperLogLog::copy_of(value, sparse_bytes)?;
    let mut changed = false;
    for observation in observed {
        changed |= copy.raise(*observation)?;
    }
    Ok(if changed { Plan::Replace(copy.to_value(true)) } else { Plan::Nothing })
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let key = &args[1];
    let observed: SmallVec<[Observation; 8]> = args.iter().skip(2).map(Observation::of).collect();
    let sparse_bytes = context.keyspace.limits().sparse_bytes;
    let plan = context.string_for_write(key, |value| plan(value, &observed, sparse_bytes))?;
    let changed = match plan.transpose()? {
        None => {
            let mut new = HyperLogLog::new(sparse_bytes);
            for observation in &observed {
                new.raise(*observation)?;
            }
            context.keyspace.set_string(key, &new.to_value(true), Deadline::Clear, context.touch);
            true
        }
        Some(Plan::Nothing) => {
            context.keyspace.get(key, context.now, context.touch);
            false
        }
        Some(Plan::InPlace) => {
            context.keyspace.edit_string(key, HEADER_BYTES + dense::BYTES, context.touch, |bytes| {
                value::mark_stale(bytes);
                for observation in &observed {
                    dense::raise(&mut bytes[HEADER_BYTES..], *observation);
                }
            });
            true
        }
        Some(Plan::Replace(value)) => {
            context.keyspace.set_string(key, &value, Deadline::Keep, context.touch);
            true
        }
    };
    reply.integer(i64::from(changed));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn elements_count_once() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("PFADD h a b c d e f g", ":1|"),
            ("PFCOUNT h", ":7|"),
            ("PFADD h a", ":0|"),
            ("PEXPIRE h 9", ":1|"),
            ("PFADD h z", ":1|"),
            ("PTTL h", ":9|"),
            ("PFADD empty", ":1|"),
            ("PFADD empty", ":0|"),
            ("PFCOUNT empty", ":0|"),
            ("SET s text", "+OK|"),
            ("PFADD s a", "-WRONGTYPE Key is not a valid HyperLogLog string value.|"),
        ]);
        bench.now += 9;
        bench.expect(&[("PFCOUNT h", ":0|")]);
    }

    #[test]
    fn many_elements_make_it_dense() {
        let mut bench = Bench::new();
        for number in 0..5_000 {
            bench.run(&format!("PFADD h {number}"));
        }
        bench.expect(&[
            ("STRLEN h", ":12304|"),
            ("PFDEBUG ENCODING h", "+dense|"),
            ("PFADD h 1", ":0|"),
            // As a redis-server counts.
            ("PFCOUNT h", ":4985|"),
        ]);
    }
}
