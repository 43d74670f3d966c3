//! Finding the members in an area, and what becomes of them.

use super::area::Area;
use super::arguments::{write_distance, write_place};
use super::hash::{Place, place_of};
use super::query::{Order, Query};
use crate::commands::Context;
use crate::commands::partial_sort::partial_sort;
use crate::keyspace::collections::sorted_set::SortedSetRef;
use larder_protocol::ReplyBuffer;

/// A member that was found.
pub(super) struct Found {
    member: Vec<u8>,
    place: Place,
    score: f64,
    /// In metres.
    distance: f64,
}

/// Members looked at between two looks at whether there are enough.
const STRIDE: usize = 64;

/// The members in an area: all, or the first ones up to `most` unless that is 0.
fn members(set: SortedSetRef<'_>, area: &Area, most: usize) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let enough = |found: &Vec<Found>| most > 0 && found.len() >= most;
    for (low, high) in area.cells().iter().map(|cell| cell.scores()) {
        let mut from = set.count_before(&|score, _| score < low);
        let end = set.count_before(&|score, _| score < high);
        while from < end && !enough(&found) {
            set.visit(from, STRIDE.min(end - from), false, &mut |member, score| {
                let place = place_of(score);
                if !enough(&found)
                    && let Some(distance) = area.distance(place)
                {
                    found.push(Found { member: member.to_vec(), place, score, distance });
                }
            });
            from += STRIDE;
        }
    }
    found
}

/// What a query finds, in its order and number.
pub(super) fn find(set: SortedSetRef<'_>, query: &Query<'_>) -> Vec<Found> {
    let Some(area) = query.area() else { return Vec::new() };
    let mut found = members(set, &area, if query.any { query.count } else { 0 });
    let wanted = if query.count == 0 { found.len() } else { query.count.min(found.len()) };
    // The nearest so many are meant, unless any will do.
    let order = match query.order {
        Order::None if query.count > 0 && !query.any => Order::Nearest,
        order => order,
    };
    let compare = |one: &Found, other: &Found| match order {
        Order::Farthest => other.distance.total_cmp(&one.distance),
        _ => one.distance.total_cmp(&other.distance),
    };
    if order != Order::None && wanted == found.len() {
        found.sort_by(compare);
    } else if order != Order::None {
        partial_sort(&mut found, 0..wanted, &compare);
    }
    found.truncate(wanted);
    found
}

/// Answers with what was found.
pub(super) fn show(found: &[Found], query: &Query<'_>, reply: &mut ReplyBuffer) {
    let options = [query.with_distance, query.with_hash, query.with_place];
    let options = options.into_iter().filter(|option| *option).count();
    reply.array_header(found.len());
    for found in found {
        if options > 0 {
            reply.array_header(1 + options);
        }
        reply.bulk(&found.member);
        if query.with_distance {
            write_distance(found.distance / query.metres, reply);
        }
        if query.with_hash {
            reply.integer(found.score as i64);
        }
        if query.with_place {
            write_place(found.place, reply);
        }
    }
}

/// Stores what was found, whatever was there; nothing removes what was there.
pub(super) fn store(
    context: &mut Context<'_>,
    destination: &[u8],
    found: &[Found],
    query: &Query<'_>,
    reply: &mut ReplyBuffer,
) {
    let built = context.build_sorted_set(|set| {
        set.begin_result();
        for found in found {
            set.set(&found.member, if query.store_distance { found.distance / query.metres } else { found.score });
        }
        set.end_result();
    });
    context.store_built(destination, built);
    reply.integer(found.len() as i64);
}
