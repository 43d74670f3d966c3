//! What clients asked, and what they learned.

use std::collections::BTreeMap;

/// What a client learned of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// It took effect between its two instants, and this was the answer.
    Ok(O),
    /// It certainly had no effect (MOVED, TRYAGAIN, OOM and the like).
    Failed,
    /// It may take effect at any time after it was asked for, or never (`-UNCERTAIN`, a closed connection).
    Unknown,
}

/// One operation on one key.
#[derive(Clone, Debug)]
pub struct Operation<I, O> {
    /// Who asked: operations of one client do not overlap.
    pub client: u32,
    /// What was asked.
    pub input: I,
    /// What was learned.
    pub outcome: Outcome<O>,
    /// Monotonic time just before it was sent.
    pub invoked_ns: u64,
    /// Monotonic time just after its answer was read. Says nothing where the outcome is unknown.
    pub returned_ns: u64,
}

/// Operations by key.
#[derive(Clone, Debug)]
pub struct History<I, O> {
    keys: BTreeMap<String, Vec<Operation<I, O>>>,
}

impl<I, O> Default for History<I, O> {
    fn default() -> Self {
        Self { keys: BTreeMap::new() }
    }
}

impl<I, O> History<I, O> {
    /// Adds an operation on `key`, in any order.
    pub fn push(&mut self, key: &str, operation: Operation<I, O>) {
        match self.keys.get_mut(key) {
            Some(operations) => operations.push(operation),
            None => drop(self.keys.insert(key.to_owned(), vec![operation])),
        }
    }

    /// Adds everything that another client recorded.
    pub fn merge(&mut self, other: Self) {
        for (key, mut operations) in other.keys {
            self.keys.entry(key).or_default().append(&mut operations);
        }
    }

    /// Each key with its operations.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &[Operation<I, O>])> {
        self.keys.iter().map(|(key, operations)| (key.as_str(), operations.as_slice()))
    }

    /// Operations of all keys.
    pub fn len(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many operations ended well, were refused, and are of unknown outcome.
    pub fn outcomes(&self) -> (usize, usize, usize) {
        self.keys.values().flatten().fold((0, 0, 0), |(ok, failed, unknown), operation| match operation.outcome {
            Outcome::Ok(_) => (ok + 1, failed, unknown),
            Outcome::Failed => (ok, failed + 1, unknown),
            Outcome::Unknown => (ok, failed, unknown + 1),
        })
    }
}
