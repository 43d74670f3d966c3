//! Random commands on streams, and how their replies are compared.
//!
//! Redis 7.4 counts what groups have read otherwise than 7.0 once entries were deleted, and tells more of consumers: the
//! one is compared in the rounds without such commands only, the other is left out.

use crate::Command;
use crate::compare::STALL_MS;
use crate::generate::Generator;
use crate::reply;

/// A reply, taken apart.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Integer(i64),
    Other(Vec<u8>),
    Array(u8, Vec<Value>),
}

fn parse(bytes: &[u8]) -> Value {
    match (reply::integer(bytes), bytes.first()) {
        (Some(number), _) => Value::Integer(number),
        (None, Some(b'*' | b'%' | b'~')) if !bytes.starts_with(b"*-1") => {
            Value::Array(bytes[0], reply::elements(bytes).into_iter().map(parse).collect())
        }
        _ => Value::Other(bytes.to_vec()),
    }
}

fn is_name(value: &Value, names: &[&str]) -> bool {
    let Value::Other(bytes) = value else { return false };
    names.iter().any(|name| *bytes == format!("${}\r\n{name}\r\n", name.len()).into_bytes())
}

/// What is not compared becomes 0, what one side does not have goes.
fn normal(value: Value, counters: bool) -> Value {
    let Value::Array(kind, elements) = value else { return value };
    let mut normalized = Vec::new();
    let mut elements = elements.into_iter().peekable();
    while let Some(element) = elements.next() {
        if is_name(&element, &["inactive", "active-time"]) {
            elements.next();
            continue;
        }
        let hidden = is_name(&element, &["radix-tree-nodes", "seen-time", "idle"])
            || !counters && is_name(&element, &["lag", "entries-read"]);
        normalized.push(normal(element, counters));
        if hidden && elements.next().is_some() {
            normalized.push(Value::Integer(0));
        }
    }
    Value::Array(kind, normalized)
}

/// Equal, but for times, which may be as far apart as the test may be delayed.
fn near(one: &Value, other: &Value) -> bool {
    let time = |at: usize, length: usize| matches!((at, length), (1, 3) | (2, 4));
    match (one, other) {
        (Value::Array(kind, ones), Value::Array(other_kind, others)) => {
            kind == other_kind
                && ones.len() == others.len()
                && ones.iter().zip(others).enumerate().all(|(at, pair)| match pair {
                    (Value::Integer(one), Value::Integer(other)) if time(at, ones.len()) => {
                        (one - other).abs() <= STALL_MS
                    }
                    (one, other) => near(one, other),
                })
        }
        _ => one == other,
    }
}

/// Whether both sides said the same.
pub fn alike(theirs: &[u8], ours: &[u8], counters: bool) -> bool {
    // Redis 7.4 names the command; and 7.0 forgets why it refuses `ms-*` after the last id of `ms`.
    let both = |begin: &[u8]| theirs.starts_with(begin) && ours.starts_with(begin);
    let forgotten = theirs == b"-ERR Elements are too large to be stored\r\n";
    if both(b"-ERR Unbalanced ") || forgotten && ours.starts_with(b"-ERR The ID specified in XADD is equal or smaller")
    {
        return true;
    }
    let [theirs, ours] = [theirs, ours].map(|reply| normal(parse(reply), counters));
    near(&theirs, &ours)
}

/// Whether this is an error that Redis 7.0 does not know: from there on the two sides differ.
pub fn is_newer(ours: &[u8]) -> bool {
    ours == b"-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id\r\n"
}

/// Whether both sides took an id from their clocks, a moment apart: from there on they differ.
pub fn is_by_clock(command: &Command, theirs: &[u8], ours: &[u8]) -> bool {
    let are_ids = theirs.starts_with(b"$") && ours.starts_with(b"$");
    are_ids && theirs != ours && command[0].eq_ignore_ascii_case(b"XADD") && command.iter().any(|word| word == b"*")
}

/// Whether a command has the word BLOCK.
pub fn may_wait(command: &Command) -> bool {
    command.iter().any(|word| word.eq_ignore_ascii_case(b"BLOCK"))
}

