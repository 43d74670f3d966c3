//! Commands on collections, by the shape of their arguments.
//!
//! `F` field or member, `n` small number, `x` score, `B` bound of scores, `L` bound of texts, `N` a number of keys and
//! then so many, `O` longitude, `A` latitude, `R` radius, `U` its unit; the other letters are those of `generate`.

/// What is drawn from in one test.
pub struct Family {
    /// Names and arguments.
    pub shapes: &'static [(&'static str, &'static str)],
    /// Options by name.
    pub options: &'static [(&'static str, &'static [&'static str])],
    /// A command and its arguments' shape, repeated to fill the key `big`.
    pub fill: (&'static str, &'static str),
    /// Commands whose order Redis does not specify.
    pub unordered: &'static [&'static str],
    /// Commands that choose at random.
    pub random: &'static [&'static str],
    /// Whether Redis 7.0 names the encodings as 7.4 does.
    pub encodings: bool,
}

#[rustfmt::skip]
const ANY_TYPE: &[(&str, &str)] = &[
    ("DEL", "k"), ("TYPE", "k"), ("EXISTS", "k*"), ("RENAME", "kk"), ("COPY", "kk?"), ("OBJECT ENCODING", "k"),
    ("GET", "k"), ("STRLEN", "k"), ("PEXPIRE", "km"), ("PERSIST", "k"), ("SET", "kv"), ("SCAN", "0?"),
];

/// One of [`ANY_TYPE`].
pub fn any_type(number: usize) -> (&'static str, &'static str) {
    ANY_TYPE[number % ANY_TYPE.len()]
}

#[rustfmt::skip]
pub const HASHES: Family = Family {
    shapes: &[
        ("HSET", "kFv*"), ("HSET", "kFF*"), ("HMSET", "kFv*"), ("HSETNX", "kFv"), ("HGET", "kF"), ("HMGET", "kF*"), ("HGETALL", "k"),
        ("HKEYS", "k"), ("HVALS", "k"), ("HDEL", "kF*"), ("HEXISTS", "kF"), ("HLEN", "k"), ("HSTRLEN", "kF"),
        ("HINCRBY", "kFi"), ("HINCRBYFLOAT", "kFf"), ("HRANDFIELD", "k"), ("HRANDFIELD", "kn?"), ("HSCAN", "k0?"),
        ("DEL", "k"),
    ],
    options: &[
        ("HRANDFIELD", &["WITHVALUES", "WITHVALUES", "FOO"]),
        ("HSCAN", &["COUNT 1000", "COUNT 1000", "MATCH g", "COUNT i", "COUNT", "FOO", "TYPE hash"]),
    ],
    fill: ("HSET", "Fv"),
    unordered: &["HGETALL", "HKEYS", "HVALS", "HSCAN"],
    random: &["HRANDFIELD"],
    encodings: true,
};

#[rustfmt::skip]
pub const SETS: Family = Family {
    shapes: &[
        ("SADD", "kF*"), ("SADD", "kF*"), ("SADD", "kF*"), ("SREM", "kF*"), ("SCARD", "k"), ("SISMEMBER", "kF"), ("SMISMEMBER", "kF*"),
        ("SMEMBERS", "k"), ("SMOVE", "kkF"), ("SPOP", "k"), ("SPOP", "kn"), ("SRANDMEMBER", "k"), ("SRANDMEMBER", "kn"),
        ("SINTER", "kk*"), ("SUNION", "kk*"), ("SDIFF", "kk*"), ("SINTERSTORE", "kk*"), ("SUNIONSTORE", "kk*"),
        ("SDIFFSTORE", "kk*"), ("SINTERCARD", "N?"), ("SSCAN", "k0?"), ("DEL", "k"),
    ],
    options: &[
        ("SINTERCARD", &["LIMIT n", "LIMIT n", "LIMIT", "FOO"]),
        ("SSCAN", &["COUNT 1000", "COUNT 1000", "MATCH g", "COUNT i", "COUNT", "FOO"]),
    ],
    fill: ("SADD", "F"),
    unordered: &["SMEMBERS", "SINTER", "SUNION", "SDIFF", "SSCAN"],
    random: &["SRANDMEMBER", "SPOP"],
    encodings: false,
};

