//! MIGRATE: <https://redis.io/docs/latest/commands/migrate/>
//!
//! Row and arguments; what it does is part of a connection's control flow, which `dispatch::migrate` holds.

use crate::commands::{CommandError, CommandSpec, Family, Handler, number};
use larder_protocol::{Args, Arity, Flags, KeySpec, migrate_keys};
use std::time::Duration;

/// MIGRATE host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password]
/// [KEYS key [key ...]]
pub static MIGRATE: CommandSpec = CommandSpec {
    name: "migrate",
    id: 0,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.union(Flags::MOVABLEKEYS),
    keys: KeySpec::Migrate,
    family: Family::Generic,
    since: "2.6.0",
    complexity: "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See \
                 the pages of these commands for time complexity. Also an O(N) data transfer between the two instances is \
                 performed.",
    summary: "Atomically transfers a key from one Redis instance to another.",
    handler: Handler::Dispatch,
};

const KEY_AND_KEYS: CommandError =
    CommandError::text("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string");
/// What is waited where the timeout is not above zero.
const TIMEOUT_DEFAULT: Duration = Duration::from_millis(1000);

/// What is to be moved, where to, and how.
#[derive(Debug)]
pub struct Order<'a> {
    /// Host of the target.
    pub host: &'a [u8],
    /// Port of the target; `None` where it is none.
    pub port: Option<u16>,
    /// Positions of the keys among the arguments.
    pub keys: std::ops::Range<usize>,
    /// Database of the target.
    pub database: i64,
    /// The longest that the target may keep still.
    pub timeout: Duration,
    /// The keys stay here, too.
    pub copy: bool,
    /// Keys of the target are replaced.
    pub replace: bool,
    /// User, if one was named, and password.
    pub credentials: Option<(Option<&'a [u8]>, &'a [u8])>,
}

impl<'a> Order<'a> {
    /// Reads the arguments.
    ///
    /// # Errors
    /// Redis's.
    pub fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let (mut copy, mut replace, mut credentials) = (false, false, None);
        let mut at = 6;
        while at < args.len() {
            let (word, more) = (&args[at], args.len() - 1 - at);
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("COPY") {
                copy = true;
            } else if is("REPLACE") {
                replace = true;
            } else if is("AUTH") && more >= 1 {
                credentials = Some((None, args.get(at + 1).unwrap_or_default()));
                at += 1;
            } else if is("AUTH2") && more >= 2 {
                credentials = Some((Some(args.get(at + 1).unwrap_or_default()), args.get(at + 2).unwrap_or_default()));
                at += 2;
            } else if is("KEYS") {
                if !args[3].is_empty() {
                    return Err(KEY_AND_KEYS);
                }
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        let timeout = number::integer(&args[5])?;
        let database = number::integer(&args[4])?;
        let timeout = u64::try_from(timeout).ok().filter(|ms| *ms > 0);
        Ok(Self {
            host: args.get(1).unwrap_or_default(),
            port: std::str::from_utf8(&args[2]).ok().and_then(|port| port.parse().ok()),
            keys: migrate_keys(args),
            database,
            timeout: timeout.map_or(TIMEOUT_DEFAULT, Duration::from_millis),
            copy,
            replace,
            credentials,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<R>(line: &str, inspect: impl FnOnce(Result<Order<'_>, CommandError>) -> R) -> R {
        let (mut buffer, mut ranges) = (String::new(), Vec::new());
        for word in line.split(' ') {
            let start = buffer.len() as u32;
            buffer.push_str(if word == "''" { "" } else { word });
            ranges.push((start, buffer.len() as u32));
        }
        inspect(Order::parse(Args::new(buffer.as_bytes(), &ranges)))
    }

    #[test]
    fn options_are_redis_s() {
        parsed("MIGRATE host 6379 k 3 50 COPY replace AUTH secret", |order| {
            let order = order.unwrap();
            assert_eq!((order.host, order.port, order.keys, order.database), (&b"host"[..], Some(6379), 3..4, 3));
            assert_eq!((order.timeout, order.copy, order.replace), (Duration::from_millis(50), true, true));
            assert_eq!(order.credentials, Some((None, &b"secret"[..])));
        });
        parsed("MIGRATE host x '' 0 -7 AUTH2 copy keys KEYS a b COPY", |order| {
            let order = order.unwrap();
            assert_eq!((order.port, order.keys, order.copy), (None, 10..13, false));
            assert_eq!(order.timeout, TIMEOUT_DEFAULT);
            assert_eq!(order.credentials, Some((Some(&b"copy"[..]), &b"keys"[..])));
        });
        for (line, error) in [
            ("MIGRATE h 1 k 0 1 FOO", CommandError::Syntax),
            ("MIGRATE h 1 k 0 1 AUTH", CommandError::Syntax),
            ("MIGRATE h 1 k 0 1 AUTH2 u", CommandError::Syntax),
            ("MIGRATE h 1 k 0 1 KEYS a", KEY_AND_KEYS),
            ("MIGRATE h 1 k x 1", CommandError::NotInteger),
            ("MIGRATE h 1 k 0 1.5", CommandError::NotInteger),
        ] {
            parsed(line, |order| assert_eq!(order.unwrap_err(), error, "{line}"));
        }
    }
}