/// What makes a redis-server of 7.0 have the consumers that one of 7.4 has after `command`: it makes them even where there
/// is nothing to read or claim.
pub fn consumers_made(command: &Command) -> Vec<Command> {
    let is = |at: usize, word: &str| command.get(at).is_some_and(|given| given.eq_ignore_ascii_case(word.as_bytes()));
    let create = |key: &Vec<u8>, group: usize| {
        let mut create = crate::words("XGROUP CREATECONSUMER");
        create.extend([key.clone(), command[group].clone(), command[group + 1].clone()]);
        create
    };
    if is(0, "XCLAIM") || is(0, "XAUTOCLAIM") {
        return vec![create(&command[1], 2)];
    }
    let streams = (0..command.len()).find(|at| is(*at, "streams")).filter(|_| is(0, "XREADGROUP"));
    let keys = streams.map_or(&[][..], |at| &command[at + 1..]);
    keys[..keys.len() / 2].iter().map(|key| create(key, 2)).collect()
}

/// Random commands.
pub struct Streams {
    dice: Generator,
    /// Whether nothing is deleted, so that counters are alike.
    pub plain: bool,
    next_ms: u64,
}

impl Streams {
    pub fn new(seed: u64) -> Self {
        Self { dice: Generator::new(seed), plain: seed.is_multiple_of(4), next_ms: 1 }
    }

    fn key(&mut self) -> Vec<u8> {
        self.dice.pick(&["k1", "k1", "k1", "k1", "k2", "k2", "k3", "s"]).as_bytes().to_vec()
    }

    fn group(&mut self) -> Vec<u8> {
        self.dice.pick(&["g", "g", "g", "h", ""]).as_bytes().to_vec()
    }

    fn consumer(&mut self) -> Vec<u8> {
        self.dice.pick(&["one", "one", "two", "three", "Two", ""]).as_bytes().to_vec()
    }

    fn field(&mut self) -> Vec<u8> {
        match self.dice.below(30) {
            0 => vec![b'x'; 70 + self.dice.below(3000)],
            1 => b"\0\xff\r\n".to_vec(),
            2 => b"18446744073709551615".to_vec(),
            3 => (self.dice.below(70_000) as i64 - 35_000).to_string().into_bytes(),
            _ => self.dice.pick(&["f", "f", "field", "1", "-7", "", "4095", "9223372036854775807"]).as_bytes().to_vec(),
        }
    }

    /// An id that may be there.
    fn id(&mut self) -> Vec<u8> {
        if self.dice.one_in(25) {
            let odd = [
                "-",
                "+",
                "x",
                "",
                "$",
                ">",
                "1-",
                "007-1",
                "1--0",
                " 3",
                "1-*",
                "*",
                "18446744073709551615",
                "0-0",
                "0",
                "18446744073709551615-18446744073709551615",
                "18446744073709551616",
                "5-x",
                "-5",
                "1-2-3",
            ];
            return self.dice.pick(&odd).as_bytes().to_vec();
        }
        let ms = self.dice.below(self.next_ms as usize + 2);
        match self.dice.below(3) {
            0 => format!("{ms}-{}", self.dice.below(4)),
            _ => ms.to_string(),
        }
        .into_bytes()
    }

    fn end(&mut self, open: &'static str) -> Vec<u8> {
        match self.dice.below(5) {
            0 | 1 => open.as_bytes().to_vec(),
            2 => [b"(".to_vec(), self.id()].concat(),
            _ => self.id(),
        }
    }

    fn count(&mut self) -> Vec<u8> {
        self.dice.pick(&["1", "2", "3", "7", "100", "0", "-1", "x", "1", "2", "3", "9"]).as_bytes().to_vec()
    }

    fn idle(&mut self) -> Vec<u8> {
        // Nothing is that old but what XCLAIM says is.
        self.dice.pick(&["0", "0", "0", "500000", "1500000", "-1", "0", "x"]).as_bytes().to_vec()
    }

    fn trim(&mut self, command: &mut Command) {
        let strategy = self.dice.pick(&["MAXLEN", "MAXLEN", "minid"]);
        command.push(strategy.as_bytes().to_vec());
        match self.dice.below(4) {
            0 => command.push(b"=".to_vec()),
            1 | 2 => command.push(b"~".to_vec()),
            _ => {}
        }
        let threshold = match strategy {
            "minid" => self.id(),
            _ => self.dice.pick(&["0", "3", "10", "50", "120", "200", "-1", "x"]).as_bytes().to_vec(),
        };
        command.push(threshold);
        if self.dice.one_in(4) {
            command.extend([b"LIMIT".to_vec(), self.dice.pick(&["0", "50", "150", "1000", "-1"]).as_bytes().to_vec()]);
        }
    }

