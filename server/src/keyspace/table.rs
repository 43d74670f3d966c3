//! From key hashes to items: extendible hashing by the top bits.
//!
//! ```text
//! directory --(top bits of the hash)--> segment --(the bits after those)--> home bucket, or one of the next
//! ```
//! A segment covers a range of hashes and grows bucket array by bucket array up to [`SIZES`]' last, then splits in two: the pause
//! of an insertion is bounded by a segment, never the whole table. Ranges and home buckets both follow the order of
//! the hashes, so that items can be visited in it ([`Table::collect`]) whatever the layout. The table stores no
//! hashes: those that it needs to rearrange a segment are computed from the keys again.

use super::arena::{NIL, Ref};
use super::bucket::{Bucket, SLOTS, tag};
use super::memory::prefetch::prefetch_line;

/// Numbers of buckets of a segment. The last two steps are close: more of them would hold less air, but hash each key
/// more often while the table grows.
const SIZES: [usize; 9] = [1, 2, 4, 8, 16, 24, 32, 48, 64];
const BUCKETS_MAX: usize = SIZES[SIZES.len() - 1];
const DEPTH_MAX: u32 = 32;

/// Items of a segment whose keys are asked for ahead of the one that is hashed: a table that grows hashes each key some
/// four times in all, and each is a wait for memory.
const ASKED_AHEAD: usize = 16;

/// Where a table learns the hashes of its items, which it does not keep.
pub(super) trait Hashes {
    /// The hash of an item's key.
    fn hash(&self, at: Ref) -> u64;

    /// Asks for the memory that [`Hashes::hash`] will need.
    fn ask(&self, _at: Ref) {}
}

impl<F: Fn(Ref) -> u64> Hashes for F {
    fn hash(&self, at: Ref) -> u64 {
        self(at)
    }
}

/// Where an item is in the table.
#[derive(Clone, Copy)]
pub(super) struct Place {
    segment: u32,
    bucket: u32,
    slot: u32,
}

struct Segment {
    buckets: Box<[Bucket]>,
    /// The lowest hash of its range.
    start: u64,
    /// How many top bits its hashes have in common.
    depth: u32,
    count: u32,
}

fn room_of(buckets: usize) -> usize {
    buckets * SLOTS * 7 / 8
}

/// The smallest size that leaves `count` items some room to grow.
fn size_for(count: usize) -> usize {
    let wanted = count + count / 16 + 1;
    let size = SIZES.into_iter().find(|size| room_of(*size) >= wanted);
    size.unwrap_or_else(|| {
        let mut size = BUCKETS_MAX;
        while room_of(size) < wanted {
            size *= 2;
        }
        size
    })
}

impl Segment {
    fn new(start: u64, depth: u32, items: &[(u64, Ref)]) -> Self {
        let buckets = vec![Bucket::EMPTY; size_for(items.len())].into_boxed_slice();
        let mut segment = Self { buckets, start, depth, count: 0 };
        items.iter().for_each(|(hash, at)| segment.insert(*hash, *at));
        segment
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash << self.depth >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }

    fn insert(&mut self, hash: u64, at: Ref) {
        self.count += 1;
        let mut bucket = self.home(hash);
        loop {
            if let Some(slot) = self.buckets[bucket].vacant() {
                self.buckets[bucket].put(slot, tag(hash), at);
                return;
            }
            let passed_by = self.buckets[bucket].passed_by();
            self.buckets[bucket].set_passed_by(passed_by + 1);
            bucket = self.after(bucket);
        }
    }

    fn remove(&mut self, hash: u64, bucket: usize, slot: usize) {
        self.count -= 1;
        self.buckets[bucket].clear(slot);
        let mut passed = self.home(hash);
        while passed != bucket {
            let passed_by = self.buckets[passed].passed_by();
            self.buckets[passed].set_passed_by(passed_by - 1);
            passed = self.after(passed);
        }
    }

    fn items(&self, hashes: &impl Hashes) -> Vec<(u64, Ref)> {
        let items: Vec<Ref> = self.buckets.iter().flat_map(Bucket::items).collect();
        items.iter().take(ASKED_AHEAD).for_each(|at| hashes.ask(*at));
        let next = items.iter().skip(ASKED_AHEAD).map(Some).chain(std::iter::repeat(None));
        let hashed = items.iter().zip(next).map(|(at, next)| {
            next.into_iter().for_each(|next| hashes.ask(*next));
            (hashes.hash(*at), *at)
        });
        hashed.collect()
    }

