//! The memory limit on three nodes under a load that would pass it many times over.
#![allow(missing_docs)]

use cluster_tests::process::{Client, Cluster};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Limit of each node.
const LIMIT_BYTES: u64 = 6 * 1024 * 1024;
/// What all clients write together.
const WRITTEN_BYTES: u64 = 2 * LIMIT_BYTES;
const VALUE_BYTES: usize = 1000;
const CLIENTS: u64 = 6;
/// Commands that a client sends before it reads.
const PIPELINE: u64 = 16;

fn info(client: &mut Client, field: &str) -> u64 {
    let text = client.words("INFO").expect("INFO").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("INFO says nothing of {field}"))
}

/// Writes keys of its own through one node; the errors that it was answered.
fn write(mut client: Client, number: u64) -> io::Result<Vec<String>> {
    let value = vec![b'x'; VALUE_BYTES];
    let mut errors = Vec::new();
    for batch in 0..WRITTEN_BYTES / CLIENTS / PIPELINE / VALUE_BYTES as u64 {
        for at in 0..PIPELINE {
            client.queue(&[b"SET", format!("{number}:{batch}:{at}").as_bytes(), &value]);
        }
        client.flush()?;
        for _ in 0..PIPELINE {
            let reply = client.read()?;
            if reply.text() != "OK" {
                errors.push(format!("{reply:?}"));
            }
        }
    }
    Ok(errors)
}

/// Writes through all nodes of `cluster` at once; the most memory that each node used, and the errors that clients saw.
fn write_through_all(cluster: &Cluster) -> (Vec<u64>, Vec<String>) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watchers: Vec<_> = (0..3)
            .map(|node| {
                let (mut client, done) = (cluster[node].connect().unwrap(), &done);
                scope.spawn(move || {
                    let mut peak = 0;
                    while !done.load(Ordering::Acquire) {
                        peak = peak.max(info(&mut client, "used_memory"));
                    }
                    peak
                })
            })
            .collect();
        let writers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = cluster[number as usize % 3].connect().unwrap();
                scope.spawn(move || write(client, number).unwrap())
            })
            .collect();
        let errors: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        done.store(true, Ordering::Release);
        (watchers.into_iter().map(|watcher| watcher.join().unwrap()).collect(), errors)
    })
}

/// Keys of a node by itself, over all its partitions; some are read again, over several connections, one by one and in
/// pipelines. What makes room for new ones is exactly what was used least recently.
#[test]
fn a_node_evicts_in_the_order_of_use_over_all_partitions() {
    const KEYS: usize = 3000;
    let cluster = Cluster::start(1, &[]);
    let mut clients: Vec<Client> = (0..4).map(|_| cluster[0].connect().unwrap()).collect();
    let mut uses: Vec<usize> = Vec::new();
    let call = |client: &mut Client, commands: &[String]| {
        commands.iter().for_each(|command| client.queue(&command.split(' ').map(str::as_bytes).collect::<Vec<_>>()));
        client.flush().unwrap();
        commands.iter().map(|_| client.read().unwrap()).collect::<Vec<_>>()
    };
    let value = "v".repeat(100);
    for key in 0..KEYS {
        call(&mut clients[key % 4], &[format!("SET {key} {value}")]);
        uses.push(key);
    }
    let (mut dice, mut read) = (12345u64, 0);
    for round in 0..120 {
        let pipeline = [1, 7, 50][round % 3];
        let keys: Vec<usize> = (0..pipeline)
            .map(|_| {
                dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (dice >> 33) as usize % KEYS
            })
            .collect();
        let commands: Vec<String> = keys.iter().map(|key| format!("GET {key}")).collect();
        call(&mut clients[round % 4], &commands);
        read += keys.len();
        uses.extend(keys);
    }
    assert!(read > 2000);
    // Each key at its last use.
    let mut order: Vec<usize> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    order.extend(uses.iter().rev().copied().filter(|key| seen.insert(*key)));
    order.reverse();

    let client = &mut clients[0];
    let limit = info(client, "used_memory") + 20_000;
    assert_eq!(client.words("CONFIG SET maxmemory-policy allkeys-lru").unwrap().text(), "OK");
    assert_eq!(client.words(&format!("CONFIG SET maxmemory {limit}")).unwrap().text(), "OK");
    for new in 0..1000 {
        call(&mut clients[new % 4], &[format!("SET new:{new} {value}")]);
    }
    let there = |client: &mut Client, key: &usize| client.words(&format!("EXISTS {key}")).unwrap().integer() == 1;
    let there: Vec<bool> = order.iter().map(|key| there(&mut clients[0], key)).collect();
    let gone = there.iter().filter(|there| !**there).count();
    assert!((500..2500).contains(&gone), "{gone} keys went");
    let wrong = there.iter().enumerate().filter(|(place, there)| **there == (*place < gone)).count();
    assert_eq!(wrong, 0, "of {gone} that went");
}

