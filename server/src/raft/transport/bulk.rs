//! Messages too long for one frame: cut into parts that others go between, so that a value of hundreds of megabytes
//! delays no heartbeat.
//!
//! A part is a frame whose id numbers the message. The first part's body begins with what the message is: `type: u8,
//! service: u8, id: u64, length: u32`; the message is whole when that many bytes have come.

use super::frame::{self, Frame, FrameType, MalformedFrame, PART_BYTES_MAX};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{HashMap, VecDeque};

/// Bytes from which a message goes in parts.
pub(super) const BULK_BYTES_MIN: usize = 128 * 1024;
/// Longest message. Entries (a command, a transaction) and the replies to them have up to 1 GiB (`limits`), the pieces
/// of a snapshot as much as their largest collection. What is longer would close the link, with all groups on it.
pub(super) const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Room that is made for a message before its bytes are there: a length is only a promise.
const PROMISED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages whose parts take turns; the others wait.
const TURNS: usize = 4;
/// What the first part says of the message.
const HEAD_BYTES: usize = 14;

/// A message that is being sent.
struct Outgoing {
    number: u64,
    kind: FrameType,
    service: u8,
    id: u64,
    begun: bool,
    rest: Bytes,
}

/// Long messages on their way out.
#[derive(Default)]
pub(super) struct Outbox {
    next_number: u64,
    /// Those that take turns.
    turns: VecDeque<Outgoing>,
    waiting: VecDeque<Outgoing>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.waiting.is_empty()
    }

    /// Adds a message.
    pub(super) fn push(&mut self, kind: FrameType, service: u8, id: u64, body: Bytes) {
        self.next_number += 1;
        let number = self.next_number;
        self.waiting.push_back(Outgoing { number, kind, service, id, begun: false, rest: body });
    }

    /// Drops the request `id`, if nothing of it was sent yet, and returns its length.
    pub(super) fn call_off(&mut self, id: u64) -> usize {
        let unsent = |message: &Outgoing| !message.begun && message.kind == FrameType::Request && message.id == id;
        let queue = [&mut self.turns, &mut self.waiting].into_iter().find(|queue| queue.iter().any(unsent));
        let found = queue.and_then(|queue| queue.iter().position(unsent).and_then(|at| queue.remove(at)));
        found.map_or(0, |message| message.rest.len())
    }

    /// Appends the next part's header to `out` and returns the rest of that part, to be written right after it.
    pub(super) fn next_part(&mut self, out: &mut BytesMut) -> Option<Bytes> {
        while self.turns.len() < TURNS
            && let Some(next) = self.waiting.pop_front()
        {
            self.turns.push_back(next);
        }
        let mut message = self.turns.pop_front()?;
        let head = if message.begun { 0 } else { HEAD_BYTES };
        let part = message.rest.len().min(PART_BYTES_MAX - head);
        frame::write_header(out, FrameType::Part, 0, message.number, head + part);
        if !message.begun {
            message.begun = true;
            out.put_u8(message.kind as u8);
            out.put_u8(message.service);
            out.put_u64_le(message.id);
            out.put_u32_le(message.rest.len() as u32);
        }
        let part = message.rest.split_to(part);
        if !message.rest.is_empty() {
            self.turns.push_back(message);
        }
        Some(part)
    }
}

/// A message that is arriving.
struct Incoming {
    kind: FrameType,
    service: u8,
    id: u64,
    bytes: usize,
    body: BytesMut,
}

/// Long messages on their way in.
#[derive(Default)]
pub(super) struct Inbox {
    messages: HashMap<u64, Incoming>,
}

