//! Chunks of memory in size classes, dense: what an item's bytes live in.
//!
//! ```text
//! reference (u32):  class (8 bits) | page | chunk of the page      (24 bits together)
//! class:            pages of the same size, each cut into chunks of the same size
//! ```
//! Chunks of a class are always the first `count` ones: freeing a chunk moves the last one into the hole (the caller
//! fixes what pointed at it), and what becomes empty is given back. So there is no fragmentation, and [`Arena::bytes`] is
//! what is really held. A page is a run of frames (see `frames`), 4 to 256 KiB, of which the last page of a class touches what
//! it needs. Where a class is small, what is less than a frame lies in a block of its own, its tail, which grows by
//! [`TAIL_STEP`]: a partition has a hundred classes, a node a dozen partitions, and half a frame of each would be more than
//! the items of a small cache.

use super::frames::{FRAME_BYTES, Frame, Frames};
use super::memory::prefetch::prefetch_line;

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
pub(super) const CHUNK_BYTES_MAX: usize = 16 * 1024;

const CHUNK_BYTES_MIN: usize = 16;
const INDEX_BITS: u32 = 24;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Classes are 4 bytes apart up to 256, 8 up to 512, 16 up to 1024, then an eighth of a doubling: a few per cent of slack,
/// and not so many classes that their partly filled last pages would weigh on a small keyspace.
const FINE: usize = (256 - CHUNK_BYTES_MIN) / 4 + 1;
const MEDIUM: usize = FINE + 256 / 8;
const COARSE: usize = MEDIUM + 512 / 16;
const CLASSES: usize = COARSE + 8 * (CHUNK_BYTES_MAX / 1024).ilog2() as usize;
/// So that no chunk is named [`NIL`].
const _: () = assert!(CLASSES < 255);

fn class_of(bytes: usize) -> usize {
    debug_assert!(bytes <= CHUNK_BYTES_MAX);
    match bytes {
        0..=256 => bytes.max(CHUNK_BYTES_MIN).div_ceil(4) - CHUNK_BYTES_MIN / 4,
        257..=512 => FINE - 1 + (bytes - 256).div_ceil(8),
        513..=1024 => MEDIUM - 1 + (bytes - 512).div_ceil(16),
        _ => {
            let doubling = (bytes - 1).ilog2();
            COARSE - 1 + (doubling as usize - 10) * 8 + (bytes - (1 << doubling)).div_ceil(1 << (doubling - 3))
        }
    }
}

fn chunk_bytes(class: usize) -> usize {
    match class {
        0..FINE => CHUNK_BYTES_MIN + class * 4,
        FINE..MEDIUM => 256 + (class - FINE + 1) * 8,
        MEDIUM..COARSE => 512 + (class - MEDIUM + 1) * 16,
        _ => {
            let (doubling, eighth) = (10 + (class - COARSE) / 8, (class - COARSE) % 8);
            (1 << doubling) + ((eighth + 1) << (doubling - 3))
        }
    }
}

/// At least sixteen chunks a page: what is left at its end is not much.
fn page_bytes(chunk_bytes: usize) -> usize {
    (16 * chunk_bytes).next_power_of_two().max(FRAME_BYTES)
}

/// A tail is so long, or a multiple of it, and less than a frame.
const TAIL_STEP: usize = 512;
/// What the last page holds moves back into a tail where it is this or less: not as soon as it would fit.
const TAIL_BYTES_AGAIN: usize = 3 * TAIL_STEP;
/// A class of so many pages has no tail: what is left of a frame does not weigh on it.
const TAIL_PAGES_MAX: usize = 16;

struct Class {
    chunk_bytes: usize,
    page_shift: u32,
    per_page: u32,
    count: u32,
    /// Chunks for which there is room in what is held.
    room: u32,
    /// With fewer chunks than this, something is given back.
    low: u32,
    /// Runs of [`Class::page_frames`].
    pages: Vec<Frame>,
    /// Frames of the last page that are touched; all of the others are.
    touched: u32,
    /// The begin of the page after those, where it is less than a frame.
    tail: Box<[u8]>,
    /// Of each page, the tail's, too, by [`Mark`]. Not beside the pages: every lookup goes by these, and more of them fit
    /// into a cache so.
    marks: Vec<[u64; 2]>,
}

