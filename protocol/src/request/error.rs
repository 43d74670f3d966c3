//! How a request can break the protocol.

use thiserror::Error;

use crate::ReplyBuffer;

/// A request that breaks the protocol, in Redis's words. The connection answers `-ERR Protocol error: ...` and closes.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum ProtocolError {
    /// The count after `*` is no number, or too large.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// An argument does not begin with `$`, but with this byte.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// The length after `$` is no number, negative or too large.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// The quotes of an inline command do not match.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline command does not end within the limit.
    #[error("Protocol error: too big inline request")]
    TooBigInline,
    /// The line that begins with `*` does not end within the limit.
    #[error("Protocol error: too big mbulk count string")]
    TooBigMultibulkCount,
    /// The line that begins with `$` does not end within the limit.
    #[error("Protocol error: too big bulk count string")]
    TooBigBulkCount,
    /// More arguments than a connection may send before it is authenticated.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulk,
    /// A longer argument than a connection may send before it is authenticated.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulk,
    /// The whole command is longer than a connection may buffer. Redis closes the connection without a word
    /// (`client-query-buffer-limit`); we say why.
    #[error("Protocol error: too big request")]
    TooBigRequest,
}

impl ProtocolError {
    /// Writes the error reply, byte for byte as Redis does.
    pub fn reply(&self, reply: &mut ReplyBuffer) {
        match self {
            // The byte may be any, so the text need not be UTF-8.
            Self::ExpectedBulk(byte) => {
                let mut text = *b"ERR Protocol error: expected '$', got '?'";
                let at = text.len() - 2;
                text[at] = *byte;
                reply.error_bytes(&text);
            }
            _ => reply.error(&format!("{} {self}", crate::error::ERR)),
        }
    }
}
