//! Clients that wait in line for a queue, at rest: who came first is served first, and who has gone has no place.
//!
//! While things happen, nobody outside of the leader knows in which order commands came to wait. At rest it can be made
//! sure of: the next client comes when the leader counts the one before.

use super::cluster::Cluster;
use super::extras::ask;
use super::node::Connection;
use super::runtime::{Sim, ms, sleep};
use crate::process::{Value, encode, read_value};
use larder::ids::{NodeNo, PartitionId};
use larder::raft::{Partition, Role};
use larder_protocol::slot_of;
use openraft::AsyncRuntime;
use std::sync::Arc;

/// Who waits.
const CLIENTS: usize = 5;
/// What is pushed, at once each; one element for each client.
const PUSHES: [&[&[u8]]; 3] = [&[b"e0", b"e1", b"e2"], &[b"e3"], &[b"e4"]];
/// How long a client waits, in seconds, and whoever looks at it, in milliseconds.
const WAIT_SECONDS: &[u8] = b"60";
const PATIENCE_MS: u64 = 8_000;
/// Looks, and milliseconds between them, until somebody waits or nobody does.
const LOOKS: (u64, u64) = (1_000, 5);
/// How often it begins anew, with another queue, where a message was lost, or another node came to lead on the way, at
/// which everybody comes anew.
const TRIES: u32 = 5;

/// Whether they are served so.
pub async fn check(cluster: &Cluster) -> Result<(), String> {
    for number in 0..TRIES {
        let queue = format!("line{number}");
        let Some(led) = Led::find(cluster, queue.as_bytes()) else {
            sleep(ms(LOOKS.1)).await;
            continue;
        };
        // All who waited before have gone, or their time is over.
        if number == 0 && !led.comes_to(0).await && led.leads_still() {
            return Err(format!("{} wait at node {} though nobody does", led.partition.waiting().0, led.leader));
        }
        let served = led.serve(cluster, queue.as_bytes()).await;
        match led.leads_still() {
            true if served? => {
                cluster.network.counters.line.add(CLIENTS as u64);
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The leader's copy of a queue's partition.
struct Led {
    partition: Arc<Partition>,
    leader: NodeNo,
    term: u64,
}

impl Led {
    fn find(cluster: &Cluster, queue: &[u8]) -> Option<Self> {
        let count = cluster.directory.truth().partitions.len() as u16;
        let index = PartitionId::of_slot(slot_of(queue), count).index();
        cluster.network.nodes().into_iter().find_map(|node| {
            let partition = Arc::clone(&node.routes.partitions()[index]);
            let (role, term) = {
                let state = partition.lock();
                (state.role, state.term)
            };
            (role == Role::Leader).then_some(Self { partition, leader: node.me.node, term })
        })
    }

    fn leads_still(&self) -> bool {
        let state = self.partition.lock();
        (state.role, state.term) == (Role::Leader, self.term)
    }

    /// Whether so many come to wait.
    async fn comes_to(&self, count: usize) -> bool {
        for _ in 0..LOOKS.0 {
            if self.partition.waiting().0 == count {
                return true;
            }
            sleep(ms(LOOKS.1)).await;
        }
        false
    }

    /// Whether it is known that they are served in order; an error where it is known that they are not.
    async fn serve(&self, cluster: &Cluster, queue: &[u8]) -> Result<bool, String> {
        let before = self.partition.waiting().0;
        let mut line: Vec<Connection> = Vec::new();
        for number in 1..=CLIENTS {
            let open = cluster.connect().ok_or("no node runs at rest")?;
            let mut request = Vec::new();
            encode(&[b"BLPOP", queue, WAIT_SECONDS], &mut request);
            let _ = open.requests.send(request);
            line.push(open);
            if !self.comes_to(before + number).await {
                return Ok(false);
            }
        }
        for elements in PUSHES {
            let mut open = cluster.connect().ok_or("no node runs at rest")?;
            let push: Vec<&[u8]> = [&b"RPUSH"[..], queue].into_iter().chain(elements.iter().copied()).collect();
            let (replies, ..) = ask(cluster, &mut open, &[&push], PATIENCE_MS).await;
            if !matches!(replies.as_deref(), Some([Value::Integer(_)])) {
                return Ok(false);
            }
        }
        for (place, (open, element)) in line.iter_mut().zip(PUSHES.concat()).enumerate() {
            let reply = match Sim::timeout(ms(PATIENCE_MS), open.replies.recv()).await {
                Ok(Some(bytes)) => Some(read_value(&mut &bytes[..]).expect("a reply")),
                // The client's own node stopped: restarts one by one go on at rest, too.
                Ok(None) => return Ok(false),
                Err(_) => None,
            };
            let expected =
                Value::Array(Some([queue, element].map(|bulk| Value::Bulk(Some(bulk.to_vec().into()))).into()));
            match reply {
                Some(reply) if reply == expected => {}
                Some(Value::Error(_)) => return Ok(false),
                other => return Err(format!("number {place} in line is answered {other:?} and not {expected:?}")),
            }
        }
        Ok(true)
    }
}
