//! Real faults: nodes in network namespaces that are killed, stopped, cut off, slowed; disks that are full and clocks that
//! jump; under traffic whose history is checked. How long writes failed is printed for each.
//!
//! The namespaces take root and iptables, the clock libfaketime. Where they cannot be had, a test says so and passes; with
//! `LARDER_COMPAT=required`, as in `.ci/run`, it fails where they are but a package away.
#![allow(missing_docs)]

use cluster_tests::process::{
    Client, Cluster, Load, Network, NoNetwork, Node, Place, SmallDisk, Value, WallClock, Windows, wait_until,
};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const CLIENTS: u32 = 6;
/// Partitions of a cluster, unless set.
const PARTITIONS: u16 = 12;
/// Answered operations that make a phase of a test.
const PHASE: u64 = 500;
/// Writes to each partition after which it counts as served.
const SERVED: u64 = 40;
/// The longest window without a successful write that is promised after a crash, and after a partition of the network.
const CRASH_PROMISE: Duration = Duration::from_millis(1500);
const PARTITION_PROMISE: Duration = Duration::from_secs(2);
/// What is asserted: that writes go on at all, even where other programs take the processors away for seconds.
const WINDOW_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for anything else.
const LIMIT: Duration = Duration::from_secs(60);

/// Whether a test that cannot be run fails.
fn is_required() -> bool {
    std::env::var_os("LARDER_COMPAT").is_some_and(|value| value == "required")
}

/// What is missing could be installed.
fn missing<T>(what: &str) -> Option<T> {
    assert!(!is_required(), "{what}");
    eprintln!("skipped: {what}");
    None
}

fn network() -> Option<Network> {
    match Network::new(3) {
        Ok(network) => Some(network),
        Err(NoNetwork::Missing(tool)) => missing(&tool),
        Err(NoNetwork::NotAllowed(reason)) => {
            eprintln!("skipped: no network namespaces on this machine: {reason}");
            None
        }
    }
}

/// Three nodes under traffic, and what measures how long writes fail.
struct Field {
    cluster: Cluster,
    load: Load,
    windows: Windows,
}

impl Field {
    fn new(places: Vec<Place>) -> Self {
        let cluster = Cluster::start_at(places, &[]);
        let load = Load::start(cluster.addresses(), CLIENTS);
        let windows = Windows::start(&cluster.addresses(), PARTITIONS);
        let field = Self { cluster, load, windows };
        field.goes_on();
        field
    }

    fn goes_on(&self) {
        self.windows.begin();
        self.windows.progress(SERVED, LIMIT);
        self.load.progress(PHASE);
    }

    /// Waits until, as another node sees it, `node` leads nothing.
    fn until_succeeded(&self, node: usize) {
        let port = self.cluster[node].ports().cluster;
        wait_until("others lead what it led", LIMIT, || {
            let asked = (node + 1) % self.cluster.len();
            let ranges = self.cluster.slots(asked).map_err(|error| error.to_string())?;
            let led = ranges.iter().filter(|range| range.ports.first() == Some(&port)).count();
            if led == 0 { Ok(()) } else { Err(format!("it leads {led} partitions")) }
        });
    }

    /// What was done since the windows were begun did not stop writes for long.
    fn say(&self, what: &str, promise: Duration) {
        let longest = self.windows.longest();
        let worst = longest.iter().max().copied().unwrap_or_default();
        let within = longest.iter().filter(|window| **window <= promise).count();
        let all: Vec<String> = longest.iter().map(|window| window.as_millis().to_string()).collect();
        eprintln!(
            "{what}: no write for {} ms at most (promise: {} ms, kept by {within} of {} partitions; each: {})",
            worst.as_millis(),
            promise.as_millis(),
            longest.len(),
            all.join(" ")
        );
        assert!(worst <= WINDOW_LIMIT, "{what}: no write for {worst:?}");
    }

    fn end(self) {
        self.windows.stop();
        let report = self.load.stop();
        eprintln!("{report}");
        report.verify(self.cluster[0].address());
    }
}

