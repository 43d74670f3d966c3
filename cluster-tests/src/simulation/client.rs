//! Clients: connections that send pipelines of commands and write down what they learn.

use super::cluster::Cluster;
use super::judge::Event;
use super::network::below;
use super::node::Connection;
use super::runtime::{Sim, current, ms, sleep};
use crate::linearizability::{Outcome, StringInput, StringOutput};
use bytes::Bytes;
use larder::commands::session::PortKind;
use openraft::AsyncRuntime;
use std::fmt;
use std::sync::Arc;

/// What is done to keys of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// Any of the string commands.
    Mixed,
    /// SET and GET alone, and DEL.
    Register,
    /// APPEND of tokens, and GET.
    Log,
    /// INCRBY, and GET.
    Counter,
    /// SET with a deadline, and GET.
    Expiring,
    /// Large values with a far deadline, which may be evicted, and GET.
    Bulky,
}

/// The kinds.
pub const KINDS: [KeyKind; 6] =
    [KeyKind::Mixed, KeyKind::Register, KeyKind::Log, KeyKind::Counter, KeyKind::Expiring, KeyKind::Bulky];

impl KeyKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Mixed => "mix",
            Self::Register => "reg",
            Self::Log => "log",
            Self::Counter => "sum",
            Self::Expiring => "ttl",
            Self::Bulky => "big",
        }
    }

    /// The key numbered `number`.
    pub fn key(self, number: u64) -> String {
        format!("{}{number}", self.prefix())
    }

    /// The kind of a key.
    pub fn of(key: &str) -> Self {
        KINDS.into_iter().find(|kind| key.starts_with(kind.prefix())).expect("keys are named by their kind")
    }

    /// Whether a value stays until it is overwritten.
    pub fn is_kept(self) -> bool {
        !matches!(self, Self::Expiring | Self::Bulky)
    }
}

/// One command and what became of it.
#[derive(Debug, Clone)]
pub struct Command {
    /// The connection: unique in a run.
    pub connection: u64,
    /// Its place among the connection's commands.
    pub number: u64,
    /// The key.
    pub key: String,
    /// What was asked.
    pub input: StringInput,
    /// The deadline that was asked for, from when it takes effect.
    pub ttl_ms: Option<u64>,
    /// What was learned.
    pub outcome: Outcome<StringOutput>,
    /// True time just before it was sent.
    pub invoked_ns: u64,
    /// True time just after the answer came.
    pub returned_ns: u64,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, number, key, input, outcome, .. } = self;
        write!(
            f,
            "{connection}.{number} {key} {input:?} -> {outcome:?} ({:.6} to {:.6})",
            self.invoked_ns as f64 / 1e9,
            self.returned_ns as f64 / 1e9
        )
    }
}

/// Keys with large values: with a memory limit more than fit.
const BULKY_KEYS: u64 = 120;

/// What the clients of a run do.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many.
    pub clients: u32,
    /// Keys of each kind.
    pub keys: u64,
    /// Longest pipeline.
    pub pipeline_max: u64,
    /// Longest pause between pipelines.
    pub pause_ms_max: u64,
    /// Kinds of keys that are used.
    pub kinds: [bool; KINDS.len()],
}

/// Runs one client until the cluster's load is over.
pub async fn run(cluster: Arc<Cluster>, load: Load) {
    let mut client = Client { cluster, load, connection: None };
    while !client.cluster.load_is_over() {
        client.turn().await;
        sleep(ms(below(load.pause_ms_max + 1))).await;
    }
}

struct Client {
    cluster: Arc<Cluster>,
    load: Load,
    connection: Option<(u64, u64, Connection)>,
}

impl Client {
    async fn turn(&mut self) {
        if self.connection.is_none() || below(60) == 0 {
            let Some(connection) = self.cluster.connect() else { return sleep(ms(50)).await };
            self.connection = Some((self.cluster.next_connection(), 0, connection));
        }
        let Some((id, count, mut connection)) = self.connection.take() else { return };
        let length = 1 + below(self.load.pipeline_max);
        let mut commands: Vec<Command> = (0..length).map(|offset| self.choose(id, count + offset)).collect();
        if exchange(&self.cluster, &mut connection, &mut commands).await {
            self.connection = Some((id, count + length, connection));
        }
        self.cluster.record(commands);
    }

    fn choose(&self, connection: u64, number: u64) -> Command {
        let kinds: Vec<KeyKind> =
            KINDS.into_iter().zip(self.load.kinds).filter(|(_, used)| *used).map(|(kind, _)| kind).collect();
        let kind = kinds[below(kinds.len() as u64) as usize];
        let key = kind.key(below(if kind == KeyKind::Bulky { BULKY_KEYS } else { self.load.keys }));
        let token = Bytes::from(format!("{connection}.{number};"));
        let mut ttl_ms = None;
        let input = match (kind, below(12)) {
            (KeyKind::Mixed, 0..=3) => StringInput::Get,
            (KeyKind::Mixed, 4..=5) => StringInput::Set(token),
            (KeyKind::Mixed, 6..=7) => StringInput::Append(token),
            (KeyKind::Mixed, 8) => StringInput::SetIfAbsent(token),
            (KeyKind::Mixed, 9..=10) => StringInput::Increment(1 + below(100) as i64),
            (KeyKind::Mixed, _) => StringInput::Delete,
            (KeyKind::Register | KeyKind::Log | KeyKind::Counter | KeyKind::Expiring | KeyKind::Bulky, 0..=4) => {
                StringInput::Get
            }
            (KeyKind::Register, 5) => StringInput::Delete,
            (KeyKind::Log, _) => StringInput::Append(token),
            (KeyKind::Counter, _) => StringInput::Increment(1 + below(100) as i64),
            (KeyKind::Register, _) => StringInput::Set(token),
            (KeyKind::Expiring, _) => {
                ttl_ms = Some(50 + below(1500));
                StringInput::Set(token)
            }
            (KeyKind::Bulky, _) => {
                ttl_ms = Some(3_600_000);
                let mut value = token.to_vec();
                value.resize(value.len() + 200 + below(3000) as usize, b'x');
                StringInput::Set(value.into())
            }
        };
        let outcome = Outcome::Unknown;
        Command { connection, number, key, input, ttl_ms, outcome, invoked_ns: 0, returned_ns: 0 }
    }
}

