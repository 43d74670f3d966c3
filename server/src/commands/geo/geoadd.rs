//! GEOADD: <https://redis.io/docs/latest/commands/geoadd/>

use super::arguments;
use super::hash::{Cell, STEPS_MAX};
use crate::commands::sorted_set::zadd::{self, Options};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};
use smallvec::SmallVec;

/// GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]
pub static GEOADD: CommandSpec = CommandSpec {
    name: "geoadd",
    id: 448,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::at(1),
    family: Family::Geo,
    since: "3.2.0",
    complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    summary: "Adds one or more members to a geospatial index. The key is created if it doesn't exist.",
    handler: Handler::Write(apply),
};

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let mut options = Options::default();
    let mut at = 2;
    while let Some(word) = args.get(at) {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => options.if_absent = true,
            b"XX" => options.if_present = true,
            b"CH" => options.count_changes = true,
            _ => break,
        }
        at += 1;
    }
    let places = args.from(at);
    if places.is_empty() || !places.len().is_multiple_of(3) || (options.if_absent && options.if_present) {
        return Err(CommandError::Syntax);
    }
    let mut scores: SmallVec<[f64; 4]> = SmallVec::new();
    for at in (0..places.len()).step_by(3) {
        let place = arguments::place(&places[at], &places[at + 1])?;
        scores.push(Cell::of(place, STEPS_MAX).bits() as f64);
    }
    let members = (2..places.len()).step_by(3).map(|at| &places[at]);
    zadd::add_members(options, context, &args[1], &scores, members, reply)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn places_are_scores() {
        Bench::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2|"),
            ("ZSCORE g Palermo", "$16|3479099956230698|"),
            ("GEOADD g NX CH 1 1 Palermo 1 1 x", ":1|"),
            ("GEOADD g xx ch 1 1 Palermo 1 1 y", ":1|"),
            ("ZCARD g", ":3|"),
            ("GEOADD g NX XX 1 1 x", "-ERR syntax error|"),
            ("GEOADD g NX 1 1", "-ERR syntax error|"),
            ("GEOADD g 1 1 x y", "-ERR syntax error|"),
            ("GEOADD g 180.5 1 x", "-ERR invalid longitude,latitude pair 180.500000,1.000000|"),
            ("GEOADD g 1 85.1 x", "-ERR invalid longitude,latitude pair 1.000000,85.100000|"),
            ("GEOADD g nan 1 x", "-ERR value is not a valid float|"),
            ("SET s 1", "+OK|"),
            ("GEOADD s 1 1 x", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
        ]);
    }
}
