//! Decoding of replies.
//!
//! A [`Scanner`] finds the end of a reply first. It keeps its place between reads, so that a reply in many pieces costs
//! time in proportion to its length, and refuses what is too deep or too long before memory is taken for it. A whole
//! reply is then taken from the input and made a [`Value`] whose strings share its memory.
//!
//! `redis-protocol`, which checks this in the tests, does not do for Redis itself: it refuses sets whose elements are
//! maps, as COMMAND has them in RESP3, and shuffles maps.

use bytes::{Bytes, BytesMut};
use larder_protocol::scan::{self, Body};

use crate::Value;

/// Deepest nesting that is accepted; Redis itself goes to about six.
const DEPTH_MAX: usize = 64;
/// Longest string, twice what Redis allows.
const BULK_BYTES_MAX: usize = 1 << 30;
/// Longest status, error or number.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Longest whole reply.
const REPLY_BYTES_MAX: usize = 4 << 30;

/// Decodes replies from a growing buffer.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    scanner: Scanner,
}

impl Decoder {
    /// Takes the next whole reply from the front of `input`; the error says why the bytes are none. The types tell
    /// RESP2 from RESP3, so both are taken at any time.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Value>, String> {
        let Some(length) = self.scanner.scan(input)? else { return Ok(None) };
        let reply = input.split_to(length).freeze();
        value(&reply, &mut 0).map(Some)
    }
}

/// Where a reply that is still arriving was read to.
#[derive(Debug, Default)]
struct Scanner {
    at: usize,
    /// Elements that each array, from the outermost, still lacks.
    due: Vec<u64>,
}

impl Scanner {
    /// The length of the reply that `input` begins with, once all of it is there.
    fn scan(&mut self, input: &[u8]) -> Result<Option<usize>, String> {
        loop {
            if self.at > REPLY_BYTES_MAX {
                return Err("reply too long".into());
            }
            let Some(header) = scan::header(&input[self.at..]).map_err(|error| error.to_string())? else {
                // Every read searches the line anew, so it may not be long.
                return if input.len() - self.at > LINE_BYTES_MAX { Err("line too long".into()) } else { Ok(None) };
            };
            let mut next = self.at + header.length;
            let mut opened = 0;
            match header.body {
                Body::None => {}
                Body::Bytes(length) if length > BULK_BYTES_MAX => return Err(format!("string of {length} bytes")),
                Body::Bytes(length) => next += length + 2,
                Body::Replies(count) => opened = count,
                // The reply that they are about is one more element.
                Body::Attributes(count) => opened = count + 1,
            }
            if next > input.len() {
                return Ok(None);
            }
            self.at = next;
            if opened > 0 {
                if self.due.len() == DEPTH_MAX {
                    return Err("reply nested too deep".into());
                }
                self.due.push(opened);
                continue;
            }
            // An element is complete, and with it perhaps the arrays that it ends.
            loop {
                match self.due.last_mut() {
                    None => return Ok(Some(std::mem::take(&mut self.at))),
                    Some(due) => {
                        *due -= 1;
                        if *due > 0 {
                            break;
                        }
                        self.due.pop();
                    }
                }
            }
        }
    }
}

/// The value at `at` of a scanned reply, which is moved behind it. As deep as the scanner allows.
fn value(reply: &Bytes, at: &mut usize) -> Result<Value, String> {
    let header = scan::header(&reply[*at..]).map_err(|error| error.to_string())?.ok_or("half a reply")?;
    let kind = reply[*at];
    // Without the type before it and the line end behind it.
    let line = reply.slice(*at + 1..*at + header.length - 2);
    *at += header.length;
    let content = match header.body {
        Body::Bytes(length) => {
            let start = *at;
            *at += length + 2;
            reply.slice(start..start + length)
        }
        _ => Bytes::new(),
    };
    let count = match header.body {
        Body::Replies(count) | Body::Attributes(count) => usize::try_from(count).map_err(|error| error.to_string())?,
        _ => 0,
    };
    // An element takes at least three bytes, and all of them are there.
    let mut values = || (0..count.min(reply.len())).map(|_| value(reply, at)).collect::<Result<Vec<_>, _>>();
    Ok(match kind {
        b'+' => Value::Simple(line),
        b'-' => Value::Error(line),
        b':' => Value::Integer(number(&line)?),
        b'_' => Value::Null,
        b'#' if line == "t" => Value::Boolean(true),
        b'#' if line == "f" => Value::Boolean(false),
        b',' => Value::Double(number(&line)?),
        b'(' => Value::BigNumber(line),
        b'$' | b'*' if header.body == Body::None => Value::Null,
        b'$' => Value::Bulk(content),
        b'!' => Value::Error(content),
        b'=' => {
            let format = match content.get(..4) {
                Some(b"txt:") => "txt",
                Some(b"mkd:") => "mkd",
                _ => return Err("verbatim text of an unknown format".into()),
            };
            Value::Verbatim { format, text: content.slice(4..) }
        }
        b'*' => Value::Array(values()?),
        b'~' => Value::Set(values()?),
        b'>' => Value::Push(values()?),
        b'%' => Value::Map(pairs(values()?)),
        b'|' => {
            let attributes = pairs(values()?);
            Value::Attributed { attributes, value: Box::new(value(reply, at)?) }
        }
        _ => return Err(format!("unknown type {:?}", char::from(kind))),
    })
}