/// Sends commands in one batch and takes their replies; false where the connection is of no use any more.
pub async fn exchange(cluster: &Cluster, connection: &mut Connection, commands: &mut [Command]) -> bool {
    let request: Vec<u8> = commands.iter().flat_map(encode).collect();
    let invoked_ns = current().now_ns();
    commands.iter_mut().for_each(|command| command.invoked_ns = invoked_ns);
    sleep(cluster.network.delay()).await;
    let sent = connection.requests.send(request).is_ok();
    let patience = ms(3_000 + below(6_000));
    let reply = match sent {
        true => Sim::timeout(patience, connection.replies.recv()).await.ok().flatten(),
        false => None,
    };
    if reply.is_some() {
        sleep(cluster.network.delay()).await;
    }
    let returned_ns = current().now_ns();
    let mut rest = reply.as_deref().unwrap_or_default();
    for command in commands.iter_mut() {
        command.returned_ns = returned_ns;
        command.outcome = match () {
            () if !sent => Outcome::Failed,
            () if reply.is_none() => Outcome::Unknown,
            () => {
                let (one, more) = cut(rest);
                rest = more;
                parse(&command.input, one)
            }
        };
        let counters = &cluster.network.counters;
        match command.outcome {
            Outcome::Ok(_) => counters.answered.add(1),
            Outcome::Failed => counters.refused.add(1),
            Outcome::Unknown => counters.uncertain.add(1),
        }
        cluster.network.judge.hear(&Event::Answered(command));
    }
    assert!(rest.is_empty(), "more replies than commands: {:?}", String::from_utf8_lossy(rest));
    reply.is_some()
}

/// The port that most clients use.
pub const PORT: PortKind = PortKind::Client;

fn encode(command: &Command) -> Vec<u8> {
    let key = command.key.as_bytes().to_vec();
    let mut words: Vec<Vec<u8>> = match &command.input {
        StringInput::Get => vec![b"GET".to_vec(), key],
        StringInput::Set(value) => vec![b"SET".to_vec(), key, value.to_vec()],
        StringInput::SetIfAbsent(value) => vec![b"SETNX".to_vec(), key, value.to_vec()],
        StringInput::Delete => vec![b"DEL".to_vec(), key],
        StringInput::Append(value) => vec![b"APPEND".to_vec(), key, value.to_vec()],
        StringInput::Increment(by) => vec![b"INCRBY".to_vec(), key, by.to_string().into_bytes()],
    };
    if let Some(ttl_ms) = command.ttl_ms {
        words.extend([b"PX".to_vec(), ttl_ms.to_string().into_bytes()]);
    }
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(&word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The first reply, and what follows it.
fn cut(replies: &[u8]) -> (&[u8], &[u8]) {
    let line = replies.windows(2).position(|pair| pair == b"\r\n").expect("a reply begins with a line") + 2;
    let end = match replies[0] {
        b'$' if &replies[..line] != b"$-1\r\n" => {
            let length = std::str::from_utf8(&replies[1..line - 2]).ok().and_then(|text| text.parse::<usize>().ok());
            line + length.expect("a bulk string has a length") + 2
        }
        _ => line,
    };
    replies.split_at(end)
}

fn parse(input: &StringInput, reply: &[u8]) -> Outcome<StringOutput> {
    let line = std::str::from_utf8(&reply[1..reply.len() - 2]).unwrap_or_default();
    let integer = || line.parse().expect("an integer reply");
    Outcome::Ok(match (input, reply[0]) {
        (StringInput::Increment(_), b'-') if line.starts_with("ERR value is not an integer") => {
            StringOutput::NotInteger
        }
        (StringInput::Increment(_), b'-') if line.starts_with("ERR increment or decrement") => StringOutput::NotInteger,
        (_, b'-') if line.starts_with("UNCERTAIN") => return Outcome::Unknown,
        (_, b'-') => {
            let known = ["CLUSTERDOWN", "MOVED", "OOM", "TRYAGAIN", "LOADING"];
            assert!(known.iter().any(|prefix| line.starts_with(prefix)), "{input:?} is answered {line}");
            return Outcome::Failed;
        }
        (StringInput::Get, b'$') if reply == b"$-1\r\n" => StringOutput::Value(None),
        (StringInput::Get, b'$') => {
            let start = reply.iter().position(|byte| *byte == b'\n').expect("a length line") + 1;
            StringOutput::Value(Some(Bytes::copy_from_slice(&reply[start..reply.len() - 2])))
        }
        (StringInput::Set(_), b'+') => StringOutput::Done,
        (StringInput::SetIfAbsent(_), b':') if integer() == 1 => StringOutput::Done,
        (StringInput::SetIfAbsent(_), b':') => StringOutput::Refused,
        (_, b':') => StringOutput::Integer(integer()),
        _ => panic!("{input:?} is answered {:?}", String::from_utf8_lossy(reply)),
    })
}
