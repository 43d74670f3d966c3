//! Nodes as processes: killed, paused, restarted, joined, drained, under load that is checked.
#![allow(missing_docs)]

use cluster_tests::process::{
    Cluster, Load, Node, Report, SlotRange, Value, every_slot_writable, run_larder, wait_until,
};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Clients of a load.
const CLIENTS: u32 = 8;
/// Answered operations that make a phase of a test.
const PHASE: u64 = 2_000;
/// Promise after a crash (the figure), printed beside what was measured.
const FAILOVER_PROMISE: Duration = Duration::from_millis(1500);
/// What is asserted: the promise, and room for a machine that runs other tests at the same time.
const FAILOVER_LIMIT: Duration = Duration::from_secs(6);
/// Longest wait for moves of data and for orderly stops.
const MOVE_LIMIT: Duration = Duration::from_secs(60);

fn no_problems(report: &Report, stopped: &[std::net::SocketAddr]) {
    let problems = report.problems_besides(stopped);
    assert!(
        problems.is_empty(),
        "clients saw {} problems, first {:?}",
        problems.len(),
        &problems[..problems.len().min(10)]
    );
}

/// Copies that each node holds, as `larder status` of a node tells it.
fn copies_held(cluster: &Cluster, node: usize) -> Vec<u64> {
    let output = run_larder(&["status", "--json", "--node", &cluster[node].address().to_string()]).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().map(|node| node["copies"].as_u64().unwrap_or(0)).collect()
}

#[test]
fn three_nodes_serve_any_key_at_any_node() {
    let cluster = Cluster::start(3, &[]);
    for node in 0..3 {
        for key in 0..100 {
            let (key, value) = (format!("key:{key}"), format!("value of {node}"));
            let set = cluster[node].connect().unwrap().command(&[b"SET", key.as_bytes(), value.as_bytes()]).unwrap();
            assert_eq!(set.text(), "OK");
            let got = cluster[(node + 1) % 3].connect().unwrap().command(&[b"GET", key.as_bytes()]).unwrap();
            assert_eq!(got.text(), value);
        }
    }
    let (ranges, _) = wait_until("leaders are spread", MOVE_LIMIT, || {
        let ranges = cluster.slots(0).map_err(|error| error.to_string())?;
        let leaders: BTreeSet<u16> = ranges.iter().map(|range| range.ports[0]).collect();
        if leaders.len() == 3 { Ok(ranges) } else { Err(format!("{ranges:?}")) }
    });
    assert_eq!(ranges.iter().map(|range| u32::from(range.end - range.start) + 1).sum::<u32>(), 16_384);
    assert_eq!(copies_held(&cluster, 0), [12, 12, 12], "three copies each");
}

#[test]
fn kill_9_of_the_foremost_leader_loses_nothing_and_it_comes_back() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::start(cluster.addresses(), CLIENTS);
    load.progress(PHASE);

    let victim = cluster.foremost_leader();
    let killed = Instant::now();
    cluster[victim].kill();
    load.set_addresses(cluster.addresses());
    let survivor = cluster.addresses()[0];
    let took = every_slot_writable(survivor, killed, FAILOVER_LIMIT);
    eprintln!(
        "kill -9 of {}: every slot took writes again after {took:?} (promise: {FAILOVER_PROMISE:?})",
        cluster[victim].name()
    );
    load.progress(PHASE);

    cluster[victim].start_again();
    let ready = cluster[victim].wait_ready(MOVE_LIMIT);
    eprintln!("{} was a full member again after {ready:?}", cluster[victim].name());
    load.set_addresses(cluster.addresses());
    load.progress(PHASE);

    // It counts as a full member only if the cluster lives through the loss of another node.
    let second = (victim + 1) % 3;
    let killed = Instant::now();
    cluster[second].kill();
    load.set_addresses(cluster.addresses());
    let took = every_slot_writable(cluster[victim].address(), killed, FAILOVER_LIMIT);
    eprintln!("kill -9 of {}: every slot took writes again after {took:?}", cluster[second].name());
    load.progress(PHASE);

    let report = load.stop();
    eprintln!("{report}");
    report.verify(cluster[victim].address());
}

