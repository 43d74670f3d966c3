//! Groups of three copies in one process, over channels in the place of sockets.

use super::runtime::BeatRuntime;
use super::*;
use crate::clock;
use crate::commands::block::{self, CommandOptions};
use crate::commands::table;
use crate::ids::{CopyId, DatabaseNo, Incarnation, NodeNo, PartitionId};
use crate::keyspace::collections::limits::Limits;
use crate::keyspace::{EvictionPolicy, HashSeed};
use crate::raft::ANY_TERM;
use crate::raft::codec::Reader;
use crate::raft::network::Kind;
use crate::raft::upkeep::Upkeep;
use crate::telemetry::Stats;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use larder_protocol::Args;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};

pub(super) type TokioGroup = Group<BeatRuntime>;

/// Delivers at once to the groups that are attached.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) groups: Mutex<BTreeMap<NodeNo, Arc<TokioGroup>>>,
    /// How long acknowledgements of entries take.
    lag_ms: AtomicU64,
}

struct Port(Weak<Wire>);

impl GroupRpc for Port {
    fn call(&self, to: NodeNo, body: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        let wire = self.0.upgrade();
        let lag_ms = wire.as_ref().map_or(0, |wire| wire.lag_ms.load(Ordering::Relaxed));
        let group = wire.and_then(|wire| wire.groups.lock().get(&to).cloned());
        Box::pin(async move {
            let group = group.ok_or_else(|| PeerUnreachable("dead".into()))?;
            let mut reader = Reader(body);
            let (_, generation, from, to, kind) = read_address(&mut reader).expect("our own messages decode");
            if (group.generation(), group.copy()) != (generation, to) {
                return Ok(refusal());
            }
            let answer = tokio::time::timeout(timeout, group.handle(kind, from, reader)).await;
            if kind == Kind::Append as u8 && lag_ms > 0 {
                tokio::time::sleep(Duration::from_millis(lag_ms)).await;
            }
            answer.map_err(|_| PeerUnreachable("timeout".into()))
        })
    }
}

pub(super) fn copy(node: u32, incarnation: u32) -> CopyId {
    CopyId { node: NodeNo(node), incarnation: Incarnation(incarnation) }
}

fn host(wire: &Arc<Wire>) -> Arc<GroupHost> {
    let room = Arc::new(Room::default());
    // Far away, so that nothing is evicted; but there is one.
    room.set_limit_bytes(1 << 40);
    Arc::new(GroupHost {
        until_beat: clock::until_beat,
        roles_changed: Notify::new(),
        rpc: Arc::new(Port(Arc::downgrade(wire))),
        timing: Timing::default(),
        snapshot_permits: Arc::new(Semaphore::new(1)),
        tick: clock::tick,
        boot_ns: clock::boot_ns,
        room,
    })
}

pub(super) async fn start(wire: &Arc<Wire>, me: CopyId, partition: Arc<Partition>, how: Start) -> Arc<TokioGroup> {
    let group = Group::start(host(wire), partition, 1, me, how).await.expect("a copy starts");
    wire.groups.lock().insert(me.node, Arc::clone(&group));
    let sampled = Arc::clone(&group);
    tokio::spawn(async move {
        while sampled.is_running() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            sampled.sample_lease(clock::boot_ns(), false);
        }
    });
    group
}

pub(super) fn partition(role: Role) -> Arc<Partition> {
    Arc::new(Partition::new(PartitionId(0), HashSeed([1; 16]), role))
}

pub(super) fn encode(command: &[&str]) -> Bytes {
    encode_in(DatabaseNo::FIRST, command)
}

