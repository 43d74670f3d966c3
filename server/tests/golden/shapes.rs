//! Commands on collections, by the shape of their arguments.
//!
//! `F` field or member, `n` small number, `x` score, `B` bound of scores, `L` bound of texts, `N` a number of keys and
//! then so many; the other letters are those of `generate`.

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