#[test]
fn a_paused_leader_answers_nothing_stale() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::start(cluster.addresses(), CLIENTS);
    load.progress(PHASE);
    let paused = cluster.foremost_leader();
    for _ in 0..3 {
        let since = Instant::now();
        cluster[paused].signal(Signal::STOP);
        reads_are_answered(&cluster[(paused + 1) % 3], since);
        let survivor = cluster[(paused + 1) % 3].address();
        every_slot_writable(survivor, since, FAILOVER_LIMIT);
        load.set_addresses(vec![survivor]);
        load.progress(PHASE);
        cluster[paused].signal(Signal::CONT);
        load.set_addresses(cluster.addresses());
        load.progress(PHASE);
        cluster[paused].wait_ready(MOVE_LIMIT);
    }
    let report = load.stop();
    eprintln!("{report}");
    report.verify(cluster[paused].address());
}

/// Keys of all partitions are asked for at once; those that go to the paused leader are asked for again at the next one,
/// long before the link to it is given up.
fn reads_are_answered(node: &Node, since: Instant) {
    std::thread::scope(|scope| {
        for key in 0..36 {
            let mut client = node.connect().unwrap();
            scope.spawn(move || {
                let reply = client.command(&[b"GET", format!("asked:{key}").as_bytes()]).unwrap();
                assert_eq!(reply, Value::Bulk(None), "asked:{key}");
                assert!(since.elapsed() < FAILOVER_LIMIT, "asked:{key} was answered after {:?}", since.elapsed());
            });
        }
    });
    eprintln!("all reads at the time of the pause were answered after {:?}", since.elapsed());
}

#[test]
fn a_fourth_node_takes_its_share_and_no_more() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::start(cluster.addresses(), CLIENTS);
    load.progress(PHASE);

    let fourth = cluster.add();
    cluster[fourth].wait_ready(MOVE_LIMIT);
    load.set_addresses(cluster.addresses());
    let port = cluster[fourth].ports().cluster;
    let (after, took) = wait_until("partitions move to the fourth node", MOVE_LIMIT, || {
        let ranges = cluster.slots(fourth).map_err(|error| error.to_string())?;
        let leads = ranges.iter().any(|range| range.ports.first() == Some(&port));
        // Twelve partitions of three copies: nine a node, exactly.
        let copies = copies_held(&cluster, fourth);
        if leads && copies == [9, 9, 9, 9] { Ok(ranges) } else { Err(format!("{copies:?} {ranges:?}")) }
    });
    eprintln!("the fourth node held and led partitions after {took:?}");
    load.progress(PHASE);

    let held = slots_held(&after, port);
    let fair = 3 * 16_384 / 4;
    assert!(held > 0 && f64::from(held) <= 1.25 * f64::from(fair), "{held} slots are held, a fair share is {fair}");
    let report = load.stop();
    eprintln!("{report}");
    no_problems(&report, &[]);
    report.verify(cluster[fourth].address());
}

/// The change of voters that was planned when the node died names a copy that will never live again.
#[test]
fn a_node_that_dies_while_another_joins_holds_nothing_up() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::start(cluster.addresses(), CLIENTS);
    load.progress(PHASE);

    let fourth = cluster.add();
    wait_until("copies move to the fourth node", MOVE_LIMIT, || {
        let logs: String = (0..3).map(|node| cluster[node].log()).collect();
        let moving = logs.lines().filter(|line| line.contains("changing voters") && line.contains(",4\"")).count();
        if moving > 0 { Ok(()) } else { Err("no change of voters names it") }
    });
    cluster[1].kill();
    load.set_addresses(cluster.addresses());
    cluster[1].start_again();
    for node in [1, fourth] {
        let ready = cluster[node].wait_ready(MOVE_LIMIT);
        eprintln!("{} was a full member after {ready:?}", cluster[node].name());
    }
    load.set_addresses(cluster.addresses());
    load.progress(PHASE);
    let report = load.stop();
    eprintln!("{report}");
    report.verify(cluster[fourth].address());
}