impl Class {
    fn new(class: usize) -> Self {
        let chunk_bytes = chunk_bytes(class);
        let per_page = (page_bytes(chunk_bytes) / chunk_bytes) as u32;
        let page_shift = per_page.next_power_of_two().trailing_zeros();
        Self {
            chunk_bytes,
            page_shift,
            per_page,
            count: 0,
            room: 0,
            low: 0,
            pages: Vec::new(),
            touched: 0,
            tail: Box::default(),
            marks: Vec::new(),
        }
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

    /// Frames of a page: as many as its chunks need.
    fn page_frames(&self) -> u32 {
        (self.per_page as usize * self.chunk_bytes).div_ceil(FRAME_BYTES) as u32
    }

    /// Makes room for one more.
    fn grow(&mut self, frames: &mut Frames) {
        let begun = self.count % self.per_page;
        let needed = (begun + 1) as usize * self.chunk_bytes;
        let needed_frames = needed.div_ceil(FRAME_BYTES) as u32;
        if begun > 0 && self.tail.is_empty() {
            let last = *self.pages.last().expect("a page is begun");
            frames.touch(last + self.touched, needed_frames - self.touched);
            self.touched = needed_frames;
        } else {
            let tail_bytes = needed.next_multiple_of(TAIL_STEP);
            if tail_bytes < FRAME_BYTES && self.pages.len() < TAIL_PAGES_MAX {
                resize(&mut self.tail, tail_bytes);
            } else {
                let page = frames.take(self.page_frames());
                frames.touch(page, needed_frames);
                let tail = std::mem::take(&mut self.tail);
                frames.bytes_mut(page, 0, tail.len()).copy_from_slice(&tail);
                self.pages.push(page);
                self.touched = needed_frames;
            }
            if begun == 0 {
                self.marks.push([NO_MARK; 2]);
            }
        }
        self.set_bounds();
    }

    /// Gives back what is not needed.
    fn shrink(&mut self, frames: &mut Frames) {
        let (whole, begun) = ((self.count / self.per_page) as usize, self.count % self.per_page);
        let needed = begun as usize * self.chunk_bytes;
        while self.pages.len() > whole + usize::from(begun > 0 && self.tail.is_empty()) {
            self.drop_page(frames);
        }
        if !self.tail.is_empty() {
            // A step more than is needed stays, where anything is.
            let kept = if begun == 0 { 0 } else { (needed + TAIL_STEP).next_multiple_of(TAIL_STEP) };
            if kept < self.tail.len() {
                resize(&mut self.tail, kept);
            }
        } else if begun > 0 {
            let last = *self.pages.last().expect("a page is begun");
            let needed_frames = needed.div_ceil(FRAME_BYTES) as u32;
            frames.leave(last + needed_frames, self.touched - needed_frames);
            self.touched = needed_frames;
            if needed <= TAIL_BYTES_AGAIN && self.pages.len() <= TAIL_PAGES_MAX {
                self.tail = frames.bytes(last, 0, needed.next_multiple_of(TAIL_STEP)).into();
                self.drop_page(frames);
            }
        }
        self.marks.truncate(whole + usize::from(begun > 0));
        if self.marks.len() < self.marks.capacity() / 4 {
            self.pages.shrink_to(self.pages.len() * 2);
            self.marks.shrink_to(self.marks.len() * 2);
        }
        self.set_bounds();
    }

    fn drop_page(&mut self, frames: &mut Frames) {
        if let Some(page) = self.pages.pop() {
            frames.leave(page, self.touched);
            frames.give(page, self.page_frames());
            self.touched = if self.pages.is_empty() { 0 } else { self.page_frames() };
        }
    }

    /// Chunks of the pages before the one that is not full, or may not be.
    fn in_whole_pages(&self) -> u32 {
        let whole = if self.tail.is_empty() { self.pages.len().saturating_sub(1) } else { self.pages.len() };
        whole as u32 * self.per_page
    }

    fn set_bounds(&mut self) {
        let (bytes, step) = if self.tail.is_empty() {
            (self.touched as usize * FRAME_BYTES, FRAME_BYTES)
        } else {
            (self.tail.len(), 2 * TAIL_STEP)
        };
        let chunks = |bytes: usize| ((bytes / self.chunk_bytes) as u32).min(self.per_page);
        self.room = self.in_whole_pages() + chunks(bytes);
        // With so many chunks or fewer there is a step to give back, or the page.
        let mut few = bytes.saturating_sub(step);
        if self.tail.is_empty() && self.touched == 1 && self.pages.len() <= TAIL_PAGES_MAX {
            few = TAIL_BYTES_AGAIN;
        }
        self.low = if bytes == 0 { 0 } else { self.in_whole_pages() + chunks(few) + 1 };
    }

    fn bytes(&self) -> usize {
        let whole = self.pages.len().saturating_sub(1) * self.page_frames() as usize;
        (whole + self.touched as usize) * FRAME_BYTES
            + self.tail.len()
            + self.pages.capacity() * size_of::<Frame>()
            + self.marks.capacity() * size_of::<[u64; 2]>()
    }

    /// Bytes of a page from `start` on.
    #[inline]
    fn slice<'a>(&'a self, frames: &'a Frames, page: usize, start: usize, length: usize) -> &'a [u8] {
        match self.pages.get(page) {
            Some(page) => frames.bytes(*page, start, length),
            None => &self.tail[start..start + length],
        }
    }

    #[inline]
    fn slice_mut<'a>(&'a mut self, frames: &'a mut Frames, page: usize, start: usize, length: usize) -> &'a mut [u8] {
        match self.pages.get(page) {
            Some(page) => frames.bytes_mut(*page, start, length),
            None => &mut self.tail[start..start + length],
        }
    }

    /// Copies the chunk `last`, which is in the last page that is used, over the chunk `hole`.
    fn overwrite(&mut self, frames: &mut Frames, hole: u32, last: u32) {
        let ((hole_page, hole_at), (last_page, last_at)) = (self.locate(hole), self.locate(last));
        match (self.pages.get(hole_page), self.pages.get(last_page)) {
            (Some(to), Some(from)) => frames.copy((*from, last_at), (*to, hole_at), self.chunk_bytes),
            (Some(to), None) => frames
                .bytes_mut(*to, hole_at, self.chunk_bytes)
                .copy_from_slice(&self.tail[last_at..last_at + self.chunk_bytes]),
            (None, _) => self.tail.copy_within(last_at..last_at + self.chunk_bytes, hole_at),
        }
    }
}

/// Makes a tail longer or shorter: a copy, since an allocator that shrinks in place would not give anything back.
fn resize(tail: &mut Box<[u8]>, bytes: usize) {
    let mut content = Vec::with_capacity(bytes);
    content.extend_from_slice(&tail[..tail.len().min(bytes)]);
    content.resize(bytes, 0);
    *tail = content.into_boxed_slice();
}

/// All classes.
pub(super) struct Arena {
    classes: Box<[Class]>,
    frames: Frames,
    /// Bytes of the classes.
    bytes: usize,
}

impl Arena {
    pub(super) fn new() -> Self {
        let classes = (0..CLASSES).map(Class::new).collect();
        Self { classes, frames: Frames::default(), bytes: CLASSES * size_of::<Class>() }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.frames.idle_bytes()
    }

