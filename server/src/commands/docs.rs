//! `server/docs/commands.md`, written from the table.
//!
//! A test compares; `UPDATE_DOCS=1 cargo test -p larder docs::` writes.

use super::spec::{CommandSpec, Family};
use super::table;
use std::fmt::Write;
use std::path::Path;

/// Where a command differs from Redis 7.4, by its full name.
const DIFFERENCES: &[(&str, &str)] = &[
    ("auth", "The only user is `default`."),
    (
        "client|list",
        "What Larder does not have is -1 (`fd`) or 0. TYPE knows normal clients only: there are no others on these ports.",
    ),
    ("client|no-evict", "Kept and shown; clients are closed at output limits only, never for memory."),
    (
        "cluster|forget",
        "Removes a dead node for good, on all nodes. Also takes a unique beginning of an id, or a client address.",
    ),
    ("cluster|links", "Links that this node knows of; times and buffers are left out where they are not measured."),
    (
        "cluster|meet",
        "Answers once the nodes agree. Of the two, the one without data joins; if both hold data, an error.",
    ),
    ("cluster|myshardid", "Each node is a shard of its own: its id is the node's."),
    (
        "cluster|nodes",
        "Every node is a master of the slots that it leads. StackExchange.Redis is told on the client port that there is no cluster.",
    ),
    ("cluster|replicas", "Always empty: copies belong to partitions, not to nodes."),
    ("cluster|shards", "One shard a node, with the slots that it leads."),
    ("cluster|slots", "The leader of each range alone, with its cluster port."),
    ("command|docs", "Without `arguments`."),
    ("config|get", "Redis's names for what there is, and Larder's own settings."),
    ("config|rewrite", "The file is TOML; comments are kept."),
    ("config|set", "`maxmemory-policy` has allkeys-gdsf and volatile-gdsf besides Redis's."),
    ("del", "Keys of several slots are split on the client port; not atomic across slots then."),
    (
        "dump",
        "Writes version 10 of the format, so that servers since Redis 7.0 take it, and 12 where fields of a hash have deadlines; RESTORE reads up to 12. When a stream's consumers were last active is not in it.",
    ),
    ("exists", "Keys of several slots are split on the client port."),
    (
        "flushall",
        "Keys are gone at once and memory is freed in the background, with SYNC too. One entry a partition: \
                  not atomic across partitions.",
    ),
    ("flushdb", "As FLUSHALL."),
    (
        "geosearchstore",
        "STOREDIST computes with the same functions on every machine: the last digit may differ from that of a Redis, whose library of C decides.",
    ),
    ("hgetdel", "As in Redis 8.0."),
    ("hgetex", "As in Redis 8.0."),
    ("hincrbyfloat", "As INCRBYFLOAT."),
    ("hlen", "Fields that are due are never counted, where Redis counts them until it removes them."),
    ("hrandfield", "With repetitions, at most 67,108,864."),
    ("hsetex", "As in Redis 8.0."),
    ("hscan", "The cursor names a place in the order of the fields' hashes: it holds on every copy."),
    ("incrbyfloat", "Computes in x87's 80-bit format on every machine, as Redis does on x86-64."),
    (
        "info",
        "A field whose value Larder does not have is left out. `redis_mode` and `cluster_enabled` depend on the port.",
    ),
    ("keys", "Bytes of a range compare as signed, as Redis's do on x86-64."),
    ("larder", "Larder's own, not of Redis; `since` is a version of Larder."),
    ("larder|drain", "Larder's own."),
    ("larder|help", "Larder's own."),
    ("larder|remove", "Larder's own."),
    ("larder|status", "Larder's own."),
    ("lcs", "Redis's limit on size, in a 32nd of its memory."),
    ("memory|stats", "The fields that Larder has."),
    ("memory|usage", "Exact: SAMPLES is checked and has no effect."),
    (
        "migrate",
        "Keys are served while they are on their way: one that changes meanwhile stays, and an error says so. Not inside of MULTI.",
    ),
    ("mget", "Keys of several slots are split on the client port; not atomic across slots then."),
    ("mset", "Keys of several slots are split on the client port; not atomic across slots then."),
    (
        "object|encoding",
        "Follows from the bytes alone: a value that APPEND, SETRANGE or INCRBYFLOAT made is told like one \
                         that SET made.",
    ),
    ("object|freq", "Uses are counted by the leader; a new one knows of writes only."),
    ("object|idletime", "Recency is kept by the leader and approximate after a failover."),
    ("object|refcount", "Always 1: values are not shared."),
    (
        "pfcount",
        "Leaves the cardinality that it found out of the value: reads change nothing. A fresh one from Redis is used.",
    ),
    ("pfselftest", "Stops at 100,000 elements."),
    ("randomkey", "Picks a partition by its number of keys, then a key."),
    ("readonly", "Until followers answer reads, such a connection is answered MOVED like any other."),
    ("role", "Always `master`, offset 0, no replicas: copies belong to partitions, not to nodes."),
    ("scan", "The cursor names a place in the order of the keys' hashes: it holds while nodes come and go."),
    ("select", "On the cluster port, too, as in Valkey 9: the slot follows from the key alone."),
    ("set", "A deadline in the past (EXAT, PXAT) deletes the key at once."),
    ("srandmember", "With repetitions, at most 67,108,864."),
    ("sscan", "As HSCAN."),
    (
        "shutdown",
        "SAVE is an error: no data is kept on disk. Waits for leave to stop, so that partitions keep their majorities; FORCE does not.",
    ),
    (
        "sort",
        "BY and GET lead to keys in the slot of the key alone, as in a Redis Cluster, on every port. Texts are compared as bytes.",
    ),
    ("sort_ro", "As SORT."),
    (
        "swapdb",
        "For the whole cluster on either port. One entry a partition, O(1) each: not atomic across partitions. Where not all succeed the answer names those of which it is not known.",
    ),
    ("touch", "Keys of several slots are split on the client port."),
    ("unlink", "Keys of several slots are split on the client port; not atomic across slots then."),
    ("xinfo|stream", "`radix-tree-nodes` counts the nodes of Larder's own index of blocks."),
    ("zrandmember", "With repetitions, at most 67,108,864."),
    ("zscan", "As HSCAN."),
];

