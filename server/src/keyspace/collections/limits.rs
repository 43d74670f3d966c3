//! Up to which sizes collections are small, and how long strings may become: Redis's thresholds, which are settings.
//!
//! They decide on the order of elements, from which SPOP and its kin choose, so every copy must use the same: those that
//! an entry is applied with travel in the entry. See `server/docs/decisions/0012-thresholds-as-settings.md`.

use crate::config::Settings;
use crate::limits::BULK_BYTES_MAX;

/// Bytes of entries up to which a small collection grows, whatever the thresholds say (Redis: `lpSafeToAdd`).
pub(super) const SMALL_BYTES_MAX: usize = 1 << 30;
/// Entries of a small collection: its count takes two bytes.
const SMALL_ENTRIES_MAX: u64 = u16::MAX as u64;
/// Nodes of a list that are limited by their number of elements hold no more bytes than this (Redis:
/// `SIZE_SAFETY_LIMIT`).
const COUNTED_NODE_BYTES_MAX: usize = 8192;
/// Bytes of a block of a stream, whatever the threshold says (Redis: `STREAM_LISTPACK_MAX_SIZE`).
const STREAM_BLOCK_BYTES_MAX: u64 = 1 << 30;

/// The thresholds in force, within what the structures hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `hash-max-listpack-entries`
    pub hash_entries: u32,
    /// `hash-max-listpack-value`
    pub hash_value_bytes: u32,
    /// `set-max-intset-entries`
    pub set_integers: u32,
    /// `set-max-listpack-entries`
    pub set_entries: u32,
    /// `set-max-listpack-value`
    pub set_value_bytes: u32,
    /// `zset-max-listpack-entries`
    pub sorted_set_entries: u32,
    /// `zset-max-listpack-value`
    pub sorted_set_value_bytes: u32,
    /// `list-max-listpack-size`: a number of elements, or the negative of a class of bytes.
    pub list_fill: i32,
    /// `stream-node-max-bytes`: of a block, as Redis's listpacks count them. Decides on what `MAXLEN ~` leaves.
    pub stream_block_bytes: u32,
    /// `stream-node-max-entries`; 0 is no limit.
    pub stream_block_entries: u32,
    /// `hll-sparse-max-bytes`: longest HyperLogLog that is kept sparse, its header included.
    pub sparse_bytes: u32,
    /// `proto-max-bulk-len`: longest string that a command may make. Decides on whether a write is refused.
    pub string_bytes: u32,
}

impl Limits {
    /// Redis's defaults.
    pub const DEFAULT: Self = Self {
        hash_entries: 512,
        hash_value_bytes: 64,
        set_integers: 512,
        set_entries: 128,
        set_value_bytes: 64,
        sorted_set_entries: 128,
        sorted_set_value_bytes: 64,
        list_fill: -2,
        stream_block_bytes: 4096,
        stream_block_entries: 100,
        sparse_bytes: 3000,
        string_bytes: BULK_BYTES_MAX as u32,
    };
    /// How many there are.
    pub const COUNT: usize = 12;
    /// Their settings, in the order of [`Limits::words`].
    const NAMES: [&str; Self::COUNT] = [
        "hash-max-listpack-entries",
        "hash-max-listpack-value",
        "set-max-intset-entries",
        "set-max-listpack-entries",
        "set-max-listpack-value",
        "zset-max-listpack-entries",
        "zset-max-listpack-value",
        "list-max-listpack-size",
        "stream-node-max-bytes",
        "stream-node-max-entries",
        "hll-sparse-max-bytes",
        "proto-max-bulk-len",
    ];

    /// What the settings of a node say.
    pub fn of(settings: &Settings) -> Self {
        Self::from_values(Self::NAMES.map(|name| settings.get(name).parse().unwrap_or(i64::MAX)))
    }

