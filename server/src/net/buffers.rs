//! What a connection works with while it works: lent by its core, so that idle connections hold nothing.

use bytes::BytesMut;
use larder_protocol::{CommandBatch, ReplyBuffer};
use std::cell::RefCell;

/// What an input buffer begins with.
const INPUT_BYTES: usize = 16 * 1024;
/// Room below which a buffer grows before it is read into.
const SPARE_BYTES_MIN: usize = 2 * 1024;
/// How far a buffer grows for more commands at a time. One command may need more.
const PIPELINE_BYTES_MAX: usize = 64 * 1024;
/// How much is read at once of a client that sends much: a command of 64 KiB and what is around it.
const READ_BYTES_MAX: usize = 128 * 1024;
/// A buffer that has grown beyond this is not kept: an allocator serves one in no more time than it takes to fill it.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Buffers that a core keeps, and bytes of all of them.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 4 * 1024 * 1024;

thread_local! {
    // Boxed, since a connection's task keeps no more than a pointer while it is idle.
    #[expect(clippy::vec_box, reason = "what is lent is moved between pool and task as it is")]
    static POOL: RefCell<(Vec<Box<Buffers>>, usize)> = const { RefCell::new((Vec::new(), 0)) };
}

/// How much a client sends at once, as far as it is known: what is made room for before its next bytes are read. Twice as
/// much once that was filled, slowly less while little comes, so that a batch of commands arrives, and is answered, in one
/// piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appetite(u32);

impl Default for Appetite {
    fn default() -> Self {
        Self(INPUT_BYTES as u32)
    }
}

impl Appetite {
    /// So many bytes were read where there was room for `room`.
    pub fn learn(&mut self, length: usize, room: usize) {
        let now = self.0 as usize;
        if length == room {
            self.0 = now.max((room * 2).min(READ_BYTES_MAX)) as u32;
        } else if length < now / 4 {
            self.0 = (now - now / 8).max(INPUT_BYTES) as u32;
        }
    }
}

/// Input, its commands, and their replies.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub input: BytesMut,
    pub batch: CommandBatch,
    pub output: ReplyBuffer,
}

impl Buffers {
    /// Takes buffers from this thread's pool.
    pub fn take() -> Box<Self> {
        POOL.with_borrow_mut(|(pool, bytes)| {
            let taken = pool.pop()?;
            *bytes -= taken.bytes();
            Some(taken)
        })
        .unwrap_or_default()
    }

    /// Gives buffers back, which must hold nothing that is still needed.
    pub fn give_back(mut self: Box<Self>) {
        self.input.clear();
        self.batch.clear();
        self.output.truncate(0);
        // What was consumed in front is room again: a buffer tells what is behind it only.
        let _ = self.input.try_reclaim(self.input.capacity() + 1);
        POOL.with_borrow_mut(|(pool, bytes)| {
            let own = self.bytes();
            let is_short = self.input.capacity().max(self.output.capacity()) <= KEPT_BYTES_MAX;
            if is_short && pool.len() < KEPT && *bytes + own <= KEPT_BYTES {
                *bytes += own;
                pool.push(self);
            }
        });
    }

