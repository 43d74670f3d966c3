//! Memory in frames of 4 KiB, which the system has back as soon as it is not needed.
//!
//! An allocator puts blocks of one size side by side, in pages that are large where the blocks are, and a page stays resident
//! while one block of it is used: whoever keeps values of changing sizes within a limit pays for what is between them (decision
//! 21). Frames are all the same size. A run of them is a range of an [`Area`]: addresses, of which there are plenty, so it
//! does not matter that runs leave gaps. Frames take memory from when their owner touches them until it leaves them.
//!
//! ```text
//! area:  [ run of 4: touched touched - - ][ free: idle ][ run of 1: touched ][ free ... ]
//! ```
//! Frames that were left are idle: resident, and touched again at no cost. Few of them are kept so; the rest is given back.

use super::memory::{Area, HUGE_BYTES};

/// Bytes of a frame: a page of the system.
pub(super) const FRAME_BYTES: usize = 4096;

/// Names a frame: its area, and which it is there.
pub(super) type Frame = u32;

/// Frames of an area, a huge page: the longest run.
pub(super) const AREA_FRAMES: u32 = (HUGE_BYTES / FRAME_BYTES) as u32;
const AREA_SHIFT: u32 = AREA_FRAMES.ilog2();
const WORDS: usize = AREA_FRAMES as usize / 64;
/// Idle frames that are kept, for so many that are touched, where runs of `count` come and go: a few of those, since what is
/// given back costs a fault for each frame when it is touched again.
fn idle_max(touched: usize, count: u32) -> usize {
    let runs = (4 * count as usize).min(touched / 16);
    (touched / 16 + 1).min(8).max(touched / 64).max(runs)
}

/// Places of idle frames that are remembered.
const RECENT: usize = 8;

/// Further areas take huge pages, where a node may have them at all: half of one is not touched then.
const AREAS_OF_SMALL_PAGES: usize = 8;

/// So many frames without memory get it in one call, before they are written.
const POPULATE_FRAMES_MIN: u32 = 3;

/// Frames in areas.
#[derive(Default)]
pub(super) struct Frames {
    areas: Vec<Area>,
    /// Beside them: lookups go by the areas alone.
    notes: Vec<Notes>,
    /// No area before this one has a free frame.
    first: usize,
    /// Where runs were given back, the latest last: what is idle there is taken first.
    recent: [Frame; RECENT],
    /// Frames that are idle.
    idle: usize,
    /// Idle frames from here on are given back next.
    hand: Frame,
    /// Frames that are touched.
    touched: usize,
}

/// What is noted of an area.
struct Notes {
    free: Bits,
    idle: Bits,
    free_count: u32,
    idle_count: u32,
}

impl Frames {
    /// Bytes held beside what is touched.
    pub(super) fn idle_bytes(&self) -> usize {
        self.idle * FRAME_BYTES + self.areas.capacity() * size_of::<Area>() + self.notes.capacity() * size_of::<Notes>()
    }

    /// Bytes that start so far behind the begin of a frame, of its run.
    #[inline]
    pub(super) fn bytes(&self, frame: Frame, start: usize, length: usize) -> &[u8] {
        let (area, at) = place(frame, start);
        self.areas[area].bytes(at, length)
    }

    /// The same, to be written.
    #[inline]
    pub(super) fn bytes_mut(&mut self, frame: Frame, start: usize, length: usize) -> &mut [u8] {
        let (area, at) = place(frame, start);
        self.areas[area].bytes_mut(at, length)
    }

    /// Copies bytes from one frame and what is behind it to another.
    pub(super) fn copy(&mut self, from: (Frame, usize), to: (Frame, usize), length: usize) {
        let ((from_area, from), (to_area, to)) = (place(from.0, from.1), place(to.0, to.1));
        match self.areas.get_disjoint_mut([from_area, to_area]) {
            Ok([source, target]) => target.bytes_mut(to, length).copy_from_slice(source.bytes(from, length)),
            Err(_) => self.areas[from_area].bytes_mut(0, HUGE_BYTES).copy_within(from..from + length, to),
        }
    }

