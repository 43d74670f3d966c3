//! Up to which sizes collections are small: Redis's defaults.
//!
//! They decide on the order of elements, from which SPOP and its kin choose, so every copy must use the same: they are
//! facts (CONFIG GET), no settings of a node. See `server/docs/decisions/0007-collections.md`.

/// `hash-max-listpack-entries`
pub const HASH_ENTRIES_MAX: usize = 512;
/// `hash-max-listpack-value`
pub const HASH_VALUE_BYTES_MAX: usize = 64;
/// `set-max-intset-entries`
pub const SET_INTEGERS_MAX: usize = 512;
/// `set-max-listpack-entries`
pub const SET_ENTRIES_MAX: usize = 128;
/// `set-max-listpack-value`
pub const SET_VALUE_BYTES_MAX: usize = 64;
/// `zset-max-listpack-entries`
pub const SORTED_SET_ENTRIES_MAX: usize = 128;
/// `zset-max-listpack-value`
pub const SORTED_SET_VALUE_BYTES_MAX: usize = 64;
/// `list-max-listpack-size` -2: bytes of a node, as Redis's listpacks count them.
pub const LIST_NODE_BYTES_MAX: usize = 8192;
/// `stream-node-max-bytes`: of a block, as Redis's listpacks count them. Decides on what `MAXLEN ~` leaves.
pub const STREAM_BLOCK_BYTES_MAX: usize = 4096;
/// `stream-node-max-entries`
pub const STREAM_BLOCK_ENTRIES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_config_get_says() {
        let settings = crate::config::Settings::default();
        for (name, limit) in [
            ("hash-max-listpack-entries", HASH_ENTRIES_MAX),
            ("hash-max-listpack-value", HASH_VALUE_BYTES_MAX),
            ("set-max-intset-entries", SET_INTEGERS_MAX),
            ("set-max-listpack-entries", SET_ENTRIES_MAX),
            ("set-max-listpack-value", SET_VALUE_BYTES_MAX),
            ("zset-max-listpack-entries", SORTED_SET_ENTRIES_MAX),
            ("zset-max-listpack-value", SORTED_SET_VALUE_BYTES_MAX),
            ("stream-node-max-bytes", STREAM_BLOCK_BYTES_MAX),
            ("stream-node-max-entries", STREAM_BLOCK_ENTRIES_MAX),
        ] {
            assert_eq!(settings.get(name), limit.to_string(), "{name}");
        }
        assert_eq!((settings.get("list-max-listpack-size").as_str(), LIST_NODE_BYTES_MAX), ("-2", 8192));
    }
}
