//! PFCOUNT: <https://redis.io/docs/latest/commands/pfcount/>

use super::REGISTERS;
use super::estimate::Histogram;
use super::value;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// PFCOUNT key [key ...]
pub static PFCOUNT: CommandSpec = CommandSpec {
    name: "pfcount",
    id: 49,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::from(1, 1),
    family: Family::HyperLogLog,
    since: "2.8.9",
    complexity: "O(1) with a very small average constant time when called with a single key. O(N) with N being the \
                 number of keys, and much bigger constant times, when called with multiple keys.",
    summary: "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
    handler: Handler::Read(read),
};

/// The registers of the union of the HyperLogLogs at `keys`; `inspect` sees each of their strings.
///
/// # Errors
/// Where one of them is no HyperLogLog, or corrupt.
pub(super) fn union_of(
    context: &mut Context<'_>,
    keys: Args<'_>,
    mut inspect: impl FnMut(&[u8]),
) -> Result<Box<[u8; REGISTERS]>, CommandError> {
    let mut union = Box::new([0; REGISTERS]);
    for key in keys.iter() {
        let Some(value) = context.read_string(key)? else { continue };
        value::each_run(value, |first, register, run| {
            if register > 0 {
                union[first..first + run].iter_mut().for_each(|highest| *highest = register.max(*highest));
            }
        })?;
        inspect(value);
    }
    Ok(union)
}

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let cardinality = if args.len() == 2 {
        context.read_string(&args[1])?.map_or(Ok(0), value::cardinality)?
    } else {
        let union = union_of(context, args.from(1), |_| ())?;
        let mut histogram = Histogram::new();
        union.iter().for_each(|register| histogram.add(*register, 1));
        histogram.cardinality()
    };
    reply.integer(cardinality as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn unions_are_counted_and_nothing_is_changed() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("PFADD a 1 2 3", ":1|"),
            ("PFADD b 3 4", ":1|"),
            ("PFCOUNT a b x", ":4|"),
            ("PFCOUNT x", ":0|"),
            ("PFCOUNT x y", ":0|"),
            ("SET s text", "+OK|"),
            ("PFCOUNT a s", "-WRONGTYPE Key is not a valid HyperLogLog string value.|"),
        ]);
        let before = bench.run("GET a");
        bench.expect(&[("PFCOUNT a", ":3|")]);
        assert_eq!(bench.run("GET a"), before);
    }
}