#[rustfmt::skip]
pub const LISTS: Family = Family {
    shapes: &[
        ("LPUSH", "kF*"), ("RPUSH", "kF*"), ("LPUSH", "kF*"), ("RPUSH", "kF*"), ("LPUSHX", "kF*"), ("RPUSHX", "kF*"),
        ("LPOP", "k"), ("RPOP", "k"), ("LPOP", "kn"), ("RPOP", "kn"), ("LLEN", "k"), ("LINDEX", "kr"),
        ("LRANGE", "krr"), ("LRANGE", "krr"), ("LSET", "krF"), ("LINSERT", "k?FF"), ("LREM", "knF"), ("LTRIM", "krr"),
        ("LPOS", "kF?"), ("LMOVE", "kk??"), ("RPOPLPUSH", "kk"), ("LMPOP", "N??"), ("DEL", "k"),
    ],
    options: &[
        ("LINSERT", &["BEFORE", "AFTER", "BEFORE", "AFTER", "FOO"]),
        ("LPOS", &["RANK n", "RANK n", "COUNT n", "COUNT 0", "MAXLEN n", "COUNT", "FOO"]),
        ("LMOVE", &["LEFT", "RIGHT", "LEFT", "RIGHT", "LEFT", "RIGHT", "FOO"]),
        ("LMPOP", &["LEFT", "RIGHT", "LEFT", "RIGHT", "COUNT n", "COUNT 2", "FOO"]),
    ],
    fill: ("RPUSH", "F"),
    unordered: &[],
    random: &[],
    encodings: false,
};

#[rustfmt::skip]
pub const SORTED_SETS: Family = Family {
    shapes: &[
        ("ZADD", "kxF*"), ("ZADD", "kxF*"), ("ZADD", "kxF*"), ("ZADD", "kxF*"), ("ZADD", "k?xF"), ("ZADD", "k?xF"), ("ZINCRBY", "kxF"), ("ZREM", "kF*"),
        ("ZCARD", "k"), ("ZCOUNT", "kBB"), ("ZSCORE", "kF"), ("ZMSCORE", "kF*"),
        ("ZRANK", "kF"), ("ZREVRANK", "kF"), ("ZRANGE", "krr?"), ("ZRANGE", "krr?"), ("ZRANGE", "kBB?"),
        ("ZREVRANGE", "krr?"), ("ZRANGEBYSCORE", "kBB?"), ("ZREVRANGEBYSCORE", "kBB?"),
        ("ZRANGESTORE", "kkrr?"), ("ZRANGESTORE", "kkBB?"),
        ("ZREMRANGEBYRANK", "krr"), ("ZREMRANGEBYSCORE", "kBB"),
        ("ZPOPMIN", "k"), ("ZPOPMAX", "k"), ("ZPOPMIN", "kn"), ("ZPOPMAX", "kn"), ("ZMPOP", "N?"),
        ("ZRANDMEMBER", "k"), ("ZRANDMEMBER", "kn?"), ("ZSCAN", "k0?"),
        ("ZUNION", "N?"), ("ZINTER", "N?"), ("ZDIFF", "N?"), ("ZUNIONSTORE", "kN?"), ("ZINTERSTORE", "kN?"), ("ZDIFFSTORE", "kN?"),
        ("ZINTERCARD", "N?"), ("SADD", "k123"), ("DEL", "k"),
    ],
    options: &[
        ("ZADD", &["NX", "XX", "GT", "LT", "CH", "CH", "INCR", "FOO"]),
        ("ZRANGE", &["BYSCORE", "REV", "LIMIT n n", "WITHSCORES", "WITHSCORES", "LIMIT n", "FOO"]),
        ("ZRANGESTORE", &["BYSCORE", "REV", "LIMIT n n", "WITHSCORES", "LIMIT", "FOO"]),
        ("ZREVRANGE", &["WITHSCORES", "WITHSCORES", "FOO"]),
        ("ZRANGEBYSCORE", &["WITHSCORES", "LIMIT n n", "LIMIT n n", "REV"]),
        ("ZREVRANGEBYSCORE", &["WITHSCORES", "LIMIT n n", "LIMIT n n", "FOO"]),
        ("ZMPOP", &["MIN", "MAX", "MIN", "MAX", "COUNT n", "COUNT 2", "FOO"]),
        ("ZRANDMEMBER", &["WITHSCORES", "WITHSCORES", "FOO"]),
        ("ZSCAN", &["COUNT 1000", "COUNT 1000", "MATCH g", "COUNT i", "COUNT", "FOO"]),
        ("ZUNION", &["WEIGHTS x", "WEIGHTS x x", "WEIGHTS x x x", "AGGREGATE SUM", "AGGREGATE MIN", "AGGREGATE MAX", "AGGREGATE", "WITHSCORES", "WITHSCORES", "FOO"]),
        ("ZINTER", &["WEIGHTS x", "WEIGHTS x x", "AGGREGATE SUM", "AGGREGATE MIN", "AGGREGATE MAX", "AGGREGATE foo", "WITHSCORES", "WITHSCORES", "FOO"]),
        ("ZDIFF", &["WITHSCORES", "WITHSCORES", "WEIGHTS x", "FOO"]),
        ("ZUNIONSTORE", &["WEIGHTS x", "WEIGHTS x x", "WEIGHTS x x x", "AGGREGATE SUM", "AGGREGATE MIN", "AGGREGATE MAX", "WITHSCORES", "FOO"]),
        ("ZINTERSTORE", &["WEIGHTS x", "WEIGHTS x x", "AGGREGATE SUM", "AGGREGATE MIN", "AGGREGATE MAX", "WITHSCORES"]),
        ("ZDIFFSTORE", &["WITHSCORES", "FOO", "AGGREGATE SUM"]),
        ("ZINTERCARD", &["LIMIT n", "LIMIT n", "LIMIT", "FOO"]),
    ],
    fill: ("ZADD", "xF"),
    unordered: &["ZSCAN"],
    random: &["ZRANDMEMBER"],
    encodings: true,
};