    /// Takes a run of frames, at most [`AREA_FRAMES`]: addresses only.
    pub(super) fn take(&mut self, count: u32) -> Frame {
        if let Some(run) = self.take_idle(count) {
            return run;
        }
        while self.notes.get(self.first).is_some_and(|notes| notes.free_count == 0) {
            self.first += 1;
        }
        let mut areas = self.notes.iter_mut().enumerate().skip(self.first);
        let run = areas.find_map(|(area, notes)| Some((area, notes.take(count)?)));
        let (area, at) = run.unwrap_or_else(|| {
            let new = Area::new(HUGE_BYTES);
            if self.areas.len() >= AREAS_OF_SMALL_PAGES {
                new.prefer_huge_pages();
            }
            self.areas.push(new);
            self.notes.push(Notes::new());
            let at = self.notes.last_mut().and_then(|notes| notes.take(count)).expect("an area holds any run");
            (self.notes.len() - 1, at)
        });
        (area as u32) << AREA_SHIFT | at
    }

    /// Takes a run of idle frames from where one was given back.
    fn take_idle(&mut self, count: u32) -> Option<Frame> {
        let Self { recent, notes, .. } = self;
        let mut places = (0..RECENT).rev();
        let place = places.find(|&place| {
            let (area, at) = (recent[place] >> AREA_SHIFT, recent[place] & (AREA_FRAMES - 1));
            notes.get_mut(area as usize).is_some_and(|notes| notes.idle.has_run(at, count) && notes.take_at(at, count))
        })?;
        let run = recent[place];
        // What is left of it is next.
        recent[place] += count;
        Some(run)
    }

    /// Gives a run back, all of which was left.
    pub(super) fn give(&mut self, run: Frame, count: u32) {
        let area = (run >> AREA_SHIFT) as usize;
        let notes = &mut self.notes[area];
        notes.free.set(run & (AREA_FRAMES - 1), count, true);
        notes.free_count += count;
        self.first = self.first.min(area);
        self.recent.rotate_left(1);
        self.recent[RECENT - 1] = run;
        // Areas at the end go where nothing of them is used, but for one: it may be taken from again at once.
        while let [.., before, last] = &self.notes[..]
            && before.free_count == AREA_FRAMES
            && last.free_count == AREA_FRAMES
        {
            self.idle -= last.idle_count as usize;
            self.notes.pop();
            self.areas.pop();
            if self.areas.len() < self.areas.capacity() / 4 {
                self.notes.shrink_to(self.notes.len() * 2);
                self.areas.shrink_to(self.areas.len() * 2);
            }
        }
    }

    /// Frames of a run are needed from now on, and about to be written.
    pub(super) fn touch(&mut self, frame: Frame, count: u32) {
        let (area, at) = (frame >> AREA_SHIFT, frame & (AREA_FRAMES - 1));
        let notes = &mut self.notes[area as usize];
        let idle = notes.idle.set(at, count, false);
        if count - idle >= POPULATE_FRAMES_MIN {
            let range = at as usize * FRAME_BYTES..(at + count) as usize * FRAME_BYTES;
            self.areas[area as usize].populate(range);
        }
        notes.idle_count -= idle;
        self.idle -= idle as usize;
        self.touched += count as usize;
    }

    /// Touched frames of a run are not needed any more.
    pub(super) fn leave(&mut self, frame: Frame, count: u32) {
        self.touched -= count as usize;
        let kept = idle_max(self.touched, count);
        // Others first: these may be wanted again at once.
        self.give_back((self.idle + count as usize).saturating_sub(kept));
        let notes = &mut self.notes[(frame >> AREA_SHIFT) as usize];
        notes.idle.set(frame & (AREA_FRAMES - 1), count, true);
        notes.idle_count += count;
        self.idle += count as usize;
        self.give_back(self.idle.saturating_sub(kept));
    }

    /// Gives back so many idle frames, or all that there are: in turn.
    fn give_back(&mut self, count: usize) {
        let mut left = count.min(self.idle) as u32;
        self.idle -= left as usize;
        while left > 0 {
            let area = (self.hand >> AREA_SHIFT) as usize;
            let Some(notes) = self.notes.get_mut(area) else {
                self.hand = 0;
                continue;
            };
            let next = if notes.idle_count > 0 { notes.idle.next(self.hand & (AREA_FRAMES - 1), true) } else { None };
            let Some(start) = next else {
                self.hand = ((area + 1) << AREA_SHIFT) as Frame;
                continue;
            };
            let end = notes.idle.next(start, false).unwrap_or(AREA_FRAMES).min(start + left);
            self.areas[area].give_back(start as usize * FRAME_BYTES..end as usize * FRAME_BYTES);
            notes.idle.set(start, end - start, false);
            notes.idle_count -= end - start;
            left -= end - start;
            self.hand = (area << AREA_SHIFT) as Frame + end;
        }
    }

