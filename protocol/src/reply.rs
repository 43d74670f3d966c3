//! Encoding of replies in RESP2 and RESP3.

use bytes::{BufMut, Bytes, BytesMut};

use crate::double::DoubleText;

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProtocolVersion {
    /// RESP2, the default of a new connection.
    #[default]
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Replies on their way to a socket.
///
/// Every method appends one whole reply, except the `*_header` methods, which must be followed by as many replies as
/// they promise. Where RESP2 has no such type, the form that Redis gives RESP2 clients is written.
#[derive(Debug)]
pub struct ReplyBuffer {
    version: ProtocolVersion,
    bytes: BytesMut,
    /// How long `bytes` may become; see [`ReplyBuffer::bound`].
    length_max: usize,
    exceeded: bool,
}

impl Default for ReplyBuffer {
    fn default() -> Self {
        Self::new(ProtocolVersion::default())
    }
}

impl ReplyBuffer {
    /// An empty buffer for replies in `version`.
    pub fn new(version: ProtocolVersion) -> Self {
        Self { version, bytes: BytesMut::new(), length_max: usize::MAX, exceeded: false }
    }

    /// The protocol that is written.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Writes later replies in `version`.
    pub fn set_version(&mut self, version: ProtocolVersion) {
        self.version = version;
    }

    /// Bytes written and not yet taken.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer itself, for the socket loop.
    pub fn bytes_mut(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Bytes that there is room for.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes what was written.
    pub fn take(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }

    /// Drops everything after `length`, as when a handler fails half-way.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// From now on takes no more than `bytes` more: what does not fit is left out, and [`ReplyBuffer::unbound`] says
    /// so. A command whose reply is a multiple of what it was sent (MGET of one key, again and again) so takes no more
    /// memory than that, whoever carries it out. Errors and nulls are written all the same.
    pub fn bound(&mut self, bytes: usize) {
        self.length_max = self.bytes.len().saturating_add(bytes);
        self.exceeded = false;
    }

    /// Takes whatever comes again. Returns whether something was left out since [`ReplyBuffer::bound`]; then what was
    /// written since is no reply.
    pub fn unbound(&mut self) -> bool {
        self.length_max = usize::MAX;
        std::mem::take(&mut self.exceeded)
    }

    fn fits(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.length_max.saturating_sub(self.bytes.len());
        self.exceeded |= !fits;
        fits
    }

    /// Replies that are encoded already.
    pub fn raw(&mut self, encoded: &[u8]) {
        if self.fits(encoded.len()) {
            self.bytes.put_slice(encoded);
        }
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.bytes.put_slice(b"+OK\r\n");
    }

    /// A simple string. `text` has no line break.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error, prefix included. Line breaks in `text` become spaces, as in Redis.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// [`ReplyBuffer::error`] for a text that repeats bytes of the client's.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.bytes.reserve(text.len() + 3);
        self.bytes.put_u8(b'-');
        let start = self.bytes.len();
        self.bytes.put_slice(text);
        for byte in &mut self.bytes[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.bytes.put_slice(b"\r\n");
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        self.number(b':', value);
    }

    /// A bulk string.
    pub fn bulk(&mut self, value: &[u8]) {
        if !self.fits(value.len()) {
            return;
        }
        self.bytes.reserve(value.len() + 24);
        self.number(b'$', value.len() as i64);
        self.bytes.put_slice(value);
        self.bytes.put_slice(b"\r\n");
    }

    /// A bulk string, or null.
    pub fn bulk_or_null(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bulk(value),
            None => self.null(),
        }
    }

    /// Null: `$-1` in RESP2, `_` in RESP3.
    pub fn null(&mut self) {
        self.bytes.put_slice(match self.version {
            ProtocolVersion::Resp2 => b"$-1\r\n",
            ProtocolVersion::Resp3 => b"_\r\n",
        });
    }

    /// A null array: `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.bytes.put_slice(match self.version {
            ProtocolVersion::Resp2 => b"*-1\r\n",
            ProtocolVersion::Resp3 => b"_\r\n",
        });
    }

    /// Header of an array of `length` replies.
    pub fn array_header(&mut self, length: usize) {
        self.number(b'*', length as i64);
    }

    /// Header of a map of `length` pairs; a flat array of twice as many in RESP2.
    pub fn map_header(&mut self, length: usize) {
        match self.version {
            ProtocolVersion::Resp2 => self.number(b'*', 2 * length as i64),
            ProtocolVersion::Resp3 => self.number(b'%', length as i64),
        }
    }

    /// Header of a set of `length` replies; an array in RESP2.
    pub fn set_header(&mut self, length: usize) {
        let kind = if self.version == ProtocolVersion::Resp3 { b'~' } else { b'*' };
        self.number(kind, length as i64);
    }

    /// Header of a push message of `length` replies; an array in RESP2.
    pub fn push_header(&mut self, length: usize) {
        let kind = if self.version == ProtocolVersion::Resp3 { b'>' } else { b'*' };
        self.number(kind, length as i64);
    }

    /// A boolean; `:1` or `:0` in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match self.version {
            ProtocolVersion::Resp2 => self.integer(i64::from(value)),
            ProtocolVersion::Resp3 => self.bytes.put_slice(if value { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// A floating-point number; a bulk string of the same text in RESP2.
    pub fn double(&mut self, value: f64) {
        let text = DoubleText::new(value);
        match self.version {
            ProtocolVersion::Resp2 => self.bulk(text.as_bytes()),
            ProtocolVersion::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// An integer beyond 64 bits, as decimal digits; a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        match self.version {
            ProtocolVersion::Resp2 => self.bulk(digits.as_bytes()),
            ProtocolVersion::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// A verbatim text (`txt`); a bulk string in RESP2.
    pub fn verbatim(&mut self, text: &[u8]) {
        match self.version {
            ProtocolVersion::Resp2 => self.bulk(text),
            ProtocolVersion::Resp3 => {
                if !self.fits(text.len()) {
                    return;
                }
                self.number(b'=', text.len() as i64 + 4);
                self.bytes.put_slice(b"txt:");
                self.bytes.put_slice(text);
                self.bytes.put_slice(b"\r\n");
            }
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        if !self.fits(text.len()) {
            return;
        }
        self.bytes.reserve(text.len() + 3);
        self.bytes.put_u8(kind);
        self.bytes.put_slice(text);
        self.bytes.put_slice(b"\r\n");
    }

    fn number(&mut self, kind: u8, value: i64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(value);
        self.line(kind, digits.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: ProtocolVersion, write: impl FnOnce(&mut ReplyBuffer)) -> String {
        let mut reply = ReplyBuffer::new(version);
        write(&mut reply);
        assert_eq!(crate::scan::reply_len(reply.as_slice()).unwrap(), Some(reply.len()));
        reply.as_slice().escape_ascii().to_string()
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_told() {
        let mut reply = ReplyBuffer::default();
        reply.bulk(&[b'x'; 100]);
        let length = reply.len();
        reply.bound(20);
        reply.bulk(b"short");
        assert!(!reply.unbound());
        reply.bound(20);
        (0..1000).for_each(|_| reply.bulk(&[b'x'; 19]));
        assert!(reply.unbound());
        assert!(reply.len() < length + 80);
        reply.truncate(length);
        reply.bulk(&[b'x'; 1000]);
        assert!(!reply.unbound() && reply.len() > 1000);
    }

    #[test]
    fn each_protocol_has_its_forms() {
        type Case = (fn(&mut ReplyBuffer), &'static str, &'static str);
        let cases: &[Case] = &[
            (|reply| reply.ok(), r"+OK\r\n", r"+OK\r\n"),
            (|reply| reply.error("ERR a\r\nb"), r"-ERR a  b\r\n", r"-ERR a  b\r\n"),
            (|reply| reply.integer(-5), r":-5\r\n", r":-5\r\n"),
            (|reply| reply.bulk(b"a\r\n"), r"$3\r\na\r\n\r\n", r"$3\r\na\r\n\r\n"),
            (|reply| reply.null(), r"$-1\r\n", r"_\r\n"),
            (|reply| reply.null_array(), r"*-1\r\n", r"_\r\n"),
            (|reply| reply.map_header(0), r"*0\r\n", r"%0\r\n"),
            (|reply| reply.set_header(0), r"*0\r\n", r"~0\r\n"),
            (|reply| reply.push_header(0), r"*0\r\n", r">0\r\n"),
            (|reply| reply.boolean(true), r":1\r\n", r"#t\r\n"),
            (|reply| reply.double(1.5), r"$3\r\n1.5\r\n", r",1.5\r\n"),
            (|reply| reply.double(f64::INFINITY), r"$3\r\ninf\r\n", r",inf\r\n"),
            (|reply| reply.big_number("12345"), r"$5\r\n12345\r\n", r"(12345\r\n"),
            (|reply| reply.verbatim(b"ab"), r"$2\r\nab\r\n", r"=6\r\ntxt:ab\r\n"),
        ];
        for (write, resp2, resp3) in cases {
            assert_eq!(written(ProtocolVersion::Resp2, write), *resp2);
            assert_eq!(written(ProtocolVersion::Resp3, write), *resp3);
        }
    }
}
