//! Nodes that have no place in a cluster yet: they answer, say what they wait for, and can be helped.
#![allow(missing_docs)]

use cluster_tests::process::{Client, Cluster, Node, NodeOptions, Value, every_slot_writable, run_larder, wait_until};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Nobody listens there: tests have no right to bind it.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

fn say(client: &mut Client, words: &str) -> String {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    match client.command(&words).unwrap_or_else(|error| panic!("{words:?}: {error}")) {
        Value::Error(error) => error,
        answer => answer.text(),
    }
}

fn status(node: &Node) -> (Option<i32>, String) {
    let output = run_larder(&["status", "--node", &node.address().to_string(), "--password", "sesame"]).unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A connection that gets an answer: a node answers once it has waited for a moment.
fn connect(address: SocketAddr) -> Client {
    let (mut client, _) = wait_until("it listens", LIMIT, || Client::connect(address, LIMIT));
    say(&mut client, "PING");
    client
}

#[test]
fn a_node_that_nobody_takes_in_answers_what_needs_no_data() {
    let directory = tempfile::tempdir().unwrap();
    let flags = vec!["--requirepass".to_owned(), "sesame".to_owned()];
    let mut node =
        Node::start("alone", directory.path(), NodeOptions { join: vec![NOBODY], flags, ..Default::default() });
    for port in [node.ports().client, node.ports().cluster] {
        let mut client = connect((Ipv4Addr::LOCALHOST, port).into());
        assert!(say(&mut client, "PING").starts_with("NOAUTH"));
        assert!(say(&mut client, "CONFIG GET requirepass").starts_with("NOAUTH"));
        assert_eq!(say(&mut client, "AUTH sesame"), "OK");
        assert_eq!(say(&mut client, "PING"), "PONG");
        assert_eq!(say(&mut client, "CLIENT SETNAME me"), "OK");
        assert_eq!(say(&mut client, "CONFIG SET maxmemory 100mb"), "OK");
        assert!(say(&mut client, "INFO").contains("larder_version:"));
        assert!(say(&mut client, "CLUSTER INFO").contains("cluster_state:fail"));
        let id = say(&mut client, "CLUSTER MYID");
        assert!(say(&mut client, "CLUSTER NODES").starts_with(&id));
        for data in ["GET k", "SET k v", "DBSIZE", "BLPOP k 0", "WATCH k", "SCAN 0", "WAIT 1 0", "FLUSHALL"] {
            assert_eq!(say(&mut client, data), "CLUSTERDOWN The cluster is down", "{data}");
        }
        assert_eq!(say(&mut client, "MULTI"), "OK");
        assert!(say(&mut client, "SET k v").starts_with("CLUSTERDOWN"));
        assert!(say(&mut client, "EXEC").starts_with("EXECABORT"));
        assert!(say(&mut client, "CLUSTER MEET 127.0.0.1 6379").contains("no place in a cluster"));
    }
    let (code, shown) = status(&node);
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains(&format!("waits to be taken in by {NOBODY}")), "{shown}");
    wait_until(
        "the log says so",
        LIMIT,
        || if node.log().contains("waits to be taken in") { Ok(()) } else { Err("no") },
    );
    assert_eq!(node.log().matches("waits to be taken in").count(), 1, "{}", node.log());
    assert!(node.http("/readyz").unwrap().1.contains("waits to be taken in"));

    // Somebody is there after all: connections from before end, and the next one finds a member.
    let mut early = connect(node.address());
    let mut cluster = Cluster::start(1, &[]);
    let mut client = connect(node.address());
    say(&mut client, "AUTH sesame");
    let _ = client.command(&[b"SHUTDOWN"]);
    node.wait_exit(LIMIT);
    assert!(early.command(&[b"PING"]).is_err());
    node.join(vec![cluster[0].peer_address()]);
    node.start_again();
    node.wait_ready(LIMIT);
    cluster.wait_ready();
}