    /// Checks the notes; returns how many frames are touched, and how many belong to runs.
    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self) -> (usize, usize) {
        let (mut taken, mut idle) = (0, 0);
        for (number, notes) in self.notes.iter().enumerate() {
            assert_eq!(notes.free.count(), notes.free_count);
            assert_eq!(notes.idle.count(), notes.idle_count);
            assert!(number >= self.first || notes.free_count == 0);
            taken += (AREA_FRAMES - notes.free_count) as usize;
            idle += notes.idle_count as usize;
        }
        assert_eq!(idle, self.idle);
        assert_eq!(self.areas.len(), self.notes.len());
        (self.touched, taken)
    }
}

/// The area, and where in it.
#[inline]
fn place(frame: Frame, start: usize) -> (usize, usize) {
    ((frame >> AREA_SHIFT) as usize, (frame & (AREA_FRAMES - 1)) as usize * FRAME_BYTES + start)
}

impl Notes {
    fn new() -> Self {
        Self { free: Bits([u64::MAX; WORDS]), idle: Bits::default(), free_count: AREA_FRAMES, idle_count: 0 }
    }

    /// Takes the run that begins there, if it is free.
    fn take_at(&mut self, at: u32, count: u32) -> bool {
        let is_free = self.free.has_run(at, count);
        if is_free {
            self.free.set(at, count, false);
            self.free_count -= count;
        }
        is_free
    }

    /// Takes the first run that is long enough.
    fn take(&mut self, count: u32) -> Option<u32> {
        if self.free_count < count {
            return None;
        }
        let mut at = 0;
        loop {
            let start = self.free.next(at, true)?;
            if self.take_at(start, count) {
                return Some(start);
            }
            at = self.free.next(start, false)?;
        }
    }
}

/// A bit for each frame of an area.
#[derive(Default)]
struct Bits([u64; WORDS]);

impl Bits {
    /// The first bit from `at` on that has this value.
    fn next(&self, at: u32, value: bool) -> Option<u32> {
        let flip = if value { 0 } else { u64::MAX };
        let mut word = at as usize / 64;
        let mut left = (*self.0.get(word)? ^ flip) & u64::MAX << (at % 64);
        while left == 0 {
            word += 1;
            left = *self.0.get(word)? ^ flip;
        }
        Some(word as u32 * 64 + left.trailing_zeros())
    }

    /// Whether so many bits from `at` on are set.
    fn has_run(&self, at: u32, count: u32) -> bool {
        at + count <= AREA_FRAMES && self.next(at, false).is_none_or(|end| end - at >= count)
    }

    /// Sets bits; returns how many of them had the other value.
    fn set(&mut self, at: u32, count: u32, value: bool) -> u32 {
        let mut changed = 0;
        for bit in at..at + count {
            let (word, mask) = (&mut self.0[bit as usize / 64], 1 << (bit % 64));
            changed += u32::from((*word & mask != 0) != value);
            *word = if value { *word | mask } else { *word & !mask };
        }
        changed
    }

