//! Redis's RDB format, as far as single values go: what DUMP answers and RESTORE reads.
//!
//! ```text
//! type   value ...   version       checksum
//! u8                 u16, little   u64, little: CRC-64 of all before it
//! ```
//! Knows bytes alone, not the keyspace. Nothing here trusts its input: no length is believed before its bytes are there,
//! and memory grows with what was read, at most by LZF's greatest ratio (see [`lzf`]).

mod crc64;
pub mod lzf;
pub mod packed;
mod payload;
mod read;
pub mod stream;
mod write;
pub mod ziplist;

pub use payload::{VERSION_OF_TIMED_HASHES, VERSION_READ_MAX, VERSION_WRITTEN, open, seal, seal_as};
pub use read::Reader;
pub use write::Writer;

/// Type byte of a string.
pub const TYPE_STRING: u8 = 0;
/// Type byte of a list: a count, then strings.
pub const TYPE_LIST: u8 = 1;
/// Type byte of a set: a count, then strings.
pub const TYPE_SET: u8 = 2;
/// Type byte of a sorted set before Redis 4: a count, then members and their scores as text.
pub const TYPE_SORTED_SET_TEXT: u8 = 3;
/// Type byte of a hash: a count, then fields and values.
pub const TYPE_HASH: u8 = 4;
/// Type byte of a sorted set: a count, then members and their scores as doubles.
pub const TYPE_SORTED_SET: u8 = 5;
/// Type byte of a hash as a zipmap (Redis 2.4).
pub const TYPE_HASH_ZIPMAP: u8 = 9;
/// Type byte of a list as a ziplist (before Redis 3.2).
pub const TYPE_LIST_ZIPLIST: u8 = 10;
/// Type byte of a set as an intset.
pub const TYPE_SET_INTSET: u8 = 11;
/// Type byte of a sorted set as a ziplist (before Redis 7).
pub const TYPE_SORTED_SET_ZIPLIST: u8 = 12;
/// Type byte of a hash as a ziplist (before Redis 7).
pub const TYPE_HASH_ZIPLIST: u8 = 13;
/// Type byte of a list (before Redis 7): a count, then nodes, each a ziplist.
pub const TYPE_LIST_QUICKLIST_ZIPLIST: u8 = 14;
/// Type byte of a stream (Redis 5.0).
pub const TYPE_STREAM: u8 = 15;
/// Type byte of a hash as a listpack.
pub const TYPE_HASH_LISTPACK: u8 = 16;
/// Type byte of a sorted set as a listpack.
pub const TYPE_SORTED_SET_LISTPACK: u8 = 17;
/// Type byte of a list: a count, then nodes, each an element or a listpack.
pub const TYPE_LIST_QUICKLIST: u8 = 18;
/// Type byte of a stream with counters (Redis 7.0).
pub const TYPE_STREAM_2: u8 = 19;
/// Type byte of a set as a listpack (Redis 7.2).
pub const TYPE_SET_LISTPACK: u8 = 20;
/// Type byte of a stream whose consumers say when they were last active (Redis 7.2).
pub const TYPE_STREAM_3: u8 = 21;
/// Type byte of a hash whose fields may have deadlines, as release candidates of Redis 7.4 wrote it: a count, then deadline (0: none),
/// field and value.
pub const TYPE_HASH_METADATA_PRE_GA: u8 = 22;
/// Type byte of a listpack of fields, values and deadlines, as release candidates of Redis 7.4 wrote it.
pub const TYPE_HASH_LISTPACK_EX_PRE_GA: u8 = 23;
/// Type byte of a hash whose fields may have deadlines (Redis 7.4): the soonest deadline (u64), a count, then how much later the
/// field's is, and 1 more (0: none), field and value.
pub const TYPE_HASH_METADATA: u8 = 24;
/// Type byte of such a hash as a listpack (Redis 7.4): the soonest deadline (u64), then fields, values and deadlines (0: none).
pub const TYPE_HASH_LISTPACK_EX: u8 = 25;

/// The bytes are no value of a type that is known.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[error("malformed value")]
pub struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dumped(value: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(TYPE_STRING);
        writer.string(value);
        seal(writer)
    }

    fn restored(payload: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader::new(open(payload)?);
        if reader.byte() != Ok(TYPE_STRING) {
            return None;
        }
        reader.string().ok().map(std::borrow::Cow::into_owned)
    }

    fn values() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            prop::collection::vec(prop::sample::select(b"ab".to_vec()), 0..2000),
            any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            any::<i16>().prop_map(|number| number.to_string().into_bytes()),
            (any::<u8>(), 0usize..70_000).prop_map(|(byte, length)| vec![byte; length]),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in values()) {
            prop_assert_eq!(restored(&dumped(&value)), Some(value));
        }

        /// The checksum catches what was changed; what is behind it never panics, and never grows without bound.
        #[test]
        fn changed_payloads_do_no_harm(value in values(), changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6), cut: usize) {
            let payload = dumped(&value);
            let mut changed = payload.clone();
            for (at, byte) in changes {
                let at = at % changed.len();
                changed[at] = byte;
            }
            if changed != payload {
                prop_assert_eq!(open(&changed), None);
            }
            let mut body = &changed[..changed.len() - 10];
            if cut % 3 == 0 && !body.is_empty() {
                body = &body[..cut % body.len()];
            }
            let mut reader = Reader::new(body);
            let _ = reader.byte();
            if let Ok(string) = reader.string() {
                prop_assert!(string.len() <= body.len() * lzf::RATIO_MAX);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = open(&bytes);
            if let Ok(string) = Reader::new(&bytes).string() {
                prop_assert!(string.len() <= bytes.len() * lzf::RATIO_MAX);
            }
        }
    }

    #[test]
    fn payloads_are_those_of_redis() {
        // DUMP on Redis 7.0.
        assert_eq!(dumped(b"10"), b"\0\xc0\n\n\0n\x9fWE\x0e\xaec\xbb");
    }
}
