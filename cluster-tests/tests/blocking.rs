//! Commands that wait, over real nodes: each element goes to one of those who wait, whichever node they wait at.
#![allow(missing_docs)]

use cluster_tests::process::{Client, Cluster, Value, every_slot_writable, wait_until};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// So long a leader is looked for in vain until those who wait are refused; a second of it is not to be relied on.
const LEADERLESS_MAX: Duration = Duration::from_secs(4);

/// Waits until so many clients are blocked over all nodes.
fn until_blocked(cluster: &Cluster, nodes: usize, count: usize) {
    wait_until("all wait", PATIENCE, || {
        let mut blocked = 0;
        for node in 0..nodes {
            let info = cluster[node].connect().and_then(|mut client| client.words("INFO clients"));
            let info = info.map_err(|error| error.to_string())?.text();
            let field = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
            blocked += field.and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
        }
        if blocked == count { Ok(()) } else { Err(format!("{blocked} of {count}")) }
    });
}

fn connect(address: SocketAddr) -> Client {
    Client::connect(address, PATIENCE).unwrap()
}

#[test]
fn each_element_goes_to_one_and_in_order_of_arrival() {
    let cluster = Cluster::start(3, &[]);
    let keys: Vec<String> = (0..6).map(|key| format!("queue:{key}")).collect();
    for key in &keys {
        let mut waiting: Vec<Client> = Vec::new();
        for number in 0..9 {
            // At each node in turn, each waiting before the next comes.
            let mut client = connect(cluster[number % 3].address());
            client.queue(&[b"BLPOP", key.as_bytes(), b"0"]);
            client.flush().unwrap();
            waiting.push(client);
            until_blocked(&cluster, 3, number + 1);
            // It may still be on the way to the leader: what goes the same way comes after it.
            let there = connect(cluster[number % 3].address()).words(&format!("EXISTS {key}")).unwrap();
            assert_eq!(there, Value::Integer(0));
        }
        let mut pusher = connect(cluster[0].address());
        for number in 0..3 {
            let elements: Vec<String> = (0..3).map(|at| format!("{}", number * 3 + at)).collect();
            pusher.words(&format!("RPUSH {key} {}", elements.join(" "))).unwrap();
        }
        for (number, client) in waiting.iter_mut().enumerate() {
            let reply = client.read().unwrap();
            let texts: Vec<String> = reply.elements().iter().map(Value::text).collect();
            assert_eq!(texts, [key.clone(), number.to_string()]);
        }
        assert_eq!(pusher.words(&format!("EXISTS {key}")).unwrap(), Value::Integer(0));
    }
    // Timeouts at every node: not before their time.
    for node in 0..3 {
        for key in &keys {
            let begun = Instant::now();
            assert_eq!(
                connect(cluster[node].address()).words(&format!("BLPOP {key} 0.05")).unwrap(),
                Value::Array(None)
            );
            assert!(begun.elapsed() >= Duration::from_millis(50));
        }
    }
    // Who has gone gets nothing, wherever he waited.
    for node in 0..3 {
        for key in &keys {
            let mut client = connect(cluster[node].address());
            client.queue(&[b"BLPOP", key.as_bytes(), b"0"]);
            client.flush().unwrap();
        }
    }
    until_blocked(&cluster, 3, 0);
    for key in &keys {
        let mut client = connect(cluster[0].address());
        // What ends a wait at another node is on its way before this is.
        wait_until("the element stays", PATIENCE, || {
            client.words(&format!("RPUSH {key} x")).map_err(|error| error.to_string())?;
            match client.words(&format!("LLEN {key}")).map_err(|error| error.to_string())? {
                Value::Integer(0) => Err("taken by one who has gone".to_string()),
                _ => Ok(()),
            }
        });
    }
    // What the connection wrote is on both followers.
    for node in 0..3 {
        let mut client = connect(cluster[node].address());
        client.words("SET written 1").unwrap();
        assert_eq!(client.words("WAIT 2 20000").unwrap(), Value::Integer(2));
        let begun = Instant::now();
        assert_eq!(client.words("WAIT 3 50").unwrap(), Value::Integer(2));
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }
}

