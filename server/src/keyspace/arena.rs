//! Chunks of memory in size classes, dense: what an item's bytes live in.
//!
//! ```text
//! reference (u32):  class (8 bits) | page | chunk of the page      (24 bits together)
//! class:            pages of the same size, each cut into chunks of the same size
//! ```
//! Chunks of a class are always the first `count` ones: freeing a chunk moves the last one into the hole (the caller
//! fixes what pointed at it), and a page that becomes empty is given back, but for one spare of a large class. So there is no
//! fragmentation, and [`Arena::bytes`] is what is really held. Pages are of 4, 8 or 16 KiB: sizes that allocators
//! serve without rounding.

/// Names a chunk. Stable until that chunk is moved.
pub(super) type Ref = u32;

/// Names no chunk.
pub(super) const NIL: Ref = u32::MAX;

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

/// Pages from which a class keeps a spare one, so that it does not take and give a page again and again. Below, that is
/// cheaper than the memory: a partition has a hundred classes, a node a dozen partitions.
const SPARE_FROM: usize = 8;

struct Class {
    chunk_bytes: usize,
    page_shift: u32,
    per_page: u32,
    count: u32,
    pages: Vec<Box<[u8]>>,
}

impl Class {
    fn new(class: usize) -> Self {
        let chunk_bytes = chunk_bytes(class);
        let per_page = (page_bytes(chunk_bytes) / chunk_bytes) as u32;
        let page_shift = per_page.next_power_of_two().trailing_zeros();
        Self { chunk_bytes, page_shift, per_page, count: 0, pages: Vec::new() }
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

    fn bytes(&self) -> usize {
        self.pages.len() * page_bytes(self.chunk_bytes) + self.pages.capacity() * size_of::<Box<[u8]>>()
    }
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
        if class.locate(index).0 == class.pages.len() {
            let before = class.bytes();
            class.pages.push(vec![0; page_bytes(class.chunk_bytes)].into_boxed_slice());
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
        let used = class.count.div_ceil(class.per_page) as usize;
        let kept = if used < SPARE_FROM { used } else { used + 1 };
        if class.pages.len() > kept {
            let before = class.bytes();
            class.pages.truncate(kept);
            if class.pages.len() < class.pages.capacity() / 4 {
                class.pages.shrink_to(class.pages.len() * 2);
            }
            self.bytes -= before - class.bytes();
        }
        (hole != last).then_some(number << INDEX_BITS | last)
    }

    /// Adds up the account anew, and checks that no more is held than the chunks in use need.
    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self) -> (usize, usize) {
        for class in &self.classes {
            let used = class.count.div_ceil(class.per_page) as usize;
            assert!(class.pages.len() >= used && class.pages.len() <= if used == 0 { 0 } else { used + 1 });
            assert!(class.pages.iter().all(|page| page.len() == page_bytes(class.chunk_bytes)));
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
