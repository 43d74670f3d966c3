//! Clients of queues: RPUSH, LPOP, and BLPOP, which waits.

use super::cluster::Cluster;
use super::extras::{Stream, ask, is_refusal};
use crate::linearizability::{Operation, Outcome, QueueInput, QueueOutput};
use crate::process::Value;
use bytes::Bytes;
use std::sync::Arc;

/// Queues.
const QUEUES: u64 = 2;
/// Longest wait for replies, beside what the command itself waits.
const PATIENCE_MS: u64 = 8_000;
/// Longest BLPOP.
const WAIT_MS_MAX: u64 = 1_500;
/// Tries of each of the last pops.
const TRIES_MAX: u32 = 20;

fn queue(number: u64) -> String {
    format!("queue{number}")
}

/// Runs one until the cluster's load is over.
pub async fn run(cluster: Arc<Cluster>, mut stream: Stream) {
    let client = cluster.next_connection() as u32;
    let mut line = None;
    let mut sequence = 0;
    while !cluster.load_is_over() {
        let renewed = stream.below(40) == 0;
        let mut open = match line.take().filter(|_| !renewed) {
            Some(open) => open,
            None => match cluster.connect_by(|count| stream.below(count)) {
                Some(open) => open,
                None => {
                    stream.pause(50).await;
                    continue;
                }
            },
        };
        let key = queue(stream.below(QUEUES));
        sequence += 1;
        let token = Bytes::from(format!("{client}.{sequence}"));
        let wait_ms = 1 + stream.below(WAIT_MS_MAX);
        let seconds = format!("{}.{:03}", wait_ms / 1000, wait_ms % 1000);
        let (input, command): (_, Vec<&[u8]>) = match stream.below(10) {
            0..=4 => (QueueInput::Push(token.clone()), vec![b"RPUSH", key.as_bytes(), &token]),
            5 => (QueueInput::Pop, vec![b"LPOP", key.as_bytes()]),
            _ => (QueueInput::Pop, vec![b"BLPOP", key.as_bytes(), seconds.as_bytes()]),
        };
        // Some go before they are served.
        let patience_ms = if stream.below(20) == 0 { wait_ms / 2 } else { PATIENCE_MS + wait_ms };
        let (replies, invoked_ns, returned_ns) = ask(&cluster, &mut open, &[&command], patience_ms).await;
        let outcome = replies.as_ref().map_or(Outcome::Unknown, |replies| outcome(&input, &replies[0]));
        if replies.is_some() {
            line = Some(open);
        }
        cluster.record_queue(&key, Operation { client, input, outcome, invoked_ns, returned_ns });
        stream.pause(40).await;
    }
}

fn outcome(input: &QueueInput, reply: &Value) -> Outcome<QueueOutput> {
    Outcome::Ok(match (input, reply) {
        (_, Value::Error(error)) if is_refusal(error) => return Outcome::Failed,
        (_, Value::Error(_)) => return Outcome::Unknown,
        (QueueInput::Push(_), Value::Integer(length)) => QueueOutput::Length(*length),
        (QueueInput::Pop, Value::Bulk(element)) => QueueOutput::Popped(element.clone()),
        (QueueInput::Pop, Value::Array(None)) => QueueOutput::Popped(None),
        (QueueInput::Pop, Value::Array(Some(both))) => match &both[..] {
            [Value::Bulk(Some(_)), Value::Bulk(Some(element))] => QueueOutput::Popped(Some(element.clone())),
            _ => panic!("a pop is answered {reply:?}"),
        },
        _ => panic!("{input:?} is answered {reply:?}"),
    })
}

/// Pops what is left, so that what was lost is missed.
pub async fn empty_all(cluster: &Cluster) -> Result<(), String> {
    let client = cluster.next_connection() as u32;
    for key in (0..QUEUES).map(queue) {
        let mut tries = 0;
        loop {
            let mut open = cluster.connect().ok_or("no node runs at rest")?;
            let pop: [&[&[u8]]; 1] = [&[b"LPOP", key.as_bytes()]];
            let (replies, invoked_ns, returned_ns) = ask(cluster, &mut open, &pop, PATIENCE_MS).await;
            let input = QueueInput::Pop;
            let outcome = replies.map_or(Outcome::Unknown, |replies| outcome(&input, &replies[0]));
            let is_done = outcome == Outcome::Ok(QueueOutput::Popped(None));
            tries = if matches!(outcome, Outcome::Ok(_)) { 0 } else { tries + 1 };
            cluster.record_queue(&key, Operation { client, input, outcome, invoked_ns, returned_ns });
            if is_done {
                break;
            }
            if tries > TRIES_MAX {
                return Err(format!("{key} cannot be popped from at rest"));
            }
        }
    }
    Ok(())
}
