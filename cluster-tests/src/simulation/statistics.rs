//! What happened in runs, by kind.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// It.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)*) => {
        /// Counts of one run, or of many.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Count,)*
        }

        impl Counters {
            /// Adds what another one counted.
            pub fn take(&self, other: &Self) {
                $(self.$name.add(other.$name.get());)*
            }

            /// Each with what it counts.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Commands answered.
    answered: "commands answered",
    /// Commands that certainly had no effect.
    refused: "commands refused",
    /// Commands of unknown fate.
    uncertain: "commands of unknown fate",
    /// Transactions that were carried out.
    transaction: "transactions",
    /// Elements popped from queues.
    pop: "elements popped",
    /// Clients that waited in line at the end.
    line: "clients in line",
    /// Messages between nodes.
    messages: "messages",
    /// Lost on the way.
    message_lost: "messages lost",
    /// Sent into a cut.
    message_cut: "messages into a cut",
    /// Delivered twice.
    message_doubled: "messages doubled",
    /// Much later than others.
    message_late: "messages late, so out of order",
    /// Nodes killed.
    crash: "crashes, memory lost",
    /// Nodes killed and started again while others were down, too.
    crash_double: "crashes of two at once",
    /// Pauses.
    pause: "nodes paused",
    /// Suspensions.
    suspend: "machines suspended",
    /// Slow nodes.
    slow: "nodes slow",
    /// Cuts one way.
    cut_one_way: "cuts one way",
    /// Cuts both ways, of one pair.
    cut_pair: "cuts of one pair",
    /// Nodes cut off from all others.
    cut_off: "nodes cut off",
    /// Wall clocks that jumped.
    clock_jump: "wall clocks that jumped",
    /// Clocks that began to run wrong.
    clock_drift: "clocks that drift",
    /// Leaderships handed over on demand.
    transfer: "leaderships handed over",
    /// Nodes that joined.
    join: "nodes that joined",
    /// Nodes drained.
    drain: "nodes drained",
    /// Orderly stops with leave.
    stop: "orderly stops",
    /// The directory's leader deposed.
    directory_election: "elections of the directory",
    /// Answers of the directory lost.
    directory_lost: "answers of the directory lost",
    /// Bad weather.
    storm: "storms of loss and delay",
    /// Generations begun anew.
    generation: "generations begun anew",
    /// Those before which living copies were sealed.
    generation_sealed: "of them by sealing copies that lived",
    /// Virtual milliseconds.
    virtual_ms: "virtual milliseconds",
    /// Polls of tasks.
    polls: "polls",
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all().into_iter().try_for_each(|(text, count)| writeln!(f, "{count:>14} {text}"))
    }
}
