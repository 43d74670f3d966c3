//! Small hashes of which some field has, or had, a deadline: Redis's `listpackex`.
//!
//! ```text
//! form, number of entries, then: field, value, deadline (0: none)
//! ```
//! Deadlines ascend, fields without one come last. So what is due comes first, and the soonest deadline is at hand.

use crate::clock::UnixMs;
use crate::keyspace::collections::listpack::{self, Element, Elements, Needle};
use crate::keyspace::collections::{compact, form};

/// Entries a field.
pub(super) const STEP: usize = 3;

/// A field, its value and its deadline.
pub(super) type Timed<'a> = (Element<'a>, Element<'a>, Option<UnixMs>);

fn deadline_of(element: Element<'_>) -> Option<UnixMs> {
    match element {
        Element::Integer(number) => u64::try_from(number).ok().filter(|deadline| *deadline != 0),
        Element::Bytes(_) => None,
    }
}

/// The next field.
pub(super) fn next<'a>(elements: &mut Elements<'a>) -> Option<Timed<'a>> {
    Some((elements.next()?, elements.next()?, deadline_of(elements.next()?)))
}

/// The fields, from the first on that is not due at `now`.
pub(super) fn alive(bytes: &[u8], now: UnixMs) -> Elements<'_> {
    let mut elements = compact::elements(bytes);
    loop {
        let before = elements.clone();
        match next(&mut elements) {
            Some((_, _, Some(deadline))) if deadline <= now => {}
            _ => return before,
        }
    }
}

/// How many fields are due at `now`.
pub(super) fn due(bytes: &[u8], now: UnixMs) -> usize {
    let mut elements = compact::elements(bytes);
    std::iter::from_fn(|| next(&mut elements))
        .take_while(|(_, _, deadline)| deadline.is_some_and(|deadline| deadline <= now))
        .count()
}

/// The soonest deadline.
pub(super) fn first_deadline(bytes: &[u8]) -> Option<UnixMs> {
    next(&mut compact::elements(bytes)).and_then(|(_, _, deadline)| deadline)
}

/// Where a field begins, and the deadline that it has.
pub(super) fn find(bytes: &[u8], field: &[u8]) -> Option<(usize, Option<UnixMs>)> {
    let at = compact::find(bytes, &Needle::new(field), STEP)?;
    let deadline = listpack::read(bytes, listpack::nth(bytes, at, STEP - 1)).0;
    Some((at, deadline_of(deadline)))
}

/// Adds a field that is not there, where its deadline belongs: after those that are due no later.
pub(super) fn insert(bytes: &mut Vec<u8>, field: &[u8], value: &[u8], deadline: Option<UnixMs>) {
    let mut at = bytes.len();
    if let Some(deadline) = deadline {
        let mut elements = compact::elements(bytes);
        loop {
            at = elements.at();
            match next(&mut elements) {
                Some((_, _, Some(other))) if other <= deadline => {}
                _ => break,
            }
        }
    }
    let mut entries = listpack::entry(field);
    entries.extend_from_slice(&listpack::entry(value));
    entries.extend_from_slice(&listpack::integer_entry(deadline.unwrap_or(0).cast_signed()));
    bytes.reserve_exact(entries.len());
    listpack::insert(bytes, at, &entries);
    let count = compact::count(bytes) + STEP;
    compact::set_count(bytes, count);
}

/// Removes the field that begins at `at`.
pub(super) fn remove(bytes: &mut Vec<u8>, at: usize) {
    compact::remove(bytes, at, STEP);
}

/// Removes what is due at `now`; how many.
pub(super) fn drop_due(bytes: &mut Vec<u8>, now: UnixMs) -> usize {
    let count = due(bytes, now);
    if count > 0 {
        compact::remove(bytes, compact::HEAD, count * STEP);
    }
    count
}

/// The same fields, with room for deadlines.
pub(super) fn from_plain(bytes: &[u8]) -> Vec<u8> {
    let mut timed = compact::new(form::TIMED_HASH);
    let none = listpack::integer_entry(0);
    let mut at = compact::HEAD;
    while at < bytes.len() {
        let end = listpack::nth(bytes, at, 2);
        timed.extend_from_slice(&bytes[at..end]);
        timed.extend_from_slice(&none);
        at = end;
    }
    compact::set_count(&mut timed, compact::count(bytes) / 2 * STEP);
    timed
}

/// Whether entries that came from outside are fields in their order.
pub(in crate::keyspace::collections) fn is_sound(bytes: &[u8]) -> bool {
    let mut elements = compact::elements(bytes).skip(STEP - 1).step_by(STEP);
    let in_order = |last: Option<u64>, element: Element<'_>| match element {
        // None is the last of all.
        Element::Integer(number) if number >= 0 => {
            let order = number.cast_unsigned().wrapping_sub(1);
            last.is_none_or(|last| last <= order).then_some(order)
        }
        _ => None,
    };
    let mut last = None;
    compact::count(bytes).is_multiple_of(STEP)
        && elements.all(|element| {
            last = in_order(last, element);
            last.is_some()
        })
}