#[test]
fn a_node_that_joins_late_serves_those_who_wait() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Node::start("first", directory.path(), NodeOptions::default());
    first.wait_ready(LIMIT);
    let peer = first.peer_address();
    first.kill();
    let mut second = Node::start("second", directory.path(), NodeOptions { join: vec![peer], ..Default::default() });
    let mut early = connect(second.address());
    first.start_again();
    second.wait_ready(LIMIT);
    wait_until("connections of the waiting node end", LIMIT, || match early.command(&[b"PING"]) {
        Err(_) => Ok(()),
        Ok(answer) => Err(format!("{answer:?}")),
    });
    assert_eq!(say(&mut connect(second.address()), "SET k v"), "OK");
}

#[test]
fn the_only_survivor_was_restarted_and_is_helped() {
    let mut cluster = Cluster::start(3, &[]);
    for node in 0..3 {
        cluster[node].kill();
    }
    cluster[2].start_again();
    let mut client = connect(cluster[2].address());
    assert!(say(&mut client, "CLUSTER INFO").contains("cluster_state:fail"));
    assert_eq!(say(&mut client, "CLUSTER NODES").lines().count(), 3);
    assert_eq!(say(&mut client, "SET k v"), "CLUSTERDOWN The cluster is down");
    let (code, shown) = status(&cluster[2]);
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("a majority of the directory"), "{shown}");
    assert!(shown.contains("larder remove --force-quorum"), "{shown}");
    wait_until("the log says so", LIMIT, || {
        if cluster[2].log().contains("a majority of the directory") { Ok(()) } else { Err("no") }
    });

    let asked = cluster[2].address().to_string();
    let remove = |removed: SocketAddr, force: bool| {
        let removed = removed.to_string();
        let mut args = vec!["remove", &removed, "--node", &asked];
        args.extend(force.then_some("--force-quorum"));
        let output = run_larder(&args).unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    assert!(remove(cluster[0].address(), false).unwrap_err().contains("--force-quorum"));
    assert!(remove(cluster[2].address(), true).unwrap_err().contains("is alive"));
    let begun = Instant::now();
    remove(cluster[0].address(), true).unwrap();
    wait_until("the other one is removed", LIMIT, || remove(cluster[1].address(), false));
    every_slot_writable(cluster[2].address(), begun, LIMIT);
    assert_eq!(say(&mut connect(cluster[2].address()), "SET k v"), "OK");
    wait_until("all is well", LIMIT, || {
        let (code, shown) = status(&cluster[2]);
        if code == Some(0) { Ok(()) } else { Err(shown) }
    });
    cluster[2].wait_ready(LIMIT);
}

#[test]
fn the_others_come_back_by_themselves() {
    let mut cluster = Cluster::start(3, &[]);
    for node in 0..3 {
        cluster[node].kill();
    }
    cluster[0].start_again();
    connect(cluster[0].address());
    cluster[1].start_again();
    cluster[2].start_again();
    cluster.wait_ready();
    assert_eq!(say(&mut connect(cluster[0].address()), "SET k v"), "OK");
}

#[test]
fn a_wrong_peer_address_is_told_of_on_both_sides() {
    let mut cluster = Cluster::start(1, &[]);
    let directory = tempfile::tempdir().unwrap();
    let flags = vec!["--advertise-peer".to_owned(), NOBODY.to_string()];
    let join = vec![cluster[0].peer_address()];
    let mut newcomer = Node::start("newcomer", directory.path(), NodeOptions { join, flags, ..Default::default() });
    for text in ["this node cannot reach itself at an address that it advertises", "can they reach it there?"] {
        let told = || if newcomer.log().contains(text) { Ok(()) } else { Err(newcomer.log()) };
        wait_until(text, LIMIT, told);
    }
    let (code, shown) = status(&newcomer);
    assert!(code == Some(4) && shown.contains(&NOBODY.to_string()), "{shown}");
    wait_until("the other one tells of it", LIMIT, || {
        let log = cluster[0].log();
        if log.contains("a node cannot be reached at its peer address") { Ok(()) } else { Err(log) }
    });
    let (_, shown) = status(&cluster[0]);
    assert!(shown.contains(&format!("cannot be reached at its peer address {NOBODY}")), "{shown}");
    newcomer.stop(LIMIT);
    cluster[0].stop(LIMIT);
}
