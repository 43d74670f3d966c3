//! Why a handler refuses, in Redis's words.

use larder_protocol::ReplyBuffer;
use std::borrow::Cow;
use thiserror::Error;

/// An error reply of a handler; its `Display` is the whole error line without the leading `-`.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum CommandError {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// The options do not parse.
    #[error("ERR syntax error")]
    Syntax,
    /// Not a 64-bit decimal integer.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// Not a floating point number.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// A string would become longer than 512 MiB.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// The key does not exist.
    #[error("ERR no such key")]
    NoSuchKey,
    /// INCR and its kin leave 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// INCRBYFLOAT leaves the finite numbers.
    #[error("ERR increment would produce NaN or Infinity")]
    NotFinite,
    /// An offset below zero.
    #[error("ERR offset is out of range")]
    OffsetOutOfRange,
    /// A database that does not exist.
    #[error("ERR DB index is out of range")]
    DatabaseOutOfRange,
    /// COPY of a key to itself.
    #[error("ERR source and destination objects are the same")]
    SameObject,
    /// A SCAN cursor that no SCAN has given out.
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// A deadline that does not fit, in the command named.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// The number of arguments is wrong, for the command named.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(Cow<'static, str>),
    /// A number that must not be negative is.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// A number too large for what is asked.
    #[error("ERR value is out of range")]
    OutOfRange,
    /// The reply does not end before the memory that one may take does.
    #[error("ERR the reply is longer than 1 GiB")]
    ReplyTooLong,
    /// The same, of a command that changes data: that is done.
    #[error("ERR the command was carried out, but its reply is longer than 1 GiB")]
    DoneReplyTooLong,
    /// Any other, prefix included.
    #[error("{0}")]
    Other(Cow<'static, str>),
    /// One that repeats arguments, whatever bytes they are.
    #[error("{}", String::from_utf8_lossy(.0))]
    Repeating(Vec<u8>),
}

impl CommandError {
    /// An error of these parts, prefix included, some of which are arguments.
    pub fn repeating(parts: &[&[u8]]) -> Self {
        Self::Repeating(parts.concat())
    }

    /// Writes it as a reply.
    pub fn write(&self, reply: &mut ReplyBuffer) {
        match self {
            Self::Repeating(bytes) => reply.error_bytes(bytes),
            other => reply.error(&other.to_string()),
        }
    }

    /// An error with its whole text, prefix included.
    pub const fn text(text: &'static str) -> Self {
        Self::Other(Cow::Borrowed(text))
    }
}
