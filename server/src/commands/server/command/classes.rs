//! ACL categories and command tips: how Redis classes its commands. Both take a command's full name, since names of
//! subcommands are ambiguous.

use crate::commands::{CommandSpec, Family, Fanout, Handler};
use larder_protocol::{Flags, KeySpec};

/// ACL categories, by the rules of Redis's `setImplicitACLCategories` and the groups of its command files.
pub(super) fn categories(name: &str, spec: &CommandSpec) -> Vec<&'static str> {
    let has = |flag| spec.flags.contains(flag);
    let of_data = spec.keys != KeySpec::None || spec.id != 0;
    let container = matches!(spec.handler, Handler::Container(_));
    let mut categories = Vec::new();
    let mut add = |yes: bool, category| {
        if yes {
            categories.push(category);
        }
    };
    let whole_keyspace = matches!(spec.handler, Handler::ReadAll(..) | Handler::WriteAll(..) | Handler::Scan(_));
    // What the elements of collections are sorted by lies in keys that nobody names.
    let sorts = matches!(name, "sort" | "sort_ro");
    let generic = spec.family == Family::Generic && of_data && !sorts;
    add(generic || whole_keyspace || name == "object|help", "@keyspace");
    add(has(Flags::READONLY), "@read");
    add(has(Flags::WRITE), "@write");
    add(spec.family == Family::String, "@string");
    add(spec.family == Family::Bitmap, "@bitmap");
    add(spec.family == Family::HyperLogLog, "@hyperloglog");
    add(spec.family == Family::Geo, "@geo");
    add(spec.family == Family::Hash, "@hash");
    add(spec.family == Family::List || sorts, "@list");
    add(spec.family == Family::Set || sorts, "@set");
    add(spec.family == Family::SortedSet || sorts, "@sortedset");
    add(spec.family == Family::Stream && !container, "@stream");
    add(has(Flags::PUBSUB), "@pubsub");
    add(has(Flags::ADMIN) || name == "role", "@admin");
    add(has(Flags::FAST), "@fast");
    add(!has(Flags::FAST), "@slow");
    add(has(Flags::BLOCKING), "@blocking");
    let dangerous = matches!(
        name,
        "flushall" | "flushdb" | "info" | "keys" | "migrate" | "restore" | "restore-asking" | "role" | "swapdb"
    );
    add(has(Flags::ADMIN) || dangerous || sorts, "@dangerous");
    // COMMAND and its subcommands are of this category, though of the group server.
    let about_connection = matches!(name, "asking" | "command" | "readonly" | "readwrite" | "wait" | "waitaof")
        || name.starts_with("command|")
        || (spec.family == Family::Connection && !container);
    add(about_connection, "@connection");
    add(spec.family == Family::Transactions, "@transaction");
    categories
}

const VARIES: &str = "nondeterministic_output";
const UNORDERED: &str = "nondeterministic_output_order";
const ALL_SHARDS: &str = "request_policy:all_shards";
const ALL_SUCCEED: &str = "response_policy:all_succeeded";
const SPECIAL: &str = "response_policy:special";

/// Command tips (<https://redis.io/docs/latest/develop/reference/command-tips/>): how a cluster client may split a command,
/// and whether the answer is the same twice.
pub(super) fn tips(name: &str, spec: &CommandSpec) -> Vec<&'static str> {
    match name {
        // One node swaps for the whole cluster: a client that asked each would swap as often.
        "swapdb" => return Vec::new(),
        "ping" => return vec![ALL_SHARDS, ALL_SUCCEED],
        "config|set" => return vec!["request_policy:all_nodes", ALL_SUCCEED],
        "info" | "memory|doctor" | "memory|stats" => return vec![VARIES, ALL_SHARDS, SPECIAL],
        "wait" | "waitaof" => return vec![ALL_SHARDS, "response_policy:agg_min"],
        _ => {}
    }
    let mut tips = split(spec);
    if matches!(
        name,
        "command"
            | "command|docs"
            | "command|info"
            | "command|list"
            | "hgetall"
            | "hkeys"
            | "hvals"
            | "sdiff"
            | "sinter"
            | "smembers"
            | "sunion"
    ) {
        tips.push(UNORDERED);
    }
    let chosen = matches!(name, "hrandfield" | "spop" | "srandmember" | "zrandmember" | "hscan" | "sscan" | "zscan");
    let of_streams = matches!(name, "xadd" | "xautoclaim" | "xclaim" | "xinfo|consumers" | "xpending" | "xtrim");
    let of_time = matches!(name, "hpttl" | "httl" | "migrate" | "pttl" | "time" | "ttl");
    let of_nodes = matches!(
        name,
        "client|info"
            | "client|list"
            | "cluster|getkeysinslot"
            | "cluster|info"
            | "cluster|links"
            | "cluster|nodes"
            | "cluster|replicas"
            | "cluster|shards"
            | "cluster|slots"
    );
    let of_storage = matches!(name, "dump" | "object|encoding" | "object|freq" | "object|idletime" | "object|refcount");
    if chosen || of_streams || of_time || of_nodes || of_storage {
        tips.push(VARIES);
    }
    tips
}

/// How one that goes to several partitions is split, and its answers put together.
fn split(spec: &CommandSpec) -> Vec<&'static str> {
    let (request, fanout) = match spec.handler {
        Handler::ReadFanout(_, fanout) | Handler::WriteFanout(_, fanout) => ("request_policy:multi_shard", fanout),
        Handler::ReadAll(_, fanout) | Handler::WriteAll(_, fanout) => (ALL_SHARDS, fanout),
        Handler::Scan(_) => return vec![VARIES, "request_policy:special", SPECIAL],
        _ => return Vec::new(),
    };
    let mut tips = vec![request];
    match fanout {
        Fanout::Sum => tips.push("response_policy:agg_sum"),
        Fanout::AllOk => tips.push(ALL_SUCCEED),
        Fanout::Concat => tips.push(UNORDERED),
        Fanout::Any => tips.extend([VARIES, SPECIAL]),
        Fanout::PerKey => {}
    }
    tips
}
