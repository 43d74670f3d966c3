//! The table of settings.

/// What a setting's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number of bytes with Redis's units (`100mb`, `1gb`, `2k`), within these bounds.
    Bytes(u64, u64),
    /// An integer within these bounds.
    Integer(i64, i64),
    /// `yes` or `no`.
    YesNo,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// Words: separated by spaces in CONFIG, an array in the file, a flag that may be repeated.
    Words,
    /// A TCP port; 0 picks a free one, unset follows from `port`.
    Port,
    /// HOST:PORT, or nothing.
    HostPort,
    /// Redis's `class hard soft seconds` groups.
    OutputLimits,
}

/// When a setting may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// By CONFIG SET.
    Runtime,
    /// At start only.
    Start,
    /// Never: it states what Larder is to clients that ask.
    Fact,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in CONFIG, in the file, and, after `--`, on the command line.
    pub name: &'static str,
    /// Its values.
    pub kind: Kind,
    /// The value unless set, in the form that CONFIG GET shows; empty where it follows from other settings.
    pub default: &'static str,
    /// When it may change.
    pub change: Change,
    /// Stand-in for the value in `--help`; settings without one have no flag.
    pub placeholder: Option<&'static str>,
    /// What it does, as `--help` says it.
    pub doc: &'static str,
    /// Another name that CONFIG and the file take for it, from earlier versions of Redis.
    pub alias: Option<&'static str>,
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    change: Change,
    placeholder: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, kind, default, change, placeholder: Some(placeholder), doc, alias: None }
}

/// How many elements a collection has while it is small, and the like.
const fn count(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    setting(name, Kind::Integer(0, i64::MAX), default, Runtime, "N", doc)
}

/// How long its elements are, and the like.
const fn length(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    setting(name, Kind::Bytes(0, i64::MAX as u64), default, Runtime, "BYTES", doc)
}

/// A setting that has another name, too.
const fn also(alias: &'static str, setting: Setting) -> Setting {
    Setting { alias: Some(alias), ..setting }
}

const fn fact(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, kind: Kind::Text, default, change: Change::Fact, placeholder: None, doc, alias: None }
}

/// Eviction policies: Redis's, and two that weigh size against use.
pub const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-gdsf",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-gdsf",
    "allkeys-random",
    NO_EVICTION,
];

/// The policy that evicts nothing.
pub const NO_EVICTION: &str = "noeviction";

use Change::{Runtime, Start};

