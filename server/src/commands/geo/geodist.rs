//! GEODIST: <https://redis.io/docs/latest/commands/geodist/>

use super::arguments::{unit, write_distance};
use super::hash::{distance, place_of};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GEODIST key member1 member2 [M | KM | FT | MI]
pub static GEODIST: CommandSpec = CommandSpec {
    name: "geodist",
    id: 449,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Geo,
    since: "3.2.0",
    complexity: "O(1)",
    summary: "Returns the distance between two members of a geospatial index.",
    handler: Handler::Read(read),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(&args[4])?,
        _ => return Err(CommandError::Syntax),
    };
    let set = context.read_sorted_set(&args[1])?;
    match set.and_then(|set| Some((set.score(&args[2])?, set.score(&args[3])?))) {
        Some((one, other)) => write_distance(distance(place_of(one), place_of(other)) / metres, reply),
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn units_are_converted() {
        Bench::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2|"),
            ("GEODIST g Palermo Catania", "$11|166274.1516|"),
            ("GEODIST g Palermo Catania km", "$8|166.2742|"),
            ("GEODIST g Palermo Catania MI", "$8|103.3182|"),
            ("GEODIST g Palermo Palermo ft", "$6|0.0000|"),
            ("GEODIST g Palermo x", "$-1|"),
            ("GEODIST x Palermo x", "$-1|"),
            ("GEODIST g Palermo Catania yd", "-ERR unsupported unit provided. please use M, KM, FT, MI|"),
            ("GEODIST g Palermo Catania m m", "-ERR syntax error|"),
        ]);
    }
}
