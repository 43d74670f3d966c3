//! Chunks of memory in size classes, dense: what an item's bytes live in.
//!
//! ```text
//! reference (u32):  class (8 bits) | page | chunk of the page      (24 bits together)
//! class:            pages of the same size, each cut into chunks of the same size
//! ```
//! Chunks of a class are always the first `count` ones: freeing a chunk moves the last one into the hole (the caller
//! fixes what pointed at it), and a page that becomes empty is given back, but for one spare of a large class. So there is no
//! fragmentation, and [`Arena::bytes`] is what is really held. Pages are of 4, 8 or 16 KiB: sizes that allocators
//! serve without rounding. All are whole but the last one of a small class, which grows by eighths: a partition has a
//! hundred classes, a node a dozen partitions, and half a page of each would be more than the items of a small cache.

use super::prefetch::prefetch_line;

/// Names a chunk. Stable until that chunk is moved.
pub(super) type Ref = u32;

/// Names no chunk.
pub(super) const NIL: Ref = u32::MAX;

/// What can be noted for each page: see [`Order`](super::order::Order).
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// Of the order by use.
    Use,
    /// Of the order by deadline.
    Deadline,
}

/// The mark of a page of which nothing is noted.
pub(super) const NO_MARK: u64 = u64::MAX;

/// Largest chunk.
pub(super) const CHUNK_BYTES_MAX: usize = 1024;

const CHUNK_BYTES_MIN: usize = 16;
const INDEX_BITS: u32 = 24;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Classes are 4 bytes apart up to 256, 8 up to 512, 16 up to 1024: a few per cent of slack at most, and not so many
/// classes that their partly filled last pages would weigh on a small keyspace.
const FINE: usize = (256 - CHUNK_BYTES_MIN) / 4 + 1;
const MEDIUM: usize = 256 / 8;
const COARSE: usize = 512 / 16;
const CLASSES: usize = FINE + MEDIUM + COARSE;
/// So that no chunk is named [`NIL`].
const _: () = assert!(CLASSES < 255);

fn class_of(bytes: usize) -> usize {
    debug_assert!(bytes <= CHUNK_BYTES_MAX);
    match bytes {
        0..=256 => bytes.max(CHUNK_BYTES_MIN).div_ceil(4) - CHUNK_BYTES_MIN / 4,
        257..=512 => FINE - 1 + (bytes - 256).div_ceil(8),
        _ => FINE + MEDIUM - 1 + (bytes - 512).div_ceil(16),
    }
}

fn chunk_bytes(class: usize) -> usize {
    if class < FINE {
        CHUNK_BYTES_MIN + class * 4
    } else if class < FINE + MEDIUM {
        256 + (class - FINE + 1) * 8
    } else {
        512 + (class - FINE - MEDIUM + 1) * 16
    }
}

fn page_bytes(chunk_bytes: usize) -> usize {
    match chunk_bytes {
        0..=256 => 4096,
        257..=512 => 8192,
        _ => 16384,
    }
}

/// Parts of a page. Each holds at least two chunks, and is a size that allocators serve without rounding.
const PARTS: usize = 8;

/// By how many parts a class that holds `parts` grows. What is saved by less than a page is worth its copying only while
/// a class is small.
fn step(parts: usize) -> usize {
    match parts / PARTS {
        0..16 => 1,
        16..32 => PARTS / 2,
        _ => PARTS,
    }
}

struct Class {
    chunk_bytes: usize,
    page_shift: u32,
    per_page: u32,
    count: u32,
    /// Chunks for which there is room in the pages that are held.
    room: u32,
    /// With fewer chunks than this, parts are given back.
    low: u32,
    /// All whole, but for the last one.
    pages: Vec<Box<[u8]>>,
    /// Of each page, by [`Mark`]. Not beside the pages: every lookup goes by these, and more of them fit into a cache so.
    marks: Vec<[u64; 2]>,
}

impl Class {
    fn new(class: usize) -> Self {
        let chunk_bytes = chunk_bytes(class);
        let per_page = (page_bytes(chunk_bytes) / chunk_bytes) as u32;
        let page_shift = per_page.next_power_of_two().trailing_zeros();
        Self { chunk_bytes, page_shift, per_page, count: 0, room: 0, low: 0, pages: Vec::new(), marks: Vec::new() }
    }