fn encode_in(database: DatabaseNo, command: &[&str]) -> Bytes {
    let mut buffer = Vec::new();
    let mut ranges = Vec::new();
    for argument in command {
        ranges.push((buffer.len() as u32, (buffer.len() + argument.len()) as u32));
        buffer.extend_from_slice(argument.as_bytes());
    }
    let spec = table::all().find(|spec| spec.name == command[0]).expect("a command");
    let spec = table::subcommands(spec).find(|sub| sub.name == command[1]).unwrap_or(spec);
    let mut out = BytesMut::new();
    let options = CommandOptions { database, ..CommandOptions::default() };
    block::encode(&mut out, spec, options, Args::new(&buffer, &ranges));
    out.freeze()
}

pub(super) async fn propose(partition: &Partition, command: &[&str]) -> ShareOutcome {
    let (done, outcome) = oneshot::channel();
    partition.propose(Share { block: encode(command), count: 1, grows: true, watch: None, term_max: ANY_TERM, done });
    outcome.await.unwrap_or(ShareOutcome::Uncertain)
}

pub(super) async fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(value) = condition() {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn value(partition: &Partition, key: &str) -> Option<Vec<u8>> {
    let mut state = partition.lock();
    state.keyspace.get(key.as_bytes(), 0, None).map(|item| match item.value {
        crate::keyspace::ValueRef::String(value) => value.to_vec(),
        other => panic!("{key} holds {other:?}"),
    })
}

async fn write(groups: &[Arc<TokioGroup>], key: &str, text: &str) -> Arc<TokioGroup> {
    loop {
        for group in groups.iter().filter(|group| group.leads()) {
            if let ShareOutcome::Applied(replies) = propose(group.partition(), &["set", key, text]).await {
                assert_eq!(replies.get(0), b"+OK\r\n");
                return Arc::clone(group);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_answered_write_is_on_every_copy_and_survives_its_leader() {
    let wire = Arc::new(Wire::default());
    let mut groups = Vec::new();
    for node in 1..=3 {
        groups.push(start(&wire, copy(node, 1), partition(Role::Absent), Start::Empty).await);
    }
    groups[0].raft().initialize(BTreeSet::from([1, 2, 3].map(|node| copy(node, 1).pack()))).await.unwrap();
    let leader = write(&groups, "a", "1").await;
    until(|| leader.partition().lease_holds(clock::boot_ns()).then_some(())).await;
    assert_eq!(leader.partition().lock().role, Role::Leader);
    for group in &groups {
        until(|| (value(group.partition(), "a") == Some(b"1".to_vec())).then_some(())).await;
    }
    wire.groups.lock().remove(&leader.copy().node);
    leader.stop().await;
    assert!(!leader.partition().lease_holds(clock::boot_ns()));
    groups.retain(|group| group.copy() != leader.copy());
    let next = write(&groups, "b", "2").await;
    assert_eq!(value(next.partition(), "a"), Some(b"1".to_vec()));
    for group in groups {
        group.stop().await;
    }
}

#[tokio::test]
async fn who_leads_is_told_at_once() {
    let wire = Arc::new(Wire::default());
    let host = host(&wire);
    let group: Arc<TokioGroup> =
        Group::start(Arc::clone(&host), partition(Role::Solo), 1, copy(1, 1), Start::Alone).await.unwrap();
    until(|| (group.partition().lock().role == Role::Leader).then_some(())).await;
    tokio::time::timeout(Duration::from_secs(60), host.roles_changed.notified()).await.expect("nobody was told");
    group.stop().await;
}

/// What a generation is chosen by while copies live: a sealed one takes nothing more and gives no vote, and what it says of its
/// log stays so; what was answered is with the furthest one.
#[tokio::test]
async fn a_sealed_copy_takes_no_part_and_keeps_what_it_has() {
    let wire = Arc::new(Wire::default());
    let mut groups = Vec::new();
    for node in 1..=3 {
        groups.push(start(&wire, copy(node, 1), partition(Role::Absent), Start::Empty).await);
    }
    groups[0].raft().initialize(BTreeSet::from([1, 2, 3].map(|node| copy(node, 1).pack()))).await.unwrap();
    let leader = write(&groups, "a", "1").await;
    assert!(leader.standing().leads_on && !leader.standing().sealed);
    let (laggard, other) = match groups.iter().filter(|group| group.copy() != leader.copy()).collect::<Vec<_>>()[..] {
        [one, other] => (Arc::clone(one), Arc::clone(other)),
        _ => unreachable!("three copies"),
    };
    assert!(laggard.seal().await && laggard.seal().await, "once more does no harm");
    let before = laggard.standing();
    assert!(before.sealed && before.configs == [[copy(1, 1), copy(2, 1), copy(3, 1)]]);
    let leader = write(&[leader, Arc::clone(&other)], "b", "2").await;
    assert_eq!(laggard.standing(), before);
    assert!(leader.standing().last > before.last);
    assert!(leader.seal().await);
    assert!(!leader.leads() && !leader.partition().lease_holds(clock::boot_ns()));
    assert!(matches!(leader.partition().lock().role, Role::Follower(None)));
    let last = leader.standing().last;
    assert!(matches!(propose(leader.partition(), &["set", "c", "3"]).await, ShareOutcome::Refused(_)));
    assert!(other.seal().await);
    assert_eq!(leader.standing().last, last);
    let furthest = groups.iter().max_by_key(|group| group.standing().last).unwrap();
    furthest.apply_rest().await;
    assert_eq!(value(furthest.partition(), "a"), Some(b"1".to_vec()));
    assert_eq!(value(furthest.partition(), "b"), Some(b"2".to_vec()));
}

/// openraft keeps those who wait until it knows what became of their entries, also where another leader takes over.
#[tokio::test]
async fn no_write_is_left_uncertain_by_transfers() {
    let wire = Arc::new(Wire::default());
    let mut groups = Vec::new();
    for node in 1..=3 {
        groups.push(start(&wire, copy(node, 1), partition(Role::Absent), Start::Empty).await);
    }
    groups[0].raft().initialize(BTreeSet::from([1, 2, 3].map(|node| copy(node, 1).pack()))).await.unwrap();
    write(&groups, "a", "1").await;
    // Votes overtake acknowledgements.
    wire.lag_ms.store(20, Ordering::Relaxed);
    let groups = Arc::new(groups);
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let (groups, over) = (Arc::clone(&groups), Arc::clone(&over));
            tokio::spawn(async move {
                let (key, mut applied) = (format!("key{number}"), 0);
                while !over.load(Ordering::Relaxed) {
                    for group in groups.iter().filter(|group| group.leads()) {
                        match propose(group.partition(), &["set", &key, "value"]).await {
                            ShareOutcome::Applied(_) => applied += 1,
                            ShareOutcome::Refused(_) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                    tokio::task::yield_now().await;
                }
                applied
            })
        })
        .collect();
    for turn in 0..20 {
        let leader = until(|| groups.iter().find(|group| group.leads())).await;
        let heir = groups[(turn + 1) % 3].copy();
        if heir != leader.copy() && leader.transfer(heir).await.is_ok() {
            until(|| (!leader.leads()).then_some(())).await;
        }
        write(&groups, "between", "1").await;
    }
    over.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    for group in groups.iter() {
        group.stop().await;
    }
}

/// Reshapes from whatever is settled, as soon as something is.
async fn reshape(group: &TokioGroup, target: &BTreeSet<CopyId>) {
    let (settled, _) = until(|| group.settled()).await;
    group.reshape((settled.leader_id.term, settled.index), target, false, Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn a_solo_partition_becomes_a_group_with_all_it_holds() {
    let wire = Arc::new(Wire::default());
    let solo = partition(Role::Solo);
    for number in 0..5_000 {
        let touch = Some(clock::tick_of(clock::unix_ms()));
        let key = format!("key{number}");
        solo.lock().keyspace.set_string(key.as_bytes(), b"value", crate::keyspace::Deadline::Clear, touch);
    }
    let first = start(&wire, copy(1, 1), Arc::clone(&solo), Start::Alone).await;
    write(&[Arc::clone(&first)], "during", "1").await;
    let second = start(&wire, copy(2, 1), partition(Role::Absent), Start::Empty).await;
    let third = start(&wire, copy(3, 4), partition(Role::Absent), Start::Empty).await;
    let target = BTreeSet::from([copy(1, 1), copy(2, 1), copy(3, 4)]);
    reshape(&first, &target).await;
    assert_eq!(first.voters(), (target, false));
    let digest = first.partition().lock().keyspace.digest();
    for group in [&second, &third] {
        until(|| (group.partition().lock().keyspace.digest() == digest).then_some(())).await;
    }
    // The first is drained: it hands over, then the new leader removes it.
    let rest = BTreeSet::from([copy(2, 1), copy(3, 4)]);
    first.transfer(copy(2, 1)).await.unwrap();
    until(|| second.leads().then_some(())).await;
    reshape(&second, &rest).await;
    first.stop().await;
    write(&[second, third], "after", "1").await;
}

/// A change whose new copy is dead is given up soon, and cannot come about once it was called off.
#[tokio::test]
async fn a_change_that_was_called_off_does_not_happen() {
    let wire = Arc::new(Wire::default());
    let first = start(&wire, copy(1, 1), partition(Role::Solo), Start::Alone).await;
    let (settled, voters) = until(|| first.settled()).await;
    let expected = (settled.leader_id.term, settled.index);
    let dead = BTreeSet::from([copy(1, 1), copy(2, 1)]);
    let waiting = {
        let (first, dead) = (Arc::clone(&first), dead.clone());
        tokio::spawn(async move { first.reshape(expected, &dead, false, Duration::from_secs(60)).await })
    };
    // It has added the dead one as a learner, and waits for it.
    let (begun, _) = until(|| first.settled().filter(|(id, _)| *id != settled)).await;
    let me: BTreeSet<_> = voters.into_iter().collect();
    first.reshape((begun.leader_id.term, begun.index), &me, true, Duration::from_secs(20)).await.unwrap();
    let (off, _) = until(|| first.settled().filter(|(id, _)| *id > begun)).await;
    assert!(waiting.await.unwrap().is_err());
    // What comes late starts from a membership that is gone.
    let late = first.reshape((begun.leader_id.term, begun.index), &dead, false, Duration::from_secs(20)).await;
    assert_eq!(late, Err(ReshapeError::Unexpected));
    assert_eq!(first.settled().map(|(id, _)| id), Some(off));
    // The others are free to join.
    let second = start(&wire, copy(2, 2), partition(Role::Absent), Start::Empty).await;
    reshape(&first, &BTreeSet::from([copy(1, 1), copy(2, 2)])).await;
    write(&[Arc::clone(&first)], "after", "1").await;
    first.stop().await;
    second.stop().await;
}

/// Every database goes into snapshots, whatever is swapped and emptied while one is under way, and the copies are alike.
#[tokio::test]
async fn copies_hold_the_same_databases() {
    let wire = Arc::new(Wire::default());
    let solo = partition(Role::Solo);
    for number in 0..3_000 {
        let mut state = solo.lock();
        state.keyspace.select(DatabaseNo(number % 4));
        let (key, deadline) = (format!("key{number}"), crate::keyspace::Deadline::Clear);
        state.keyspace.set_string(key.as_bytes(), &[b'v'; 300], deadline, Some(1));
    }
    let first = start(&wire, copy(1, 1), Arc::clone(&solo), Start::Alone).await;
    until(|| first.leads().then_some(())).await;
    let apply_in = async |database: u16, command: &[&str]| loop {
        let (done, outcome) = oneshot::channel();
        let block = encode_in(DatabaseNo(database), command);
        first.partition().propose(Share { block, count: 1, grows: true, watch: None, term_max: ANY_TERM, done });
        if let Ok(ShareOutcome::Applied(replies)) = outcome.await {
            return replies;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    apply_in(9, &["rpush", "list", "1", "2"]).await;
    let second = start(&wire, copy(2, 1), partition(Role::Absent), Start::Empty).await;
    let third = start(&wire, copy(3, 1), partition(Role::Absent), Start::Empty).await;
    let meanwhile = async {
        for round in 0..20 {
            apply_in(0, &["swapdb", ["0", "1", "2"][round % 3], ["1", "2", "9"][round % 3]]).await;
            apply_in(round as u16 % 5, &["set", &format!("new{round}"), "v"]).await;
            apply_in(3, &["move", &format!("key{}", 3 + 4 * round), "11"]).await;
            apply_in(1, &["copy", "list", "copied", "DB", "12", "REPLACE"]).await;
        }
        apply_in(2, &["flushdb"]).await;
        apply_in(2, &["set", "afterwards", "v"]).await;
    };
    let target = BTreeSet::from([1, 2, 3].map(|node| copy(node, 1)));
    tokio::join!(reshape(&first, &target), meanwhile);
    let (digest, figures) = {
        let state = first.partition().lock();
        (state.keyspace.digest(), state.keyspace.figures(0).collect::<BTreeMap<_, _>>())
    };
    assert!(figures.len() > 5 && figures[&DatabaseNo(11)].keys == 20, "{figures:?}");
    for group in [&second, &third] {
        until(|| (group.partition().lock().keyspace.digest() == digest).then_some(())).await;
        let state = group.partition().lock();
        assert_eq!(state.keyspace.figures(0).collect::<BTreeMap<_, _>>(), figures);
    }
    for group in [first, second, third] {
        group.stop().await;
    }
}

/// Proposes a command until the group has applied it.
async fn apply(group: &TokioGroup, command: &[&str]) {
    while !matches!(propose(group.partition(), command).await, ShareOutcome::Applied(_)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What SPOP removes is chosen on every copy by itself, also on those that got the collection in a snapshot.
#[tokio::test]
async fn copies_of_collections_choose_alike() {
    let wire = Arc::new(Wire::default());
    let first = start(&wire, copy(1, 1), partition(Role::Solo), Start::Alone).await;
    until(|| first.leads().then_some(())).await;
    for number in 0..400 {
        let (member, score) = (format!("member:{number}"), (number * 7 % 50).to_string());
        apply(&first, &["sadd", "large", &member]).await;
        apply(&first, &["sadd", ["integers", "small"][number % 2], &(number / 5 * (1 - number % 2)).to_string()]).await;
        apply(&first, &["zadd", "sorted", &score, &member]).await;
        apply(&first, &["hset", "hash", &member, &score]).await;
        apply(&first, &["rpush", "list", &member]).await;
        if number % 9 == 0 {
            apply(&first, &["spop", "large"]).await;
            apply(&first, &["zpopmax", "sorted", "2"]).await;
        }
    }
    let second = start(&wire, copy(2, 1), partition(Role::Absent), Start::Empty).await;
    let third = start(&wire, copy(3, 1), partition(Role::Absent), Start::Empty).await;
    reshape(&first, &BTreeSet::from([1, 2, 3].map(|node| copy(node, 1)))).await;
    for _ in 0..40 {
        apply(&first, &["spop", "large", "3"]).await;
        apply(&first, &["spop", "integers"]).await;
        apply(&first, &["lmove", "list", "list", "left", "right"]).await;
        apply(&first, &["hincrby", "hash", "member:7", "1"]).await;
    }
    apply(&first, &["rename", "sorted", "renamed"]).await;
    apply(&first, &["pexpire", "renamed", "1000000"]).await;
    let digest = first.partition().lock().keyspace.digest();
    for group in [&second, &third] {
        until(|| (group.partition().lock().keyspace.digest() == digest).then_some(())).await;
    }
    for group in [first, second, third] {
        group.stop().await;
    }
}

/// An entry is applied under the thresholds of its leader, whatever each node has set: so copies hold the same, in the same
/// order, also after another node with other thresholds has come to lead.
#[tokio::test]
async fn copies_are_alike_under_the_thresholds_of_their_leader() {
    let wire = Arc::new(Wire::default());
    let small = Limits {
        hash_entries: 3,
        set_integers: 4,
        set_entries: 5,
        sorted_set_entries: 2,
        list_fill: 2,
        stream_block_entries: 3,
        sparse_bytes: 20,
        string_bytes: 10,
        ..Limits::DEFAULT
    };
    let large = Limits {
        hash_entries: 900,
        string_bytes: 30,
        set_value_bytes: 2,
        list_fill: -1,
        stream_block_bytes: 1 << 30,
        ..small
    };
    let first = start(&wire, copy(1, 1), partition(Role::Solo), Start::Alone).await;
    until(|| first.leads().then_some(())).await;
    let second = start(&wire, copy(2, 1), partition(Role::Absent), Start::Empty).await;
    let third = start(&wire, copy(3, 1), partition(Role::Absent), Start::Empty).await;
    for (group, limits) in [(&first, small), (&second, Limits::DEFAULT), (&third, large)] {
        group.partition().lock().keyspace.set_limits(limits);
    }
    reshape(&first, &BTreeSet::from([1, 2, 3].map(|node| copy(node, 1)))).await;
    let mut groups = vec![first, second, third];
    let encoding = |group: &TokioGroup, key: &str| {
        let mut state = group.partition().lock();
        match state.keyspace.get(key.as_bytes(), 0, None).map(|item| item.value) {
            Some(crate::keyspace::ValueRef::Hash(hash)) => hash.encoding(),
            other => panic!("{key} holds {other:?}"),
        }
    };
    for round in 0.. {
        let leader = until(|| groups.iter().find(|group| group.leads())).await;
        for number in 0..8 {
            let (member, number) = (format!("member:{number}"), number.to_string());
            let keys = ["hash", "integers", "set", "sorted", "list", "stream", "sparse", "string"];
            let keys = keys.map(|key| format!("{key}:{round}"));
            let [hash, integers, set, sorted, list, stream, sparse, string] = keys.each_ref().map(String::as_str);
            apply(leader, &["append", string, &member]).await;
            apply(leader, &["hset", hash, &member, &number]).await;
            apply(leader, &["sadd", integers, &number]).await;
            apply(leader, &["sadd", set, &member]).await;
            apply(leader, &["zadd", sorted, &number, &member]).await;
            apply(leader, &["rpush", list, &member]).await;
            apply(leader, &["xadd", stream, "*", "number", &number]).await;
            apply(leader, &["pfadd", sparse, &member]).await;
        }
        apply(leader, &["spop", &format!("integers:{round}"), "2"]).await;
        let own = leader.partition().lock().keyspace.limits().hash_entries;
        let expected = if own < 8 { "hashtable" } else { "listpack" };
        let digest = leader.partition().lock().keyspace.digest();
        for group in &groups {
            until(|| (group.partition().lock().keyspace.digest() == digest).then_some(())).await;
            assert_eq!(encoding(group, &format!("hash:{round}")), expected);
        }
        if groups.len() == 2 {
            break;
        }
        let leader = groups.iter().position(|group| group.leads()).expect("one leads");
        let leader = groups.remove(leader);
        wire.groups.lock().remove(&leader.copy().node);
        leader.stop().await;
    }
    for group in groups {
        group.stop().await;
    }
}

#[tokio::test]
async fn followers_evict_in_the_order_in_which_the_leader_was_read() {
    let wire = Arc::new(Wire::default());
    let first = start(&wire, copy(1, 1), partition(Role::Solo), Start::Alone).await;
    until(|| first.leads().then_some(())).await;
    let second = start(&wire, copy(2, 1), partition(Role::Absent), Start::Empty).await;
    reshape(&first, &BTreeSet::from([copy(1, 1), copy(2, 1)])).await;
    for group in [&first, &second] {
        group.partition().lock().keyspace.set_policy(EvictionPolicy::AllKeysLru);
    }
    // What a new leader holds when it takes its role counts as told.
    until(|| (first.partition().lock().role == Role::Leader).then_some(())).await;
    for number in 0..1000 {
        apply(&first, &["set", &format!("key:{number}"), "value"]).await;
    }
    // A hint of what a follower has not applied yet is lost.
    let digest = |group: &TokioGroup| group.partition().lock().keyspace.digest();
    until(|| (digest(&first) == digest(&second)).then_some(())).await;
    // What is read soon after it was written is not told of: another round begins.
    first.tell_recency(usize::MAX);
    // After all writes, whatever the clock of their entries.
    let tick = clock::tick_of(clock::unix_ms() + 1000);
    for number in (0..1000).rev().filter(|number| number % 3 > 0) {
        let key = format!("key:{number}");
        first.partition().lock().keyspace.get(key.as_bytes(), 0, Some(tick)).expect("it is there");
    }
    let victims = |group: &TokioGroup| {
        let mut victims = Vec::new();
        group.partition().lock().keyspace.victims(&mut |victim| {
            victims.push(victim.key.to_vec());
            true
        });
        victims
    };
    let expected = victims(&first);
    until(|| {
        first.tell_recency(usize::MAX);
        (victims(&second) == expected).then_some(())
    })
    .await;
    first.stop().await;
    second.stop().await;
}

/// Keeps a copy's partition in order until dropped.
fn upkeep(partition: &Arc<Partition>) -> Arc<Upkeep> {
    let partitions: Arc<[Arc<Partition>]> = Arc::new([Arc::clone(partition)]);
    let (room, stats) = (Room::new(&partitions), Arc::new(Stats::new(table::named().len())));
    let upkeep = Upkeep::new(partitions, room, stats, tokio::runtime::Handle::current());
    tokio::spawn(Arc::clone(&upkeep).run());
    upkeep
}

/// Fields of hashes that are due leave every copy by entries of the leader, in slices, without anybody's asking.
#[tokio::test]
async fn due_fields_leave_every_copy() {
    let wire = Arc::new(Wire::default());
    let first = start(&wire, copy(1, 1), partition(Role::Solo), Start::Alone).await;
    until(|| first.leads().then_some(())).await;
    let second = start(&wire, copy(2, 1), partition(Role::Absent), Start::Empty).await;
    let third = start(&wire, copy(3, 1), partition(Role::Absent), Start::Empty).await;
    for number in 0..700 {
        let field = format!("field:{number}");
        apply(&first, &["hsetex", "large", "px", "1", "fields", "1", &field, "value"]).await;
        apply(&first, &["hset", "large", &format!("stays:{}", number % 40), "value"]).await;
    }
    apply(&first, &["hsetex", "small", "px", "1", "fields", "1", "a", "1"]).await;
    apply(&first, &["hsetex", "later", "px", "1000000", "fields", "1", "a", "1"]).await;
    reshape(&first, &BTreeSet::from([1, 2, 3].map(|node| copy(node, 1)))).await;
    let groups = [first, second, third];
    let kept = groups.each_ref().map(|group| upkeep(group.partition()));
    for group in &groups {
        until(|| {
            let mut state = group.partition().lock();
            (state.keyspace.len() == 2 && state.keyspace.due(clock::unix_ms(), 1).is_empty()).then_some(())
        })
        .await;
    }
    let digests = groups.each_ref().map(|group| group.partition().lock().keyspace.digest());
    assert_eq!(digests, [digests[0]; 3]);
    {
        let state = groups[0].partition().lock();
        let large = state.keyspace.peek(b"large", 0).map(|item| item.value);
        assert!(matches!(large, Some(crate::keyspace::ValueRef::Hash(hash)) if hash.len() == 40), "{large:?}");
    }
    drop(kept);
    for group in groups {
        group.stop().await;
    }
}