/// Takes from a queue until told to stop; counts what it got, and what it does not know.
fn consume(address: SocketAddr, stop: Arc<AtomicBool>, uncertain: Arc<AtomicU64>) -> JoinHandle<BTreeMap<String, u64>> {
    std::thread::spawn(move || {
        let mut got = BTreeMap::new();
        let mut client = None;
        while !stop.load(Ordering::Relaxed) {
            let mut open = match client.take() {
                Some(open) => open,
                None => match Client::connect(address, PATIENCE) {
                    Ok(open) => open,
                    Err(_) => return got,
                },
            };
            match open.words("BLPOP jobs 0.5") {
                Ok(Value::Array(Some(reply))) => *got.entry(reply[1].text()).or_default() += 1,
                Ok(Value::Array(None)) => {}
                Ok(Value::Error(error)) if error.starts_with("UNCERTAIN") => {
                    uncertain.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Value::Error(error)) => assert!(error.starts_with("CLUSTERDOWN"), "{error}"),
                Ok(other) => panic!("{other:?}"),
                // The node is gone, and the answer with it.
                Err(_) => {
                    uncertain.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            client = Some(open);
        }
        got
    })
}

#[test]
fn no_element_is_lost_where_a_leader_dies_but_those_of_uncertain_fate() {
    let mut cluster = Cluster::start(3, &[]);
    let (stop, uncertain) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let addresses = cluster.addresses();
    let consumers: Vec<_> =
        (0..9).map(|number| consume(addresses[number % 3], Arc::clone(&stop), Arc::clone(&uncertain))).collect();
    let slot = connect(addresses[0]).words("CLUSTER KEYSLOT jobs").unwrap().integer() as u16;
    let ranges = cluster.slots(0).unwrap();
    let leader = ranges.iter().find(|range| (range.start..=range.end).contains(&slot)).unwrap().ports[0];
    let victim = (0..3).find(|node| cluster[*node].ports().cluster == leader).unwrap();
    let survivor = addresses[(victim + 1) % 3];
    let (mut sure, mut maybe) = (Vec::new(), Vec::new());
    let mut pusher = connect(survivor);
    let mut push = |from: u64, to: u64| {
        for number in from..to {
            let job = format!("job{number}");
            match pusher.words(&format!("RPUSH jobs {job}")).unwrap() {
                Value::Integer(_) => sure.push(job),
                _ => maybe.push(job),
            }
        }
    };
    push(0, 300);
    let killed = Instant::now();
    cluster[victim].kill();
    push(300, 600);
    every_slot_writable(survivor, killed, PATIENCE);
    push(600, 900);
    wait_until("the queue is empty", PATIENCE, || {
        match connect(survivor).words("LLEN jobs").map_err(|error| error.to_string())? {
            Value::Integer(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    stop.store(true, Ordering::Relaxed);
    let mut got: BTreeMap<String, u64> = BTreeMap::new();
    for consumer in consumers {
        for (job, times) in consumer.join().unwrap() {
            *got.entry(job).or_default() += times;
        }
    }
    assert!(got.values().all(|times| *times == 1), "an element went to two");
    let lost = sure.iter().filter(|job| !got.contains_key(*job)).count() as u64;
    let uncertain = uncertain.load(Ordering::Relaxed);
    eprintln!("{} pushed, {} maybe; {lost} not seen, {uncertain} answers uncertain", sure.len(), maybe.len());
    assert!(lost <= uncertain, "{lost} elements went to nobody, and {uncertain} clients do not know");
}

/// The entries of a stream's reply: ids in order.
fn ids(entries: &Value) -> Vec<String> {
    entries.elements().iter().map(|entry| entry.elements()[0].text()).collect()
}

#[test]
fn who_reads_a_stream_from_its_end_misses_nothing_where_a_leader_goes() {
    let mut cluster = Cluster::start(3, &[]);
    let addresses = cluster.addresses();
    let slot = connect(addresses[0]).words("CLUSTER KEYSLOT events").unwrap().integer() as u16;
    for round in 0..4 {
        // Nobody takes a leadership over but for what is done here: a question that was refused is asked again after a pause,
        // and what comes after it the same way may be faster then.
        cluster.wait_even();
        let last = connect(addresses[0]).words("XADD events * round begins").unwrap().text();
        assert!(!last.is_empty());
        let ranges = cluster.slots(0).unwrap();
        let leader = ranges.iter().find(|range| (range.start..=range.end).contains(&slot)).unwrap().ports[0];
        let victim = (0..3).find(|node| cluster[*node].ports().cluster == leader).unwrap();
        // At both nodes that stay, more than one each.
        let stay = [(victim + 1) % 3, (victim + 2) % 3];
        let mut waiting: Vec<Client> = Vec::new();
        for number in 0..6 {
            let node = stay[number % 2];
            let mut client = connect(addresses[node]);
            client.queue(&[b"XREAD", b"BLOCK", b"0", b"STREAMS", b"events", b"$"]);
            client.flush().unwrap();
            waiting.push(client);
            until_blocked(&cluster, 3, number + 1);
            // What goes the same way comes after it: the leader has seen what `$` is.
            assert_eq!(connect(addresses[node]).words("XLEN events").unwrap(), Value::Integer(round + 1));
        }
        // The next entry comes as soon as there is somebody to take it, whether or not those who wait are there by then.
        let mut writer = connect(addresses[stay[0]]);
        let asked = Instant::now();
        if round % 2 == 0 {
            cluster[victim].kill();
        } else {
            cluster[victim].stop(PATIENCE);
        }
        wait_until("an entry is added", PATIENCE, || match writer.words("XADD events * round ends").unwrap() {
            Value::Bulk(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let leaderless = asked.elapsed();
        let added = ids(&writer.words(&format!("XRANGE events ({last} +")).unwrap());
        for client in &mut waiting {
            let reply = client.read().unwrap();
            if matches!(&reply, Value::Error(error) if error.starts_with("CLUSTERDOWN")) {
                assert!(leaderless >= LEADERLESS_MAX, "refused after {leaderless:?}");
                continue;
            }
            let read = reply.elements().first().map(|stream| ids(&stream.elements()[1])).unwrap_or_default();
            assert!(!read.is_empty() && added.starts_with(&read), "{reply:?}, added {added:?}");
        }
        every_slot_writable(addresses[stay[0]], asked, PATIENCE);
        cluster[victim].start_again();
        cluster.wait_ready();
        writer.words("DEL events").unwrap();
        for _ in 0..=round {
            assert!(!writer.words("XADD events * round over").unwrap().text().is_empty());
        }
    }
}