    /// The index of the nth chunk. Pages hold any number of chunks, so indices skip some values; locating by an index
    /// is a shift and a mask all the same.
    fn index(&self, nth: u32) -> u32 {
        ((nth / self.per_page) << self.page_shift) | (nth % self.per_page)
    }

    fn is_full(&self) -> bool {
        self.count >= self.per_page << (INDEX_BITS - self.page_shift)
    }

    fn locate(&self, index: u32) -> (usize, usize) {
        let page = (index >> self.page_shift) as usize;
        let chunk = (index & ((1 << self.page_shift) - 1)) as usize;
        (page, chunk * self.chunk_bytes)
    }

    fn part_bytes(&self) -> usize {
        page_bytes(self.chunk_bytes) / PARTS
    }

    /// Parts that are held.
    fn parts(&self) -> usize {
        let last = self.pages.last().map_or(0, |page| page.len() / self.part_bytes());
        self.pages.len().saturating_sub(1) * PARTS + last
    }

    /// Parts that `count` chunks need.
    fn parts_for(&self, count: u32) -> usize {
        let (pages, rest) = ((count / self.per_page) as usize, (count % self.per_page) as usize);
        pages * PARTS + (rest * self.chunk_bytes).div_ceil(self.part_bytes())
    }

    /// Chunks that fit into `parts`.
    fn room_in(&self, parts: usize) -> u32 {
        let in_last = parts % PARTS * self.part_bytes() / self.chunk_bytes;
        (parts / PARTS) as u32 * self.per_page + in_last as u32
    }

    /// Takes the next step.
    fn grow(&mut self) {
        let parts = self.parts();
        // To the end of the page, however small the step: pages are whole before the next one is begun.
        let step = step(parts).min(PARTS - parts % PARTS);
        let bytes = step * self.part_bytes();
        match self.pages.last_mut() {
            Some(last) if !parts.is_multiple_of(PARTS) => {
                let length = last.len();
                resize(last, length + bytes);
            }
            _ => {
                self.pages.push(vec![0; bytes].into_boxed_slice());
                self.marks.push([NO_MARK; 2]);
            }
        }
        self.set_bounds(parts + step);
    }

    /// Gives back what is more than one step beyond what is needed, and all where nothing is.
    fn shrink(&mut self) {
        let needed = self.parts_for(self.count);
        let step = step(needed);
        let kept = if needed == 0 { 0 } else { (needed.div_ceil(step) + 1) * step };
        if kept < self.parts() {
            self.pages.truncate(kept.div_ceil(PARTS));
            let last_bytes = (kept - self.pages.len().saturating_sub(1) * PARTS) * self.part_bytes();
            if let Some(last) = self.pages.last_mut()
                && last.len() > last_bytes
            {
                resize(last, last_bytes);
            }
            self.marks.truncate(self.pages.len());
            if self.pages.len() < self.pages.capacity() / 4 {
                self.pages.shrink_to(self.pages.len() * 2);
                self.marks.shrink_to(self.pages.len() * 2);
            }
        }
        self.set_bounds(self.parts());
    }

    fn set_bounds(&mut self, parts: usize) {
        self.room = self.room_in(parts);
        // Two steps are free once there are no more chunks than fit into what is left.
        self.low = match parts.checked_sub(2 * step(parts)) {
            None | Some(0) => 1,
            Some(left) => self.room_in(left),
        };
    }

    fn bytes(&self) -> usize {
        self.parts() * self.part_bytes()
            + self.pages.capacity() * size_of::<Box<[u8]>>()
            + self.marks.capacity() * size_of::<[u64; 2]>()
    }
}

/// Makes a page larger or smaller: a copy, since an allocator that shrinks in place would not give anything back.
fn resize(page: &mut Box<[u8]>, bytes: usize) {
    let mut content = Vec::with_capacity(bytes);
    content.extend_from_slice(&page[..page.len().min(bytes)]);
    content.resize(bytes, 0);
    *page = content.into_boxed_slice();
}

/// All classes.
pub(super) struct Arena {
    classes: Box<[Class]>,
    bytes: usize,
}

