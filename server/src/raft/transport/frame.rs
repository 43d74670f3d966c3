//! Frames between nodes: `length: u32` of what follows, `type: u8`, `service: u8`, `id: u64`, body; little endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of a frame before its body, the length included.
const HEADER_BYTES: usize = 14;
/// Longest body of a part of a longer message.
pub(super) const PART_BYTES_MAX: usize = 256 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameType {
    /// Wants an answer with the same id.
    Request = 1,
    /// Is that answer.
    Response = 2,
    /// Wants none.
    OneWay = 3,
    /// A request whose answer may wait for those of others.
    PatientRequest = 4,
    /// Is a part of a message that is longer than a frame.
    Part = 5,
}

impl FrameType {
    pub(super) fn from_wire(byte: u8) -> Option<Self> {
        let all = [Self::Request, Self::Response, Self::OneWay, Self::PatientRequest, Self::Part];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: FrameType,
    pub service: u8,
    pub id: u64,
    pub body: Bytes,
}

/// A frame that breaks the format: the connection is closed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed peer frame")]
pub(super) struct MalformedFrame;

/// Appends a frame.
pub(super) fn write(out: &mut BytesMut, kind: FrameType, service: u8, id: u64, body: &[u8]) {
    debug_assert!(body.len() <= PART_BYTES_MAX, "long messages go in parts");
    out.reserve(HEADER_BYTES + body.len());
    write_header(out, kind, service, id, body.len());
    out.put_slice(body);
}

/// Appends the header of a frame whose body of `length` bytes follows.
pub(super) fn write_header(out: &mut BytesMut, kind: FrameType, service: u8, id: u64, length: usize) {
    out.put_u32_le((HEADER_BYTES - 4 + length) as u32);
    out.put_u8(kind as u8);
    out.put_u8(service);
    out.put_u64_le(id);
}

/// Takes the next whole frame off the front of `buffer`; where there is none yet, makes room for the rest of it.
pub(super) fn read(buffer: &mut BytesMut) -> Result<Option<Frame>, MalformedFrame> {
    let Some(length) = buffer.get(..4) else { return Ok(None) };
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    if !(HEADER_BYTES - 4..=HEADER_BYTES - 4 + PART_BYTES_MAX).contains(&length) {
        return Err(MalformedFrame);
    }
    if buffer.len() < 4 + length {
        buffer.reserve(4 + length - buffer.len());
        return Ok(None);
    }
    // A frame that shares the buffer keeps all of it alive, and one that holds log entries lives for long: only a frame that
    // is most of the buffer may.
    let mut frame = if (4 + length) * 2 < buffer.capacity() {
        let frame = Bytes::copy_from_slice(&buffer[..4 + length]);
        buffer.advance(4 + length);
        frame
    } else {
        buffer.split_to(4 + length).freeze()
    };
    frame.advance(4);
    let kind = FrameType::from_wire(frame.get_u8()).ok_or(MalformedFrame)?;
    let service = frame.get_u8();
    let id = frame.get_u64_le();
    Ok(Some(Frame { kind, service, id, body: frame }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_frame_does_not_keep_a_large_buffer() {
        let mut buffer = BytesMut::with_capacity(1 << 20);
        let place = buffer.as_ptr();
        write(&mut buffer, FrameType::Request, 1, 1, b"small");
        let kept = read(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty());
        // The whole room can be used again, since nobody else holds it.
        assert!(buffer.try_reclaim(1 << 20));
        assert_eq!((buffer.as_ptr(), &kept.body[..]), (place, &b"small"[..]));
    }

    #[test]
    fn frames_come_back_however_they_are_cut() {
        let mut wire = BytesMut::new();
        write(&mut wire, FrameType::Request, 3, 7, b"hello");
        write(&mut wire, FrameType::OneWay, 4, 0, b"");
        write(&mut wire, FrameType::PatientRequest, 5, 1, b"x");
        for cut in 0..wire.len() {
            let mut buffer = BytesMut::new();
            let mut frames = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                buffer.put_slice(part);
                while let Some(frame) = read(&mut buffer).unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 3);
            assert_eq!((frames[0].id, &frames[0].body[..]), (7, &b"hello"[..]));
            assert_eq!(frames[1].kind, FrameType::OneWay);
            assert_eq!(frames[2].kind, FrameType::PatientRequest);
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_memory_is_taken() {
        for length in [0u32, 9, u32::MAX] {
            let mut buffer = BytesMut::from(&length.to_le_bytes()[..]);
            assert_eq!(read(&mut buffer), Err(MalformedFrame));
            assert!(buffer.capacity() < 1024);
        }
    }
}
