//! The words in which a command is described: how many arguments, what it does, where its keys are.
//!
//! They follow `COMMAND INFO` (<https://redis.io/docs/latest/commands/command/>), from which cluster clients learn
//! where the keys of a command stand.

use crate::Args;

/// How many arguments a command takes, its own name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly so many.
    Exactly(u16),
    /// So many or more.
    AtLeast(u16),
}

impl Arity {
    /// Whether `argc` arguments (name included) are acceptable.
    pub const fn allows(self, argc: usize) -> bool {
        match self {
            Self::Exactly(n) => argc == n as usize,
            Self::AtLeast(n) => argc >= n as usize,
        }
    }

    /// The number that `COMMAND` prints: negative for "at least".
    pub const fn wire(self) -> i64 {
        match self {
            Self::Exactly(n) => n as i64,
            Self::AtLeast(n) => -(n as i64),
        }
    }
}

/// What a command does, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:expr, $wire:expr;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
            /// Every flag with the name that `COMMAND` prints for it.
            pub const NAMED: &'static [(Self, &'static str)] = &[$((Self::$name, $wire)),*];
        }
    };
}

flags! {
    /// May change data.
    WRITE = 0, "write";
    /// Only reads data.
    READONLY = 1, "readonly";
    /// Refused when memory is over the limit and nothing can be evicted.
    DENYOOM = 2, "denyoom";
    /// An administrator's command.
    ADMIN = 3, "admin";
    /// Publish and subscribe.
    PUBSUB = 4, "pubsub";
    /// Not allowed in scripts.
    NOSCRIPT = 5, "noscript";
    /// May block the connection.
    BLOCKING = 6, "blocking";
    /// Allowed while the node starts.
    LOADING = 7, "loading";
    /// Allowed on a replica with stale data.
    STALE = 8, "stale";
    /// Not shown to MONITOR.
    SKIP_MONITOR = 9, "skip_monitor";
    /// Not recorded in the slow log.
    SKIP_SLOWLOG = 10, "skip_slowlog";
    /// Cluster: served under ASK without ASKING.
    ASKING = 11, "asking";
    /// Constant or logarithmic time.
    FAST = 12, "fast";
    /// Allowed before authentication.
    NO_AUTH = 13, "no_auth";
    /// Allowed while a script runs too long.
    ALLOW_BUSY = 14, "allow_busy";
    /// Not allowed inside MULTI.
    NO_MULTI = 15, "no_multi";
    /// The key positions depend on the arguments.
    MOVABLEKEYS = 16, "movablekeys";
}

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// Both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in `self`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names that `COMMAND` prints.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }
}

/// Where the keys of a command stand among its arguments (position 0 is the name).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// No keys.
    None,
    /// Every `step`-th argument from `first` to `last`; a negative `last` counts from the end, -1 being the last.
    Range {
        /// Position of the first key.
        first: u16,
        /// Position of the last key, negative from the end.
        last: i16,
        /// Distance between keys.
        step: u16,
    },
    /// A count at `count` is followed by that many keys (ZUNION and the like).
    Counted {
        /// Position of the count.
        count: u16,
    },
    /// A destination just before the count at `count`, which is followed by that many keys (ZUNIONSTORE and the like).
    StoreCounted {
        /// Position of the count.
        count: u16,
    },
    /// One key at a fixed place, and one after each of some words among the options (SORT, GEORADIUS).
    WithStore {
        /// Position of the key that is always there.
        key: u16,
        /// Position of the first option.
        options: u16,
        /// Options that a key follows.
        words: &'static [&'static str],
        /// Other options that take words along, and how many.
        takes: &'static [(&'static str, u16)],
    },
    /// The first half of what follows the word STREAMS, which options precede (XREAD, XREADGROUP).
    Streams,
    /// One key at 3, or what follows the word KEYS (MIGRATE).
    Migrate,
}

