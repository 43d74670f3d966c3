//! Databases over real nodes: the same from every node, and after nodes have come and gone.
#![allow(missing_docs)]

use cluster_tests::process::{Client, Cluster, Value, wait_until};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: usize = 60;

fn ask(client: &mut Client, command: &str) -> Value {
    let reply = client.words(command).unwrap();
    assert!(!matches!(&reply, Value::Error(_)), "{command}: {}", reply.text());
    reply
}

fn select(client: &mut Client, database: usize) {
    assert_eq!(ask(client, &format!("SELECT {database}")).text(), "OK");
}

/// What a database must hold: each key with the number that it was stored under.
fn verify(client: &mut Client, database: usize, stored_in: Option<usize>) {
    select(client, database);
    let expected = if stored_in.is_some() { KEYS as i64 } else { 0 };
    assert_eq!(ask(client, "DBSIZE").integer(), expected, "database {database}");
    assert_eq!(ask(client, "KEYS *").elements().len() as i64, expected);
    if let Some(stored_in) = stored_in {
        for number in 0..KEYS {
            assert_eq!(ask(client, &format!("GET key:{number}")).text(), stored_in.to_string());
        }
    }
}

#[test]
fn databases_are_the_same_from_every_node_and_go_where_the_copies_go() {
    let mut cluster = Cluster::start(3, &[]);
    let mut clients: Vec<Client> =
        cluster.addresses().iter().map(|at| Client::connect(*at, PATIENCE).unwrap()).collect();
    for database in [0, 1, 5] {
        for number in 0..KEYS {
            let client = &mut clients[number % 3];
            select(client, database);
            ask(client, &format!("SET key:{number} {database}"));
        }
    }
    for client in &mut clients {
        verify(client, 0, Some(0));
        verify(client, 1, Some(1));
        verify(client, 5, Some(5));
        verify(client, 2, None);
        let info = ask(client, "INFO keyspace").text();
        assert!(["db0:keys=", "db1:keys=", "db5:keys="].iter().all(|part| info.contains(part)), "{info}");
    }
    // A transaction that selects, wherever its partition is led; and one that watches in another database.
    for (number, client) in clients.iter_mut().enumerate() {
        for line in ["SELECT 9", "WATCH {t}a", "SELECT 8", "MULTI", "INCR {t}a", "SELECT 7", "INCR {t}a", "GET {t}a"] {
            ask(client, line);
        }
        let replies = ask(client, "EXEC");
        let expected = number as i64 + 1;
        assert_eq!((replies.elements()[0].integer(), replies.elements()[2].integer()), (expected, expected));
        assert_eq!(replies.elements()[3].text(), expected.to_string());
    }
    assert_eq!(ask(&mut clients[0], "SELECT 8").text(), "OK");
    assert_eq!(ask(&mut clients[0], "MOVE {t}a 9").integer(), 1);
    for client in &mut clients {
        for (database, value) in [(7, "3"), (8, ""), (9, "3")] {
            select(client, database);
            assert_eq!(ask(client, "GET {t}a").text(), value);
        }
    }
    for database in [7, 9] {
        select(&mut clients[1], database);
        ask(&mut clients[1], "FLUSHDB");
    }
    // On the cluster port half of the cluster is not worth swapping: it is for all.
    let cluster_port = std::net::SocketAddr::new(cluster[1].address().ip(), cluster[1].ports().cluster);
    let mut aware = Client::connect(cluster_port, PATIENCE).unwrap();
    assert_eq!(ask(&mut aware, "SWAPDB 1 2").text(), "OK");
    assert_eq!(ask(&mut clients[2], "SWAPDB 0 5").text(), "OK");
    let holds = [(0, Some(5)), (1, None), (2, Some(1)), (5, Some(0)), (9, None)];
    clients
        .iter_mut()
        .for_each(|client| holds.iter().for_each(|(database, stored)| verify(client, *database, *stored)));
    // Who waits at one node is served by what comes at another into the same database.
    let mut waiting = Client::connect(cluster[0].address(), PATIENCE).unwrap();
    select(&mut waiting, 3);
    waiting.queue(&[b"BLPOP", b"queue", b"0"]);
    waiting.flush().unwrap();
    wait_until("it waits", PATIENCE, || {
        let info = ask(&mut clients[0], "INFO clients").text();
        if info.contains("blocked_clients:1") { Ok(()) } else { Err(info) }
    });
    select(&mut clients[1], 0);
    assert_eq!(ask(&mut clients[1], "RPUSH queue zero").integer(), 1);
    select(&mut clients[2], 3);
    ask(&mut clients[2], "RPUSH queue three");
    assert_eq!(waiting.read().unwrap().elements()[1].text(), "three");
    ask(&mut clients[1], "DEL queue");
    // A fourth node comes, the first goes: everything is still there.
    cluster.add();
    cluster.wait_ready();
    cluster[0].stop(PATIENCE);
    let mut fourth = Client::connect(cluster[3].address(), PATIENCE).unwrap();
    holds.iter().for_each(|(database, stored)| verify(&mut fourth, *database, *stored));
    select(&mut fourth, 2);
    assert_eq!(ask(&mut fourth, "FLUSHDB").text(), "OK");
    verify(&mut fourth, 2, None);
    verify(&mut fourth, 5, Some(0));
    assert_eq!(ask(&mut fourth, "FLUSHALL").text(), "OK");
    verify(&mut fourth, 5, None);
}
