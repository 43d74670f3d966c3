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
/// A buffer that has grown beyond this is not kept.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Buffers that a core keeps.
const KEPT: usize = 64;

thread_local! {
    // Boxed, since a connection's task keeps no more than a pointer while it is idle.
    #[expect(clippy::vec_box, reason = "what is lent is moved between pool and task as it is")]
    static POOL: RefCell<Vec<Box<Buffers>>> = const { RefCell::new(Vec::new()) };
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
        POOL.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Gives buffers back, which must hold nothing that is still needed.
    pub fn give_back(mut self: Box<Self>) {
        self.input.clear();
        self.batch.clear();
        self.output.truncate(0);
        if self.input.capacity() > KEPT_BYTES_MAX || self.output.bytes_mut().capacity() > KEPT_BYTES_MAX {
            return;
        }
        POOL.with_borrow_mut(|pool| {
            if pool.len() < KEPT {
                pool.push(self);
            }
        });
    }

    /// Makes room to read into. `missing` is what the argument that is arriving still needs, if that is known.
    ///
    /// A length that a client announces is only worth as much as has arrived: the buffer never grows by more than it
    /// holds, so what a client makes the server reserve it has to send half of.
    pub fn reserve(&mut self, missing: usize) {
        let held = self.input.len();
        if held == 0 {
            self.input.reserve(INPUT_BYTES);
        } else if missing > 0 {
            self.input.reserve(missing.min(held.max(INPUT_BYTES)));
        } else if self.input.capacity() - held < SPARE_BYTES_MIN {
            self.input.reserve(held.clamp(INPUT_BYTES, PIPELINE_BYTES_MAX.max(held)));
        }
    }
}
