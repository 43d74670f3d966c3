//! MIGRATE from a cluster: keys of all partitions, asked of any node, go to a redis-server and to another cluster.
#![allow(missing_docs)]

use cluster_tests::process::{Client, Cluster, Node, NodeOptions, RedisServer, Value};
use std::net::SocketAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: usize = 200;

fn connect(address: SocketAddr) -> Client {
    Client::connect(address, PATIENCE).unwrap()
}

fn ask(client: &mut Client, command: &str) -> Value {
    let reply = client.words(command).unwrap();
    assert!(!matches!(&reply, Value::Error(_)), "{command}: {reply:?}");
    reply
}

/// Makes keys of all types, and says what each holds.
fn fill(client: &mut Client) -> Vec<(String, String, Value)> {
    (0..KEYS)
        .map(|number| {
            let (make, look) = match number % 4 {
                0 => (format!("SET key:{number} {number}"), format!("GET key:{number}")),
                1 => (format!("RPUSH key:{number} a b {number}"), format!("LRANGE key:{number} 0 -1")),
                2 => (format!("HSET key:{number} f {number}"), format!("HGETALL key:{number}")),
                _ => (format!("ZADD key:{number} {number} m"), format!("ZRANGE key:{number} 0 -1 WITHSCORES")),
            };
            ask(client, &make);
            let shown = ask(client, &look);
            (format!("key:{number}"), look, shown)
        })
        .collect()
}

fn migrate(client: &mut Client, to: SocketAddr, options: &str, keys: &[&str]) -> Value {
    let line = format!("MIGRATE {} {} {{}} 0 20000 {options} KEYS {}", to.ip(), to.port(), keys.join(" "));
    let words: Vec<&[u8]> =
        line.split_whitespace().map(|word| if word == "{}" { &b""[..] } else { word.as_bytes() }).collect();
    client.command(&words).unwrap()
}

fn moved(cluster: &Cluster, target: SocketAddr) {
    let mut there = connect(target);
    let mut clients: Vec<Client> = cluster.addresses().into_iter().map(connect).collect();
    let filled = fill(&mut clients[0]);
    ask(&mut clients[1], "PEXPIRE key:0 100000");
    for (part, keys) in filled.chunks(KEYS / 4).enumerate() {
        let names: Vec<&str> = keys.iter().map(|(name, ..)| name.as_str()).collect();
        let client = &mut clients[part % 3];
        assert_eq!(migrate(client, target, "COPY", &names).text(), "OK");
        for (_, look, shown) in keys {
            assert_eq!((&ask(&mut there, look), &ask(client, look)), (shown, shown), "{look}");
        }
        // What is there already is refused, and stays on both sides.
        let Value::Error(busy) = migrate(client, target, "", &names[..3]) else { panic!("it is there") };
        assert_eq!(busy, "ERR Target instance replied with error: BUSYKEY Target key name already exists.");
        assert_eq!(migrate(client, target, "REPLACE", &names).text(), "OK");
        assert_eq!(migrate(client, target, "", &names).text(), "NOKEY");
    }
    for client in &mut clients {
        assert_eq!(ask(client, "DBSIZE").integer(), 0);
    }
    assert!((1..=100_000).contains(&ask(&mut there, "PTTL key:0").integer()));
    assert_eq!(ask(&mut there, "DBSIZE").integer(), KEYS as i64);
}

#[test]
fn keys_of_a_cluster_go_to_other_servers() {
    let cluster = Cluster::start(3, &[]);
    let directory = tempfile::tempdir().unwrap();
    let mut other = Node::start("other", directory.path(), NodeOptions::default());
    other.wait_ready(PATIENCE);
    moved(&cluster, other.address());
    match RedisServer::start(false) {
        Ok(redis) => moved(&cluster, redis.address()),
        Err(error) => eprintln!("redis-server is not installed: {error}"),
    }
    // Thresholds that every node has: copies agree on the form of what they hold, whoever leads.
    let mut clients: Vec<Client> = cluster.addresses().into_iter().map(connect).collect();
    for client in &mut clients {
        ask(client, "CONFIG SET hash-max-ziplist-entries 2 set-max-intset-entries 1 list-max-listpack-size 2");
    }
    for number in 0..30 {
        ask(&mut clients[number % 3], &format!("HSET h{number} a 1 b 2 c 3"));
        ask(&mut clients[number % 3], &format!("HSET small{number} a 1 b 2"));
        ask(&mut clients[number % 3], &format!("RPUSH l{number} a b c"));
    }
    for client in &mut clients {
        for number in 0..30 {
            let encoding =
                |client: &mut Client, key: &str| ask(client, &format!("OBJECT ENCODING {key}{number}")).text();
            assert_eq!(encoding(client, "h"), "hashtable");
            assert_eq!(encoding(client, "small"), "listpack");
            assert_eq!(encoding(client, "l"), "quicklist");
        }
    }
}
