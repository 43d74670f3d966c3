//! Traffic beside the ordinary clients': transactions, commands that wait, and keys that must outlive a clock's jump.
//!
//! Each kind runs in some of the seeds alone, and what its clients do is drawn from streams of their own: in the seeds
//! without it nothing is different from what it was before the kind was there.

use super::cluster::Cluster;
use super::runtime::{Handle, Sim, current, ms, sleep};
use super::{lasting, line, queues, transactions};
use crate::process::{Value, encode, read_value};
use openraft::AsyncRuntime;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

/// Sets these streams apart from the run's own.
const STREAM: u64 = 0x7EA5_1DE5;

/// A stream of draws.
pub struct Stream(SmallRng);

impl Stream {
    /// The stream of a run that is numbered so.
    pub fn new(seed: u64, number: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed.wrapping_mul(STREAM) ^ number.rotate_left(32)))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end.max(1))
    }

    /// Waits for up to so many milliseconds.
    pub async fn pause(&mut self, ms_max: u64) {
        sleep(ms(self.below(ms_max + 1))).await;
    }
}

/// Which of them a run has.
#[derive(Debug, Clone, Copy)]
pub struct Extras {
    seed: u64,
    /// Clients that use MULTI, EXEC and WATCH; how many.
    transactions: u64,
    /// Clients of queues.
    queues: u64,
    /// Clients of keys with deadlines far off.
    lasting: u64,
}

impl Extras {
    /// Drawn by the seed. Values without a deadline do not fit runs with a memory limit, and only where clocks jump far a
    /// deadline that is far off is in danger.
    pub fn draw(seed: u64, limited: bool, jumps: bool) -> Self {
        let mut stream = Stream::new(seed, 0);
        let mut some = |wanted: bool| if stream.below(4) == 0 && wanted { 2 + stream.below(2) } else { 0 };
        Self { seed, transactions: some(!limited), queues: some(!limited), lasting: u64::from(jumps) * 2 }
    }

    /// Starts their clients.
    pub fn start(self, cluster: &Arc<Cluster>) -> Vec<Handle<()>> {
        let stream = |kind: u64, number: u64| Stream::new(self.seed, kind << 8 | number);
        let transactions =
            (1..=self.transactions).map(|number| Sim::spawn(transactions::run(Arc::clone(cluster), stream(1, number))));
        let queues = (1..=self.queues).map(|number| Sim::spawn(queues::run(Arc::clone(cluster), stream(2, number))));
        let lasting = (1..=self.lasting).map(|number| Sim::spawn(lasting::run(Arc::clone(cluster), stream(3, number))));
        transactions.chain(queues).chain(lasting).collect()
    }

    /// Has clients wait in line, at rest, after all else.
    pub async fn wait_in_line(self, cluster: &Cluster) -> Result<(), String> {
        if self.queues > 0 { line::check(cluster).await } else { Ok(()) }
    }

    /// Looks at what they left once more, at rest.
    pub async fn finish(self, cluster: &Cluster) -> Result<(), String> {
        if self.transactions > 0 {
            transactions::read_all(cluster).await?;
        }
        if self.queues > 0 {
            queues::empty_all(cluster).await?;
        }
        Ok(())
    }
}

/// Sends commands in one batch to the node that `line` leads to; their replies, or none where the connection is of no use
/// any more. With the true times before and after.
pub async fn ask(
    cluster: &Cluster,
    line: &mut super::node::Connection,
    commands: &[&[&[u8]]],
    patience_ms: u64,
) -> (Option<Vec<Value>>, u64, u64) {
    let mut request = Vec::new();
    commands.iter().for_each(|command| encode(command, &mut request));
    let invoked_ns = current().now_ns();
    sleep(cluster.network.delay()).await;
    let replies = match line.requests.send(request) {
        Ok(()) => Sim::timeout(ms(patience_ms), line.replies.recv()).await.ok().flatten(),
        Err(_) => None,
    };
    if replies.is_some() {
        sleep(cluster.network.delay()).await;
    }
    let replies = replies.map(|bytes| {
        let mut rest = &bytes[..];
        let replies: Vec<Value> =
            commands.iter().map(|_| read_value(&mut rest).expect("a reply to every command")).collect();
        assert!(rest.is_empty(), "more replies than commands: {:?}", String::from_utf8_lossy(rest));
        replies
    });
    (replies, invoked_ns, current().now_ns())
}

/// Whether an error says that nothing was done.
pub fn is_refusal(error: &str) -> bool {
    let known = ["CLUSTERDOWN", "MOVED", "TRYAGAIN", "LOADING", "EXECABORT"];
    let refused = known.iter().any(|prefix| error.starts_with(prefix));
    assert!(refused || error.starts_with("UNCERTAIN"), "an error that no client should see: {error}");
    refused
}
