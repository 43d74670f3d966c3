//! Small collections: a form, a count, entries.

use super::listpack::{self, Elements, Needle};

/// Where entries begin.
pub(super) const HEAD: usize = 3;

pub(super) fn new(form: u8) -> Vec<u8> {
    vec![form, 0, 0]
}

/// How many entries.
#[inline]
pub(super) fn count(bytes: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([bytes[1], bytes[2]]))
}

pub(super) fn set_count(bytes: &mut [u8], count: usize) {
    bytes[1..HEAD].copy_from_slice(&(count as u16).to_le_bytes());
}

/// All entries' elements.
#[inline]
pub(super) fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements::new(bytes, HEAD)
}

/// Where the first entry of a group of `step` entries is, of which the first is `needle`.
#[inline]
pub(super) fn find(bytes: &[u8], needle: &Needle<'_>, step: usize) -> Option<usize> {
    let mut at = HEAD;
    while at < bytes.len() {
        let (element, mut next) = listpack::read(bytes, at);
        if needle.is(element) {
            return Some(at);
        }
        for _ in 1..step {
            next = listpack::skip(bytes, next);
        }
        at = next;
    }
    None
}

/// Appends entries.
pub(super) fn push(bytes: &mut Vec<u8>, entries: &[&[u8]]) {
    bytes.reserve_exact(entries.iter().map(|entry| entry.len()).sum());
    entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
    let count = count(bytes) + entries.len();
    set_count(bytes, count);
}

/// Removes `entries` entries that begin at `at`.
pub(super) fn remove(bytes: &mut Vec<u8>, at: usize, entries: usize) {
    let end = listpack::nth(bytes, at, entries);
    listpack::remove(bytes, at, end);
    let count = count(bytes) - entries;
    set_count(bytes, count);
}

/// Whether bytes that came from outside are a form's head and that many entries.
pub(super) fn is_sound(bytes: &[u8]) -> bool {
    bytes.len() > HEAD && listpack::check(&bytes[HEAD..]) == Some(count(bytes))
}