/// Leaders whose own node has no limit, and no policy, make room for their copies at a node that has one.
#[test]
fn the_smallest_limit_of_three_is_kept_by_all() {
    let cluster = Cluster::start(3, &[]);
    let mut small = cluster[1].connect().unwrap();
    let limit = LIMIT_BYTES.to_string();
    assert_eq!(small.words(&format!("CONFIG SET maxmemory {limit}")).unwrap().text(), "OK");
    let (peaks, errors) = write_through_all(&cluster);
    eprintln!("limit {LIMIT_BYTES} at the second node, most that was used {peaks:?}");
    assert!(errors.is_empty(), "{} errors, first {:?}", errors.len(), &errors[..errors.len().min(5)]);
    assert!(peaks[1] <= LIMIT_BYTES, "{peaks:?} past {LIMIT_BYTES}");
}

#[test]
fn three_nodes_stay_under_their_limit_and_refuse_nothing() {
    let limit = LIMIT_BYTES.to_string();
    let cluster = Cluster::start(3, &["--maxmemory", &limit, "--maxmemory-policy", "allkeys-lru"]);
    // Who leads everything at first would evict what was written then.
    cluster.wait_even();
    let (peaks, errors) = write_through_all(&cluster);
    let evicted: Vec<u64> = (0..3).map(|node| info(&mut cluster[node].connect().unwrap(), "evicted_keys")).collect();
    eprintln!("limit {LIMIT_BYTES}, most that was used {peaks:?}, evicted {evicted:?}");
    assert!(errors.is_empty(), "{} errors, first {:?}", errors.len(), &errors[..errors.len().min(5)]);
    assert!(peaks.iter().all(|peak| *peak <= LIMIT_BYTES), "{peaks:?} past {LIMIT_BYTES}");
    // Whoever leads what was used least recently evicts: no node makes room for all with what it leads itself.
    let (least, most) = (evicted.iter().min(), evicted.iter().max());
    assert!(least.zip(most).is_some_and(|(least, most)| *least > 0 && *most <= 2 * least), "{evicted:?}");
}

/// Quick writes that follow each other on one partition run under one hold of its lock: where there is no room for the next
/// one, the lock is let go of before anything is evicted.
#[test]
fn quick_writes_in_a_row_evict_on_a_full_node() {
    const ROUNDS: u64 = 300;
    let limit = LIMIT_BYTES.to_string();
    let cluster = Cluster::start(1, &["--maxmemory", &limit]);
    let write = |number: u64| {
        let mut client = cluster[0].connect().unwrap();
        let value = vec![b'x'; VALUE_BYTES];
        for round in 0..ROUNDS {
            for at in 0..PIPELINE {
                // Half of them on one partition, the others anywhere.
                let tag = if at % 2 == 0 { "{here}" } else { "" };
                client.queue(&[b"HSET", format!("{tag}{number}:{round}:{at}").as_bytes(), b"field", &value]);
            }
            client.flush().unwrap();
            (0..PIPELINE).for_each(|_| assert_eq!(client.read().unwrap().integer(), 1));
        }
    };
    thread::scope(|scope| (0..CLIENTS).for_each(|number| drop(scope.spawn(move || write(number)))));
    let mut client = cluster[0].connect().unwrap();
    assert!(info(&mut client, "evicted_keys") > 0);
    assert!(info(&mut client, "used_memory") <= LIMIT_BYTES);
}
