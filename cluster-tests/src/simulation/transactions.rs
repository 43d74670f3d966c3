//! Clients that change two keys together, by MULTI and EXEC, with and without WATCH.

use super::cluster::Cluster;
use super::extras::{Stream, ask, is_refusal};
use super::node::Connection;
use crate::linearizability::{Operation, Outcome, PairInput, PairOutput};
use crate::process::Value;
use bytes::Bytes;
use std::sync::Arc;

/// Pairs of keys.
const PAIRS: u64 = 3;
/// Longest wait for replies.
const PATIENCE_MS: u64 = 8_000;
/// Tries of the last read.
const TRIES_MAX: u32 = 20;

/// Both keys of a pair, in one slot.
fn keys(pair: &str) -> (String, String) {
    (format!("{{{pair}}}a"), format!("{{{pair}}}b"))
}

struct Client {
    cluster: Arc<Cluster>,
    stream: Stream,
    number: u32,
    connection: Option<Connection>,
    sequence: u64,
}

/// Runs one until the cluster's load is over.
pub async fn run(cluster: Arc<Cluster>, stream: Stream) {
    let number = cluster.next_connection() as u32;
    let mut client = Client { cluster, stream, number, connection: None, sequence: 0 };
    while !client.cluster.load_is_over() {
        client.turn().await;
        client.stream.pause(60).await;
    }
}

impl Client {
    async fn turn(&mut self) {
        if self.connection.is_none() || self.stream.below(40) == 0 {
            let Some(connection) = self.cluster.connect_by(|count| self.stream.below(count)) else { return };
            self.connection = Some(connection);
        }
        let pair = format!("pair{}", self.stream.below(PAIRS));
        let (first, second) = keys(&pair);
        self.sequence += 1;
        let token = Bytes::from(format!("{}.{};", self.number, self.sequence));
        match self.stream.below(10) {
            0..=2 => {
                let set: [&[&[u8]]; 4] = [
                    &[b"MULTI"],
                    &[b"APPEND", first.as_bytes(), &token],
                    &[b"APPEND", second.as_bytes(), &token],
                    &[b"EXEC"],
                ];
                self.exec(&pair, PairInput::AppendBoth(token.clone()), &set).await;
            }
            3..=4 => {
                let get: [&[&[u8]]; 4] =
                    [&[b"MULTI"], &[b"GET", first.as_bytes()], &[b"GET", second.as_bytes()], &[b"EXEC"]];
                self.exec(&pair, PairInput::ReadBoth, &get).await;
            }
            5 => {
                // What was discarded must never be seen: nobody is told of this token.
                let drop: [&[&[u8]]; 3] = [&[b"MULTI"], &[b"APPEND", first.as_bytes(), &token], &[b"DISCARD"]];
                self.ask(&drop).await;
            }
            _ => self.swap(&pair, token).await,
        }
    }

    async fn ask(&mut self, commands: &[&[&[u8]]]) -> Option<(Option<Vec<Value>>, u64, u64)> {
        let mut connection = self.connection.take()?;
        let answer = ask(&self.cluster, &mut connection, commands, PATIENCE_MS).await;
        if answer.0.is_some() {
            self.connection = Some(connection);
        }
        Some(answer)
    }

    /// A batch that ends with EXEC.
    async fn exec(&mut self, pair: &str, input: PairInput, commands: &[&[&[u8]]]) {
        let Some((replies, invoked_ns, returned_ns)) = self.ask(commands).await else { return };
        let outcome = replies.map_or(Outcome::Unknown, |replies| outcome(&input, replies.last()));
        let client = self.number;
        self.cluster.record_pair(pair, Operation { client, input, outcome, invoked_ns, returned_ns });
    }

    /// Sets both if the first is still what it was when it was read.
    async fn swap(&mut self, pair: &str, value: Bytes) {
        let (first, second) = keys(pair);
        let watch: [&[&[u8]]; 2] = [&[b"WATCH", first.as_bytes()], &[b"GET", first.as_bytes()]];
        let Some((Some(replies), invoked_ns, returned_ns)) = self.ask(&watch).await else { return };
        let (Value::Simple(_), Value::Bulk(seen)) = (&replies[0], &replies[1]) else {
            // Nothing is watched, or not known what: a new connection begins anew.
            self.connection = None;
            return;
        };
        let seen = seen.clone();
        let outcome = Outcome::Ok(PairOutput::First(seen.clone()));
        let (client, input) = (self.number, PairInput::ReadFirst);
        self.cluster.record_pair(pair, Operation { client, input, outcome, invoked_ns, returned_ns });
        self.stream.pause(40).await;
        let set: [&[&[u8]]; 4] =
            [&[b"MULTI"], &[b"SET", first.as_bytes(), &value], &[b"SET", second.as_bytes(), &value], &[b"EXEC"]];
        self.exec(pair, PairInput::Swap { seen, value: value.clone() }, &set).await;
    }
}

/// What an EXEC came to.
fn outcome(input: &PairInput, reply: Option<&Value>) -> Outcome<PairOutput> {
    let replies = match reply {
        Some(Value::Array(Some(replies))) => replies,
        // Null after WATCH: something changed, or the leader did. Nothing was done.
        Some(Value::Array(None) | Value::Bulk(None)) if matches!(input, PairInput::Swap { .. }) => {
            return Outcome::Failed;
        }
        Some(Value::Error(error)) if is_refusal(error) => return Outcome::Failed,
        Some(Value::Error(_)) => return Outcome::Unknown,
        other => panic!("EXEC of {input:?} is answered {other:?}"),
    };
    Outcome::Ok(match (input, &replies[..]) {
        (PairInput::AppendBoth(_), [Value::Integer(one), Value::Integer(other)]) => PairOutput::Lengths(*one, *other),
        (PairInput::ReadBoth, [Value::Bulk(one), Value::Bulk(other)]) => PairOutput::Both(one.clone(), other.clone()),
        (PairInput::Swap { .. }, [Value::Simple(_), Value::Simple(_)]) => PairOutput::Done,
        _ => panic!("EXEC of {input:?} is answered {replies:?}"),
    })
}

/// Reads every pair, each until it is answered.
pub async fn read_all(cluster: &Cluster) -> Result<(), String> {
    let client = cluster.next_connection() as u32;
    for pair in (0..PAIRS).map(|number| format!("pair{number}")) {
        let (first, second) = keys(&pair);
        let get: [&[&[u8]]; 4] = [&[b"MULTI"], &[b"GET", first.as_bytes()], &[b"GET", second.as_bytes()], &[b"EXEC"]];
        let mut tries = 0;
        loop {
            let mut connection = cluster.connect().ok_or("no node runs at rest")?;
            let (replies, invoked_ns, returned_ns) = ask(cluster, &mut connection, &get, PATIENCE_MS).await;
            let input = PairInput::ReadBoth;
            let outcome = replies.map_or(Outcome::Unknown, |replies| outcome(&input, replies.last()));
            if matches!(outcome, Outcome::Ok(_)) {
                cluster.record_pair(&pair, Operation { client, input, outcome, invoked_ns, returned_ns });
                break;
            }
            tries += 1;
            if tries > TRIES_MAX {
                return Err(format!("{pair} cannot be read at rest: {outcome:?}"));
            }
        }
    }
    Ok(())
}
