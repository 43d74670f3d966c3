//! Clients of keys whose deadlines are farther off than clocks may be wrong: no jump of a clock may end them.

use super::client::{Command, KeyKind, exchange};
use super::cluster::Cluster;
use super::extras::Stream;
use crate::linearizability::{Outcome, StringInput};
use bytes::Bytes;
use std::sync::Arc;

/// Keys, and the number of the first: the ordinary clients use lower ones.
const KEYS: (u64, u64) = (100, 6);
/// Least time to live, and what is drawn beside it.
const TTL_MS: (u64, u64) = (4_000, 8_000);

/// Runs one until the cluster's load is over.
pub async fn run(cluster: Arc<Cluster>, mut stream: Stream) {
    let mut line = None;
    while !cluster.load_is_over() {
        let (connection, number, mut open) = match line.take() {
            Some(line) => line,
            None => match cluster.connect_by(|count| stream.below(count)) {
                Some(open) => (cluster.next_connection(), 0, open),
                None => {
                    stream.pause(50).await;
                    continue;
                }
            },
        };
        let writes = stream.below(4) == 0;
        let (input, ttl_ms) = match writes {
            true => {
                let token = Bytes::from(format!("{connection}.{number};"));
                (StringInput::Set(token), Some(TTL_MS.0 + stream.below(TTL_MS.1)))
            }
            false => (StringInput::Get, None),
        };
        let key = KeyKind::Expiring.key(KEYS.0 + stream.below(KEYS.1));
        let outcome = Outcome::Unknown;
        let mut command = [Command { connection, number, key, input, ttl_ms, outcome, invoked_ns: 0, returned_ns: 0 }];
        if exchange(&cluster, &mut open, &mut command).await {
            line = Some((connection, number + 1, open));
        }
        cluster.record(command.into());
        stream.pause(40).await;
    }
}
