//! The majority is lost for good: the survivor goes on when an operator says so. And strangers are kept out.
#![allow(missing_docs)]

use cluster_tests::process::{Client, Cluster, Node, NodeOptions, Value, every_slot_writable, run_larder, wait_until};
use parking_lot::Mutex;
use rustix::process::Signal;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Keys that are written before nodes are killed.
const KEYS: usize = 3_000;
const WRITERS: usize = 4;
const LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for one reply of a writer: commands of unknown fate are given up after ten seconds.
const REPLY_LIMIT: Duration = Duration::from_secs(15);

/// Writers that go on until a command fails or they are stopped, and what was answered to them.
struct Writers {
    stop: Arc<AtomicBool>,
    answered: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    fn start(at: SocketAddr) -> Self {
        let (stop, answered, count) = (Arc::default(), Arc::default(), Arc::default());
        let threads = (0..WRITERS)
            .map(|writer| {
                let (stop, answered, count) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&count));
                std::thread::spawn(move || write_until_it_fails(at, writer, &stop, &answered, &count))
            })
            .collect();
        Self { stop, answered, count, threads }
    }

    fn wait_for(&self, keys: usize) {
        wait_until("keys are written", LIMIT, || {
            let count = self.count.load(Ordering::Relaxed);
            if count >= keys { Ok(()) } else { Err(count) }
        });
    }

    fn end(self) -> Vec<String> {
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.answered.lock())
    }
}

