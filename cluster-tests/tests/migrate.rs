//! MIGRATE from a cluster: keys of all partitions, asked of any node, go to a redis-server and to another cluster.
#![allow(missing_docs)]

use cluster_tests::process::{Client, Cluster, Node, NodeOptions, RedisServer, Value};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

const PASSWORD: &str = "sesame";
/// Keys that one MIGRATE names.
const BATCH: usize = 100;
/// How far two looks at one wall clock, rounded to milliseconds or cached for a moment, may be apart.
const CLOCK_MS: i64 = 1000;

/// A client that has said the password.
fn connect_with_password(address: SocketAddr) -> Client {
    let mut client = connect(address);
    ask(&mut client, &format!("AUTH {PASSWORD}"));
    client
}

/// Writes keys of its own until told to stop; what each held last.
fn write_beside(mut client: Client, name: String, stop: Arc<AtomicBool>) -> JoinHandle<BTreeMap<String, String>> {
    std::thread::spawn(move || {
        let mut written = BTreeMap::new();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (key, value) = (format!("{name}:{}", number % 500), number.to_string());
            ask(&mut client, &format!("SET {key} {value}"));
            written.insert(key, value);
        }
        written
    })
}

/// A key that is to move, and what is known of it.
struct Moving {
    name: String,
    look: String,
    shown: Value,
    deadline: i64,
}

/// Keys of all types, a third of them with a deadline.
fn fill_with_deadlines(client: &mut Client, part: usize, count: usize) -> Vec<Moving> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let make = |number: usize| {
        let name = format!("moving:{part}:{number}");
        let (make, look) = match number % 5 {
            0 => (format!("SET {name} {number}"), format!("GET {name}")),
            1 => (format!("RPUSH {name} a b {number}"), format!("LRANGE {name} 0 -1")),
            2 => (format!("HSET {name} f {number}"), format!("HGETALL {name}")),
            3 => (format!("XADD {name} {}-1 f {number}", number + 1), format!("XRANGE {name} - +")),
            _ => (format!("ZADD {name} {number} m"), format!("ZRANGE {name} 0 -1 WITHSCORES")),
        };
        ask(client, &make);
        let deadline = if number.is_multiple_of(3) { now + 3_600_000 + number as i64 * 1000 } else { -1 };
        if deadline > 0 {
            ask(client, &format!("PEXPIREAT {name} {deadline}"));
        }
        let shown = ask(client, &look);
        Moving { name, look, shown, deadline }
    };
    (0..count).map(make).collect()
}

/// The target's deadline is later than the source's by no more than the way took.
fn assert_arrived(there: &mut Client, key: &Moving, way: Duration) {
    assert_eq!(ask(there, &key.look), key.shown, "{}", key.look);
    let deadline = ask(there, &format!("PEXPIRETIME {}", key.name)).integer();
    let late = deadline - key.deadline;
    let range = if key.deadline < 0 { 0..=0 } else { -CLOCK_MS..=way.as_millis() as i64 + CLOCK_MS };
    assert!(range.contains(&late), "{}: {deadline}, was {}, the way took {way:?}", key.name, key.deadline);
}

/// Moves keys in batches, first as copies, and compares each on both sides.
fn move_all(mut here: Client, mut there: Client, target: SocketAddr, part: usize, count: usize) {
    let mut moving = fill_with_deadlines(&mut here, part, count);
    for batch in moving.chunks_mut(BATCH) {
        let names: Vec<String> = batch.iter().map(|key| key.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let options = format!("COPY AUTH {PASSWORD}");
        let begun = Instant::now();
        assert_eq!(migrate(&mut here, target, &options, &names), Value::Simple("OK".into()), "{names:?}");
        for key in &*batch {
            assert_eq!(ask(&mut here, &key.look), key.shown, "{}", key.look);
            assert_eq!(ask(&mut here, &format!("PEXPIRETIME {}", key.name)).integer(), key.deadline, "{}", key.name);
            assert_arrived(&mut there, key, begun.elapsed());
        }
        // What changed since then takes the place of the copy.
        for key in batch.iter_mut().filter(|key| key.look.starts_with("GET")) {
            ask(&mut here, &format!("APPEND {} x", key.name));
            key.shown = ask(&mut here, &key.look);
        }
        let options = format!("REPLACE AUTH {PASSWORD}");
        let begun = Instant::now();
        assert_eq!(migrate(&mut here, target, &options, &names), Value::Simple("OK".into()), "{names:?}");
        let way = begun.elapsed();
        assert_eq!(ask(&mut here, &format!("EXISTS {}", names.join(" "))).integer(), 0, "{names:?}");
        batch.iter().for_each(|key| assert_arrived(&mut there, key, way));
        assert_eq!(migrate(&mut here, target, &options, &names), Value::Simple("NOKEY".into()), "{names:?}");
    }
    // The last batch did nothing to those before it.
    moving.iter().for_each(|key| assert_eq!(ask(&mut there, &key.look), key.shown, "{}", key.look));
}

fn moved_beside_writers(sources: &[SocketAddr], target: SocketAddr, count: usize) {
    const MOVERS: usize = 2;
    let stop = Arc::new(AtomicBool::new(false));
    ask(&mut connect_with_password(target), "FLUSHALL");
    let source = |number: usize| connect(sources[number % sources.len()]);
    let here: Vec<_> = (0..3).map(|n| write_beside(source(n), format!("here:{n}"), Arc::clone(&stop))).collect();
    let there: Vec<_> =
        (0..2).map(|n| write_beside(connect_with_password(target), format!("there:{n}"), Arc::clone(&stop))).collect();
    let movers: Vec<_> = (0..MOVERS)
        .map(|part| {
            let clients = (source(part), connect_with_password(target));
            std::thread::spawn(move || move_all(clients.0, clients.1, target, part, count / MOVERS))
        })
        .collect();
    let moved: Vec<_> = movers.into_iter().map(JoinHandle::join).collect();
    stop.store(true, Ordering::Relaxed);
    for (writers, mut client, moved_there) in [(here, source(0), 0), (there, connect_with_password(target), count)] {
        let written: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        for (key, value) in &written {
            assert_eq!(ask(&mut client, &format!("GET {key}")).text(), *value, "{key}");
        }
        if moved.iter().all(Result::is_ok) {
            assert_eq!(ask(&mut client, "DBSIZE").integer() as usize, written.len() + moved_there);
        }
    }
    moved.into_iter().for_each(|mover| mover.unwrap());
}

#[test]
fn thousands_of_keys_move_beside_writers_and_each_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let flags = vec!["--requirepass".to_owned(), PASSWORD.to_owned()];
    let mut target = Node::start("target", directory.path(), NodeOptions { flags, ..NodeOptions::default() });
    let mut source = Node::start("source", directory.path(), NodeOptions::default());
    target.wait_ready(PATIENCE);
    source.wait_ready(PATIENCE);
    // Without the password nothing moves, and nothing is lost.
    let mut client = connect(source.address());
    ask(&mut client, "SET k v");
    assert!(matches!(migrate(&mut client, target.address(), "", &["k"]), Value::Error(_)));
    assert_eq!(ask(&mut client, "GETDEL k").text(), "v");
    moved_beside_writers(&[source.address()], target.address(), 4000);
    let cluster = Cluster::start(3, &[]);
    moved_beside_writers(&cluster.addresses(), target.address(), 1000);
}
