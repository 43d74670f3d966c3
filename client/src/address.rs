//! Where a node listens.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A host (name, IPv4 or IPv6 address) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// An address from its parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `host:port`, `[::1]:port`, and `::1:port` as Redis writes it in redirections.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid(format!("not HOST:PORT: {text:?}"));
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| invalid())? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [("a:1", "a:1"), ("[::1]:6379", "[::1]:6379"), ("::1:6379", "[::1]:6379")] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), written);
        }
        assert!("localhost".parse::<Address>().is_err());
        assert!("localhost:99999".parse::<Address>().is_err());
    }
}
