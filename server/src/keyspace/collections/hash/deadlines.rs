//! When the fields of a large hash are due: by place, and in the order of deadlines.

use crate::clock::UnixMs;
use crate::keyspace::collections::allocated_bytes;
use crate::keyspace::deadlines::Deadlines;

/// Places a page: one exists where one of its fields has a deadline.
const PAGE: usize = 32;
/// No deadline: nothing is due at the beginning of time.
const NONE: UnixMs = 0;

type Page = Box<[UnixMs; PAGE]>;

/// The deadlines of a hash of which some field has one.
#[derive(Default)]
pub(super) struct FieldDeadlines {
    pages: Vec<Option<Page>>,
    page_count: usize,
    order: Deadlines,
}

impl FieldDeadlines {
    /// How many fields have one.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Bytes of the allocations, its own included.
    pub(super) fn bytes(&self) -> usize {
        allocated_bytes(size_of::<Self>())
            + self.pages.capacity() * size_of::<Option<Page>>()
            + self.page_count * size_of::<[UnixMs; PAGE]>()
            + self.order.bytes()
    }

    /// The deadline of the field at a place.
    #[inline]
    pub(super) fn get(&self, place: u32) -> Option<UnixMs> {
        let page = self.pages.get(place as usize / PAGE)?.as_ref()?;
        Some(page[place as usize % PAGE]).filter(|deadline| *deadline != NONE)
    }

    /// Gives the field at a place a deadline, or takes it away.
    pub(super) fn set(&mut self, place: u32, deadline: Option<UnixMs>) {
        let old = self.get(place);
        if old == deadline {
            return;
        }
        if let Some(old) = old {
            self.order.remove(old, place);
        }
        if let Some(deadline) = deadline {
            self.order.insert(deadline, place);
        }
        let at = place as usize / PAGE;
        if at >= self.pages.len() {
            self.pages.resize_with(at + 1, || None);
        }
        let page = self.pages[at].get_or_insert_with(|| {
            self.page_count += 1;
            Box::new([NONE; PAGE])
        });
        page[place as usize % PAGE] = deadline.unwrap_or(NONE);
        if page.iter().all(|deadline| *deadline == NONE) {
            self.pages[at] = None;
            self.page_count -= 1;
        }
    }

    /// Tells that the field at `from` has the place `to` now, whose own deadline is taken away already.
    pub(super) fn moved(&mut self, from: u32, to: u32) {
        let deadline = self.get(from);
        self.set(from, None);
        self.set(to, deadline);
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<(UnixMs, u32)> {
        self.order.soonest_first().next()
    }

    /// How many are due at `now`.
    pub(super) fn due(&self, now: UnixMs) -> usize {
        self.order.due(now)
    }

    /// Adds the account up anew.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        self.order.check();
        let all = (0..self.pages.len() as u32 * PAGE as u32).filter_map(|place| Some((self.get(place)?, place)));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        assert!(self.order.soonest_first().eq(all.iter().copied()));
        assert_eq!(self.page_count, self.pages.iter().flatten().count());
        assert!(self.pages.iter().flatten().all(|page| page.iter().any(|deadline| *deadline != NONE)));
    }
}