    /// Visits the buckets in which an item whose home is `home` can be.
    #[inline]
    fn probe<T>(&self, home: usize, mut visit: impl FnMut(usize, &Bucket) -> Option<T>) -> Option<T> {
        let mut number = home;
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[number];
            if let Some(found) = visit(number, bucket) {
                return Some(found);
            }
            if bucket.passed_by() == 0 {
                return None;
            }
            number = self.after(number);
        }
        None
    }

    /// The first hash after the range of the home bucket `home`.
    fn end_of(&self, home: usize) -> Option<u64> {
        if home + 1 < self.buckets.len() {
            let fraction = ((home as u64 + 1) << 32).div_ceil(self.buckets.len() as u64);
            Some(self.start | fraction << 32 >> self.depth)
        } else if self.depth == 0 {
            None
        } else {
            self.start.checked_add(1 << (64 - self.depth))
        }
    }
}

/// The table.
pub(super) struct Table {
    /// Segments by the top `bits` bits of the hash.
    directory: Vec<u32>,
    bits: u32,
    segments: Vec<Segment>,
    /// How many segments have each depth: the directory is halved when it is twice as fine as it need be.
    at_depth: [u32; DEPTH_MAX as usize + 1],
    len: usize,
    buckets: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        let mut at_depth = [0; DEPTH_MAX as usize + 1];
        at_depth[0] = 1;
        let segments = vec![Segment::new(0, 0, &[])];
        Self { directory: vec![0], bits: 0, segments, at_depth, len: 0, buckets: 1 }
    }

    /// How many items it refers to.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.buckets * size_of::<Bucket>()
            + self.segments.capacity() * size_of::<Segment>()
            + self.directory.capacity() * size_of::<u32>()
    }

    /// An item's share of a table that is three quarters full.
    pub(super) const ITEM_BYTES: usize = size_of::<Bucket>() / SLOTS * 4 / 3 + 1;

    #[inline]
    fn segment_of(&self, hash: u64) -> usize {
        self.directory[(hash >> 1 >> (63 - self.bits)) as usize] as usize
    }

    /// Finds the item with this hash that `is` the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, is: impl Fn(Ref) -> bool) -> Option<(Place, Ref)> {
        let number = self.segment_of(hash);
        let segment = &self.segments[number];
        let tag = tag(hash);
        segment.probe(segment.home(hash), |bucket_number, bucket| {
            bucket.candidates(tag).map(|slot| (slot, bucket.at(slot))).find(|(_, at)| *at != NIL && is(*at)).map(
                |(slot, at)| (Place { segment: number as u32, bucket: bucket_number as u32, slot: slot as u32 }, at),
            )
        })
    }

    /// Asks for the bucket in which an item with this hash most likely is.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        let segment = &self.segments[self.segment_of(hash)];
        prefetch_line(&segment.buckets[segment.home(hash)]);
    }

    /// Visits the items of that bucket that may have this hash: nearly always one, or none.
    #[inline]
    pub(super) fn likely(&self, hash: u64, mut visit: impl FnMut(Ref)) {
        let segment = &self.segments[self.segment_of(hash)];
        let bucket = &segment.buckets[segment.home(hash)];
        bucket.candidates(tag(hash)).map(|slot| bucket.at(slot)).filter(|at| *at != NIL).for_each(&mut visit);
    }

    /// The item in a slot that `random` chooses, if there is one: so each item is as likely as any other.
    pub(super) fn sample(&self, random: u64) -> Option<Ref> {
        let segment = &self.segments[self.segment_of(random)];
        let slot = ((random & 0xffff) as usize * SLOTS) >> 16;
        let at = segment.buckets[segment.home(random)].at(slot);
        (at != NIL).then_some(at)
    }

    /// Makes a place refer to another chunk, where the item was moved to.
    pub(super) fn replace(&mut self, place: Place, at: Ref) {
        self.segments[place.segment as usize].buckets[place.bucket as usize].replace(place.slot as usize, at);
    }

    /// Adds an item that is not there.
    pub(super) fn insert(&mut self, hash: u64, at: Ref, hashes: &impl Hashes) {
        loop {
            let number = self.segment_of(hash);
            let segment = &mut self.segments[number];
            if (segment.count as usize) < room_of(segment.buckets.len()) {
                segment.insert(hash, at);
                self.len += 1;
                return;
            }
            self.grow(number, hashes);
        }
    }

    /// Removes an item.
    pub(super) fn remove(&mut self, hash: u64, place: Place, hashes: &impl Hashes) {
        let number = place.segment as usize;
        let segment = &mut self.segments[number];
        segment.remove(hash, place.bucket as usize, place.slot as usize);
        self.len -= 1;
        let (count, room) = (segment.count as usize, room_of(segment.buckets.len()));
        let (start, depth) = (segment.start, segment.depth);
        // Half of what a segment had when it was split, so that it is not split again at once.
        const MERGED_MAX: usize = BUCKETS_MAX * SLOTS * 7 / 16;
        if count <= MERGED_MAX / 2 && depth > 0 {
            let sibling = self.segment_of(start ^ 1 << (64 - depth));
            let other = &self.segments[sibling];
            if other.depth == depth && count + other.count as usize <= MERGED_MAX {
                self.merge(number, sibling, hashes);
                return;
            }
        }
        if count * 3 < room && size_for(count) < self.segments[number].buckets.len() {
            self.rebuild(number, hashes);
        }
    }

    /// Gives a segment the number of buckets that it should have.
    fn rebuild(&mut self, number: usize, hashes: &impl Hashes) {
        let old = &self.segments[number];
        let new = Segment::new(old.start, old.depth, &old.items(hashes));
        self.put(number, new);
    }

    fn put(&mut self, number: usize, segment: Segment) {
        self.buckets += segment.buckets.len();
        self.buckets -= self.segments[number].buckets.len();
        self.at_depth[self.segments[number].depth as usize] -= 1;
        self.at_depth[segment.depth as usize] += 1;
        self.segments[number] = segment;
    }

    /// Makes room in a full segment: more buckets, or half of its range.
    fn grow(&mut self, number: usize, hashes: &impl Hashes) {
        let segment = &self.segments[number];
        let depth = segment.depth + 1;
        // A directory that is far finer than its segments are many means hashes that are not spread: not under a
        // secret seed, but then memory is better spent on buckets.
        let too_fine = depth > self.bits && self.directory.len() >= self.segments.len() * 64;
        if segment.buckets.len() < BUCKETS_MAX || depth > DEPTH_MAX || too_fine {
            self.rebuild(number, hashes);
            return;
        }
        if depth > self.bits {
            self.directory = self.directory.iter().flat_map(|number| [*number; 2]).collect();
            self.bits += 1;
        }
        let (start, middle) = (segment.start, segment.start | 1 << (64 - depth));
        let (lower, upper): (Vec<_>, Vec<_>) = segment.items(hashes).into_iter().partition(|(hash, _)| *hash < middle);
        self.put(number, Segment::new(start, depth, &lower));
        let upper = Segment::new(middle, depth, &upper);
        self.buckets += upper.buckets.len();
        self.at_depth[depth as usize] += 1;
        self.segments.push(upper);
        self.point_at(self.segments.len() - 1);
    }

    /// Joins two segments that are halves of one range.
    fn merge(&mut self, one: usize, other: usize, hashes: &impl Hashes) {
        let mut items = self.segments[one].items(hashes);
        items.extend(self.segments[other].items(hashes));
        let start = self.segments[one].start.min(self.segments[other].start);
        self.put(one, Segment::new(start, self.segments[one].depth - 1, &items));
        self.point_at(one);
        let removed = self.segments.swap_remove(other);
        self.buckets -= removed.buckets.len();
        self.at_depth[removed.depth as usize] -= 1;
        if other < self.segments.len() {
            self.point_at(other);
        }
        if self.segments.len() < self.segments.capacity() / 4 {
            self.segments.shrink_to(self.segments.len() * 2);
        }
        while self.bits > 0
            && self.at_depth[self.bits as usize] == 0
            && (self.bits == 1 || self.at_depth[self.bits as usize - 1] == 0)
        {
            self.directory = self.directory.iter().step_by(2).copied().collect();
            self.bits -= 1;
        }
    }

    /// Lets the directory's entries for a segment's range name it.
    fn point_at(&mut self, number: usize) {
        let segment = &self.segments[number];
        let first = (segment.start >> 1 >> (63 - self.bits)) as usize;
        self.directory[first..first + (1 << (self.bits - segment.depth))].fill(number as u32);
    }

    /// Adds to `out` the items whose hashes are in a range that begins at `from`, in no order, and returns where the
    /// range ends: `None` after the last one. Ranges are as small as the layout makes it easy: a dozen items.
    pub(super) fn collect(&self, from: u64, hash_of: impl Fn(Ref) -> u64, out: &mut Vec<(u64, Ref)>) -> Option<u64> {
        let segment = &self.segments[self.segment_of(from)];
        let home = segment.home(from);
        segment.probe(home, |_, bucket| {
            out.extend(
                bucket
                    .items()
                    .map(|at| (hash_of(at), at))
                    .filter(|(hash, _)| *hash >= from && segment.home(*hash) == home),
            );
            None::<()>
        });
        segment.end_of(home)
    }

    /// Every item, in no order.
    pub(super) fn items(&self) -> impl Iterator<Item = Ref> + '_ {
        self.segments.iter().flat_map(|segment| segment.buckets.iter().flat_map(Bucket::items))
    }
}

