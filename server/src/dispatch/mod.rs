//! From a decoded command to its reply.
//!
//! ```text
//!  batch -> Conversation: for each command  lookup -> gates -> - keyed: run under the partition's lock, reply at once
//!                                                              - keyed: join the batch's share of its partition
//!                                                              - connection: its handler
//!                                                              - several partitions, EXEC, WATCH: shares first, then it
//!                         at the end        shares -> route: run here, propose, forward; again where refused
//!                                                 -> replies spliced into their places
//! ```
//!
//! A [`Conversation`] is one connection's side of this and lives in its task; the [`Dispatcher`] is what all share.
//! Replies that are ready go straight into the output. Only once a share is begun are places kept free.

mod ahead;
mod allowance;
mod arguments;
mod blocking;
mod conversation;
mod copies;
mod everywhere;
mod fanout;
mod gates;
mod keyed;
mod lookup;
mod merge;
mod meter;
mod migrate;
mod mset;
mod pending;
mod rejection;
mod route;
mod run;
mod serve;
mod target;
mod transaction;
mod watch;

pub use conversation::Conversation;
pub use lookup::{Entry, Lookup, Unknown};
pub use rejection::Rejection;

use crate::clock::{self, Clocks, Tick, UnixMs};
use crate::cluster::routes::Routes;
use crate::commands::port::NodePort;
use crate::raft::Partition;
use crate::telemetry::Stats;
use blocking::RemoteWaits;
use futures::future::BoxFuture;
use serve::RemoteWatches;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Decides whether a command that may need memory is carried out.
pub trait MemoryGate: Send + Sync + 'static {
    /// Whether there is room for a write to `partition`, after evicting what may be evicted. Called without the
    /// partition's lock. Answers true for a partition that is not led here: its leader decides.
    fn admit(&self, partition: &Partition) -> bool;

    /// Whether there is room for a write to any partition, as far as that is known without looking at one. May be called with a
    /// partition's lock.
    fn has_room(&self) -> bool {
        false
    }
}

/// Memory without a limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl MemoryGate for Unlimited {
    fn admit(&self, _partition: &Partition) -> bool {
        true
    }

    fn has_room(&self) -> bool {
        true
    }
}

/// What the conversations of a node share.
pub struct Dispatcher {
    pub(crate) routes: Arc<Routes>,
    pub(crate) node: Arc<dyn NodePort>,
    pub(crate) memory: Arc<dyn MemoryGate>,
    pub(crate) stats: Arc<Stats>,
    remote_watches: RemoteWatches,
    remote_waits: RemoteWaits,
    /// Numbers of the waits at other nodes.
    waits: AtomicU64,
    seeds: AtomicU64,
    clocks: Clocks,
    sleep: Sleep,
}

/// Waits.
pub type Sleep = Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

impl Dispatcher {
    /// A dispatcher of the partitions in `routes`, counting into `stats`.
    pub fn new(
        routes: Arc<Routes>,
        node: Arc<dyn NodePort>,
        memory: Arc<dyn MemoryGate>,
        stats: Arc<Stats>,
    ) -> Arc<Self> {
        let seed = clock::boot_ns() ^ u64::from(std::process::id()) << 40;
        let sleep = Box::new(|time| Box::pin(tokio::time::sleep(time)) as BoxFuture<'static, ()>);
        Self::with_clocks(routes, node, memory, stats, seed, Clocks::default(), sleep)
    }

    /// The same by other clocks, and with other dice.
    pub fn with_clocks(
        routes: Arc<Routes>,
        node: Arc<dyn NodePort>,
        memory: Arc<dyn MemoryGate>,
        stats: Arc<Stats>,
        seed: u64,
        clocks: Clocks,
        sleep: Sleep,
    ) -> Arc<Self> {
        Arc::new(Self {
            routes,
            node,
            memory,
            stats,
            remote_watches: RemoteWatches::default(),
            remote_waits: RemoteWaits::default(),
            waits: AtomicU64::new(0),
            seeds: AtomicU64::new(seed),
            clocks,
            sleep,
        })
    }

    /// The node that commands see.
    pub fn node(&self) -> &Arc<dyn NodePort> {
        &self.node
    }

    /// The counters.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// A seed for a sequence of dice, different for every caller.
    fn next_seed(&self) -> u64 {
        splitmix(self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))
    }
}

/// The finalizer of SplitMix64: spreads a counter over all bits.
fn splitmix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// The clocks of one batch, both read after the bytes of its last command were.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// For deadlines.
    wall: UnixMs,
    /// For recency: advanced by what each command takes at least, so that those of a batch are told apart.
    tick: Tick,
    /// For leases.
    boot_ns: u64,
}

impl Dispatcher {
    /// This moment.
    fn moment(&self) -> Moment {
        let tick = (self.clocks.tick)();
        Moment { wall: clock::ms_of(tick), tick, boot_ns: (self.clocks.boot_ns)() }
    }
}

impl Moment {
    /// For deadlines: however long the batch, nothing is due early.
    fn wall(&self) -> UnixMs {
        self.wall
    }

    /// A command of so many arguments is run at this moment: the next one comes after it.
    fn pass(&mut self, arguments: usize) {
        self.tick += arguments as u64;
    }
}
