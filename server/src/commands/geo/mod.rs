//! Places on the earth: members of sorted sets whose scores are geohashes.

use super::CommandSpec;

mod area;
mod arguments;
pub mod geoadd;
pub mod geodist;
pub mod geopos;
pub mod georadius;
pub mod geosearch;
mod hash;
mod query;
mod search;

/// The family's commands. Ids 448 to 479 are theirs.
pub static COMMANDS: &[&CommandSpec] = &[
    &geoadd::GEOADD,
    &geodist::GEODIST,
    &geopos::GEOHASH,
    &geopos::GEOPOS,
    &georadius::GEORADIUS,
    &georadius::GEORADIUSBYMEMBER,
    &georadius::GEORADIUSBYMEMBER_RO,
    &georadius::GEORADIUS_RO,
    &geosearch::GEOSEARCH,
    &geosearch::GEOSEARCHSTORE,
];