    fn add(&mut self) -> Command {
        let mut command = vec![b"XADD".to_vec(), self.key()];
        if self.dice.one_in(10) {
            command.push(b"NOMKSTREAM".to_vec());
        }
        if !self.plain && self.dice.one_in(8) {
            self.trim(&mut command);
        }
        self.next_ms += self.dice.below(2) as u64;
        let id = match self.dice.below(20) {
            0 => self.id(),
            1 => self.next_ms.to_string().into_bytes(),
            2 => {
                self.next_ms += 300;
                format!("{}-{}", self.next_ms, u64::MAX - 1).into_bytes()
            }
            _ => format!("{}-*", self.next_ms).into_bytes(),
        };
        command.push(id);
        for _ in 0..1 + self.dice.below(3) {
            let field = match self.dice.below(4) {
                0 => self.field(),
                _ => b"f".to_vec(),
            };
            command.extend([field, self.field()]);
        }
        command
    }

    fn read(&mut self) -> Command {
        let grouped = !self.dice.one_in(3);
        let mut command = vec![if grouped { b"XREADGROUP".to_vec() } else { b"XREAD".to_vec() }];
        if grouped || self.dice.one_in(20) {
            command.extend([b"group".to_vec(), self.group(), self.consumer()]);
        }
        if self.dice.one_in(2) {
            command.extend([b"COUNT".to_vec(), self.count()]);
        }
        if grouped && self.dice.one_in(5) {
            command.push(b"NOACK".to_vec());
        }
        if self.dice.one_in(6) {
            let timeout = self.dice.pick(&["0", "0", "5", "-1", "x", "1.5"]);
            command.extend([b"BLOCK".to_vec(), timeout.as_bytes().to_vec()]);
        }
        command.push(b"streams".to_vec());
        let keys = if self.dice.one_in(3) { 2 } else { 1 };
        command.extend((0..keys).map(|_| self.key()).collect::<Vec<_>>());
        for _ in 0..keys {
            let id = match self.dice.below(3) {
                0 => self.id(),
                1 => b"0".to_vec(),
                _ => {
                    if grouped {
                        b">".to_vec()
                    } else {
                        b"$".to_vec()
                    }
                }
            };
            // What `+` means is of 7.4, as are the words for ids that are not as many as keys.
            command.push(if id == b"+" { b"0".to_vec() } else { id });
        }
        command
    }

    fn group_command(&mut self) -> Command {
        let name = self.dice.pick(&["CREATE", "CREATE", "CREATE", "setid", "DESTROY", "CREATECONSUMER", "DELCONSUMER"]);
        let mut command = vec![b"XGROUP".to_vec(), name.as_bytes().to_vec(), self.key(), self.group()];
        match name {
            "CREATE" | "setid" => {
                let id = self.dice.pick(&["$", "0", "0", "", "5"]);
                command.push(if id.is_empty() { self.id() } else { id.as_bytes().to_vec() });
                if name == "CREATE" && self.dice.one_in(2) {
                    command.push(b"MKSTREAM".to_vec());
                }
                if !self.plain && self.dice.one_in(4) {
                    command.extend([b"ENTRIESREAD".to_vec(), self.count()]);
                }
            }
            "DESTROY" => {}
            _ => command.push(self.consumer()),
        }
        command
    }

    fn claim(&mut self) -> Command {
        let mut command = vec![b"XCLAIM".to_vec(), self.key(), self.group(), self.consumer(), self.idle()];
        for _ in 0..1 + self.dice.below(3) {
            command.push(self.id());
        }
        for _ in 0..self.dice.below(3) {
            match self.dice.below(8) {
                0 | 1 => command.push(b"FORCE".to_vec()),
                2 | 3 => command.push(b"justid".to_vec()),
                4 => command
                    .extend([b"IDLE".to_vec(), self.dice.pick(&["1000000", "2000000", "-5", "x"]).as_bytes().to_vec()]),
                5 => command.extend([b"RETRYCOUNT".to_vec(), self.count()]),
                6 if !self.plain => command.extend([b"LASTID".to_vec(), self.id()]),
                6 => {}
                _ => command.extend([
                    b"TIME".to_vec(),
                    self.dice.pick(&["1000", "9223372036854775807", "-1"]).as_bytes().to_vec(),
                ]),
            }
        }
        command
    }