/// Every setting, in the order of `--help`.
pub static SETTINGS: &[Setting] = &[
    setting(
        "bind",
        Kind::Words,
        "127.0.0.1",
        Start,
        "ADDRESS",
        "Addresses to listen on. One that begins with - may be missing on this machine",
    ),
    setting(
        "port",
        Kind::Port,
        "6379",
        Start,
        "PORT",
        "Client port: every key can be reached here, on any node. 0 picks a free port",
    ),
    setting(
        "cluster-port",
        Kind::Port,
        "",
        Start,
        "PORT",
        "Port for cluster-aware clients, which answers MOVED [default: port + 1000]",
    ),
    setting("peer-port", Kind::Port, "", Start, "PORT", "Port for the other nodes [default: port + 10000]"),
    setting(
        "http-port",
        Kind::Port,
        "",
        Start,
        "PORT",
        "Port for /metrics, /healthz and /readyz [default: port + 2000]",
    ),
    setting(
        "advertise-client",
        Kind::HostPort,
        "",
        Start,
        "HOST:PORT",
        "Client address that other machines can reach, if it differs from bind and port",
    ),
    setting(
        "advertise-cluster",
        Kind::HostPort,
        "",
        Start,
        "HOST:PORT",
        "Cluster address that other machines can reach, as CLUSTER SLOTS tells it",
    ),
    setting("advertise-peer", Kind::HostPort, "", Start, "HOST:PORT", "Peer address that the other nodes can reach"),
    setting(
        "data-dir",
        Kind::Text,
        "",
        Start,
        "DIRECTORY",
        "Where the node keeps its identity and the directory's log [default: ./larder-data-PORT]",
    ),
    setting("join", Kind::Words, "", Start, "HOST:PEERPORT", "A node of the cluster to join; may be repeated"),
    setting(
        "replicas",
        Kind::Integer(1, 7),
        "3",
        Start,
        "N",
        "Copies of each partition, where there are so many nodes",
    ),
    setting(
        "zone",
        Kind::Text,
        "",
        Start,
        "NAME",
        "Where the node stands (a rack, a data centre): copies of a partition go to distinct zones where they can",
    ),
    setting("partitions", Kind::Integer(1, 4096), "12", Start, "N", "Partitions of a new cluster"),
    setting(
        "cluster-secret-file",
        Kind::Text,
        "",
        Start,
        "FILE",
        "File with the secret that nodes prove to each other; LARDER_CLUSTER_SECRET does the same",
    ),
    setting(
        "shutdown-grace",
        Kind::Integer(0, 86_400),
        "30",
        Runtime,
        "SECONDS",
        "How long a stop waits for leaderships to be handed over",
    ),
    setting(
        "maxmemory",
        Kind::Bytes(0, i64::MAX as u64),
        "0",
        Runtime,
        "BYTES",
        "Memory limit, with Redis's units (100mb, 2gb); 0 is none",
    ),
    setting(
        "maxmemory-policy",
        Kind::OneOf(POLICIES),
        "",
        Runtime,
        "POLICY",
        "What is evicted at the limit: noeviction, volatile-ttl, or of all keys (allkeys-) or those with a TTL (volatile-) \
         the least recently used (lru), least frequently used (lfu), least used by size (gdsf), any (random) [default: \
         allkeys-lru where maxmemory is set]",
    ),
    setting(
        "lfu-log-factor",
        Kind::Integer(0, 1_000_000),
        "10",
        Runtime,
        "N",
        "The larger, the more uses saturate an item's counter under lfu",
    ),
    setting(
        "lfu-decay-time",
        Kind::Integer(0, 1_000_000),
        "1",
        Runtime,
        "MINUTES",
        "Idle time that takes one off it; 0: none",
    ),
    setting("databases", Kind::Integer(1, u16::MAX as i64), "16", Start, "N", "Databases that SELECT chooses among"),
    setting("maxclients", Kind::Integer(1, 1_000_000), "10000", Runtime, "N", "Most connections of clients"),
    setting("requirepass", Kind::Text, "", Runtime, "PASSWORD", "Password that clients must give"),
    setting(
        "http-token",
        Kind::Text,
        "",
        Runtime,
        "TOKEN",
        "Token that requests to the HTTP port must bring along, but for /healthz and /readyz",
    ),
    setting(
        "protected-mode",
        Kind::YesNo,
        "yes",
        Runtime,
        "YES|NO",
        "Without a password, serve clients of this machine only",
    ),
    setting(
        "timeout",
        Kind::Integer(0, i32::MAX as i64),
        "0",
        Runtime,
        "SECONDS",
        "Close connections idle for so long; 0 never",
    ),
    setting(
        "tcp-keepalive",
        Kind::Integer(0, i32::MAX as i64),
        "300",
        Runtime,
        "SECONDS",
        "Probe idle connections so often; 0 never",
    ),
    setting(
        "proto-max-bulk-len",
        Kind::Bytes(1024 * 1024, 512 * 1024 * 1024),
        "536870912",
        Runtime,
        "BYTES",
        "Longest argument that a client may send, and longest string that APPEND and its kin make",
    ),
    setting(
        "client-output-buffer-limit",
        Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        Runtime,
        "LIMITS",
        "Redis's CLASS HARD SOFT SECONDS: close a client that reads too slowly",
    ),
    setting(
        "loglevel",
        Kind::OneOf(&["debug", "verbose", "notice", "warning", "nothing"]),
        "notice",
        Runtime,
        "LEVEL",
        "debug, verbose, notice, warning or nothing",
    ),
    setting("log-format", Kind::OneOf(&["text", "json"]), "text", Start, "FORMAT", "text or json"),
    // Up to which sizes collections are small: those of a partition's leader apply (decision 0012).
    also(
        "hash-max-ziplist-entries",
        count("hash-max-listpack-entries", "512", "Most fields of a hash that is held as a listpack (21845 at most)"),
    ),
    also("hash-max-ziplist-value", length("hash-max-listpack-value", "64", "Longest field or value of such a hash")),
    also(
        "list-max-ziplist-size",
        setting(
            "list-max-listpack-size",
            Kind::Integer(i32::MIN as i64, i32::MAX as i64),
            "-2",
            Runtime,
            "N",
            "Most elements of a node of a list; -1 to -5: 4, 8, 16, 32 or 64 KiB instead",
        ),
    ),
    count("set-max-intset-entries", "512", "Most members of a set that is held as sorted integers (65535 at most)"),
    count("set-max-listpack-entries", "128", "Most members of a set that is held as a listpack (65535 at most)"),
    length("set-max-listpack-value", "64", "Longest member of such a set"),
    also(
        "zset-max-ziplist-entries",
        count(
            "zset-max-listpack-entries",
            "128",
            "Most members of a sorted set that is held as a listpack (32767 at most)",
        ),
    ),
    also("zset-max-ziplist-value", length("zset-max-listpack-value", "64", "Longest member of such a sorted set")),
    length("stream-node-max-bytes", "4096", "Bytes of a block of a stream; 0: as many as there may be"),
    count("stream-node-max-entries", "100", "Entries of a block of a stream; 0: as many as its bytes allow"),
    length("hll-sparse-max-bytes", "3000", "Longest HyperLogLog that is kept sparse"),
    // What stock clients and tools ask for at start. They state facts; they are no switches.
    fact("list-compress-depth", "0", "Nodes of lists are not compressed"),
    fact("tcp-backlog", "511", "Connections that may wait to be accepted"),
    fact("save", "", "Nothing is written to disk but the directory's log"),
    fact("appendonly", "no", "There is no append-only file"),
    fact("cluster-enabled", "no", "yes on the cluster port, no on the client port"),
];

impl Setting {
    /// Its name, and the other one if it has one.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.alias)
    }
}

/// The setting called `name`, in any case.
pub fn find(name: &str) -> Option<(usize, &'static Setting)> {
    SETTINGS.iter().enumerate().find(|(_, setting)| setting.names().any(|other| other.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value;

    #[test]
    fn names_are_unique_and_defaults_are_canonical() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            setting.names().for_each(|name| assert_eq!(find(name).unwrap().0, index));
            if setting.default.is_empty() {
                continue;
            }
            assert_eq!(value::parse(setting, setting.default).as_deref(), Ok(setting.default), "{}", setting.name);
        }
    }
}
