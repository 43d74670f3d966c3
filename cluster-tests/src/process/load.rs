//! Clients that keep a cluster busy and write down what they saw.

use super::resp::{Client, Value};
use crate::linearizability::{
    Counterexample, History, Operation, Outcome, StringInput, StringKey, StringOutput, Verdict, check, oracle,
};
use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Keys of each kind that are in use at one time.
const KEYS: u64 = 48;
/// Operations of all clients after which fresh keys are taken, so that no key's history grows long.
const GENERATION: u64 = 10_000;
/// Commands that a client sends at once, at most.
const PIPELINE_MAX: u64 = 8;
/// Longest wait for a reply; the outcome is unknown after it.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause of a client that finds no node, or one that refuses everything.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Findings that a failed check shows.
const WRONG_SHOWN: usize = 5;

/// Refusals: certainly not done.
const REFUSALS: [&str; 8] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "OOM", "NOAUTH"];

/// Something that a client would rather not have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// An error reply.
    Error(String),
    /// A connection that was refused, closed or timed out with commands under way, to the node named.
    Disconnected(SocketAddr, String),
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Recorded>>,
}

struct Shared {
    start: Instant,
    addresses: Mutex<Vec<SocketAddr>>,
    stop: AtomicBool,
    operations: AtomicU64,
}

/// What the clients saw.
pub struct Report {
    /// Every operation.
    pub history: History<StringInput, StringOutput>,
    /// What went wrong, and when.
    pub problems: Vec<(Duration, Problem)>,
}

#[derive(Default)]
struct Recorded {
    history: History<StringInput, StringOutput>,
    problems: Vec<(Duration, Problem)>,
}

impl Load {
    /// Starts `clients` clients, each connected to one of `addresses` at a time.
    pub fn start(addresses: Vec<SocketAddr>, clients: u32) -> Self {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            addresses: Mutex::new(addresses),
            stop: AtomicBool::new(false),
            operations: AtomicU64::new(0),
        });
        let clients = (0..clients)
            .map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || Worker::new(number, shared).run())
            })
            .collect();
        Self { shared, clients }
    }

    /// The nodes that clients connect to from now on; those of other nodes move over.
    pub fn set_addresses(&self, addresses: Vec<SocketAddr>) {
        *self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Waits until `count` more operations were answered.
    ///
    /// # Panics
    /// Where they are not within half a minute.
    pub fn progress(&self, count: u64) {
        let goal = self.shared.operations.load(Ordering::Relaxed) + count;
        super::wait_until("clients make progress", Duration::from_secs(30), || {
            let done = self.shared.operations.load(Ordering::Relaxed);
            if done >= goal { Ok(()) } else { Err(format!("{} operations are missing", goal - done)) }
        });
    }

    /// Stops the clients and gathers what they saw.
    ///
    /// # Panics
    /// If a client did.
    pub fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut report = Report { history: History::default(), problems: Vec::new() };
        for client in self.clients {
            let recorded = client.join().expect("a client");
            report.history.merge(recorded.history);
            report.problems.extend(recorded.problems);
        }
        report.problems.sort_by_key(|(at, _)| *at);
        report
    }
}

struct Worker {
    number: u32,
    shared: Arc<Shared>,
    random: u64,
    sequence: u64,
    recorded: Recorded,
}

impl Worker {
    fn new(number: u32, shared: Arc<Shared>) -> Self {
        let random = 0x9E37_79B9_7F4A_7C15 ^ (u64::from(number) + 1);
        Self { number, shared, random, sequence: 0, recorded: Recorded::default() }
    }