impl Arena {
    pub(super) fn new() -> Self {
        Self { classes: (0..CLASSES).map(Class::new).collect(), bytes: CLASSES * size_of::<Class>() }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The size of the chunk that `bytes` would be given (as long as its class is not full).
    pub(super) fn rounded(bytes: usize) -> usize {
        chunk_bytes(class_of(bytes))
    }

    /// The chunk at `at`.
    #[inline]
    pub(super) fn chunk(&self, at: Ref) -> &[u8] {
        let class = &self.classes[(at >> INDEX_BITS) as usize];
        let (page, start) = class.locate(at & INDEX_MASK);
        &class.pages[page][start..start + class.chunk_bytes]
    }

    /// Asks for the memory by which [`Arena::chunk`] learns where that chunk is.
    #[inline]
    pub(super) fn prefetch_page(&self, at: Ref) {
        let class = &self.classes[(at >> INDEX_BITS) as usize];
        class.pages.get(class.locate(at & INDEX_MASK).0).into_iter().for_each(prefetch_line);
    }

    /// The chunk at `at`, to be written.
    #[inline]
    pub(super) fn chunk_mut(&mut self, at: Ref) -> &mut [u8] {
        let class = &mut self.classes[(at >> INDEX_BITS) as usize];
        let (page, start) = class.locate(at & INDEX_MASK);
        &mut class.pages[page][start..start + class.chunk_bytes]
    }

    /// Takes a chunk of at least `bytes`, its content unspecified. From the class of that size, or a larger one where
    /// that holds as many chunks as references can name.
    ///
    /// # Panics
    /// When every class that fits is full: not before 13 million items times the number of those classes.
    pub(super) fn allocate(&mut self, bytes: usize) -> Ref {
        let first = class_of(bytes);
        let number = (first..CLASSES).find(|&class| !self.classes[class].is_full()).expect("references run out");
        let class = &mut self.classes[number];
        let index = class.index(class.count);
        if class.count == class.room {
            let before = class.bytes();
            class.grow();
            self.bytes += class.bytes() - before;
        }
        class.count += 1;
        (number as u32) << INDEX_BITS | index
    }

    /// Gives a chunk back. Where another one was moved into its place, returns the name that that one had: it is now
    /// named `at`, and the caller mends what pointed at it.
    pub(super) fn free(&mut self, at: Ref) -> Option<Ref> {
        let number = at >> INDEX_BITS;
        let class = &mut self.classes[number as usize];
        class.count -= 1;
        let last = class.index(class.count);
        let hole = at & INDEX_MASK;
        if hole != last {
            class.overwrite(hole, last);
        }
        if class.count.is_multiple_of(class.per_page) {
            class.marks[(class.count / class.per_page) as usize] = [NO_MARK; 2];
        }
        if class.count < class.low {
            let before = class.bytes();
            class.shrink();
            self.bytes -= before - class.bytes();
        }
        (hole != last).then_some(number << INDEX_BITS | last)
    }

    /// The name of the first chunk of a chunk's page: what the page is called by.
    #[inline]
    pub(super) fn page_of(&self, at: Ref) -> Ref {
        let class = &self.classes[(at >> INDEX_BITS) as usize];
        at & !((1 << class.page_shift) - 1)
    }

    /// How many pages there are, about; 0 only where there is none.
    pub(super) fn page_count(&self) -> usize {
        (self.bytes - CLASSES * size_of::<Class>()).div_ceil(page_bytes(0))
    }

    /// The pages that have chunks in use.
    pub(super) fn pages(&self) -> impl Iterator<Item = Ref> + '_ {
        self.classes.iter().enumerate().flat_map(|(number, class)| {
            let pages = class.count.div_ceil(class.per_page);
            (0..pages).map(move |page| (number as u32) << INDEX_BITS | page << class.page_shift)
        })
    }

    /// Whether a page by this name has chunks in use.
    pub(super) fn has_page(&self, page: Ref) -> bool {
        self.live(page).is_some()
    }

    /// The chunks in use of a page, with their names.
    pub(super) fn page(&self, page: Ref) -> impl Iterator<Item = (Ref, &[u8])> {
        let class = &self.classes[(page >> INDEX_BITS) as usize];
        let number = (page & INDEX_MASK) >> class.page_shift;
        let count = (class.count - number * class.per_page).min(class.per_page);
        let chunks = class.pages[number as usize].chunks_exact(class.chunk_bytes);
        (page..page + count).zip(chunks)
    }

