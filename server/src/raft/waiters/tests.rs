//! Waiting at a solo partition against a naive model, and at the leader of a group of three.

use super::*;
use crate::raft::Start;
use crate::raft::tests::{TokioGroup, Wire, copy, encode, partition, propose, start, until};
use futures::FutureExt;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

fn wanted(command: &[&str]) -> Wanted {
    Wanted::read(encode(command)).unwrap().unwrap()
}

fn wait(partition: &Arc<Partition>, command: &[&str]) -> Begun {
    partition.wait(&mut wanted(command), clock::unix_ms(), clock::boot_ns())
}

fn ticket(partition: &Arc<Partition>, command: &[&str]) -> Ticket {
    match wait(partition, command) {
        Begun::Waits(ticket) => ticket,
        Begun::Done(replies) => panic!("{replies:?}"),
        Begun::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// Runs a write at a solo partition, under one lock hold.
fn run(partition: &Partition, command: &[&str]) {
    let block = encode(command);
    let mut state = partition.lock();
    let mut reader = BlockReader::new(&block);
    let command = reader.next_command().unwrap().unwrap();
    let Handler::Write(run) = &command.spec.handler else { panic!("a write") };
    let now = clock::unix_ms();
    run(&mut state.context(now, clock::tick_of(now), command.options, 0), command.args, &mut ReplyBuffer::default())
        .unwrap();
}

fn text(outcome: ShareOutcome) -> String {
    match outcome {
        ShareOutcome::Applied(replies) => String::from_utf8_lossy(replies.get(0)).into_owned(),
        other => format!("{other:?}"),
    }
}

fn element(key: &str, value: &str) -> String {
    format!("*2\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", key.len(), value.len())
}

#[derive(Debug, Clone)]
enum Op {
    Wait { first: u8, second: u8 },
    Push { key: u8, count: u8 },
    Pop { key: u8 },
    Delete { key: u8 },
    Leave { which: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0..3u8;
    prop_oneof![
        4 => (key.clone(), key.clone()).prop_map(|(first, second)| Op::Wait { first, second }),
        3 => (key.clone(), 1..4u8).prop_map(|(key, count)| Op::Push { key, count }),
        1 => key.clone().prop_map(|key| Op::Pop { key }),
        1 => key.prop_map(|key| Op::Delete { key }),
        2 => any::<usize>().prop_map(|which| Op::Leave { which }),
    ]
}

/// Who waits for what, and what there is.
#[derive(Default)]
struct Model {
    lists: [VecDeque<String>; 3],
    waiting: Vec<(usize, [u8; 2])>,
    served: Vec<(usize, String)>,
}

impl Model {
    /// After a push, as Redis's `handleClientsBlockedOnKeys` for one key.
    fn serve(&mut self, key: u8) {
        while !self.lists[usize::from(key)].is_empty() {
            let Some(at) = self.waiting.iter().position(|(_, keys)| keys.contains(&key)) else { return };
            let (id, _) = self.waiting.remove(at);
            let value = self.lists[usize::from(key)].pop_front().unwrap();
            self.served.push((id, element(&key.to_string(), &value)));
        }
    }
}

proptest! {
    #[test]
    fn a_solo_partition_serves_as_the_model_does(ops in proptest::collection::vec(op(), 1..80)) {
        let partition = partition(Role::Solo);
        let (mut model, mut tickets) = (Model::default(), Vec::new());
        let mut pushed = 0;
        for op in ops {
            match op {
                Op::Wait { first, second } => {
                    let keys = [first, second];
                    let (a, b) = (first.to_string(), second.to_string());
                    let begun = wait(&partition, &["blpop", &a, &b, "0"]);
                    let there = keys.iter().find(|key| !model.lists[usize::from(**key)].is_empty());
                    match (begun, there) {
                        (Begun::Done(replies), Some(key)) => {
                            let value = model.lists[usize::from(*key)].pop_front().unwrap();
                            let reply = text(ShareOutcome::Applied(replies));
                            prop_assert_eq!(reply, element(&key.to_string(), &value));
                        }
                        (Begun::Waits(ticket), None) => {
                            model.waiting.push((tickets.len(), keys));
                            tickets.push(Some(ticket));
                        }
                        _ => prop_assert!(false, "waits where it need not, or the other way round"),
                    }
                }
                Op::Push { key, count } => {
                    let values: Vec<String> = (0..count).map(|n| format!("v{}", pushed + usize::from(n))).collect();
                    pushed += usize::from(count);
                    let name = key.to_string();
                    let mut command = vec!["rpush", &name];
                    command.extend(values.iter().map(String::as_str));
                    run(&partition, &command);
                    model.lists[usize::from(key)].extend(values);
                    model.serve(key);
                }
                Op::Pop { key } => {
                    run(&partition, &["lpop", &key.to_string()]);
                    model.lists[usize::from(key)].pop_front();
                }
                Op::Delete { key } => {
                    partition.lock().keyspace.remove(key.to_string().as_bytes());
                    model.lists[usize::from(key)].clear();
                }
                Op::Leave { which } => {
                    if !model.waiting.is_empty() {
                        let (id, _) = model.waiting.remove(which % model.waiting.len());
                        tickets[id] = None;
                    }
                }
            }
            for (id, reply) in model.served.drain(..) {
                let mut ticket = tickets[id].take().unwrap();
                let outcome = (&mut ticket.outcome).now_or_never().expect("it is served at once").unwrap();
                prop_assert_eq!(text(outcome), reply);
            }
            prop_assert_eq!(partition.waiting().0, model.waiting.len());
        }
        tickets.clear();
        prop_assert_eq!(partition.waiting(), (0, 0));
        prop_assert!(!partition.lock().keyspace.has_touched());
    }
}

#[test]
fn a_copy_that_does_not_lead_any_more_refuses_all() {
    let partition = partition(Role::Solo);
    let mut waits = ticket(&partition, &["blpop", "a", "0"]);
    partition.lock().role = Role::Follower(None);
    let outcome = (&mut waits.outcome).now_or_never().unwrap().unwrap();
    assert!(matches!(outcome, ShareOutcome::Refused(Refusal::NotLeader(None))));
    assert!(matches!(wait(&partition, &["blpop", "a", "0"]), Begun::Refused(_)));
    assert_eq!(partition.waiting(), (0, 0));
}

#[test]
fn a_keyspace_that_takes_the_place_of_another_is_listened_to() {
    let partition = partition(Role::Solo);
    let mut waits = ticket(&partition, &["blpop", "a", "0"]);
    let old = partition.lock().reset();
    drop(old);
    run(&partition, &["rpush", "a", "x"]);
    assert_eq!(text((&mut waits.outcome).now_or_never().unwrap().unwrap()), element("a", "x"));
}

async fn three(wire: &Arc<Wire>) -> Vec<Arc<TokioGroup>> {
    let mut groups = Vec::new();
    for node in 1..=3 {
        groups.push(start(wire, copy(node, 1), partition(Role::Absent), Start::Empty).await);
    }
    groups[0].raft().initialize(BTreeSet::from([1, 2, 3].map(|node| copy(node, 1).pack()))).await.unwrap();
    groups
}

async fn leader(groups: &[Arc<TokioGroup>]) -> Arc<TokioGroup> {
    until(|| {
        let led = groups.iter().find(|group| group.partition().lock().role == Role::Leader);
        led.filter(|group| group.partition().lease_holds(clock::boot_ns())).cloned()
    })
    .await
}

#[tokio::test]
async fn a_leader_serves_in_order_and_moves_those_who_wait_on() {
    let wire = Arc::new(Wire::default());
    let mut groups = three(&wire).await;
    let led = leader(&groups).await;
    let at = led.partition();
    let mut tickets: VecDeque<Ticket> = (0..40).map(|_| ticket(at, &["blpop", "a", "b", "0"])).collect();
    let mut lines: Vec<String> = Vec::new();
    for number in 0..10 {
        let (one, two) = (format!("{number}x"), format!("{number}y"));
        // Another client takes some: who waits stays where he is.
        propose(at, &["rpush", "b", &one, &two]).await;
        propose(at, &["lpop", "b"]).await;
        propose(at, &["rpush", "a", &one]).await;
    }
    until(|| {
        let state = at.lock();
        (state.keyspace.is_empty() && state.waiters.is_between_rounds()).then_some(())
    })
    .await;
    while let Some(outcome) = tickets.front_mut().and_then(|ticket| (&mut ticket.outcome).now_or_never()) {
        lines.push(text(outcome.unwrap()));
        tickets.pop_front();
    }
    // Nobody overtook: who is left came after all who were served, and each element went to one.
    assert!(tickets.iter_mut().all(|ticket| (&mut ticket.outcome).now_or_never().is_none()));
    let distinct: BTreeSet<&String> = lines.iter().collect();
    assert_eq!(distinct.len(), lines.len(), "{lines:?}");
    assert!((20..=30).contains(&lines.len()), "{lines:?}");
    assert!(!tickets.is_empty());
    assert_eq!(at.waiting().0, tickets.len());
    // What waits learns that the copy does not lead any more, and that nothing was done.
    wire.groups.lock().remove(&led.copy().node);
    at.lock().role = Role::Follower(None);
    for ticket in &mut tickets {
        assert!(matches!((&mut ticket.outcome).await.unwrap(), ShareOutcome::Refused(Refusal::NotLeader(_))));
    }
    drop(tickets);
    led.stop().await;
    groups.retain(|group| group.copy() != led.copy());
    let next = leader(&groups).await;
    let first = ticket(next.partition(), &["blmove", "c", "d", "left", "left", "0"]);
    let second = ticket(next.partition(), &["blpop", "d", "0"]);
    propose(next.partition(), &["rpush", "c", "z"]).await;
    let never = std::future::pending::<()>;
    let outcome = first.outcome(&wanted(&["blmove", "c", "d", "left", "left", "0"]), never(), never()).await;
    assert_eq!(text(outcome.0), "$1\r\nz\r\n");
    assert_eq!(text(second.outcome(&wanted(&["blpop", "d", "0"]), never(), never()).await.0), element("d", "z"));
    // First attempts where there is something, or another type, and a time that is up.
    propose(next.partition(), &["rpush", "e", "1"]).await;
    let there = ticket(next.partition(), &["blpop", "e", "0"]);
    assert_eq!(text(there.outcome(&wanted(&["blpop", "e", "0"]), never(), never()).await.0), element("e", "1"));
    propose(next.partition(), &["set", "s", "v"]).await;
    let wrong = ticket(next.partition(), &["blpop", "s", "0"]);
    let outcome = wrong.outcome(&wanted(&["blpop", "s", "0"]), never(), never()).await.0;
    assert_eq!(text(outcome), "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    let soon = tokio::time::sleep(Duration::from_millis(20));
    let late = ticket(next.partition(), &["blpop", "e", "0"]);
    assert_eq!(text(late.outcome(&wanted(&["blpop", "e", "0"]), soon, never()).await.0), "*-1\r\n");
    until(|| (next.partition().waiting() == (0, 0)).then_some(())).await;
    for group in groups {
        group.stop().await;
    }
}

#[tokio::test]
async fn readers_of_streams_wait_at_a_leader() {
    let wire = Arc::new(Wire::default());
    let groups = three(&wire).await;
    let led = leader(&groups).await;
    let at = led.partition();
    let never = std::future::pending::<()>;
    let entry = |id| format!("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n{id}-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    let gone = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
    let consume = ["xreadgroup", "group", "g", "c", "block", "0", "streams", "s", ">"];
    // Where there is nothing to wait for, there is no wait.
    let none = ticket(at, &consume);
    assert_eq!(text(none.outcome(&wanted(&consume), never(), never()).await.0), gone);
    propose(at, &["xgroup", "create", "s", "g", "$", "mkstream"]).await;
    propose(at, &["xadd", "s", "1", "f", "v"]).await;
    // What is there is read at once, and `$` is what it was when the command came.
    let there = ticket(at, &consume);
    assert_eq!(text(there.outcome(&wanted(&consume), never(), never()).await.0), entry(1));
    let read = ["xread", "block", "0", "streams", "s", "$"];
    let (readers, consumers) = ([ticket(at, &read), ticket(at, &read)], [ticket(at, &consume), ticket(at, &consume)]);
    propose(at, &["xadd", "s", "2", "f", "v"]).await;
    for reader in readers {
        assert_eq!(text(reader.outcome(&wanted(&read), never(), never()).await.0), entry(2));
    }
    let [first, second] = consumers;
    assert_eq!(text(first.outcome(&wanted(&consume), never(), never()).await.0), entry(2));
    propose(at, &["xgroup", "destroy", "s", "g"]).await;
    assert_eq!(text(second.outcome(&wanted(&consume), never(), never()).await.0), gone);
    until(|| (at.waiting() == (0, 0)).then_some(())).await;
    for group in groups {
        group.stop().await;
    }
}

/// What `$` means is said once, by whichever leader is asked first.
#[test]
fn an_instant_is_settled_once() {
    let first = partition(Role::Solo);
    run(&first, &["xadd", "s", "5-1", "f", "v"]);
    let mut wanted = wanted(&["xread", "block", "0", "streams", "s", "$"]);
    let question = wanted.question().expect("something to ask");
    let answer = {
        let mut state = first.lock();
        let mut reader = BlockReader::new(&question);
        let command = reader.next_command().unwrap().unwrap();
        let Handler::Read(read) = &command.spec.handler else { panic!("a question") };
        let mut out = ReplyBuffer::default();
        read(&mut state.context(1, clock::tick_of(1), command.options, 0), command.args, &mut out).unwrap();
        out.take()
    };
    wanted.answered(&answer);
    assert_eq!(wanted.question(), None);
    // At the next leader more was added meanwhile: that is what was waited for.
    let next = partition(Role::Solo);
    run(&next, &["xadd", "s", "5-1", "f", "v"]);
    run(&next, &["xadd", "s", "6-1", "f", "w"]);
    let Begun::Done(replies) = next.wait(&mut wanted, clock::unix_ms(), clock::boot_ns()) else { panic!("it waits") };
    let reply = String::from_utf8_lossy(replies.get(0)).into_owned();
    assert!(reply.contains("6-1") && !reply.contains("5-1"), "{reply}");
    // A node of an earlier version does not know the question.
    let mut other = self::wanted(&["xread", "block", "0", "streams", "s", "$"]);
    other.answered(b"-ERR the node that leads the partition cannot read the request\r\n");
    assert_eq!((other.question(), other.block()), (None, &encode(&["xread", "block", "0", "streams", "s", "$"])));
}