impl KeySpec {
    /// The position of the key, where there is exactly one at a fixed place; 0 otherwise.
    pub fn single(&self) -> usize {
        match *self {
            Self::Range { first, last, .. } if i32::from(first) == i32::from(last) => usize::from(first),
            _ => 0,
        }
    }
}

/// Where the keys of XREAD and XREADGROUP stand, of which `words` are the arguments. `None` where they are not such a
/// command, or keys and ids are not as many.
///
/// STREAMS may also be the name of a group, a consumer or a key, so the options are read one by one.
pub fn stream_keys<'a>(mut words: impl ExactSizeIterator<Item = &'a [u8]>) -> Option<std::ops::Range<usize>> {
    let argc = words.len();
    words.next()?;
    loop {
        let word = words.next()?;
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("STREAMS") {
            let follow = words.len();
            let keys = argc - follow..argc - follow / 2;
            return (follow > 0 && follow.is_multiple_of(2)).then_some(keys);
        }
        let values = match () {
            () if is("BLOCK") || is("COUNT") => 1,
            () if is("GROUP") => 2,
            () if is("NOACK") => 0,
            () => return None,
        };
        for _ in 0..values {
            words.next()?;
        }
    }
}

/// Where the keys of MIGRATE stand: at 3, or after the word KEYS where that one is empty.
pub fn migrate_keys(args: Args<'_>) -> std::ops::Range<usize> {
    const KEY: usize = 3;
    const OPTIONS: usize = 6;
    let mut at = OPTIONS;
    while let Some(word) = args.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("KEYS") {
            // With both it is no such command; its handler says so.
            return if args.get(KEY).is_some_and(<[u8]>::is_empty) { at + 1..args.len() } else { 0..0 };
        }
        at += match () {
            () if is("AUTH") => 2,
            () if is("AUTH2") => 3,
            () => 1,
        };
    }
    KEY..KEY + 1
}

impl KeySpec {
    /// One key at `position`.
    pub const fn at(position: u16) -> Self {
        Self::Range { first: position, last: position as i16, step: 1 }
    }

    /// Keys from `first` to the end, `step` apart.
    pub const fn from(first: u16, step: u16) -> Self {
        Self::Range { first, last: -1, step }
    }

    /// The positions of the keys among `argc` arguments, `count` being the parsed number for [`KeySpec::Counted`]. Those of
    /// [`KeySpec::stores`] come after them.
    pub fn positions(self, argc: usize, count: impl FnOnce(usize) -> Option<usize>) -> impl Iterator<Item = usize> {
        let mut destination = None;
        let (first, end, step) = match self {
            // Not told by positions alone: see [`stream_keys`] and [`migrate_keys`].
            Self::None | Self::Streams | Self::Migrate => (0, 0, 1),
            Self::Range { first, last, step } => {
                let end = if last < 0 { argc as i64 + i64::from(last) } else { i64::from(last).min(argc as i64 - 1) };
                (usize::from(first), (end + 1).max(0) as usize, usize::from(step))
            }
            Self::WithStore { key, .. } => (usize::from(key), usize::from(key) + 1, 1),
            Self::Counted { count: at } | Self::StoreCounted { count: at } => {
                let at = usize::from(at);
                if matches!(self, Self::StoreCounted { .. }) {
                    destination = Some(at - 1);
                }
                let keys = count(at).unwrap_or(0).min(argc.saturating_sub(at + 1));
                (at + 1, at + 1 + keys, 1)
            }
        };
        destination.into_iter().chain((first..end).step_by(step))
    }

    /// The positions of the keys that options name; none but for [`KeySpec::WithStore`].
    pub fn stores(self, args: Args<'_>) -> Vec<usize> {
        let Self::WithStore { options, words, takes, .. } = self else { return Vec::new() };
        let (mut at, mut stores) = (usize::from(options), Vec::new());
        while let Some(word) = args.get(at) {
            at += 1;
            if words.iter().any(|store| word.eq_ignore_ascii_case(store.as_bytes())) {
                if at < args.len() {
                    stores.push(at);
                }
                at += 1;
            } else if let Some((_, count)) = takes.iter().find(|(other, _)| word.eq_ignore_ascii_case(other.as_bytes()))
            {
                at += usize::from(*count);
            }
        }
        stores
    }