    #[cfg(any(test, fuzzing))]
    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A run, what it was filled with, and how many of its frames are touched.
    type Run = (Frame, u32, u8, u32);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Runs of any length come, grow, shrink and go; each keeps what was written to it.
        #[test]
        fn runs_keep_to_themselves(seed in any::<u64>(), steps in 50..600u32) {
            let mut frames = Frames::default();
            let mut runs: Vec<Run> = Vec::new();
            let mut state = seed;
            let mut dice = |below: u64| {
                state = crate::keyspace::store::mix(state);
                (state % below) as u32
            };
            for step in 0..steps {
                let fill = step as u8;
                match dice(6) {
                    0..3 => {
                        let count = match dice(24) {
                            0 => AREA_FRAMES,
                            many @ 1..4 => many * 30,
                            _ => 1 << dice(5),
                        };
                        let touched = 1 + dice(u64::from(count));
                        let run = frames.take(count);
                        frames.touch(run, touched);
                        frames.bytes_mut(run, 0, touched as usize * FRAME_BYTES).fill(fill);
                        runs.push((run, count, fill, touched));
                    }
                    3 if !runs.is_empty() => {
                        let number = dice(runs.len() as u64) as usize;
                        let (run, count, _, touched) = runs.swap_remove(number);
                        frames.leave(run, touched);
                        frames.give(run, count);
                    }
                    4 if !runs.is_empty() => {
                        let number = dice(runs.len() as u64) as usize;
                        let (run, count, fill, touched) = &mut runs[number];
                        let now = 1 + dice(u64::from(*count));
                        if now < *touched {
                            frames.leave(*run + now, *touched - now);
                        } else {
                            frames.touch(*run + *touched, now - *touched);
                            let more = (now - *touched) as usize * FRAME_BYTES;
                            frames.bytes_mut(*run, *touched as usize * FRAME_BYTES, more).fill(*fill);
                        }
                        *touched = now;
                    }
                    _ if runs.len() > 1 => {
                        let (from, to) = (dice(runs.len() as u64) as usize, dice(runs.len() as u64) as usize);
                        frames.copy((runs[from].0, 0), (runs[to].0, 0), 100);
                        frames.bytes_mut(runs[to].0, 0, 100).fill(runs[to].2);
                    }
                    _ => {}
                }
                let touched = runs.iter().map(|run| run.3 as usize).sum::<usize>();
                let taken = runs.iter().map(|run| run.1 as usize).sum::<usize>();
                prop_assert_eq!(frames.recount(), (touched, taken));
                prop_assert!(frames.idle <= idle_max(touched, AREA_FRAMES));
            }
            for (run, _, fill, touched) in &runs {
                let bytes = frames.bytes(*run, 0, *touched as usize * FRAME_BYTES);
                prop_assert!(bytes.iter().all(|byte| byte == fill));
            }
            for (run, count, _, touched) in runs {
                frames.leave(run, touched);
                frames.give(run, count);
            }
            prop_assert!(frames.areas.len() <= 1 && frames.idle <= 1);
        }
    }

    #[test]
    fn what_is_idle_is_taken_first_and_what_is_wanted_again_soonest_is_kept() {
        const RUN: u32 = 16;
        let mut frames = Frames::default();
        let runs: Vec<Frame> = (0..80).map(|_| frames.take(RUN)).collect();
        runs.iter().for_each(|run| frames.touch(*run, RUN));
        let kept = idle_max(runs.len() * RUN as usize, RUN) as u32 / RUN;
        // One more than are kept: what was left first is given back.
        for run in &runs[..=kept as usize] {
            frames.leave(*run, RUN);
            frames.give(*run, RUN);
        }
        for run in runs[1..=kept as usize].iter().rev() {
            assert_eq!(frames.take(RUN), *run);
            assert_eq!(frames.notes[0].idle.next(*run, false), Some(run + RUN), "all of it is idle");
            frames.touch(*run, RUN);
        }
        assert_eq!((frames.idle, frames.take(RUN)), (0, runs[0]));
        // What comes and goes at one place stays idle, while what lies elsewhere is given back.
        let (coming_and_going, others) = (runs[10], &runs[60..]);
        for other in others {
            frames.leave(*other, RUN);
            frames.leave(coming_and_going, RUN);
            let idle = frames.idle;
            frames.touch(coming_and_going, RUN);
            assert_eq!(idle - frames.idle, RUN as usize);
        }
    }

    #[test]
    fn copies_within_an_area_and_from_one_to_another() {
        let mut frames = Frames::default();
        let runs = [frames.take(1), frames.take(AREA_FRAMES), frames.take(1)];
        assert_eq!(runs[2], 1);
        for (number, run) in runs.into_iter().enumerate() {
            frames.bytes_mut(run, 0, 8).fill(number as u8);
        }
        frames.copy((runs[0], 0), (runs[2], 4), 4);
        assert_eq!(frames.bytes(runs[2], 0, 8), [2, 2, 2, 2, 0, 0, 0, 0]);
        frames.copy((runs[2], 0), (runs[1], 8), 8);
        assert_eq!(frames.bytes(runs[1], 4, 12), [1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]);
    }
}