/// The sections, in the order of the table.
const FAMILIES: &[Family] = &[
    Family::Generic,
    Family::String,
    Family::Bitmap,
    Family::HyperLogLog,
    Family::Geo,
    Family::Hash,
    Family::List,
    Family::Set,
    Family::SortedSet,
    Family::Stream,
    Family::Connection,
    Family::Server,
    Family::Cluster,
    Family::Transactions,
];

/// The whole page.
fn page() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         Written from the command table (`UPDATE_DOCS=1 cargo test -p larder docs::`). Arity counts the name; negative \
         means \"at least\". Options, replies and errors are those of Redis 7.4, except where a difference is given.\n",
    );
    for family in FAMILIES {
        let mut rows = Vec::new();
        for spec in table::all().filter(|spec| spec.family == *family) {
            rows.push((spec.name.to_string(), spec));
            let named = table::subcommands(spec).filter(|sub| !sub.name.is_empty());
            rows.extend(named.map(|sub| (format!("{}|{}", spec.name, sub.name), sub)));
        }
        if rows.is_empty() {
            continue;
        }
        rows.sort_by(|left, right| left.0.cmp(&right.0));
        write_family(&mut page, family.wire(), &rows);
    }
    page
}

fn write_family(page: &mut String, family: &str, rows: &[(String, &CommandSpec)]) {
    let _ = write!(page, "\n## {family}\n\n");
    page.push_str("| Command | Arity | Since | Complexity | Summary | Differences |\n|-|-|-|-|-|-|\n");
    for (name, spec) in rows {
        let difference = DIFFERENCES.iter().find(|(of, _)| of == name).map_or("", |(_, difference)| difference);
        let shown = name.to_ascii_uppercase().replace('|', " ");
        let (arity, since) = (spec.arity.wire(), spec.since);
        let _ =
            writeln!(page, "| {shown} | {arity} | {since} | {} | {} | {difference} |", spec.complexity, spec.summary);
    }
}

#[test]
fn the_page_of_commands_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/commands.md is written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page, "docs/commands.md is stale: run UPDATE_DOCS=1 cargo test -p larder docs::");
}
