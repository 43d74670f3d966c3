//! What can go wrong, told apart by what the caller may do next.

use std::io;

use larder_protocol::error as prefixes;
use thiserror::Error;

/// A failed command. Only [`Error::Uncertain`] leaves it open whether the command took effect.
#[derive(Debug, Error)]
pub enum Error {
    /// No connection could be made, so nothing was sent.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Whom.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection was lost before the command was sent whole, so it did not take effect.
    #[error("connection lost before the command was sent: {0}")]
    Unsent(String),
    /// The command may have taken effect or not: its connection was lost before the answer, or the server answered
    /// `-UNCERTAIN`. Nothing that writes is ever sent again after this.
    #[error("it is not known whether the command took effect: {0}")]
    Uncertain(String),
    /// The server answered with an error; the text begins with its prefix.
    #[error("{0}")]
    Reply(String),
    /// The deadline passed while the command was refused or nobody could be reached. It did not take effect.
    #[error("gave up at the deadline: {0}")]
    Deadline(Box<Error>),
    /// The cluster's answers make no sense, or no node is known for a slot.
    #[error("topology: {0}")]
    Topology(String),
    /// What the caller passed is no command, address or the like.
    #[error("invalid input: {0}")]
    Invalid(String),
}

impl Error {
    /// The error that an error reply stands for.
    pub(crate) fn from_reply(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        match text.strip_prefix(prefixes::UNCERTAIN) {
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => Self::Uncertain(text),
            _ => Self::Reply(text),
        }
    }

    /// The first word of an error reply: `ERR`, `MOVED`, `WRONGTYPE`...
    pub fn prefix(&self) -> Option<&str> {
        match self {
            Self::Reply(text) => text.split(' ').next(),
            _ => None,
        }
    }

    /// Whether the command certainly did not take effect, and the same may be tried again elsewhere or later.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Unsent(_) | Self::Topology(_) => true,
            Self::Reply(_) => matches!(
                self.prefix(),
                Some(prefixes::TRYAGAIN | prefixes::CLUSTERDOWN | prefixes::LOADING | prefixes::READONLY)
            ),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_decide() {
        assert!(matches!(Error::from_reply(b"UNCERTAIN who knows"), Error::Uncertain(_)));
        assert!(matches!(Error::from_reply(b"UNCERTAINTY"), Error::Reply(_)));
        assert!(Error::from_reply(b"TRYAGAIN later").is_refusal());
        assert!(!Error::from_reply(b"UNCERTAIN").is_refusal());
        assert!(!Error::from_reply(b"OOM command not allowed").is_refusal());
        assert_eq!(Error::from_reply(b"ERR no").prefix(), Some("ERR"));
    }
}