    /// xorshift64*: which keys and commands come is of no consequence, only that they differ.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) % below
    }

    fn run(mut self) -> Recorded {
        let mut turn = self.number as usize;
        while !self.stopped() {
            let addresses = self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let address = addresses[turn % addresses.len()];
            turn += 1;
            match Client::connect(address, REPLY_TIMEOUT) {
                Ok(mut client) => {
                    while !self.stopped() && self.still_named(address) && self.round(&mut client, address) {}
                }
                // A node that is down is no news to a client that knows others.
                Err(_) => std::thread::sleep(RETRY_PAUSE),
            }
        }
        self.recorded
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn still_named(&self, address: SocketAddr) -> bool {
        self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    /// One pipeline; false where the connection is lost.
    fn round(&mut self, client: &mut Client, address: SocketAddr) -> bool {
        let count = 1 + self.random(PIPELINE_MAX);
        let mut asked: HashSet<String> = HashSet::new();
        let mut round = Vec::new();
        while round.len() < count as usize {
            let (key, input) = self.next();
            // A key once a pipeline: its operations must not overlap to be of use.
            if asked.insert(key.clone()) {
                round.push((key, input));
            }
        }
        round.iter().for_each(|(key, input)| queue(client, key, input));
        let invoked_ns = self.now_ns();
        let mut lost = client.flush().err();
        let mut answered = false;
        for (key, input) in round {
            let reply = match lost {
                Some(_) => None,
                None => client.read().map_err(|error| lost = Some(error)).ok(),
            };
            let returned_ns = self.now_ns();
            let outcome = match reply {
                None => Outcome::Unknown,
                Some(reply) => self.outcome(&input, reply),
            };
            if matches!(outcome, Outcome::Ok(_)) {
                answered = true;
                self.shared.operations.fetch_add(1, Ordering::Relaxed);
            }
            let operation = Operation { client: self.number, input, outcome, invoked_ns, returned_ns };
            self.recorded.history.push(&key, operation);
        }
        if let Some(error) = &lost {
            self.problem(Problem::Disconnected(address, error.to_string()));
        } else if !answered {
            // A node that is cut off refuses faster than anybody could ask: nothing is learned from that.
            std::thread::sleep(RETRY_PAUSE);
        }
        lost.is_none()
    }

    fn now_ns(&self) -> u64 {
        self.shared.start.elapsed().as_nanos() as u64
    }

    fn problem(&mut self, problem: Problem) {
        self.recorded.problems.push((self.shared.start.elapsed(), problem));
    }

    /// What to ask next. A key's name tells its kind: register, log, counter.
    fn next(&mut self) -> (String, StringInput) {
        self.sequence += 1;
        let generation = self.shared.operations.load(Ordering::Relaxed) / GENERATION;
        let (kind, key, dice) = (self.random(3), self.random(KEYS), self.random(10));
        let token = format!("{}.{}", self.number, self.sequence);
        let read = dice < 4;
        let (name, input) = match kind {
            0 if dice == 9 => ("register", StringInput::Delete),
            0 => ("register", StringInput::Set(token.into())),
            1 => ("log", StringInput::Append(format!("{token}{}", oracle::TOKEN_END as char).into())),
            _ => ("counter", StringInput::Increment(1)),
        };
        (format!("{name}:{generation}:{key}"), if read { StringInput::Get } else { input })
    }

    fn outcome(&mut self, input: &StringInput, reply: Value) -> Outcome<StringOutput> {
        match (input, reply) {
            (StringInput::Get, Value::Bulk(value)) => Outcome::Ok(StringOutput::Value(value)),
            (StringInput::Set(_), Value::Simple(_)) => Outcome::Ok(StringOutput::Done),
            (_, Value::Integer(value)) => Outcome::Ok(StringOutput::Integer(value)),
            (_, Value::Error(text)) => {
                let refused = REFUSALS.iter().any(|prefix| text.split(' ').next() == Some(prefix));
                self.problem(Problem::Error(text));
                if refused { Outcome::Failed } else { Outcome::Unknown }
            }
            (input, reply) => panic!("{input:?} was answered {reply:?}"),
        }
    }
}

fn queue(client: &mut Client, key: &str, input: &StringInput) {
    let key = key.as_bytes();
    match input {
        StringInput::Get => client.queue(&[b"GET", key]),
        StringInput::Set(value) => client.queue(&[b"SET", key, value]),
        StringInput::SetIfAbsent(value) => client.queue(&[b"SET", key, value, b"NX"]),
        StringInput::Delete => client.queue(&[b"DEL", key]),
        StringInput::Append(tail) => client.queue(&[b"APPEND", key, tail]),
        StringInput::Increment(by) => client.queue(&[b"INCRBY", key, by.to_string().as_bytes()]),
    }
}

impl Report {
    /// Reads every key once more through `address`, and checks that no answered write is lost and that each key's
    /// history is linearizable.
    ///
    /// # Panics
    /// With what is wrong, for people.
    pub fn verify(&self, address: SocketAddr) {
        let mut client = Client::connect(address, REPLY_TIMEOUT).expect("a connection");
        let (mut wrong, mut undecided) = (Vec::new(), Vec::new());
        for (key, operations) in self.history.keys() {
            let last = match client.command(&[b"GET", key.as_bytes()]).expect("a reply") {
                Value::Bulk(last) => last,
                reply => panic!("GET {key} was answered {reply:?}"),
            };
            wrong.extend(
                oracle::lost_writes(operations, last.as_deref()).into_iter().map(|lost| format!("{key}: {lost}")),
            );
            let mut operations = operations.to_vec();
            let end = operations.iter().map(|o| o.invoked_ns.max(o.returned_ns)).max().unwrap_or(0);
            operations.push(Operation {
                client: u32::MAX,
                input: StringInput::Get,
                outcome: Outcome::Ok(StringOutput::Value(last)),
                invoked_ns: end + 1,
                returned_ns: end + 2,
            });
            match check(&StringKey, &operations) {
                Verdict::Linearizable => {}
                Verdict::Violation(counterexample) => wrong.push(explain(key, &counterexample)),
                Verdict::Undecided => undecided.push(key),
            }
        }
        let shown = wrong.iter().take(WRONG_SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(wrong.is_empty(), "{} findings, of which the first:\n{shown}", wrong.len());
        assert!(undecided.is_empty(), "the search was given up for {undecided:?}");
    }

    /// Everything that went wrong, except connections to nodes in `stopped` that ended.
    pub fn problems_besides(&self, stopped: &[SocketAddr]) -> Vec<&(Duration, Problem)> {
        let expected = |problem: &Problem| matches!(problem, Problem::Disconnected(at, _) if stopped.contains(at));
        self.problems.iter().filter(|(_, problem)| !expected(problem)).collect()
    }
}

fn explain(key: &str, counterexample: &Counterexample<StringKey>) -> String {
    format!("{key}: {counterexample}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ok, refused, unknown) = self.history.outcomes();
        let keys = self.history.keys().count();
        write!(
            f,
            "{} operations on {keys} keys: {ok} answered, {refused} refused, {unknown} unknown; ",
            self.history.len()
        )?;
        write!(f, "{} problems", self.problems.len())
    }
}