#[cfg(any(test, fuzzing))]
impl Table {
    /// Checks that everything is where it is looked for, and adds the account up anew.
    pub(super) fn check(&self, hash_of: impl Fn(Ref) -> u64) -> usize {
        let mut at_depth = [0; DEPTH_MAX as usize + 1];
        for (number, segment) in self.segments.iter().enumerate() {
            at_depth[segment.depth as usize] += 1;
            let first = (segment.start >> 1 >> (63 - self.bits)) as usize;
            let entries = 1 << (self.bits - segment.depth);
            assert!(self.directory[first..first + entries].iter().all(|entry| *entry as usize == number));
            let items = segment.items(&hash_of);
            assert_eq!(items.len(), segment.count as usize);
            assert!(items.len() <= room_of(segment.buckets.len()));
            let mut passed_by = vec![0; segment.buckets.len()];
            for (number, bucket) in segment.buckets.iter().enumerate() {
                for at in bucket.items() {
                    let mut passed = segment.home(hash_of(at));
                    while passed != number {
                        passed_by[passed] += 1;
                        passed = segment.after(passed);
                    }
                }
            }
            assert!(passed_by.into_iter().eq(segment.buckets.iter().map(Bucket::passed_by)));
            for (hash, at) in items {
                assert_eq!(self.segment_of(hash), number);
                assert!(self.find(hash, |other| other == at).is_some());
            }
        }
        assert_eq!(at_depth, self.at_depth);
        assert_eq!(self.directory.len(), 1 << self.bits);
        assert_eq!(self.segments.iter().map(|segment| segment.count as usize).sum::<usize>(), self.len);
        self.segments.iter().map(|segment| size_of_val(&*segment.buckets)).sum::<usize>()
            + self.segments.capacity() * size_of::<Segment>()
            + self.directory.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Hashes are drawn so that some crowd together: depths differ, buckets overflow.
        #[test]
        fn it_is_an_ordered_map_of_hashes(seed in any::<u64>(), crowded in 0..3u32) {
            let mut table = Table::new();
            let mut hashes: Vec<u64> = Vec::new();
            let mut model: BTreeMap<u64, Ref> = BTreeMap::new();
            let mut state = seed | 1;
            let mut dice = move || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                state ^ state >> 31
            };
            for step in 0..30_000 {
                let grow = step < 15_000 || dice() % 8 == 0 && step < 25_000;
                if grow {
                    let spread = [0, 9, 20][crowded as usize];
                    let hash = dice() >> if dice() % 3 == 0 { spread } else { 0 };
                    let at = hashes.len() as Ref;
                    if *model.entry(hash).or_insert(at) == at {
                        hashes.push(hash);
                        table.insert(hash, at, &|at: Ref| hashes[at as usize]);
                    }
                } else if let Some((&hash, &at)) = model.range(dice()..).next().or(model.first_key_value()) {
                    model.remove(&hash);
                    let (place, _) = table.find(hash, |other| other == at).expect("it is there");
                    table.remove(hash, place, &|at: Ref| hashes[at as usize]);
                }
                if step % 5_000 == 0 {
                    prop_assert_eq!(table.check(|at| hashes[at as usize]), table.bytes());
                    let (mut from, mut all) = (Some(0), Vec::new());
                    while let Some(start) = from {
                        let mut part = Vec::new();
                        from = table.collect(start, |at| hashes[at as usize], &mut part);
                        part.sort_unstable();
                        prop_assert!(part.iter().all(|(hash, _)| *hash >= start && from.is_none_or(|end| *hash < end)));
                        all.extend(part);
                    }
                    prop_assert!(all.into_iter().eq(model.iter().map(|(hash, at)| (*hash, *at))));
                }
            }
            while let Some((hash, at)) = model.pop_first() {
                let (place, _) = table.find(hash, |other| other == at).expect("it is there");
                table.remove(hash, place, &|at: Ref| hashes[at as usize]);
            }
            prop_assert!(table.bytes() < 1000, "{} bytes are left", table.bytes());
        }
    }
}