#[test]
fn crashes_and_stops_hold_writes_up_for_a_moment() {
    let mut field = Field::new(vec![Place::default(); 3]);
    for stopped in [false, true, false] {
        field.cluster.wait_even();
        let victim = field.cluster.foremost_leader();
        let name = field.cluster[victim].name().to_owned();
        field.windows.begin();
        if stopped {
            field.cluster[victim].signal(Signal::STOP);
        } else {
            field.cluster[victim].kill();
        }
        field.until_succeeded(victim);
        field.windows.progress(SERVED, LIMIT);
        field.say(&format!("{} of {name}", if stopped { "SIGSTOP" } else { "kill -9" }), CRASH_PROMISE);
        field.load.progress(PHASE);
        if stopped {
            field.cluster[victim].signal(Signal::CONT);
        } else {
            field.cluster[victim].start_again();
        }
        field.cluster.wait_ready();
        field.goes_on();
    }
    field.end();
}

/// Who sends to whom in vain.
type Cuts = Vec<(usize, usize)>;

#[test]
fn a_network_that_is_cut_holds_writes_up_for_a_moment() {
    let Some(network) = network() else { return };
    let mut field = Field::new(network.places());
    let to = |node: usize| (0..3).filter(move |other| *other != node).map(move |other| (other, node));
    let from = |node: usize| to(node).map(|(other, node)| (node, other));
    for round in 0..5 {
        field.cluster.wait_even();
        let leader = field.cluster.foremost_leader();
        let other = (leader + 1) % 3;
        // Who leads nothing any more: of two that do not hear each other, both, since the third node hears all.
        let (what, succeeded, cuts): (_, &[usize], Cuts) = match round {
            0 => ("is cut off", &[leader], to(leader).chain(from(leader)).collect()),
            1 => ("hears nobody", &[leader], to(leader).collect()),
            2 => ("is not heard", &[leader], from(leader).collect()),
            3 => ("and another do not hear each other", &[leader, other], vec![(leader, other), (other, leader)]),
            _ => ("is not heard by another", &[leader, other], vec![(leader, other)]),
        };
        let what = format!("{} {what}", field.cluster[leader].name());
        field.windows.begin();
        cuts.iter().for_each(|(from, to)| network.cut(*from, *to));
        let begun = Instant::now();
        succeeded.iter().for_each(|node| field.until_succeeded(*node));
        eprintln!("{what}: others led all after {:?}", begun.elapsed());
        field.windows.progress(SERVED, LIMIT);
        field.load.progress(PHASE);
        field.say(&what, PARTITION_PROMISE);
        field.windows.begin();
        network.mend();
        field.cluster.wait_ready();
        field.windows.progress(SERVED, LIMIT);
        field.load.progress(PHASE);
        field.say("and when it is mended", PARTITION_PROMISE);
    }
    field.end();
}

/// The node whose disk is full is the first one: as a rule it leads the directory.
#[test]
fn a_full_disk_stops_one_node_at_most() {
    let disk = match SmallDisk::mount(16 * 1024 * 1024) {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("skipped: no disk can be mounted: {reason}"),
    };
    let mut places = vec![Place::default(); 3];
    places[0].data = Some(disk.path().join("data"));
    let mut field = Field::new(places);
    field.windows.begin();
    eprintln!("the disk had {} bytes left", disk.fill());
    // Which has the directory write: the others' registrations, and changes of voters.
    for node in [2, 1] {
        field.cluster[node].kill();
        field.until_succeeded(node);
        field.cluster[node].start_again();
        let took = field.cluster[node].wait_ready(LIMIT);
        eprintln!("{} was a full member after {took:?}", field.cluster[node].name());
    }
    field.windows.progress(SERVED, LIMIT);
    field.load.progress(PHASE);
    field.say("a full disk, and crashes of the two others", CRASH_PROMISE);
    disk.free();
    // A process that gave up its disk needs to be started again, as an orchestrator does.
    field.cluster[0].kill();
    field.cluster[0].start_again();
    field.cluster.wait_ready();
    field.goes_on();
    field.end();
}

/// Time to live of keys that must outlast a jump of the clock, and of keys that must not.
const LONG_MS: u64 = 300_000;
const SHORT_MS: u64 = 1_500;
/// By how much what is left of a life may be wrong, besides the time that the test's own commands take.
const CLOCKS_MS: u64 = 2_000;