    /// Thresholds of these values, in the order of [`Limits::words`], brought within what the structures hold.
    pub fn from_values(values: [i64; Self::COUNT]) -> Self {
        let most = |at: usize, most: u64| u64::try_from(values[at]).unwrap_or(0).min(most) as u32;
        let any = u64::from(u32::MAX);
        let [fill_min, fill_max] = [-5, 32_767];
        Self {
            // A field takes two entries, or three where it may have a deadline.
            hash_entries: most(0, SMALL_ENTRIES_MAX / 3),
            hash_value_bytes: most(1, any),
            set_integers: most(2, SMALL_ENTRIES_MAX),
            set_entries: most(3, SMALL_ENTRIES_MAX),
            set_value_bytes: most(4, any),
            sorted_set_entries: most(5, SMALL_ENTRIES_MAX / 2),
            sorted_set_value_bytes: most(6, any),
            list_fill: values[7].clamp(fill_min, fill_max) as i32,
            stream_block_bytes: match most(8, STREAM_BLOCK_BYTES_MAX) {
                0 => STREAM_BLOCK_BYTES_MAX as u32,
                bytes => bytes,
            },
            stream_block_entries: most(9, any),
            sparse_bytes: most(10, any),
            string_bytes: most(11, BULK_BYTES_MAX as u64),
        }
    }

    /// Their values, as they travel.
    pub fn words(&self) -> [u32; Self::COUNT] {
        [
            self.hash_entries,
            self.hash_value_bytes,
            self.set_integers,
            self.set_entries,
            self.set_value_bytes,
            self.sorted_set_entries,
            self.sorted_set_value_bytes,
            self.list_fill.cast_unsigned(),
            self.stream_block_bytes,
            self.stream_block_entries,
            self.sparse_bytes,
            self.string_bytes,
        ]
    }

    /// Thresholds of such values, whatever they are.
    pub fn from_words(words: [u32; Self::COUNT]) -> Self {
        let mut values = words.map(i64::from);
        values[7] = i64::from(words[7].cast_signed());
        Self::from_values(values)
    }

    /// What a node of a list holds.
    pub fn list_node(&self) -> NodeLimit {
        match self.list_fill {
            fill @ ..0 => NodeLimit { bytes: 2048 << fill.unsigned_abs(), elements: u32::MAX as usize },
            fill => NodeLimit { bytes: COUNTED_NODE_BYTES_MAX, elements: fill.max(1) as usize },
        }
    }
}

/// How much a node of a list holds: by bytes, or by the number of elements as long as those are small.
#[derive(Debug, Clone, Copy)]
pub struct NodeLimit {
    /// Bytes, as Redis's listpacks count them.
    pub bytes: usize,
    /// Elements.
    pub elements: usize,
}

impl NodeLimit {
    /// Whether so much is too much (Redis: `quicklistNodeExceedsLimit`).
    pub fn is_exceeded(&self, bytes: usize, elements: usize) -> bool {
        bytes > self.bytes || elements > self.elements
    }

    /// Half of it.
    pub fn half(&self) -> Self {
        Self { bytes: self.bytes / 2, elements: self.elements / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_the_settings_say() {
        let settings = Settings::default();
        assert_eq!(Limits::of(&settings), Limits::DEFAULT);
        for (at, name) in Limits::NAMES.into_iter().enumerate() {
            let value = if name == "proto-max-bulk-len" { 1 << 20 } else { 7 };
            settings.set(&[(name.into(), value.to_string())]).unwrap();
            let mut words = Limits::DEFAULT.words();
            words[at] = value;
            let changed = Limits::of(&settings);
            assert_eq!((changed.words(), Limits::from_words(words)), (words, changed), "{name}");
            let default = crate::config::find(name).unwrap().1.default;
            settings.set(&[(name.into(), default.into())]).unwrap();
        }
    }

    #[test]
    fn they_stay_within_what_the_structures_hold() {
        for word in [0, 1, u32::MAX, 1 << 31] {
            let limits = Limits::from_words([word; Limits::COUNT]);
            assert!(limits.hash_entries * 3 <= 65_535 && limits.sorted_set_entries * 2 <= 65_535);
            assert!(limits.set_integers <= 65_535 && limits.set_entries <= 65_535);
            assert!((-5..=32_767).contains(&limits.list_fill) && limits.stream_block_bytes > 0);
            assert_eq!(Limits::from_words(limits.words()), limits);
        }
    }

    #[test]
    fn nodes_of_lists_are_limited_as_in_redis() {
        let node = |list_fill| Limits { list_fill, ..Limits::DEFAULT }.list_node();
        assert_eq!([-1, -2, -3, -4, -5].map(|fill| node(fill).bytes), [4096, 8192, 16_384, 32_768, 65_536]);
        assert_eq!([0, 1, 9].map(|fill| node(fill).elements), [1, 1, 9]);
        assert!(node(3).is_exceeded(8193, 1) && node(3).is_exceeded(9, 4) && !node(3).is_exceeded(8192, 3));
        assert!(!node(-2).is_exceeded(8192, 100_000));
    }
}