/// A number as Rust reads it, which for doubles includes `inf`, `-inf` and `nan`.
fn number<N: std::str::FromStr>(line: &[u8]) -> Result<N, String> {
    let text = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| format!("not a number: {}", line.escape_ascii()))
}

/// Keys and values in turn, as pairs.
fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    std::iter::from_fn(|| Some((values.next()?, values.next()?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame};

    use super::*;

    /// Decodes `wire` in pieces of `piece` bytes.
    fn decode(wire: &[u8], piece: usize) -> Result<Vec<Value>, String> {
        let mut decoder = Decoder::default();
        let mut input = BytesMut::new();
        let mut values = Vec::new();
        for piece in wire.chunks(piece) {
            input.extend_from_slice(piece);
            while let Some(value) = decoder.decode(&mut input)? {
                values.push(value);
            }
        }
        Ok(values)
    }

    fn bulk(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_type_is_decoded_however_it_is_cut() {
        let wire = b"+OK\r\n-ERR \xff\r\n:-5\r\n$1\r\na\r\n_\r\n,1.5\r\n,inf\r\n#t\r\n(123\r\n=5\r\ntxt:a\r\n\
            %3\r\n$1\r\nz\r\n:1\r\n$1\r\nb\r\n*0\r\n$1\r\na\r\n_\r\n~2\r\n+b\r\n%1\r\n+a\r\n_\r\n>1\r\n+p\r\n!3\r\nERR\r\n\
            |1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n";
        let simple = |text: &'static str| Value::Simple(Bytes::from_static(text.as_bytes()));
        let expected = vec![
            simple("OK"),
            Value::Error(Bytes::from_static(b"ERR \xff")),
            Value::Integer(-5),
            bulk("a"),
            Value::Null,
            Value::Double(1.5),
            Value::Double(f64::INFINITY),
            Value::Boolean(true),
            Value::BigNumber(Bytes::from_static(b"123")),
            Value::Verbatim { format: "txt", text: Bytes::from_static(b"a") },
            Value::Map(vec![
                (bulk("z"), Value::Integer(1)),
                (bulk("b"), Value::Array(vec![])),
                (bulk("a"), Value::Null),
            ]),
            Value::Set(vec![simple("b"), Value::Map(vec![(simple("a"), Value::Null)])]),
            Value::Push(vec![simple("p")]),
            Value::Error(Bytes::from_static(b"ERR")),
            Value::Attributed { attributes: vec![(simple("ttl"), Value::Integer(9))], value: Box::new(bulk("v")) },
        ];
        for piece in 1..=wire.len() {
            assert_eq!(decode(wire, piece).as_ref(), Ok(&expected), "in pieces of {piece}");
        }
    }

    #[test]
    fn nulls_of_resp2_are_null() {
        let values = decode(b"$-1\r\n*-1\r\n*2\r\n:1\r\n$-1\r\n", 3).unwrap();
        assert_eq!(values, [Value::Null, Value::Null, Value::Array(vec![Value::Integer(1), Value::Null])]);
    }

    #[test]
    fn depth_and_lengths_are_limited() {
        for wire in [b"*1\r\n".repeat(100), b"$1073741825\r\n".to_vec(), b"?\r\n".to_vec(), b"$x\r\n".to_vec()] {
            assert!(decode(&wire, 1).is_err(), "{}", wire.escape_ascii());
        }
        // An announced length costs nothing until the elements are there.
        assert_eq!(decode(b"*1000000000\r\n", 1), Ok(vec![]));
    }

    /// The types that `redis-protocol` has in RESP2, as a value of ours.
    fn from_theirs(frame: OwnedFrame) -> Value {
        match frame {
            OwnedFrame::SimpleString(text) => Value::Simple(text.into()),
            OwnedFrame::Error(text) => Value::Error(text.into()),
            OwnedFrame::Integer(value) => Value::Integer(value),
            OwnedFrame::BulkString(text) => Value::Bulk(text.into()),
            OwnedFrame::Array(elements) => Value::Array(elements.into_iter().map(from_theirs).collect()),
            OwnedFrame::Null => Value::Null,
        }
    }

    fn frames() -> impl Strategy<Value = OwnedFrame> {
        let bytes = || prop::collection::vec(prop::sample::select(b"ab\r\n*$:\xff\x00".to_vec()), 0..10);
        let leaf = prop_oneof![
            Just(OwnedFrame::Null),
            any::<i64>().prop_map(OwnedFrame::Integer),
            bytes().prop_map(OwnedFrame::BulkString),
            "[a-z ]{0,8}".prop_map(OwnedFrame::Error),
            "[a-z ]{0,8}".prop_map(|text| OwnedFrame::SimpleString(text.into())),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| prop::collection::vec(inner, 0..5).prop_map(OwnedFrame::Array))
    }

    proptest! {
        #[test]
        fn redis_protocol_sees_the_same(frame in frames(), piece in 1usize..20) {
            let mut wire = vec![0; frame.encode_len(false)];
            redis_protocol::resp2::encode::encode(&mut wire, &frame, false).unwrap();
            prop_assert_eq!(decode(&wire, piece), Ok(vec![from_theirs(frame)]));
        }

        #[test]
        fn no_bytes_panic(wire in prop::collection::vec(prop::sample::select(b"*$%|~>+:!=,#(_-0129\r\n\r\n".to_vec()), 0..60)) {
            prop_assert_eq!(decode(&wire, 1).is_ok(), decode(&wire, 60).is_ok());
        }
    }
}