    /// Bytes of both buffers.
    fn bytes(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Makes room to read into. `missing` is what the argument that is arriving still needs, if that is known.
    ///
    /// A length that a client announces is only worth as much as has arrived: the buffer never grows by more than it
    /// holds, so what a client makes the server reserve it has to send half of; or has sent before (`appetite`), and then
    /// holds no longer than bytes keep coming ([`Buffers::tightened`]).
    pub fn reserve(&mut self, missing: usize, appetite: Appetite) {
        let held = self.input.len();
        if held == 0 {
            if !self.input.try_reclaim(appetite.0 as usize) {
                self.input = BytesMut::with_capacity(appetite.0 as usize);
            }
        } else if missing > 0 {
            self.input.reserve(missing.min(held.max(INPUT_BYTES)));
        } else if self.input.capacity() - held < SPARE_BYTES_MIN {
            self.input.reserve(held.clamp(INPUT_BYTES, PIPELINE_BYTES_MAX.max(held)));
        }
    }

    /// What a client that has stopped in the middle of a command keeps: no more room than what it has sent is worth. A batch
    /// of which commands are still to be carried out stays, and so do their places in the input.
    pub fn tightened(mut self: Box<Self>) -> Box<Self> {
        let held = self.input.len();
        if self.bytes() <= (2 * held).max(2 * INPUT_BYTES) {
            return self;
        }
        let mut input = BytesMut::with_capacity(held.max(INPUT_BYTES));
        input.extend_from_slice(&self.input);
        let small = Box::new(Self { input, batch: std::mem::take(&mut self.batch), output: ReplyBuffer::default() });
        self.give_back();
        small
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_much_is_read_in_larger_pieces_for_a_while() {
        let mut appetite = Appetite::default();
        let room = |appetite: Appetite| appetite.0 as usize;
        (0..10).for_each(|_| appetite.learn(room(appetite), room(appetite)));
        assert_eq!(room(appetite), READ_BYTES_MAX);
        appetite.learn(READ_BYTES_MAX / 2, READ_BYTES_MAX);
        assert_eq!(room(appetite), READ_BYTES_MAX);
        (0..20).for_each(|_| appetite.learn(100, READ_BYTES_MAX));
        assert_eq!(room(appetite), INPUT_BYTES);
    }

    #[test]
    fn who_stops_in_the_middle_of_a_command_keeps_little() {
        let mut buffers = Buffers::take();
        buffers.reserve(0, Appetite(READ_BYTES_MAX as u32));
        buffers.input.extend_from_slice(b"*1");
        let mut buffers = buffers.tightened();
        assert_eq!((&buffers.input[..], buffers.bytes()), (&b"*1"[..], INPUT_BYTES));
        buffers.input.extend_from_slice(&[b'x'; 40_000]);
        let bytes = buffers.bytes();
        assert_eq!(buffers.tightened().bytes(), bytes);
    }

    #[test]
    fn commands_that_wait_for_one_before_them_stay() {
        let mut buffers = Buffers::take();
        buffers.reserve(0, Appetite(READ_BYTES_MAX as u32));
        buffers.input.extend_from_slice(b"blpop a 0\r\nping x\r\n");
        let Buffers { input, batch, .. } = &mut *buffers;
        assert_eq!(larder_protocol::RequestDecoder::default().decode(input, batch, 10), Ok(input.len()));
        let buffers = buffers.tightened();
        assert_eq!((buffers.batch.len(), buffers.input.capacity()), (2, INPUT_BYTES));
        assert_eq!(&buffers.batch.args(&buffers.input, 1)[1], b"x");
    }

    #[test]
    fn a_core_keeps_so_many_bytes() {
        let filled = |appetite: usize| {
            let mut buffers = Buffers::take();
            buffers.reserve(0, Appetite(appetite as u32));
            buffers.input.extend_from_slice(&vec![0; appetite - 1]);
            bytes::Buf::advance(&mut buffers.input, appetite - 1);
            buffers.output.raw(&vec![0; KEPT_BYTES_MAX]);
            buffers
        };
        let all: Vec<_> = (0..KEPT).map(|_| filled(KEPT_BYTES_MAX)).collect();
        all.into_iter().for_each(Buffers::give_back);
        let kept = || POOL.with_borrow(|(pool, bytes)| (pool.len(), *bytes));
        assert_eq!(kept(), (KEPT_BYTES / KEPT_BYTES_MAX / 2, KEPT_BYTES));
        let taken = Buffers::take();
        assert_eq!(kept(), (KEPT_BYTES / KEPT_BYTES_MAX / 2 - 1, KEPT_BYTES - 2 * KEPT_BYTES_MAX));
        // A larger one is not kept.
        filled(READ_BYTES_MAX).give_back();
        assert_eq!(kept().0, KEPT_BYTES / KEPT_BYTES_MAX / 2 - 2);
        taken.give_back();
    }
}