#[test]
fn a_drained_node_may_be_stopped() {
    let mut cluster = Cluster::start(4, &[]);
    let load = Load::start(cluster.addresses(), CLIENTS);
    load.progress(PHASE);

    let (drained, asked) = (cluster[1].address().to_string(), cluster[0].address().to_string());
    let output = run_larder(&["drain", &drained, "--node", &asked]).unwrap();
    assert!(output.status.success(), "{output:?}");
    let port = cluster[1].ports().cluster;
    let ranges = cluster.slots(0).unwrap();
    assert_eq!(slots_held(&ranges, port), 0, "nothing is left on it: {ranges:?}");
    assert_eq!(copies_held(&cluster, 0).iter().sum::<u64>(), 36, "all copies are elsewhere");
    load.progress(PHASE);

    let stopped = cluster[1].address();
    load.set_addresses(cluster.addresses().into_iter().filter(|address| *address != stopped).collect());
    load.progress(PHASE);
    cluster[1].stop(MOVE_LIMIT);
    load.progress(PHASE);

    let report = load.stop();
    eprintln!("{report}");
    no_problems(&report, &[stopped]);
    report.verify(cluster[0].address());
}

#[test]
fn a_rolling_restart_shows_clients_no_error() {
    let mut cluster = Cluster::start(3, &[]);
    let all = cluster.addresses();
    let load = Load::start(all.clone(), CLIENTS);
    load.progress(PHASE);
    for node in 0..3 {
        // Sent right after the one before was started again: the stop permit is what keeps them apart.
        let took = cluster[node].stop(MOVE_LIMIT);
        eprintln!("{} stopped after {took:?}", cluster[node].name());
        cluster[node].start_again();
        load.progress(PHASE / 4);
    }
    cluster.wait_ready();
    load.progress(PHASE);
    let report = load.stop();
    eprintln!("{report}");
    // Connections end with their node; no command may end with an error.
    no_problems(&report, &all);
    report.verify(all[0]);
}

#[test]
fn solo_grows_to_three_nodes_while_clients_work() {
    let mut cluster = Cluster::start(1, &[]);
    let load = Load::start(cluster.addresses(), CLIENTS);
    load.progress(PHASE);
    for _ in 0..2 {
        let added = cluster.add();
        cluster[added].wait_ready(MOVE_LIMIT);
        load.set_addresses(cluster.addresses());
        load.progress(PHASE);
    }
    let (_, took) = wait_until("every partition has three copies", MOVE_LIMIT, || {
        let copies = copies_held(&cluster, 0);
        if copies == [12, 12, 12] { Ok(()) } else { Err(format!("{copies:?}")) }
    });
    eprintln!("replicated three times, {took:?} after the third node was ready");
    let killed = Instant::now();
    cluster[0].kill();
    load.set_addresses(cluster.addresses());
    every_slot_writable(cluster[1].address(), killed, FAILOVER_LIMIT);
    load.progress(PHASE);
    let lost = cluster[0].address();
    let report = load.stop();
    eprintln!("{report}");
    let early = report
        .problems
        .iter()
        .filter(|(_, problem)| matches!(problem, cluster_tests::process::Problem::Disconnected(at, _) if *at != lost));
    assert_eq!(early.count(), 0, "a connection to a living node was lost");
    report.verify(cluster[1].address());
}

