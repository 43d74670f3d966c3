//! The judge: hears what happens, looks at the nodes now and then, and stops a run at the first broken promise.

use super::client::Command;
use super::invariants::{self, Invariant};
use super::node::Node;
use super::runtime::current;
use crate::linearizability::{History, PairInput, PairOutput, QueueInput, QueueOutput};
use bytes::Bytes;
use larder::cluster::directory::{DirectoryCommand, DirectoryResponse, DirectoryState};
use larder::ids::{NodeNo, PartitionId};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that happened.
pub enum Event<'a> {
    /// A copy sent a message to another one of its group.
    GroupMessage {
        /// The message.
        body: &'a Bytes,
    },
    /// The directory decided.
    Decided {
        /// On what.
        command: &'a DirectoryCommand,
        /// What it answered.
        response: &'a DirectoryResponse,
        /// Its state from then on.
        state: &'a Arc<DirectoryState>,
    },
    /// A client learned what became of a command.
    Answered(&'a Command),
    /// A node stops since it has leave to.
    StopsWithLeave(NodeNo),
    /// A node is at work again.
    Back(NodeNo),
    /// Something is done to a machine or to the network.
    Fault(&'a str),
}

/// What the judge looks at.
pub struct Scene<'a> {
    /// The nodes that run.
    pub nodes: &'a [Arc<Node>],
}

/// What is known at the end.
pub struct Evidence<'a> {
    /// Every command that a client sent, the last reads included.
    pub commands: &'a [Command],
    /// What was done to pairs of keys, by transactions.
    pub pairs: &'a History<PairInput, PairOutput>,
    /// What was done to queues.
    pub queues: &'a History<QueueInput, QueueOutput>,
    /// What was wrong with the order in which those in line were served, at the end.
    pub line: Option<&'a str>,
    /// What the directory has decided.
    pub directory: &'a DirectoryState,
    /// The nodes that run.
    pub nodes: &'a [Arc<Node>],
    /// Why the cluster did not settle, if it did not.
    pub unsettled: Option<&'a str>,
    /// By how much the clocks of two nodes may have differed.
    pub skew_ms: u64,
    /// Whether items were evicted.
    pub evicts: bool,
    /// The connection that read every key at the end.
    pub last_connection: u64,
    /// Partitions whose leader was the same all through those reads.
    pub stable: &'a BTreeSet<PartitionId>,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub reason: String,
    /// When, in virtual nanoseconds.
    pub at_ns: u64,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.invariant, self.at_ns as f64 / 1e9, self.reason)
    }
}

/// The judge of one run.
pub struct Judge {
    invariants: Mutex<Vec<Box<dyn Invariant>>>,
    violation: Mutex<Option<Violation>>,
    broken: AtomicBool,
    trace: Option<Mutex<Vec<String>>>,
}

impl Judge {
    /// A judge of all invariants; with `trace`, what happens is written down.
    pub fn new(trace: bool) -> Arc<Self> {
        Arc::new(Self {
            invariants: Mutex::new(invariants::all()),
            violation: Mutex::default(),
            broken: AtomicBool::new(false),
            trace: trace.then(Mutex::default),
        })
    }

    /// Whether a promise was broken.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The first promise that was broken.
    pub fn violation(&self) -> Option<Violation> {
        self.violation.lock().clone()
    }

    /// What was written down.
    pub fn take_trace(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| std::mem::take(&mut *trace.lock())).unwrap_or_default()
    }

    /// Writes a line into the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let at = current().now_ns() as f64 / 1e9;
            trace.lock().push(format!("{at:>10.6} {}", line()));
        }
    }

    /// Something happened.
    pub fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Fault(what) => self.note(|| format!("FAULT {what}")),
            Event::Decided { command, response, .. } => self.note(|| format!("directory {command:?} -> {response:?}")),
            Event::Answered(command) => self.note(|| format!("client {command}")),
            Event::StopsWithLeave(no) => self.note(|| format!("node {no} stops with leave")),
            Event::Back(no) => self.note(|| format!("node {no} is back")),
            Event::GroupMessage { .. } => {}
        }
        self.each(|invariant| invariant.hear(event));
    }

    /// Looks at the nodes.
    pub fn look(&self, scene: &Scene<'_>) {
        self.each(|invariant| invariant.look(scene));
    }

    /// The last look.
    pub fn finish(&self, evidence: &Evidence<'_>) {
        self.each(|invariant| invariant.finish(evidence));
    }

    fn each(&self, mut ask: impl FnMut(&mut dyn Invariant) -> Result<(), String>) {
        if self.is_broken() {
            return;
        }
        for invariant in self.invariants.lock().iter_mut() {
            if let Err(reason) = ask(&mut **invariant) {
                let violation = Violation { invariant: invariant.name(), reason, at_ns: current().now_ns() };
                self.note(|| format!("VIOLATION {violation}"));
                *self.violation.lock() = Some(violation);
                self.broken.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}
