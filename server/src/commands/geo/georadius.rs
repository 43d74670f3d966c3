//! GEORADIUS, GEORADIUSBYMEMBER and their `_RO` forms: <https://redis.io/docs/latest/commands/georadius/>

use super::query::Query;
use super::search;
use crate::commands::{CommandError, CommandSpec, Context, Family, Handler};
use larder_protocol::{Args, Arity, Flags, KeySpec, ReplyBuffer};

const COMPLEXITY: &str = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.";
const STORES: &[&str] = &["STORE", "STOREDIST"];
const COUNTS: &[(&str, u16)] = &[("COUNT", 1)];

/// GEORADIUS key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
/// [ASC | DESC] [STORE key | STOREDIST key]
pub static GEORADIUS: CommandSpec = CommandSpec {
    name: "georadius",
    id: 452,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: KeySpec::WithStore { key: 1, options: 6, words: STORES, takes: COUNTS },
    family: Family::Geo,
    since: "3.2.0",
    complexity: COMPLEXITY,
    summary: "Queries a geospatial index for members within a distance from a coordinate, optionally stores the result.",
    handler: Handler::Write(|context, args, reply| by_place(true, context, args, reply)),
};

/// GEORADIUS_RO key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
/// [ASC | DESC]
pub static GEORADIUS_RO: CommandSpec = CommandSpec {
    name: "georadius_ro",
    id: 453,
    arity: Arity::AtLeast(6),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Geo,
    since: "3.2.10",
    complexity: COMPLEXITY,
    summary: "Returns members from a geospatial index that are within a distance from a coordinate.",
    handler: Handler::Read(|context, args, reply| by_place(false, context, args, reply)),
};

/// GEORADIUSBYMEMBER key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
/// [ASC | DESC] [STORE key | STOREDIST key]
pub static GEORADIUSBYMEMBER: CommandSpec = CommandSpec {
    name: "georadiusbymember",
    id: 454,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    keys: KeySpec::WithStore { key: 1, options: 5, words: STORES, takes: COUNTS },
    family: Family::Geo,
    since: "3.2.0",
    complexity: COMPLEXITY,
    summary: "Queries a geospatial index for members within a distance from a member, optionally stores the result.",
    handler: Handler::Write(|context, args, reply| by_member(true, context, args, reply)),
};

/// GEORADIUSBYMEMBER_RO key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
/// [ASC | DESC]
pub static GEORADIUSBYMEMBER_RO: CommandSpec = CommandSpec {
    name: "georadiusbymember_ro",
    id: 455,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY,
    keys: KeySpec::at(1),
    family: Family::Geo,
    since: "3.2.10",
    complexity: COMPLEXITY,
    summary: "Returns members from a geospatial index that are within a distance from a member.",
    handler: Handler::Read(|context, args, reply| by_member(false, context, args, reply)),
};

fn by_place(
    stores: bool,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let set = context.read_sorted_set(&args[1])?;
    let query = Query::around_place(args, stores)?;
    let found = set.map(|set| search::find(set, &query)).unwrap_or_default();
    answer(&found, &query, context, reply);
    Ok(())
}

fn by_member(
    stores: bool,
    context: &mut Context<'_>,
    args: Args<'_>,
    reply: &mut ReplyBuffer,
) -> Result<(), CommandError> {
    let set = context.read_sorted_set(&args[1])?;
    let query = Query::around_member(set, args, stores)?;
    let found = set.map(|set| search::find(set, &query)).unwrap_or_default();
    answer(&found, &query, context, reply);
    Ok(())
}

fn answer(found: &[search::Found], query: &Query<'_>, context: &mut Context<'_>, reply: &mut ReplyBuffer) {
    match query.destination {
        Some(destination) => search::store(context, destination, found, query, reply),
        None => search::show(found, query, reply),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;

    #[test]
    fn circles_are_searched_and_stored() {
        Bench::new().expect(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2|"),
            ("GEORADIUS g 15 37 200 km WITHDIST DESC", "*2|*2|$7|Palermo|$8|190.4424|*2|$7|Catania|$7|56.4413|"),
            ("GEORADIUSBYMEMBER g Palermo 200 km COUNT 1", "*1|$7|Palermo|"),
            ("GEORADIUS g 15 37 200 km STORE a STOREDIST d COUNT 1", ":1|"),
            ("EXISTS a", ":0|"),
            ("ZCARD d", ":1|"),
            ("GEORADIUS_RO g 15 37 200 km STORE d", "-ERR syntax error|"),
            ("GEORADIUSBYMEMBER_RO g x 200 km", "-ERR could not decode requested zset member|"),
            ("GEORADIUSBYMEMBER x x no unit", "*0|"),
            ("GEORADIUSBYMEMBER x x no unit STORE d", ":0|"),
            ("EXISTS d", ":0|"),
            (
                "GEORADIUS g 15 37 200 km STORE d WITHDIST",
                "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options|",
            ),
            ("GEORADIUS g 15 37 200 km COUNT 0", "-ERR COUNT must be > 0|"),
            ("GEORADIUS g 15 37 200 km ANY", "-ERR the ANY argument requires COUNT argument|"),
        ]);
    }
}
