//! GEOPOS and GEOHASH: <https://redis.io/docs/latest/commands/geopos/>

use super::arguments::write_place;
use super::hash::{ALL_LATITUDES, Cell, Place, STEPS_MAX, place_of};
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GEOHASH key [member [member ...]]
pub static GEOHASH: CommandSpec = CommandSpec {
    name: "geohash",
    id: 450,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Geo,
    since: "3.2.0",
    complexity: "O(1) for each member requested.",
    summary: "Returns members from a geospatial index as geohash strings.",
    handler: Handler::Read(geohash),
};

/// GEOPOS key [member [member ...]]
pub static GEOPOS: CommandSpec = CommandSpec {
    name: "geopos",
    id: 451,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Geo,
    since: "3.2.0",
    complexity: "O(1) for each member requested.",
    summary: "Returns the longitude and latitude of members from a geospatial index.",
    handler: Handler::Read(geopos),
};

fn geohash(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.read_sorted_set(&args[1])?;
    reply.array_header(args.len() - 2);
    for member in args.iter().skip(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.bulk(&text(place_of(score))),
            None => reply.null(),
        }
    }
    Ok(())
}

/// The geohash that others would write: over all latitudes, in base 32. Of its eleven characters 52 bits make ten; the last
/// is a zero.
fn text(place: Place) -> [u8; 11] {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let bits = Cell::within(ALL_LATITUDES, place, STEPS_MAX).bits();
    let mut text = [ALPHABET[0]; 11];
    for (at, character) in text.iter_mut().take(10).enumerate() {
        *character = ALPHABET[(bits >> (47 - 5 * at) & 31) as usize];
    }
    text
}

fn geopos(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.read_sorted_set(&args[1])?;
    reply.array_header(args.len() - 2);
    for member in args.iter().skip(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => write_place(place_of(score), reply),
            None => reply.null_array(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use larder_protocol::ProtocolVersion;

    #[test]
    fn members_have_places_and_names() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo", ":1|"),
            ("GEOHASH g Palermo x", "*2|$11|sqc8b49rny0|$-1|"),
            ("GEOHASH x Palermo", "*1|$-1|"),
            ("GEOHASH g", "*0|"),
            ("GEOPOS g Palermo x", "*2|*2|$20|13.36138933897018433|$20|38.11555639549629859|*-1|"),
            ("GEOPOS x a", "*1|*-1|"),
        ]);
        bench.version = ProtocolVersion::Resp3;
        bench.expect(&[("GEOPOS g Palermo x", "*2|*2|,13.36138933897018433|,38.11555639549629859|_|")]);
    }
}
