//! Random commands from a seed.

use crate::Command;
use crate::compare::{Mask, STALL_MS};
use crate::shapes::{self, Family};
use larder::clock;
use std::collections::HashSet;

/// Commands by the shape of their arguments: `k` key, `v` value, `i` integer, `r` index, `f` float, `s`/`m` TTL in
/// seconds/milliseconds, `S`/`M` the same as Unix times, `g` glob; `?` introduces options that are drawn from the
/// command's own list; `*` repeats what stands before it.
#[rustfmt::skip]
const SHAPES: &[(&str, &str)] = &[
    ("GET", "k"), ("SET", "kv?"), ("SET", "kv?"), ("SET", "kv"), ("SETNX", "kv"), ("SETEX", "ksv"), ("PSETEX", "kmv"),
    ("GETSET", "kv"), ("GETDEL", "k"), ("GETEX", "k?"), ("MGET", "k*"), ("MSET", "kv*"), ("MSETNX", "kv*"),
    ("STRLEN", "k"), ("GETRANGE", "krr"), ("SUBSTR", "krr"), ("INCR", "k"), ("INCRBY", "ki"), ("DECR", "k"),
    ("DECRBY", "ki"), ("LCS", "kk?"), ("DEL", "k*"), ("UNLINK", "k*"), ("EXISTS", "k*"), ("TOUCH", "k*"),
    ("TYPE", "k"), ("EXPIRE", "ks?"), ("PEXPIRE", "km?"), ("EXPIREAT", "kS?"), ("PEXPIREAT", "kM?"), ("TTL", "k"),
    ("PTTL", "k"), ("EXPIRETIME", "k"), ("PEXPIRETIME", "k"), ("PERSIST", "k"), ("RENAME", "kk"),
    ("RENAMENX", "kk"), ("COPY", "kk?"), ("RANDOMKEY", ""), ("KEYS", "g"), ("SCAN", "0?"), ("DBSIZE", ""),
    ("OBJECT ENCODING", "k"), ("OBJECT FREQ", "k"), ("OBJECT IDLETIME", "k"), ("OBJECT REFCOUNT", "k"),
    ("MEMORY USAGE", "k?"),
    // Redis remembers that a value came from one of these (OBJECT ENCODING): every other round goes without.
    ("APPEND", "kv"), ("SETRANGE", "krv"), ("INCRBYFLOAT", "kf"),
];
const ENCODING_BLIND: usize = 3;

const OPTIONS: &[(&str, &[&str])] = &[
    ("SET", &["NX", "XX", "GET", "KEEPTTL", "EX s", "PX m", "EXAT S", "PXAT M", "PERSIST", "EX", "FOO"]),
    ("GETEX", &["EX s", "PX m", "EXAT S", "PXAT M", "PERSIST", "KEEPTTL", "PX", "NX"]),
    ("LCS", &["LEN", "IDX", "IDX", "WITHMATCHLEN", "MINMATCHLEN i", "MINMATCHLEN", "FOO"]),
    ("EXPIRE", &["NX", "XX", "GT", "LT", "FOO"]),
    ("PEXPIRE", &["NX", "XX", "GT", "LT", "NX"]),
    ("EXPIREAT", &["NX", "XX", "GT", "LT", "GT"]),
    ("PEXPIREAT", &["NX", "XX", "GT", "LT", "LT"]),
    ("COPY", &["REPLACE", "REPLACE", "DB 0", "DB 99", "DB 2147483648", "DB x", "DB", "FOO"]),
    ("SCAN", &["COUNT 1000", "COUNT 1000", "MATCH g", "TYPE string", "TYPE hash", "COUNT i", "COUNT", "FOO"]),
    ("MEMORY USAGE", &["SAMPLES 5", "SAMPLES i", "SAMPLES", "FOO 1"]),
];

