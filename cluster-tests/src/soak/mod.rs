//! Long runs of a cluster of real nodes: mixed work, checked, with kills, restarts and drains; and nodes that are the same
//! at the end as they were when they were warm.
//!
//! Work goes in rounds of a bounded number of operations, so that a history can be checked and forgotten. One thing is done
//! to the cluster in each. The first node is never touched: its memory and descriptors are what is watched, as are the
//! latencies of a quiet moment between two rounds.

mod sample;

use crate::process::{Cluster, Load, Node, Value, run_larder, wait_until};
pub use sample::{Findings, Sample};
use std::fmt;
use std::io;
use std::time::Duration;

/// Nodes at rest.
const NODES: usize = 3;
/// Clients.
const CLIENTS: u32 = 6;
/// Operations of a round.
pub const ROUND_OPERATIONS: u64 = 3_000;
/// Longest wait for whatever is done to a cluster.
const LIMIT: Duration = Duration::from_secs(120);

/// What is done to a cluster in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// A node is killed and started again.
    Kill,
    /// A node is stopped in order and started again.
    Restart,
    /// Another node joins, and one is drained and stopped.
    Replace,
}

impl Trouble {
    /// How many there are.
    const KINDS: u64 = 4;

    /// They come in turn.
    fn of(round: u64) -> Self {
        [Self::Nothing, Self::Kill, Self::Restart, Self::Replace][(round % Self::KINDS) as usize]
    }
}

/// A run of at least so many operations, and of each kind of trouble once; calls `say` after each round with what was measured.
///
/// # Panics
/// Where a promise is broken, or a node does not do as it was told.
pub fn run(operations: u64, mut say: impl FnMut(&Round)) -> Findings {
    let mut cluster = Cluster::start(NODES, &["--loglevel", "notice"]);
    // The members beside the first one.
    let mut others = vec![1, 2];
    let mut findings = Findings::default();
    let mut done = 0;
    for number in 0.. {
        let trouble = Trouble::of(number);
        let load = Load::start(cluster.addresses(), CLIENTS);
        load.progress(ROUND_OPERATIONS / 3);
        let turn = (number / Trouble::KINDS) as usize % others.len();
        apply(trouble, &mut cluster, &load, &mut others, turn);
        load.progress(ROUND_OPERATIONS / 3);
        cluster.wait_ready();
        load.set_addresses(cluster.addresses());
        load.progress(ROUND_OPERATIONS / 3);
        let report = load.stop();
        report.verify(cluster[0].address());
        done += report.history.outcomes().0 as u64;
        forget(&cluster[0]);
        let sample = Sample::take(&cluster[0]).expect("the first node runs");
        let round = Round { number, trouble, operations: done, sample };
        say(&round);
        findings.add(round.sample);
        if done >= operations && number + 1 >= Trouble::KINDS {
            break;
        }
    }
    findings
}

/// Deletes everything, so that memory is comparable. Where leaders still move it takes more than one try.
fn forget(node: &Node) {
    wait_until("all keys are deleted", LIMIT, || match node.connect()?.words("FLUSHALL")? {
        Value::Simple(_) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    });
}

fn apply(trouble: Trouble, cluster: &mut Cluster, load: &Load, others: &mut [usize], turn: usize) {
    let node = others[turn];
    let without = |cluster: &Cluster| {
        let gone = cluster[node].address();
        cluster.addresses().into_iter().filter(|address| *address != gone).collect::<Vec<_>>()
    };
    match trouble {
        Trouble::Nothing => {}
        Trouble::Kill => {
            cluster[node].kill();
            load.set_addresses(cluster.addresses());
            load.progress(ROUND_OPERATIONS / 10);
            cluster[node].start_again();
        }
        Trouble::Restart => {
            load.set_addresses(without(cluster));
            cluster[node].stop(LIMIT);
            load.progress(ROUND_OPERATIONS / 10);
            cluster[node].start_again();
        }
        Trouble::Replace => {
            let added = cluster.add();
            cluster[added].wait_ready(LIMIT);
            load.set_addresses(without(cluster));
            let (drained, asked) = (cluster[node].address().to_string(), cluster[0].address().to_string());
            let output = run_larder(&["drain", &drained, "--node", &asked]).expect("larder runs");
            assert!(output.status.success(), "{output:?}");
            cluster[node].stop(LIMIT);
            others[turn] = added;
        }
    }
}

/// What a round came to.
pub struct Round {
    number: u64,
    trouble: Trouble,
    /// Operations that were answered, this round's included.
    operations: u64,
    sample: Sample,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, trouble, operations, sample } = self;
        write!(f, "round {number} ({}): {operations} operations; {sample}", format!("{trouble:?}").to_lowercase())
    }
}