impl Inbox {
    /// Takes a part; gives the message where that was its last one.
    pub(super) fn take(&mut self, number: u64, mut part: Bytes) -> Result<Option<Frame>, MalformedFrame> {
        if !self.messages.contains_key(&number) {
            if self.messages.len() == TURNS || part.len() < HEAD_BYTES {
                return Err(MalformedFrame);
            }
            let kind = FrameType::from_wire(part.get_u8()).filter(|kind| *kind != FrameType::Part);
            let (service, id, bytes) = (part.get_u8(), part.get_u64_le(), part.get_u32_le() as usize);
            if bytes > MESSAGE_BYTES_MAX {
                return Err(MalformedFrame);
            }
            let body = BytesMut::with_capacity(bytes.min(PROMISED_BYTES_MAX));
            self.messages.insert(number, Incoming { kind: kind.ok_or(MalformedFrame)?, service, id, bytes, body });
        }
        let message = self.messages.get_mut(&number).ok_or(MalformedFrame)?;
        if part.len() > message.bytes - message.body.len() || part.is_empty() {
            return Err(MalformedFrame);
        }
        message.body.put_slice(&part);
        if message.body.len() < message.bytes {
            return Ok(None);
        }
        let whole = self.messages.remove(&number);
        Ok(whole.map(|Incoming { kind, service, id, body, .. }| Frame { kind, service, id, body: body.freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize, first: u8) -> Bytes {
        (0..length).map(|at| first.wrapping_add((at / 7) as u8)).collect()
    }

    /// The frames that an outbox sends, until it is empty.
    fn frames(outbox: &mut Outbox) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut wire = BytesMut::new();
        while let Some(part) = outbox.next_part(&mut wire) {
            wire.put_slice(&part);
            frames.push(frame::read(&mut wire).unwrap().unwrap());
            assert!(wire.is_empty());
        }
        frames
    }

    #[test]
    fn messages_come_back_whole_and_take_turns() {
        let mut outbox = Outbox::default();
        let lengths =
            [3 * PART_BYTES_MAX, BULK_BYTES_MIN, PART_BYTES_MAX - HEAD_BYTES, 1, 5 * PART_BYTES_MAX + 1, 200_000];
        let messages: Vec<_> = lengths.iter().enumerate().map(|(at, length)| message(*length, at as u8)).collect();
        for (at, body) in messages.iter().enumerate() {
            outbox.push(FrameType::Response, at as u8, 1000 + at as u64, body.clone());
        }
        let mut inbox = Inbox::default();
        let sent = frames(&mut outbox);
        assert!(outbox.is_empty());
        assert!(sent.iter().all(|frame| frame.body.len() <= PART_BYTES_MAX));
        let mut whole: Vec<_> =
            sent.into_iter().filter_map(|frame| inbox.take(frame.id, frame.body).unwrap()).collect();
        // The short ones did not wait for the long one before them.
        assert_eq!(whole[0].id, 1001);
        assert!(inbox.messages.is_empty());
        whole.sort_by_key(|frame| frame.id);
        for (at, frame) in whole.into_iter().enumerate() {
            assert_eq!((frame.kind, frame.service, frame.id), (FrameType::Response, at as u8, 1000 + at as u64));
            assert_eq!(frame.body, messages[at]);
        }
    }

    #[test]
    fn what_was_called_off_in_time_is_not_sent() {
        let mut outbox = Outbox::default();
        outbox.push(FrameType::Request, 1, 1, message(BULK_BYTES_MIN, 1));
        outbox.push(FrameType::Response, 1, 2, message(BULK_BYTES_MIN, 2));
        outbox.push(FrameType::Request, 1, 3, message(2 * PART_BYTES_MAX, 3));
        assert_eq!((outbox.call_off(1), outbox.call_off(2), outbox.call_off(9)), (BULK_BYTES_MIN, 0, 0));
        let mut wire = BytesMut::new();
        outbox.next_part(&mut wire).unwrap();
        outbox.next_part(&mut wire).unwrap();
        assert_eq!(outbox.call_off(3), 0);
    }

    #[test]
    fn malformed_parts_are_refused() {
        let part = |kind: u8, bytes: u32, body: &[u8]| {
            let mut part = BytesMut::new();
            part.put_slice(&[kind, 1]);
            part.put_u64_le(7);
            part.put_u32_le(bytes);
            part.put_slice(body);
            part.freeze()
        };
        let fails = |bytes: Bytes| Inbox::default().take(1, bytes).is_err();
        assert!(fails(Bytes::from_static(b"short")));
        assert!(fails(part(FrameType::Part as u8, 3, b"abc")));
        assert!(fails(part(99, 3, b"abc")));
        assert!(fails(part(1, 2, b"abc")));
        assert!(fails(part(1, 2, b"")));
        assert!(fails(part(1, u32::MAX, b"abc")));
        let mut inbox = Inbox::default();
        for number in 0..TURNS as u64 {
            assert_eq!(inbox.take(number, part(1, 4, b"abc")), Ok(None));
        }
        assert!(inbox.take(99, part(1, 4, b"abc")).is_err());
        assert!(inbox.take(0, Bytes::from_static(b"de")).is_err());
        assert!(inbox.take(1, Bytes::from_static(b"d")).unwrap().is_some_and(|frame| frame.body[..] == *b"abcd"));
    }
}
