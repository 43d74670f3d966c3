//! GEOSEARCH and GEOSEARCHSTORE: <https://redis.io/docs/latest/commands/geosearch/>

use super::query::Query;
use super::search;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

/// GEOSEARCH key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius unit | BYBOX width height unit>
/// [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]
pub static GEOSEARCH: CommandSpec = CommandSpec {
    name: "geosearch",
    id: 456,
    arity: Arity::AtLeast(7),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Geo,
    since: "6.2.0",
    complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
    summary: "Queries a geospatial index for members inside an area of a box or a circle.",
    handler: Handler::Read(read),
};

/// GEOSEARCHSTORE destination source <FROMMEMBER member | FROMLONLAT longitude latitude>
/// <BYRADIUS radius unit | BYBOX width height unit> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]
pub static GEOSEARCHSTORE: CommandSpec = CommandSpec {
    name: "geosearchstore",
    id: 457,
    arity: Arity::AtLeast(8),
    flags: Flags::WRITE.union(Flags::DENYOOM),
    keys: KeySpec::Range { first: 1, last: 2, step: 1 },
    family: Family::Geo,
    since: "6.2.0",
    complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
    summary: "Queries a geospatial index for members inside an area of a box or a circle, optionally stores the result.",
    handler: Handler::Write(apply),
};

fn read(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.read_sorted_set(&args[1])?;
    let query = Query::search(set, args, None, args.from(2))?;
    let found = set.map(|set| search::find(set, &query)).unwrap_or_default();
    search::show(&found, &query, reply);
    Ok(())
}

fn apply(context: &mut Context<'_>, args: Args<'_>, reply: &mut ReplyBuffer) -> Result<(), CommandError> {
    let set = context.peek_sorted_set(&args[2])?;
    let query = Query::search(set, args, Some(&args[1]), args.from(3))?;
    let found = set.map(|set| search::find(set, &query)).unwrap_or_default();
    search::store(context, &args[1], &found, &query, reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn areas_are_searched() {
        Bench::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1", ":3|"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC", "*2|$7|Catania|$7|Palermo|"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST COUNT 1", "*1|*2|$7|Catania|$7|56.4413|"),
            ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m WITHHASH", "*1|*2|$7|Palermo|:3479099956230698|"),
            ("GEOSEARCH x FROMMEMBER Palermo BYRADIUS 1 m", "*0|"),
            ("GEOSEARCH g FROMMEMBER none BYRADIUS 1 m", "-ERR could not decode requested zset member|"),
            (
                "geoSEARCH g BYRADIUS 1 m ASC ASC ASC",
                "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geoSEARCH|",
            ),
            ("GEOSEARCH g FROMMEMBER a BYRADIUS 1 m STOREDIST", "-ERR could not decode requested zset member|"),
        ]);
    }

    #[test]
    fn results_are_stored() {
        Bench::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2|"),
            ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 100 km", ":1|"),
            ("ZRANGE d 0 -1 WITHSCORES", "*2|$7|Catania|$16|3479447370796909|"),
            ("GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 100 km STOREDIST", ":1|"),
            ("ZRANGE d 0 -1 WITHSCORES", "*2|$7|Palermo|$1|0|"),
            ("GEOSEARCHSTORE d x FROMMEMBER Palermo BYRADIUS 100 km", ":0|"),
            ("EXISTS d", ":0|"),
            (
                "GEOSEARCHSTORE d g FROMMEMBER Palermo BYRADIUS 100 km WITHDIST",
                "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options|",
            ),
        ]);
    }
}