fn write_until_it_fails(
    at: SocketAddr,
    writer: usize,
    stop: &AtomicBool,
    answered: &Mutex<Vec<String>>,
    count: &AtomicUsize,
) {
    let mut client = Client::connect(at, REPLY_LIMIT).unwrap();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("key:{writer}:{number}");
        match client.command(&[b"SET", key.as_bytes(), key.as_bytes()]) {
            Ok(Value::Simple(ok)) if ok == "OK" => answered.lock().push(key),
            _ => return,
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn all_are_there(at: SocketAddr, keys: &[String]) {
    let mut client = Client::connect(at, REPLY_LIMIT).unwrap();
    let missing: Vec<_> =
        keys.iter().filter(|key| client.command(&[b"GET", key.as_bytes()]).unwrap().text() != **key).collect();
    assert!(missing.is_empty(), "{} of {} answered keys are gone: {:?}", missing.len(), keys.len(), missing.first());
}

fn remove(cluster: &Cluster, asked: usize, removed: usize, force: bool) -> Output {
    let (asked, removed) = (cluster[asked].address().to_string(), cluster[removed].address().to_string());
    let mut args = vec!["remove", &removed, "--node", &asked];
    args.extend(force.then_some("--force-quorum"));
    run_larder(&args).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Repeats until the survivor has seen that the others' links are gone.
fn remove_until_done(cluster: &Cluster, asked: usize, removed: usize, force: bool) -> Output {
    wait_until("the node is removed", LIMIT, || {
        let output = remove(cluster, asked, removed, force);
        if output.status.success() { Ok(output) } else { Err(text(&output.stderr)) }
    })
    .0
}

fn copies_held(cluster: &Cluster, node: usize) -> Vec<u64> {
    let output = run_larder(&["status", "--json", "--node", &cluster[node].address().to_string()]).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().map(|node| node["copies"].as_u64().unwrap_or(0)).collect()
}

fn ends_with_an_error(node: &mut Node, expected: &str) {
    let name = node.name().to_owned();
    let (status, took) = wait_until(&format!("{name} gives up"), LIMIT, || node.try_wait().ok_or("it runs"));
    assert!(!status.success(), "{status}");
    let log = node.log();
    assert!(log.contains(expected), "not in the log of {name}: {expected}\n{log}");
    eprintln!("{name} gave up after {took:?}");
}

#[test]
fn the_survivor_of_two_goes_on_complete() {
    let mut cluster = Cluster::start(2, &[]);
    let victim = cluster.foremost_leader();
    let survivor = 1 - victim;
    let writers = Writers::start(cluster[survivor].address());
    writers.wait_for(KEYS);
    cluster[victim].kill();
    let answered = writers.end();
    assert!(answered.len() >= KEYS);

    let (refused, _) = wait_until("the loss is seen", LIMIT, || {
        let output = remove(&cluster, survivor, victim, false);
        let reason = text(&output.stderr);
        assert!(!output.status.success(), "{output:?}");
        if reason.contains("is alive") { Err(reason) } else { Ok(reason) }
    });
    assert!(refused.contains("--force-quorum"), "{refused}");

    let removed = Instant::now();
    let output = remove_until_done(&cluster, survivor, victim, true);
    assert!(text(&output.stderr).contains("WARNING"), "{output:?}");
    let took = every_slot_writable(cluster[survivor].address(), removed, LIMIT);
    eprintln!("every slot took writes again {took:?} after the removal");
    all_are_there(cluster[survivor].address(), &answered);

    // Its data directory is of the past.
    cluster[victim].start_again();
    ends_with_an_error(&mut cluster[victim], "empty its data directory to join as a new node");

    let added = cluster.add();
    cluster[added].wait_ready(LIMIT);
    wait_until("two copies of all", LIMIT, || match copies_held(&cluster, survivor) {
        copies if copies == [12, 12] => Ok(()),
        copies => Err(format!("{copies:?}")),
    });
    all_are_there(cluster[added].address(), &answered);

    // The new generation of the directory outlives its founder's process.
    cluster[survivor].stop(LIMIT);
    cluster[survivor].start_again();
    cluster.wait_ready();
    all_are_there(cluster[survivor].address(), &answered);
}

#[test]
fn the_last_of_three_goes_on() {
    let mut cluster = Cluster::start(3, &[]);
    let writers = Writers::start(cluster[2].address());
    writers.wait_for(KEYS);
    // One after the other: what is answered while two live is on both, and the last one has the longest logs.
    cluster[0].kill();
    every_slot_writable(cluster[2].address(), Instant::now(), LIMIT);
    writers.stop.store(true, Ordering::Relaxed);
    let answered = writers.end();
    cluster[1].kill();

    let removed = Instant::now();
    remove_until_done(&cluster, 2, 0, true);
    // The directory has its majority again.
    remove_until_done(&cluster, 2, 1, false);
    let took = every_slot_writable(cluster[2].address(), removed, LIMIT);
    eprintln!("every slot took writes again {took:?} after the removal");
    all_are_there(cluster[2].address(), &answered);
    for old in 0..2 {
        cluster[old].start_again();
        ends_with_an_error(&mut cluster[old], "empty its data directory to join as a new node");
    }
    let added = cluster.add();
    cluster[added].wait_ready(LIMIT);
    all_are_there(cluster[added].address(), &answered);
}

fn secret_file(directory: &std::path::Path, name: &str, secret: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, secret).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn strangers_are_told_why_and_stop() {
    let directory = tempfile::tempdir().unwrap();
    let right = secret_file(directory.path(), "right", "correct horse");
    let wrong = secret_file(directory.path(), "wrong", "battery staple");
    let cluster = Cluster::start(1, &["--cluster-secret-file", &right]);
    let join = vec![cluster[0].peer_address()];
    let flags = |file: &str| vec!["--cluster-secret-file".to_owned(), file.to_owned()];

    let mut guesser = Node::start(
        "guesser",
        directory.path(),
        NodeOptions { join: join.clone(), flags: flags(&wrong), ..NodeOptions::default() },
    );
    ends_with_an_error(&mut guesser, "the peer has another cluster secret");

    // A node with a cluster of its own.
    let mut other =
        Node::start("other", directory.path(), NodeOptions { flags: flags(&right), ..NodeOptions::default() });
    other.wait_ready(LIMIT);
    other.stop(LIMIT);
    other.join(join);
    other.start_again();
    ends_with_an_error(&mut other, "it is a node of cluster");

    assert_eq!(cluster[0].connect().unwrap().command(&[b"SET", b"key", b"value"]).unwrap().text(), "OK");
    let warnings = cluster[0].log().matches("the peer has another cluster secret").count();
    assert_eq!(warnings, 1, "{}", cluster[0].log());
}

#[test]
fn commands_are_answered_while_the_others_are_frozen() {
    let mut cluster = Cluster::start(3, &[]);
    let address = cluster[0].address();
    for frozen in [1, 2] {
        cluster[frozen].signal(Signal::STOP);
    }
    // Enough keys for every partition, those that the node leads itself included.
    let mut clients: Vec<_> = (0..36).map(|_| Client::connect(address, REPLY_LIMIT).unwrap()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.queue(&[b"SET", format!("key:{number}").as_bytes(), b"x"]);
        client.flush().unwrap();
    }
    for client in &mut clients {
        let answer = client.read().expect("an answer");
        let Value::Error(error) = &answer else { panic!("{answer:?}") };
        assert!(error.starts_with("UNCERTAIN") || error.starts_with("CLUSTERDOWN"), "{error}");
    }
    // Once a leader was looked for in vain, nobody else has to wait as long.
    wait_until("a quick answer", LIMIT, || {
        let begun = Instant::now();
        let answer = clients[0].command(&[b"SET", b"key:0", b"y"]).unwrap();
        let down = matches!(&answer, Value::Error(error) if error.starts_with("CLUSTERDOWN"));
        if down && begun.elapsed() < Duration::from_secs(2) {
            Ok(())
        } else {
            Err(format!("{answer:?} after {:?}", begun.elapsed()))
        }
    });
    wait_until("status says so", LIMIT, || {
        let output = run_larder(&["status", "--node", &address.to_string()]).unwrap();
        let told = output.status.code() == Some(4) && text(&output.stdout).contains("cannot be reached");
        if told { Ok(()) } else { Err(text(&output.stdout)) }
    });
    for frozen in [1, 2] {
        cluster[frozen].signal(Signal::CONT);
    }
    every_slot_writable(address, Instant::now(), LIMIT);
    cluster.wait_ready();
}