    /// `(first, last, step)` as the legacy part of `COMMAND INFO` prints them.
    pub const fn wire(self) -> (i64, i64, i64) {
        match self {
            Self::None | Self::Counted { .. } | Self::Streams => (0, 0, 0),
            Self::Range { first, last, step } => (first as i64, last as i64, step as i64),
            Self::StoreCounted { count } => (count as i64 - 1, count as i64 - 1, 1),
            Self::WithStore { key, .. } => (key as i64, key as i64, 1),
            Self::Migrate => (3, 3, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_the_spec() {
        let keys = |spec: KeySpec, argc| spec.positions(argc, |_| Some(2)).collect::<Vec<_>>();
        assert_eq!(keys(KeySpec::at(1), 3), [1]);
        assert_eq!(keys(KeySpec::from(1, 2), 5), [1, 3]);
        assert_eq!(keys(KeySpec::from(1, 1), 4), [1, 2, 3]);
        assert_eq!(keys(KeySpec::Counted { count: 1 }, 5), [2, 3]);
        assert_eq!(keys(KeySpec::StoreCounted { count: 2 }, 6), [1, 3, 4]);
        assert_eq!(keys(KeySpec::at(2), 2), Vec::<usize>::new());
    }

    #[test]
    fn options_name_keys() {
        let spec = KeySpec::WithStore { key: 1, options: 2, words: &["STORE"], takes: &[("BY", 1), ("LIMIT", 2)] };
        let stores = |line: &str| {
            let mut end = 0;
            let words: Vec<&str> = line.split(' ').collect();
            let range = |word: &&str| {
                end += word.len() as u32;
                (end - word.len() as u32, end)
            };
            let ranges: Vec<(u32, u32)> = words.iter().map(range).collect();
            spec.stores(Args::new(words.concat().as_bytes(), &ranges))
        };
        assert_eq!(stores("SORT k"), Vec::<usize>::new());
        assert_eq!(stores("SORT k ASC store d STORE e STORE"), [4, 6]);
        assert_eq!(stores("SORT k BY STORE LIMIT STORE STORE STORE d"), [8]);
    }

    #[test]
    fn keys_of_migrate_follow_the_word() {
        let keys = |line: &str| {
            let mut buffer = String::new();
            let ranges: Vec<(u32, u32)> = line
                .split(' ')
                .map(|word| {
                    let start = buffer.len() as u32;
                    buffer.push_str(word.trim_matches('"'));
                    (start, buffer.len() as u32)
                })
                .collect();
            migrate_keys(Args::new(buffer.as_bytes(), &ranges))
        };
        assert_eq!(keys("MIGRATE h 1 k 0 9"), 3..4);
        assert_eq!(keys("MIGRATE h 1 k 0 9 COPY AUTH keys"), 3..4);
        assert_eq!(keys("MIGRATE h 1 \"\" 0 9 COPY AUTH2 keys keys KEYS a b"), 11..13);
        assert_eq!(keys("MIGRATE h 1 \"\" 0 9 KEYS"), 7..7);
        assert_eq!(keys("MIGRATE h 1 k 0 9 KEYS a b"), 0..0);
    }

    #[test]
    fn keys_of_streams_follow_the_word() {
        let keys = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            stream_keys(words.into_iter())
        };
        assert_eq!(keys("XREAD STREAMS a b 0 0"), Some(2..4));
        assert_eq!(keys("XREADGROUP GROUP streams streams NOACK COUNT 1 streams a >"), Some(8..9));
        for line in
            ["XREAD", "XREAD STREAMS", "XREAD STREAMS a", "XREAD FOO STREAMS a 0", "XREAD BLOCK", "XREAD GROUP a"]
        {
            assert_eq!(keys(line), None, "{line}");
        }
    }
}