    /// The frames, for what else is to lie in them.
    #[inline]
    pub(super) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// The same, to be changed.
    pub(super) fn frames_mut(&mut self) -> &mut Frames {
        &mut self.frames
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
        class.slice(&self.frames, page, start, class.chunk_bytes)
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
        let chunk_bytes = class.chunk_bytes;
        class.slice_mut(&mut self.frames, page, start, chunk_bytes)
    }

    /// Takes a chunk of at least `bytes`, its content unspecified. From the class of that size, or a larger one where
    /// that holds as many chunks as references can name.
    ///
    /// # Panics
    /// When every class that fits is full: not before 8 million items times the number of those classes.
    pub(super) fn allocate(&mut self, bytes: usize) -> Ref {
        let first = class_of(bytes);
        let number = (first..CLASSES).find(|&class| !self.classes[class].is_full()).expect("references run out");
        let class = &mut self.classes[number];
        let index = class.index(class.count);
        if class.count == class.room {
            let before = class.bytes();
            class.grow(&mut self.frames);
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
            class.overwrite(&mut self.frames, hole, last);
        }
        if class.count.is_multiple_of(class.per_page) {
            class.marks[(class.count / class.per_page) as usize] = [NO_MARK; 2];
        }
        if class.count < class.low {
            let before = class.bytes();
            class.shrink(&mut self.frames);
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
        (self.bytes - CLASSES * size_of::<Class>()).div_ceil(FRAME_BYTES)
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
        let bytes = class.slice(&self.frames, number as usize, 0, count as usize * class.chunk_bytes);
        (page..page + count).zip(bytes.chunks_exact(class.chunk_bytes))
    }

    /// Lets `change` have each chunk in use of a page.
    pub(super) fn change_page(&mut self, page: Ref, mut change: impl FnMut(&mut [u8])) {
        let count = self.page(page).count();
        let class = &mut self.classes[(page >> INDEX_BITS) as usize];
        let number = (page & INDEX_MASK) >> class.page_shift;
        let chunk_bytes = class.chunk_bytes;
        let bytes = class.slice_mut(&mut self.frames, number as usize, 0, count * chunk_bytes);
        bytes.chunks_exact_mut(chunk_bytes).for_each(&mut change);
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

    /// Adds up the account anew, and checks that no more is held than the chunks in use need, and what else is in frames.
    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self, other_frames: usize) -> (usize, usize) {
        let (mut touched, mut taken) = (other_frames, other_frames);
        for class in &self.classes {
            let (whole, begun) = ((class.count / class.per_page) as usize, class.count % class.per_page);
            let needed = begun as usize * class.chunk_bytes;
            assert_eq!(class.pages.len(), whole + usize::from(begun > 0 && class.tail.is_empty()));
            assert_eq!(class.marks.len(), whole + usize::from(begun > 0));
            assert!(class.tail.len() < FRAME_BYTES && class.tail.len() <= needed + 2 * TAIL_STEP + class.chunk_bytes);
            assert!(begun > 0 || class.tail.is_empty());
            assert!(class.low <= class.count && class.count <= class.room);
            if begun > 0 && class.tail.is_empty() {
                assert_eq!(class.touched as usize, needed.div_ceil(FRAME_BYTES));
                assert!(needed > TAIL_BYTES_AGAIN || class.pages.len() > TAIL_PAGES_MAX);
            } else {
                assert_eq!(class.touched, if class.pages.is_empty() { 0 } else { class.page_frames() });
            }
            touched += class.pages.len().saturating_sub(1) * class.page_frames() as usize + class.touched as usize;
            taken += class.pages.len() * class.page_frames() as usize;
        }
        assert_eq!(self.frames.recount(), (touched, taken));
        let bytes = self.classes.iter().map(Class::bytes).sum::<usize>() + self.classes.len() * size_of::<Class>();
        (bytes + self.frames.idle_bytes(), self.classes.iter().map(|class| class.count as usize).sum())
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

    /// Each class in turn: several pages, then back to none; frames are left as they were touched.
    #[test]
    fn pages_of_every_class_come_and_go() {
        let mut arena = Arena::new();
        let empty = arena.bytes();
        for class in 0..CLASSES {
            let chunks: Vec<Ref> =
                (0..3 * arena.classes[class].per_page + 2).map(|_| arena.allocate(chunk_bytes(class))).collect();
            assert_eq!(arena.recount(0), (arena.bytes(), chunks.len()), "class {class}");
            for (number, at) in chunks.into_iter().enumerate().rev() {
                assert_eq!(arena.free(at), None);
                assert_eq!(arena.recount(0), (arena.bytes(), number), "class {class}");
            }
        }
        assert!(arena.bytes() - empty < 64 * 1024);
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
            assert_eq!(arena.recount(0), (arena.bytes(), live.len()));
            if let Some((at, n)) = live.last() {
                assert_eq!(arena.chunk(*at)[..4], n.to_le_bytes());
            }
        }
        // But for an area, and a frame of it.
        assert!(arena.bytes() - empty < 8 * 1024);
    }
}