/// Sorted sets of one score: only there Redis specifies ranges by bytes.
#[rustfmt::skip]
pub const LEXICAL_SETS: Family = Family {
    shapes: &[
        ("ZADD", "k0F*"), ("ZADD", "k0F*"), ("ZADD", "k0F*"), ("ZREM", "kF*"), ("ZLEXCOUNT", "kLL"), ("ZLEXCOUNT", "kLL"),
        ("ZRANGE", "kLL?"), ("ZRANGE", "kLL?"), ("ZRANGE", "kLL?"), ("ZRANGEBYLEX", "kLL?"), ("ZREVRANGEBYLEX", "kLL?"),
        ("ZRANGESTORE", "kkLL?"), ("ZREMRANGEBYLEX", "kLL"), ("ZRANK", "kF"), ("ZREVRANK", "kF"), ("ZRANGE", "krr"), ("DEL", "k"),
    ],
    options: &[
        ("ZRANGE", &["BYLEX", "BYLEX", "BYLEX", "BYLEX", "REV", "LIMIT n n", "WITHSCORES"]),
        ("ZRANGESTORE", &["BYLEX", "BYLEX", "BYLEX", "REV", "LIMIT n n"]),
        ("ZRANGEBYLEX", &["LIMIT n n", "LIMIT n n", "WITHSCORES"]),
        ("ZREVRANGEBYLEX", &["LIMIT n n", "LIMIT n n", "LIMIT n"]),
    ],
    fill: ("ZADD", "0F"),
    unordered: &[],
    random: &[],
    encodings: true,
};

#[rustfmt::skip]
pub const PLACES: Family = Family {
    shapes: &[
        ("GEOADD", "kOAF*"), ("GEOADD", "kOAF*"), ("GEOADD", "kOAF*"), ("GEOADD", "k?OAF"), ("GEODIST", "kFF?"), ("GEODIST", "kFF"),
        ("GEOHASH", "kF*"), ("GEOPOS", "kF*"), ("GEOPOS", "k"), ("ZREM", "kF"), ("DEL", "k"), ("ZADD", "kxF"),
        ("GEORADIUS", "kOARU?"), ("GEORADIUS", "kOARU?"), ("GEORADIUSBYMEMBER", "kFRU?"), ("GEORADIUS_RO", "kOARU?"),
        ("GEORADIUSBYMEMBER_RO", "kFRU?"), ("GEOSEARCH", "kGX?"), ("GEOSEARCH", "kGX?"), ("GEOSEARCH", "k?"),
        ("GEOSEARCHSTORE", "kkGX?"), ("GEOSEARCHSTORE", "kkGX?"), ("ZRANGE", "krr?"), ("ZRANGE", "krr?"),
    ],
    options: &[
        ("GEOADD", &["NX", "XX", "CH", "FOO"]),
        ("GEODIST", &["m", "KM", "ft", "mi", "yd"]),
        ("GEORADIUS", &["WITHDIST", "WITHHASH", "WITHCOORD", "ASC", "DESC", "COUNT n", "COUNT 3", "ANY", "COUNT", "STORE k", "STOREDIST k", "FOO"]),
        ("GEORADIUSBYMEMBER", &["WITHDIST", "WITHHASH", "WITHCOORD", "ASC", "DESC", "COUNT n", "COUNT 3", "ANY", "STORE k", "STOREDIST k"]),
        ("GEORADIUS_RO", &["WITHDIST", "WITHHASH", "WITHCOORD", "ASC", "DESC", "COUNT n", "COUNT 9", "ANY", "STORE k"]),
        ("GEORADIUSBYMEMBER_RO", &["WITHDIST", "WITHHASH", "WITHCOORD", "ASC", "DESC", "COUNT n", "COUNT 3", "ANY"]),
        ("GEOSEARCH", &["WITHDIST", "WITHHASH", "WITHCOORD", "ASC", "DESC", "COUNT n", "COUNT 3", "COUNT 20", "ANY", "BYRADIUS R U", "FROMMEMBER F", "FROMLONLAT O A", "BYBOX R R U", "STOREDIST", "FOO"]),
        ("GEOSEARCHSTORE", &["ASC", "DESC", "COUNT n", "COUNT 3", "ANY", "STOREDIST", "STOREDIST", "WITHDIST", "BYBOX R R U"]),
        ("ZRANGE", &["WITHSCORES"]),
    ],
    fill: ("GEOADD", "OAF"),
    unordered: &[],
    random: &[],
    encodings: true,
};