    /// The next one.
    pub fn command(&mut self) -> Command {
        let choice = self.dice.below(100);
        let words = |line: &str| crate::words(line);
        let mut command = match choice {
            0..=34 => return self.add(),
            35..=49 => self.read(),
            50..=56 => self.group_command(),
            57..=61 => self.claim(),
            62..=64 => {
                let mut command =
                    vec![b"XAUTOCLAIM".to_vec(), self.key(), self.group(), self.consumer(), self.idle(), self.end("-")];
                if self.dice.one_in(2) {
                    command.extend([b"COUNT".to_vec(), self.count()]);
                }
                if self.dice.one_in(3) {
                    command.push(b"JUSTID".to_vec());
                }
                command
            }
            65..=69 => vec![b"XACK".to_vec(), self.key(), self.group(), self.id(), self.id()],
            70..=74 => {
                let mut command = vec![b"XPENDING".to_vec(), self.key(), self.group()];
                if self.dice.one_in(2) {
                    if self.dice.one_in(3) {
                        command.extend([b"IDLE".to_vec(), self.idle()]);
                    }
                    command.extend([self.end("-"), self.end("+"), self.count()]);
                    if self.dice.one_in(3) {
                        command.push(self.consumer());
                    }
                }
                command
            }
            75..=79 => {
                let back = self.dice.one_in(2);
                let (name, from, to) = if back { ("XREVRANGE", "+", "-") } else { ("xrange", "-", "+") };
                let mut command = vec![name.as_bytes().to_vec(), self.key(), self.end(from), self.end(to)];
                if self.dice.one_in(2) {
                    command.extend([b"COUNT".to_vec(), self.count()]);
                }
                command
            }
            80 | 81 => vec![b"XLEN".to_vec(), self.key()],
            82..=84 => vec![b"XINFO".to_vec(), b"STREAM".to_vec(), self.key()],
            85 => vec![b"XINFO".to_vec(), b"STREAM".to_vec(), self.key(), b"full".to_vec()],
            86 => vec![
                b"XINFO".to_vec(),
                b"STREAM".to_vec(),
                self.key(),
                b"FULL".to_vec(),
                b"COUNT".to_vec(),
                self.count(),
            ],
            87 => vec![b"XINFO".to_vec(), b"GROUPS".to_vec(), self.key()],
            88 => vec![b"XINFO".to_vec(), b"consumers".to_vec(), self.key(), self.group()],
            89 => vec![self.dice.pick(&["TYPE", "EXISTS", "GET"]).as_bytes().to_vec(), self.key()],
            90 => [words("OBJECT ENCODING"), vec![self.key()]].concat(),
            91 => vec![b"COPY".to_vec(), self.key(), self.key(), b"REPLACE".to_vec()],
            92 if self.dice.one_in(4) => vec![b"DEL".to_vec(), self.key()],
            93 if self.dice.one_in(4) => vec![b"SET".to_vec(), b"s".to_vec(), b"v".to_vec()],
            92 | 93 => vec![b"RENAME".to_vec(), self.key(), self.key()],
            _ if self.plain => return self.add(),
            94 | 95 => vec![b"XDEL".to_vec(), self.key(), self.id(), self.id()],
            96 | 97 => {
                let mut command = vec![b"XTRIM".to_vec(), self.key()];
                self.trim(&mut command);
                command
            }
            _ => {
                let mut command = vec![b"XSETID".to_vec(), self.key(), self.id()];
                if self.dice.one_in(2) {
                    command.extend([b"ENTRIESADDED".to_vec(), self.count()]);
                }
                if self.dice.one_in(3) {
                    command.extend([b"MAXDELETEDID".to_vec(), self.id()]);
                }
                command
            }
        };
        if self.dice.one_in(60) {
            command.pop();
        } else if self.dice.one_in(60) {
            command.push(self.field());
        }
        command
    }
}
