//! What a command does to its keys: the flags of key specifications.

use crate::commands::CommandSpec;
use larder_protocol::{Args, Flags, KeySpec};

/// A run of keys with the same flags.
pub(super) struct KeyRun {
    /// Position of the first.
    pub first: u16,
    /// Position of the last as COMMAND's `find_keys` has it: relative to the first, or negative from the end.
    pub last: i64,
    /// Distance between keys.
    pub step: u16,
    /// Redis's words: RO, RW, OW, RM; access, update, insert, delete.
    pub flags: &'static [&'static str],
}

const READ: &[&str] = &["RO", "access"];
const LOOK: &[&str] = &["RO"];
const CHANGE: &[&str] = &["RW", "access", "update"];
const UPDATE: &[&str] = &["RW", "update"];
const OVERWRITE: &[&str] = &["OW", "update"];
const INSERT: &[&str] = &["OW", "insert"];
const REMOVE: &[&str] = &["RM", "delete"];

/// What `name` does to its keys, one entry a run. Redis's JSON files state the same.
fn access(name: &str, writes: bool) -> &'static [&'static [&'static str]] {
    match name {
        "copy" => &[READ, OVERWRITE],
        "bitop" => &[OVERWRITE, READ],
        "pfmerge" => &[&["RW", "access", "insert"], READ],
        // Redis's may write the cardinality that it found.
        "pfcount" => &[&["RW", "access"]],
        "pfdebug" => &[&["RW", "access"]],
        "bitfield" => &[&["RW", "access", "update", "variable_flags"]],
        "restore" | "restore-asking" => &[OVERWRITE],
        "sinterstore" => &[UPDATE, READ],
        "sdiffstore" | "sunionstore" | "zrangestore" | "geosearchstore" => &[OVERWRITE, READ],
        "smove" => &[&["RW", "access", "delete"], &["RW", "insert"]],
        "lmove" | "rpoplpush" | "blmove" | "brpoplpush" => &[&["RW", "access", "delete"], &["RW", "insert"]],
        "hset" | "hmset" | "hincrby" | "hincrbyfloat" | "zadd" | "geoadd" | "zincrby" | "lset" => match name {
            "hincrby" | "hincrbyfloat" | "zincrby" => &[CHANGE],
            _ => &[UPDATE],
        },
        "hsetnx" | "sadd" | "lpush" | "rpush" | "lpushx" | "rpushx" | "linsert" => &[&["RW", "insert"]],
        "hdel" | "srem" | "zrem" | "zremrangebyrank" | "zremrangebyscore" | "zremrangebylex" | "lrem" | "ltrim" => {
            &[&["RW", "delete"]]
        }
        "spop" | "lpop" | "rpop" | "lmpop" | "zmpop" | "zpopmin" | "zpopmax" | "blpop" | "brpop" | "blmpop"
        | "bzmpop" | "bzpopmin" | "bzpopmax" => &[&["RW", "access", "delete"]],
        "hlen" | "hstrlen" | "hexists" | "sismember" | "scard" | "zcard" | "llen" => &[LOOK],
        "migrate" => &[&["RW", "access", "delete"], &["RW", "access", "delete", "incomplete"]],
        "rename" => &[&["RW", "access", "delete"], OVERWRITE],
        "renamenx" => &[&["RW", "access", "delete"], INSERT],
        "xreadgroup" => &[READ],
        "xlen" => &[LOOK],
        "xadd" | "xack" | "xclaim" | "xsetid" | "setid" => &[UPDATE],
        "xdel" | "xtrim" | "xautoclaim" | "destroy" | "delconsumer" => &[&["RW", "delete"]],
        "create" | "createconsumer" => &[&["RW", "insert"]],
        "exists" | "touch" | "type" | "strlen" | "encoding" | "freq" | "idletime" | "refcount" | "usage" | "watch" => {
            &[LOOK]
        }
        "del" | "unlink" => &[REMOVE],
        "getdel" | "hgetdel" => &[&["RW", "access", "delete"]],
        "set" => &[&["RW", "access", "update", "variable_flags"]],
        "setnx" | "msetnx" => &[INSERT],
        "setex" | "psetex" | "mset" => &[OVERWRITE],
        "append" | "pfadd" => &[&["RW", "insert"]],
        "expire" | "pexpire" | "expireat" | "pexpireat" | "persist" | "setrange" => &[UPDATE],
        "hexpire" | "hpexpire" | "hexpireat" | "hpexpireat" | "hpersist" | "hsetex" => &[UPDATE],
        _ if writes => &[CHANGE],
        _ => &[READ],
    }
}

/// What Redis remarks on the keys of `name`.
pub(super) fn notes(name: &str) -> Option<&'static str> {
    match name {
        "set" => Some("RW and ACCESS due to the optional `GET` argument"),
        "bitfield" => Some("This command allows both access and modification of the key"),
        "getex" => Some("RW and UPDATE because it changes the TTL"),
        "pfcount" => Some("RW because it may change the internal representation of the key, and propagate to replicas"),
        "xadd" => Some("UPDATE instead of INSERT because of the optional trimming feature"),
        _ => None,
    }
}

/// What one call of a command does to its key, where that depends on the arguments (Redis's `variable_flags`).
pub(super) fn of_call(spec: &CommandSpec, args: Args<'_>) -> Option<&'static [&'static str]> {
    let is = |at: usize, word: &str| args.get(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    match spec.name {
        "set" => Some(if (3..args.len()).any(|at| is(at, "get")) { CHANGE } else { OVERWRITE }),
        "bitfield" => {
            let mut at = 2;
            while at < args.len() {
                if is(at, "get") {
                    at += 3;
                } else if is(at, "overflow") {
                    at += 2;
                } else {
                    return Some(CHANGE);
                }
            }
            Some(READ)
        }
        _ => None,
    }
}

/// The runs of keys of `spec`; none where it has no keys.
pub(super) fn runs(spec: &CommandSpec) -> Vec<KeyRun> {
    let access = access(spec.name, spec.flags.contains(Flags::WRITE));
    let (first, last, step) = match spec.keys {
        KeySpec::None => return Vec::new(),
        KeySpec::Range { first, last, step } => (first, last, step),
        KeySpec::Migrate => {
            let run = |first, last, flags| KeyRun { first, last, step: 1, flags };
            return vec![run(3, 0, access[0]), run(6, -1, access[1])];
        }
        KeySpec::Streams => return vec![KeyRun { first: 0, last: -1, step: 1, flags: access[0] }],
        KeySpec::Counted { count } => return vec![KeyRun { first: count + 1, last: 0, step: 1, flags: access[0] }],
        KeySpec::StoreCounted { count } => {
            let run = |first, flags| KeyRun { first, last: 0, step: 1, flags };
            return vec![run(count - 1, OVERWRITE), run(count + 1, READ)];
        }
        KeySpec::WithStore { key, options, .. } => {
            let run = |first, flags| KeyRun { first, last: 0, step: 1, flags };
            return vec![run(key, READ), run(options, OVERWRITE)];
        }
    };
    if access.len() > 1 {
        // Source and destination; the latter of both may be many.
        let one = |(at, flags): (usize, &&'static [&'static str])| KeyRun {
            first: first + at as u16 * step,
            last: if at > 0 && last < 0 { i64::from(last) } else { 0 },
            step: 1,
            flags,
        };
        return access.iter().enumerate().map(one).collect();
    }
    let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
    vec![KeyRun { first, last, step, flags: access[0] }]
}