#[test]
fn clocks_that_jump_let_nothing_go_early_nor_stay() {
    let directory = tempfile::tempdir().unwrap();
    let mut places: Vec<Place> = (1..4).map(|_| Place::default()).collect();
    let mut clocks = Vec::new();
    for (number, place) in places.iter_mut().enumerate() {
        match WallClock::attach(place, directory.path(), number) {
            Ok(clock) => clocks.push(clock),
            Err(reason) => {
                missing::<()>(&reason);
                return;
            }
        }
    }
    let mut field = Field::new(places);
    for (ahead_seconds, jumping) in [(60, 0), (-3600, 1), (3600, 2)] {
        let keys = Lives::begin(&field.cluster);
        let asked = &field.cluster[(jumping + 1) % 3];
        clocks[jumping].set(ahead_seconds);
        field.goes_on();
        keys.check(asked, &format!("{ahead_seconds} s ahead"));
        if ahead_seconds > 0 {
            // It is not followed, and leads nothing.
            field.until_succeeded(jumping);
        }
        keys.check(&field.cluster[jumping], &format!("{ahead_seconds} s ahead, asked there"));
        keys.until_short_ones_are_gone(asked);
        clocks[jumping].set(0);
        field.goes_on();
        keys.check(asked, "back");
        field.cluster.wait_ready();
    }
    field.end();
}

/// Keys with deadlines, in every partition.
struct Lives {
    /// Before the first and after the last was written.
    written: (Instant, Instant),
}

impl Lives {
    const KEYS: usize = 60;

    fn begin(cluster: &Cluster) -> Self {
        let begun = Instant::now();
        let mut client = cluster[0].connect().unwrap();
        for (kind, ttl_ms) in [("long", LONG_MS), ("short", SHORT_MS)] {
            for key in 0..Self::KEYS {
                answered(&mut client, &format!("SET {kind}:{key} here PX {ttl_ms}"));
            }
        }
        Self { written: (begun, Instant::now()) }
    }

    /// The long ones are there, and have as long to live as they should.
    fn check(&self, node: &Node, when: &str) {
        let mut client = node.connect().unwrap();
        for key in 0..Self::KEYS {
            let least = self.written.1.elapsed();
            let left = answered(&mut client, &format!("PTTL long:{key}")).integer();
            let most = self.written.0.elapsed();
            let expected = LONG_MS.saturating_sub(most.as_millis() as u64 + CLOCKS_MS)
                ..=(LONG_MS + CLOCKS_MS).saturating_sub(least.as_millis() as u64);
            let is_right = u64::try_from(left).is_ok_and(|left| expected.contains(&left));
            assert!(is_right, "{when}: long:{key} lives for {left} ms, not {expected:?}");
        }
    }

    fn until_short_ones_are_gone(&self, node: &Node) {
        let mut client = node.connect().unwrap();
        wait_until("short lives end", LIMIT, || {
            let there = |key: &usize| answered(&mut client, &format!("EXISTS short:{key}")).integer() == 1;
            let left = (0..Self::KEYS).filter(there).count();
            if left == 0 { Ok(()) } else { Err(format!("{left} are there")) }
        });
    }
}

/// What a command is answered once it is answered: leaders change meanwhile.
fn answered(client: &mut Client, command: &str) -> Value {
    wait_until(command, LIMIT, || match client.words(command) {
        Ok(Value::Error(error)) => Err(error),
        Ok(reply) => Ok(reply),
        Err(error) => Err(error.to_string()),
    })
    .0
}

#[test]
fn slow_links_lose_nothing() {
    let Some(network) = network() else { return };
    let field = Field::new(network.places());
    for (what, slow) in [("one slow link", 1), ("all links slow", 3)] {
        field.windows.begin();
        (0..slow).for_each(|node| network.slow(node, 2_000));
        field.windows.progress(SERVED, LIMIT);
        field.load.progress(PHASE);
        field.say(what, PARTITION_PROMISE);
        (0..slow).for_each(|node| network.hasten(node));
        field.goes_on();
    }
    field.end();
}