    /// Lets `change` have each chunk in use of a page.
    pub(super) fn change_page(&mut self, page: Ref, mut change: impl FnMut(&mut [u8])) {
        let count = self.page(page).count();
        let class = &mut self.classes[(page >> INDEX_BITS) as usize];
        let number = (page & INDEX_MASK) >> class.page_shift;
        let chunks = class.pages[number as usize].chunks_exact_mut(class.chunk_bytes);
        chunks.take(count).for_each(&mut change);
    }

    /// The chunk at `at`, if there is one in use.
    pub(super) fn live(&self, at: Ref) -> Option<&[u8]> {
        let class = &self.classes[(at >> INDEX_BITS) as usize];
        let index = at & INDEX_MASK;
        let (page, chunk) = (index >> class.page_shift, index & ((1 << class.page_shift) - 1));
        (page * class.per_page + chunk < class.count).then(|| self.chunk(at))
    }

    /// What is noted for the page of a chunk.
    #[inline]
    pub(super) fn mark(&self, mark: Mark, at: Ref) -> u64 {
        let class = &self.classes[(at >> INDEX_BITS) as usize];
        class.marks[((at & INDEX_MASK) >> class.page_shift) as usize][mark as usize]
    }

    /// Notes it.
    pub(super) fn set_mark(&mut self, mark: Mark, at: Ref, new: u64) {
        let class = &mut self.classes[(at >> INDEX_BITS) as usize];
        class.marks[((at & INDEX_MASK) >> class.page_shift) as usize][mark as usize] = new;
    }

    /// Adds up the account anew, and checks that no more is held than the chunks in use need.
    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self) -> (usize, usize) {
        for class in &self.classes {
            let (held, needed) = (class.parts(), class.parts_for(class.count));
            assert!(held >= needed && held <= if needed == 0 { 0 } else { needed + 3 * step(held) });
            let (last, whole) = class.pages.split_last().map_or((0, &[][..]), |(last, whole)| (last.len(), whole));
            assert!(whole.iter().all(|page| page.len() == page_bytes(class.chunk_bytes)));
            assert_eq!(whole.len() * PARTS * class.part_bytes() + last, held * class.part_bytes());
            assert_eq!(class.room, class.room_in(held));
        }
        let bytes = self.classes.iter().map(Class::bytes).sum::<usize>() + self.classes.len() * size_of::<Class>();
        (bytes, self.classes.iter().map(|class| class.count as usize).sum())
    }
}

impl Class {
    /// Copies the chunk `last`, which is in the last page that is used, over the chunk `hole`.
    fn overwrite(&mut self, hole: u32, last: u32) {
        let ((hole_page, hole_at), (last_page, last_at)) = (self.locate(hole), self.locate(last));
        if hole_page == last_page {
            self.pages[hole_page].copy_within(last_at..last_at + self.chunk_bytes, hole_at);
        } else {
            let (head, tail) = self.pages.split_at_mut(last_page);
            let from = &tail[0][last_at..last_at + self.chunk_bytes];
            head[hole_page][hole_at..hole_at + self.chunk_bytes].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_the_smallest_class_that_fits() {
        for bytes in 0..=CHUNK_BYTES_MAX {
            let class = class_of(bytes);
            assert!(chunk_bytes(class) >= bytes);
            assert!(class == 0 || chunk_bytes(class - 1) < bytes);
        }
        assert_eq!(class_of(CHUNK_BYTES_MAX), CLASSES - 1);
    }

    #[test]
    fn freeing_keeps_chunks_dense_and_gives_pages_back() {
        let mut arena = Arena::new();
        let empty = arena.bytes();
        let mut live: Vec<(Ref, u32)> = Vec::new();
        for n in 0..5_000u32 {
            let at = arena.allocate(41);
            arena.chunk_mut(at)[..4].copy_from_slice(&n.to_le_bytes());
            live.push((at, n));
        }
        assert!(arena.bytes() > 5_000 * 44);
        let mut step = 17;
        while !live.is_empty() {
            step = (step * 31 + 7) % live.len().max(1);
            let (at, _) = live.swap_remove(step);
            if let Some(old) = arena.free(at) {
                live.iter_mut().find(|(name, _)| *name == old).expect("the moved chunk is live").0 = at;
            }
            assert_eq!(arena.recount(), (arena.bytes(), live.len()));
            if let Some((at, n)) = live.last() {
                assert_eq!(arena.chunk(*at)[..4], n.to_le_bytes());
            }
        }
        assert_eq!(arena.bytes(), empty);
    }
}
