//! A range of addresses that takes memory only where it was written to.

use std::ops::Range;

/// Bytes of a huge page.
pub(in crate::keyspace) const HUGE_BYTES: usize = 2 << 20;

/// So many bytes of addresses. What was never written to, and what was given back, takes no memory.
pub(in crate::keyspace) struct Area(imp::Area);

impl Area {
    /// An area of zeros.
    ///
    /// # Panics
    /// Where the system has no addresses left to give.
    pub(in crate::keyspace) fn new(bytes: usize) -> Self {
        Self(imp::new(bytes))
    }

    /// So many bytes from `start` on.
    #[inline]
    pub(in crate::keyspace) fn bytes(&self, start: usize, length: usize) -> &[u8] {
        imp::bytes(&self.0, start, length)
    }

    /// The same, to be written.
    #[inline]
    pub(in crate::keyspace) fn bytes_mut(&mut self, start: usize, length: usize) -> &mut [u8] {
        imp::bytes_mut(&mut self.0, start, length)
    }

    /// Asks for huge pages, where a node may have them (`app::huge_pages`): a random access waits for the page table less.
    /// From the first write on, 2 MiB take memory then.
    pub(in crate::keyspace) fn prefer_huge_pages(&self) {
        imp::prefer_huge_pages(&self.0);
    }

    /// Takes memory for `range` at once, which is about to be written: one call instead of a fault for each page.
    pub(in crate::keyspace) fn populate(&self, range: Range<usize>) {
        imp::populate(&self.0, range);
    }

    /// Gives the memory of `range` back, as far as it is whole pages of the system; what was written to the range is lost.
    pub(in crate::keyspace) fn give_back(&mut self, range: Range<usize>) {
        imp::give_back(&mut self.0, range);
    }
}

/// The pages of the system that lie in `range`: they may be larger than what is given back, and what is beside it is used.
fn whole_pages(range: Range<usize>, page_bytes: usize) -> Range<usize> {
    let start = range.start.next_multiple_of(page_bytes);
    start..(range.end / page_bytes * page_bytes).max(start)
}

#[cfg(all(target_os = "linux", not(miri)))]
mod imp {
    use super::{HUGE_BYTES, whole_pages};
    use memmap2::{Advice, MmapMut, MmapOptions, UncheckedAdvice};
    use std::ops::Range;

    /// A part of a map that begins where a huge page may.
    pub(super) struct Area {
        map: MmapMut,
        begin: usize,
    }

    pub(super) fn new(bytes: usize) -> Area {
        let map = MmapOptions::new().len(bytes + HUGE_BYTES).no_reserve_swap().map_anon();
        let map = map.unwrap_or_else(|error| panic!("no addresses for {bytes} bytes of items: {error}"));
        let begin = map.as_ptr().align_offset(HUGE_BYTES);
        Area { map, begin }
    }

    /// Every lookup comes by here: one check of bounds, the map's.
    #[inline]
    pub(super) fn bytes(area: &Area, start: usize, length: usize) -> &[u8] {
        let start = area.begin + start;
        &area.map[start..start + length]
    }

    #[inline]
    pub(super) fn bytes_mut(area: &mut Area, start: usize, length: usize) -> &mut [u8] {
        let start = area.begin + start;
        &mut area.map[start..start + length]
    }

    pub(super) fn prefer_huge_pages(area: &Area) {
        // All of the map, so that it is one with its neighbours for the kernel, which counts maps. Some kernels have none.
        let preferred = area.map.advise(Advice::HugePage);
        preferred.unwrap_or_else(|error| tracing::debug!(%error, "no huge pages"));
    }

    pub(super) fn populate(area: &Area, range: Range<usize>) {
        // Kernels before 5.14 cannot: writing does it then.
        let _ = area.map.advise_range(Advice::PopulateWrite, area.begin + range.start, range.len());
    }

    #[expect(unsafe_code, reason = "what is in the range is nobody's any more")]
    pub(super) fn give_back(area: &mut Area, range: Range<usize>) {
        assert!(range.start <= range.end && area.begin + range.end <= area.map.len());
        // memmap2 would begin at the page in which a range begins, the kernel end at the end of one.
        let range = whole_pages(range, rustix::param::page_size());
        if range.is_empty() {
            return;
        }
        // SAFETY: the range lies in a private map of no file, which is borrowed for writing, so nobody else looks at it now;
        // whoever looks next finds other bytes there, as after any write.
        let given = unsafe {
            area.map.unchecked_advise_range(UncheckedAdvice::DontNeed, area.begin + range.start, range.len())
        };
        // Refused, it stays where it is: no harm but that.
        given.unwrap_or_else(|error| tracing::debug!(%error, "memory is not given back"));
    }
}

/// Twin: memory of the allocator, all of it for as long as the area is there.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod imp {
    use super::whole_pages;
    use std::ops::Range;

    pub(super) type Area = Box<[u8]>;

    pub(super) fn new(bytes: usize) -> Area {
        vec![0; bytes].into_boxed_slice()
    }

    pub(super) fn bytes(area: &Area, start: usize, length: usize) -> &[u8] {
        &area[start..start + length]
    }

    pub(super) fn bytes_mut(area: &mut Area, start: usize, length: usize) -> &mut [u8] {
        &mut area[start..start + length]
    }

    pub(super) fn prefer_huge_pages(_area: &Area) {}

    pub(super) fn populate(_area: &Area, _range: Range<usize>) {}

    pub(super) fn give_back(area: &mut Area, range: Range<usize>) {
        area[whole_pages(range, 1)].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_partly_in_a_range_stay() {
        const K: usize = 1024;
        assert_eq!(whole_pages(4 * K..12 * K, 4 * K), 4 * K..12 * K);
        assert_eq!(whole_pages(4 * K..130 * K, 64 * K), 64 * K..128 * K);
        assert!(whole_pages(4 * K..60 * K, 64 * K).is_empty());
        assert!(whole_pages(60 * K..68 * K, 64 * K).is_empty());
    }

    #[test]
    fn what_is_given_back_is_lost_and_can_be_written_again() {
        const PAGE: usize = 4096;
        let mut area = Area::new(2 * HUGE_BYTES);
        let all = |area: &Area, byte| area.bytes(PAGE, 2 * PAGE).iter().all(|other| *other == byte);
        assert!(all(&area, 0));
        area.bytes_mut(0, 2 * HUGE_BYTES).fill(7);
        area.give_back(PAGE..3 * PAGE);
        assert!(all(&area, 0));
        assert!(area.bytes(0, PAGE).iter().chain(area.bytes(3 * PAGE, PAGE)).all(|byte| *byte == 7));
        area.bytes_mut(PAGE, 2 * PAGE).fill(9);
        area.prefer_huge_pages();
        area.give_back(0..0);
        assert!(all(&area, 9));
    }
}