/// Its data is gone with the process, as the README says; the node is not.
#[test]
fn a_solo_node_that_was_killed_or_stopped_serves_again() {
    let mut cluster = Cluster::start(1, &[]);
    for killed in [true, false, true, true] {
        let mut client = cluster[0].connect().unwrap();
        for key in 0..200 {
            assert_eq!(client.words(&format!("SET key:{key} value")).unwrap().text(), "OK");
        }
        if killed {
            cluster[0].kill();
        } else {
            cluster[0].stop(MOVE_LIMIT);
        }
        cluster[0].start_again();
        cluster[0].wait_ready(MOVE_LIMIT);
        assert_eq!(cluster[0].connect().unwrap().words("DBSIZE").unwrap().integer(), 0);
    }
}

#[test]
fn a_solo_node_is_linearizable() {
    let cluster = Cluster::start(1, &[]);
    let load = Load::start(cluster.addresses(), CLIENTS);
    load.progress(5 * PHASE);
    let report = load.stop();
    eprintln!("{report}");
    no_problems(&report, &[]);
    report.verify(cluster[0].address());
}

/// Slots of which the node with cluster port `port` holds a copy.
fn slots_held(ranges: &[SlotRange], port: u16) -> u32 {
    let held = ranges.iter().filter(|range| range.ports.contains(&port));
    held.map(|range| u32::from(range.end - range.start) + 1).sum()
}

/// How `larder ARGS` ends, and what it says.
fn refusal(args: &[&str]) -> (Option<i32>, String) {
    let output = run_larder(args).unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn wrong_words_are_refused_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("bind.toml"), "bind = 3\n").unwrap();
    std::fs::write(path("file"), "").unwrap();
    for (flags, code, text) in [
        (["--join", "foo"], 2, "join: foo is not HOST:PEERPORT"),
        (["--join", "foo:0"], 2, "join: foo:0 is not HOST:PEERPORT"),
        (["--advertise-client", "foo:0"], 2, "HOST:PORT"),
        (["--config", &path("bind.toml")], 2, "bind 3: a number is no address"),
        (["--data-dir", &path("file")], 1, &format!("{} is a file", path("file"))),
    ] {
        let (ended, said) = refusal(&["serve", "--port", "0", flags[0], flags[1]]);
        assert!(ended == Some(code) && said.contains(text), "{flags:?}: {ended:?} {said}");
    }
}

#[test]
fn logs_of_orderly_ends_have_no_errors() {
    let mut cluster = Cluster::start(3, &["--loglevel", "notice"]);
    let asked = cluster[0].address().to_string();
    let drain = |name: &str| refusal(&["drain", name, "--node", &asked]);
    assert!(drain("").1.contains("no node is named"));
    assert!(drain("zzz").1.contains("zzz is no node of this cluster"));
    cluster[1].stop(MOVE_LIMIT);
    cluster[1].start_again();
    cluster.wait_ready();
    let drained = cluster[2].address().to_string();
    assert_eq!(refusal(&["drain", &drained, "--node", &asked]).0, Some(0));
    wait_until("the drained node says so", MOVE_LIMIT, || {
        let log = cluster[2].log();
        if log.contains("it holds nothing any more and may be stopped") { Ok(()) } else { Err(log) }
    });
    let (code, said) = refusal(&["drain", &drained, "--node", &drained]);
    assert!(code == Some(1) && said.contains("is drained already"), "{code:?} {said}");
    cluster[2].stop(MOVE_LIMIT);
    for node in 0..3 {
        let log = cluster[node].log();
        let errors: Vec<_> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert!(!log.contains(" { "), "Debug text: {log}");
    }
}

#[test]
fn a_lone_node_that_comes_back_is_no_alarm() {
    let mut cluster = Cluster::start(1, &[]);
    cluster[0].stop(MOVE_LIMIT);
    let before = cluster[0].log().len();
    cluster[0].start_again();
    cluster.wait_ready();
    let log = &cluster[0].log()[before..];
    assert_eq!(log.matches("was started anew and begins empty").count(), 1, "{log}");
    assert!(!log.contains(" WARN "), "{log}");
}