const KEYS: &[&[u8]] = &[b"a", b"b", b"c", b"key:1", b"key:2", b"{tag}x", b"{tag}y", b"", b"bin\0\xff\r\n"];
#[rustfmt::skip]
const VALUES: &[&[u8]] = &[
    b"", b"0", b"1", b"-1", b"42", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"007",
    b"+1", b"-0", b" 1", b"1 ", b"1.5", b"3.0", b"5.0e3", b"-2.5e-3", b"inf", b"nan", b"0x10", b"abc", b"hello world",
    b"ohmytext", b"mynewtext", b"\0\xff\r\n", b"forty-four-bytes-are-the-longest-embedded-str",
    b"forty-five-bytes-are-more-than-what-is-embedded", b"12345678901234567890",
];
/// Fields of hashes, members of sets: few, so that they meet again.
#[rustfmt::skip]
const FIELDS: &[&[u8]] = &[
    b"", b"a", b"b", b"c", b"d", b"e", b"0", b"1", b"-1", b"42", b"300", b"-5000", b"70000", b"9999999", b"3000000000",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"007", b"1.5", b"hello", b"\0\xff\r\n",
    b"sixty-four-bytes-are-the-longest-member-of-a-listpack-by-default", b"hello world",
];
const LONG_FIELD: &[u8] = b"sixty-five-bytes-are-more-than-what-a-listpack-holds-by-default-!";
const BIG: &[u8] = b"big";
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "10",
    "-7",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "x",
    "",
    "1.0",
];

/// A seeded source of commands.
pub struct Generator {
    state: u64,
    start_ms: u64,
    blind: bool,
    ttls: HashSet<u64>,
    family: Option<&'static Family>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            start_ms: clock::unix_ms(),
            blind: seed.is_multiple_of(3),
            ttls: HashSet::new(),
            family: None,
        }
    }

    /// Commands of one type, mixed with some of any.
    pub fn of(family: &'static Family, seed: u64) -> Self {
        Self { family: Some(family), ..Self::new(seed) }
    }

    /// A command that makes the key `big` large.
    pub fn fill(&mut self, family: &'static Family) -> Command {
        let mut command: Command = vec![family.fill.0.as_bytes().to_vec(), BIG.to_vec()];
        for number in 0..(130 + self.below(600)) {
            for shape in family.fill.1.chars() {
                command.push(match shape {
                    'F' => format!("member:{number}").into_bytes(),
                    shape => self.word(shape),
                });
            }
        }
        command
    }

    fn member(&mut self) -> Vec<u8> {
        match self.below(60) {
            0 => LONG_FIELD.to_vec(),
            1..=6 => format!("member:{}", self.below(400)).into_bytes(),
            _ => self.pick(FIELDS).to_vec(),
        }
    }

    /// Scores whose sums and products are exact: Redis 7.0 prints 17 digits, 7.4 the shortest.
    fn score(&mut self) -> Vec<u8> {
        match self.below(16) {
            0 => self.pick(&["", "x", "1 ", " 1", "nan", "1e400", "0x10", "5.", ".5", "1e3"]).as_bytes().to_vec(),
            1 => self.pick(&["inf", "-inf", "+inf", "-0", "0", "100000", "-Infinity"]).as_bytes().to_vec(),
            2..=5 => format!("{}.{}", self.below(6), self.pick(&["5", "25", "75"])).into_bytes(),
            _ => (self.below(12) as i64 - 3).to_string().into_bytes(),
        }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Up to `length` bytes of an alphabet.
    pub fn text(&mut self, alphabet: &[u8], length: usize) -> Vec<u8> {
        (0..self.below(length + 1)).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }

    /// Something that may be a floating point number.
    pub fn float(&mut self) -> Vec<u8> {
        let mut text = self.pick(&["", "", "-", "-", "+"]).to_string();
        if self.one_in(12) {
            let odd = [
                "inf",
                "nan",
                "infinity",
                "0x1.8p3",
                "0xffffffffffffffffff",
                "0x1p-70",
                "1e4932",
                "1.2e4932",
                "1e-4951",
                "1e-5000",
                "1e5000",
                "1e",
                ".",
                ".5",
                "5.",
                "1e+2",
                "1E2",
                "0x",
                "0x.8",
                "1_0",
                "1.18973149535723176502e+4932",
                "3.6e-4951",
                "1.8e-4951",
                "18446744073709551615.5",
                "0e9999",
                "1e0001",
            ];
            text.push_str(self.pick(&odd));
            return text.into_bytes();
        }
        let digits =
            |generator: &mut Self, most| String::from_utf8(generator.text(b"0123456789", most)).unwrap_or_default();
        text.push_str(&digits(self, 4));
        if self.one_in(4) {
            text.push_str(&digits(self, 22));
        }
        if !self.one_in(3) {
            text.push('.');
            let most = if self.one_in(3) { 25 } else { 4 };
            text.push_str(&digits(self, most));
        }
        if self.one_in(4) {
            let most = if self.one_in(4) { 4900 } else { 30 };
            let exponent = self.below(2 * most) as i64 - most as i64;
            text.push_str(&format!("e{exponent}"));
        }
        text.into_bytes()
    }

    /// Deadlines are far away and no two are near each other, so that neither side meets one by chance and GT and LT
    /// decide alike whatever the delay between the sides.
    fn far_s(&mut self) -> u64 {
        loop {
            let ttl = 100_000 + 1_000 * self.next().rem_euclid(1_000_000);
            if self.ttls.insert(ttl) {
                return ttl;
            }
        }
    }

    fn time(&mut self, unit: u64, absolute: bool) -> Vec<u8> {
        if self.one_in(8) {
            // Past ones, impossible ones, and what is no number; never one that is about to pass.
            let soon = |text: &&&str| !absolute && text.parse().is_ok_and(|ttl: i64| (1..1_000_000).contains(&ttl));
            let integers: Vec<&str> = INTEGERS.iter().filter(|text| !soon(text)).copied().collect();
            return self.pick(&integers).as_bytes().to_vec();
        }
        let base = if absolute { self.start_ms / 1000 } else { 0 };
        ((base + self.far_s()) * (1000 / unit)).to_string().into_bytes()
    }

    fn word(&mut self, shape: char) -> Vec<u8> {
        match shape {
            'k' if self.family.is_some() => self.pick(&[BIG, b"k1", b"k1", b"k2", b"k2", b"k3", b"s"]).to_vec(),
            'k' => self.pick(KEYS).to_vec(),
            'F' => self.member(),
            'x' => self.score(),
            'n' if self.one_in(12) => self.pick(INTEGERS).as_bytes().to_vec(),
            'n' => (self.below(12) as i64 - 4).to_string().into_bytes(),
            'B' => {
                let open: &[&str] = if self.one_in(20) { &["["] } else { &["", "", "("] };
                [self.pick(open).as_bytes().to_vec(), self.score()].concat()
            }
            'L' => match self.below(8) {
                0 => self.pick(&["-", "+", "x", "", "(-", "[+"]).as_bytes().to_vec(),
                1 => b"-".to_vec(),
                2 => b"+".to_vec(),
                _ => [self.pick(&[&b"["[..], b"("]).to_vec(), self.member()].concat(),
            },
            'v' => self.pick(VALUES).to_vec(),
            'i' => self.pick(INTEGERS).as_bytes().to_vec(),
            'f' => self.float(),
            'O' | 'A' | 'R' | 'U' => self.geographic(shape).into_bytes(),
            'r' if self.one_in(10) => self.pick(INTEGERS).as_bytes().to_vec(),
            'r' => (self.below(30) as i64 - 12).to_string().into_bytes(),
            's' => self.time(1000, false),
            'm' => self.time(1, false),
            'S' => self.time(1000, true),
            'M' => self.time(1, true),
            'g' => self.text(b"abkey:12{tag}x*?[]^-\\", 6),
            literal => literal.to_string().into_bytes(),
        }
    }

    /// A longitude, latitude, radius or unit: many near each other, some at edges, some wrong.
    fn geographic(&mut self, shape: char) -> String {
        let odd = self.one_in(25);
        match shape {
            'O' if odd => self.pick(&["180", "-180", "180.1", "x", "nan", "inf", "0", "-0", "179.9999"]).into(),
            'A' if odd => self.pick(&["85.05112878", "-85.05112878", "85.06", "90", "", "0", "84.9", "-inf"]).into(),
            'R' if odd => self.pick(&["0", "-1", "x", "inf", "1e300", "1e-300", "nan"]).into(),
            'U' if odd => self.pick(&["yd", "", "M", "Km"]).into(),
            'O' if self.one_in(3) => format!("{:.4}", self.fraction() * 360.0 - 180.0),
            'A' if self.one_in(3) => format!("{:.4}", self.fraction() * 170.1 - 85.05),
            'O' => format!("{:.4}", self.fraction() * 4.0 + 10.0),
            'A' => format!("{:.4}", self.fraction() * 4.0 + 48.0),
            'R' => {
                let most = 10f64.powi(self.below(8) as i32);
                format!("{:.2}", self.fraction() * most)
            }
            _ => self.pick(&["m", "km", "km", "ft", "mi"]).into(),
        }
    }

    /// A number from 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.below(1 << 30) as f64 / (1u64 << 30) as f64
    }

    /// A word in upper or lower case.
    pub fn any_case(&mut self, word: &str) -> Vec<u8> {
        match self.below(3) {
            0 => word.to_ascii_lowercase().into_bytes(),
            _ => word.as_bytes().to_vec(),
        }
    }

    fn options(&mut self, name: &str, command: &mut Command) {
        let all = self.family.map_or(OPTIONS, |family| family.options);
        let known =
            all.iter().chain(OPTIONS).find(|(command, _)| *command == name).map_or(&[][..], |(_, options)| options);
        for _ in 0..self.below(4) {
            let option = self.pick(known);
            for (at, word) in option.split(' ').enumerate() {
                let word = match word {
                    "s" | "m" | "S" | "M" | "i" | "g" | "n" | "x" | "F" | "k" | "O" | "A" | "R" | "U" if at > 0 => {
                        self.word(word.chars().next().unwrap_or('i'))
                    }
                    "hash" | "string" => word.as_bytes().to_vec(),
                    _ => self.any_case(word),
                };
                command.push(word);
            }
        }
    }

    /// The next command, with what has to run just before it.
    pub fn next_commands(&mut self) -> Vec<Command> {
        if self.one_in(300) {
            let mode = self.pick(&["FLUSHALL", "FLUSHDB async", "FLUSHALL sync", "FLUSHALL FOO", "FLUSHDB sync async"]);
            return vec![crate::words(mode)];
        }
        let any_type = self.one_in(6);
        let (name, shape) = match self.family {
            Some(_) if any_type => shapes::any_type(self.below(100)),
            Some(family) => family.shapes[self.below(family.shapes.len())],
            None => SHAPES[self.below(SHAPES.len() - if self.blind { ENCODING_BLIND } else { 0 })],
        };
        let mut command: Command = Vec::new();
        for word in name.split(' ') {
            let word = self.any_case(word);
            command.push(word);
        }
        // What is repeated is what stands after the key, or all where there is only a key.
        let plain = shape.trim_end_matches(['*', '?']);
        let times = if shape.ends_with('*') { 1 + self.below(4) } else { 1 };
        let (once, again) = match plain.split_at(usize::from(self.family.is_some() && plain.len() > 1)) {
            ("k", rest) => ("k", rest),
            _ => ("", plain),
        };
        for shape in once.chars().chain((0..times).flat_map(|_| again.chars())) {
            // The centre and the shape of a GEOSEARCH.
            if matches!(shape, 'G' | 'X') {
                let [one, other] =
                    if shape == 'G' { ["FROMMEMBER F", "FROMLONLAT O A"] } else { ["BYRADIUS R U", "BYBOX R R U"] };
                for word in self.pick(&[one, other]).split(' ') {
                    let letter = word.chars().next().filter(|_| word.len() == 1);
                    let word = letter.map_or_else(|| word.as_bytes().to_vec(), |letter| self.word(letter));
                    command.push(word);
                }
                continue;
            }
            if shape == 'N' {
                let count = 1 + self.below(3);
                command.push(if self.one_in(20) { self.word('i') } else { count.to_string().into_bytes() });
                (0..count).for_each(|_| command.push(self.word('k')));
                continue;
            }
            let word = self.word(shape);
            command.push(word);
        }
        if shape.ends_with('?') {
            self.options(name, &mut command);
        }
        if self.one_in(40) {
            command.pop();
        } else if self.one_in(40) && !self.is_newer_with_more(name) {
            let word = self.word('v');
            command.push(word);
        }
        // Redis 7.0 still negates the least rank, which has no negative.
        let negated = name == "LPOS" && command.iter().any(|word| word == b"-9223372036854775808");
        if negated || command.is_empty() || name == "MEMORY USAGE" && command.len() < 2 {
            return Vec::new();
        }
        if name == "SPOP" && command.len() > 1 {
            // What is left is not the same on both sides.
            let delete = vec![b"DEL".to_vec(), command[1].clone()];
            return vec![command, delete];
        }
        if name == "DBSIZE" || name == "MEMORY USAGE" {
            // Redis keeps what SET stored with a deadline in the past until somebody looks.
            let look = std::iter::once(&b"EXISTS"[..]).chain(KEYS.iter().copied()).map(<[u8]>::to_vec).collect();
            return vec![look, command];
        }
        vec![command]
    }

    /// Whether Redis 7.4 answers otherwise than 7.0 where one more argument follows: ZRANK has an option, a set of words
    /// another encoding.
    fn is_newer_with_more(&self, name: &str) -> bool {
        name.ends_with("RANK") || (name == "SADD" && self.family.is_some_and(|family| family.encodings))
    }

    /// What may differ in the reply to `command`.
    pub fn mask(&self, command: &Command) -> Mask {
        if let Some(mask) = self.family.and_then(|family| mask_of(family, command)) {
            return mask;
        }
        let word = |at: usize| command.get(at).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        match (word(0).as_slice(), word(1).as_slice()) {
            (b"KEYS", _) => Mask::Unordered,
            (b"SCAN", _) if last_count(command) == Some(b"1000") => Mask::ScanOrder,
            (b"SCAN" | b"RANDOMKEY", _) => Mask::Kind,
            (b"TTL" | b"EXPIRETIME", _) => Mask::Near(STALL_MS / 1000),
            (b"PTTL" | b"PEXPIRETIME", _) => Mask::Near(STALL_MS),
            (b"OBJECT", b"IDLETIME" | b"REFCOUNT") | (b"MEMORY", _) => Mask::Kind,
            (b"OBJECT", b"ENCODING") if !self.blind => Mask::Kind,
            _ => Mask::Exact,
        }
    }
}

/// What may differ in the reply to a command on collections.
fn mask_of(family: &Family, command: &Command) -> Option<Mask> {
    let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
    let is = |names: &[&str]| names.contains(&name.as_str());
    let scans = name.len() > 4 && name.ends_with("SCAN");
    if is(family.random) {
        return Some(Mask::Size);
    }
    // Whatever was copied from the large value takes several steps, of other sizes.
    if scans && last_count(command) != Some(b"1000") {
        return Some(Mask::Kind);
    }
    if is(family.unordered) {
        return Some(if scans { Mask::ScanOrder } else { Mask::Unordered });
    }
    if name == "ZRANGE" && family.fill.0 == "GEOADD" {
        return Some(Mask::Digits);
    }
    (name == "OBJECT" && !family.encodings).then_some(Mask::Kind)
}

/// The COUNT of a SCAN that counts.
fn last_count(command: &Command) -> Option<&[u8]> {
    let at = command.iter().rposition(|word| word.eq_ignore_ascii_case(b"COUNT"))?;
    command.get(at + 1).map(Vec::as_slice)
}
