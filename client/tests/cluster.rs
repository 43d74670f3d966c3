//! The cluster client against nodes that redirect, refuse and vanish.

mod common;

use std::time::Duration;

use common::{Answer, Mock, options, reply, slots};
use larder_client::{Address, ClusterClient, Error, Options};
use larder_protocol::{SLOTS, slot_of};

const LAST: u16 = SLOTS - 1;

async fn connect(seeds: &[&Mock], options: Options) -> ClusterClient {
    let seeds: Vec<String> = seeds.iter().map(|mock| mock.address.to_string()).collect();
    ClusterClient::connect(&seeds, options).await.unwrap()
}

fn map_of(owner: &Address) -> Answer {
    reply(slots(&[(0, LAST, owner)]))
}

#[tokio::test]
async fn moved_is_followed_and_remembered() {
    let (a, b) = (Mock::start().await, Mock::start().await);
    let (to_a, to_b) = (a.address.clone(), b.address.clone());
    let moved = format!("-MOVED {} {}\r\n", slot_of(b"k"), b.address);
    let mut asked = 0;
    a.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => {
            asked += 1;
            map_of(if asked == 1 { &to_a } else { &to_b })
        }
        _ => reply(&moved),
    });
    let to_b = b.address.clone();
    b.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => map_of(&to_b),
        _ => reply("+from b\r\n"),
    });
    let mut client = connect(&[&a], options()).await;
    for _ in 0..3 {
        assert_eq!(client.call(&[b"SET", b"k", b"v"]).await.unwrap().as_str(), Some("from b"));
    }
    assert_eq!((a.count("SET k v"), b.count("SET k v")), (1, 3));
    assert_eq!(client.topology().leader(slot_of(b"other")), Some(&b.address));
}

#[tokio::test]
async fn ask_is_followed_once_with_asking_before_it() {
    let (a, b) = (Mock::start().await, Mock::start().await);
    let to_a = a.address.clone();
    let ask = format!("-ASK {} {}\r\n", slot_of(b"k"), b.address);
    a.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => map_of(&to_a),
        ["GET", "k"] => reply(&ask),
        _ => reply("+from a\r\n"),
    });
    b.answer(|words| match words {
        ["ASKING"] => reply("+OK\r\n"),
        _ => reply("+from b\r\n"),
    });
    let mut client = connect(&[&a], options()).await;
    let replies = client.pipeline(&[["GET", "k"], ["GET", "x"], ["GET", "k"]]).await;
    let replies: Vec<_> = replies.iter().map(|reply| reply.as_ref().unwrap().as_str().unwrap()).collect();
    assert_eq!(replies, ["from b", "from a", "from b"]);
    assert_eq!(b.log(), ["ASKING", "GET k", "ASKING", "GET k"]);
}

#[tokio::test]
async fn pipelines_are_split_and_put_together_in_order() {
    let (a, b) = (Mock::start().await, Mock::start().await);
    let map = slots(&[(0, 8191, &a.address), (8192, LAST, &b.address)]);
    for (mock, name) in [(&a, "a"), (&b, "b")] {
        let map = map.clone();
        mock.answer(move |words| match words {
            ["CLUSTER", "SLOTS"] => reply(&map),
            ["GET", key] => reply(format!("+{name} {key}\r\n")),
            _ => reply(format!("-ERR {name}\r\n")),
        });
    }
    let mut client = connect(&[&a, &b], options()).await;
    let keys: Vec<String> = (0..100).map(|number| format!("key{number}")).collect();
    let mut commands: Vec<Vec<&str>> = keys.iter().map(|key| vec!["GET", key.as_str()]).collect();
    commands.push(vec![]);
    let mut replies = client.pipeline(&commands).await;
    assert!(matches!(replies.pop(), Some(Err(Error::Invalid(_)))));
    for (key, reply) in keys.iter().zip(replies) {
        let owner = if slot_of(key.as_bytes()) <= 8191 { "a" } else { "b" };
        assert_eq!(reply.unwrap().as_str(), Some(format!("{owner} {key}").as_str()));
    }
}

#[tokio::test]
async fn momentary_refusals_are_tried_again() {
    let a = Mock::start().await;
    let to_a = a.address.clone();
    let mut refusals = ["-TRYAGAIN later\r\n", "-CLUSTERDOWN The cluster is down\r\n", "-LOADING\r\n"].into_iter();
    a.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => map_of(&to_a),
        ["SET", "refused", _] => reply("-CLUSTERDOWN The cluster is down\r\n"),
        ["SET", "full", _] => reply("-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
        _ => reply(refusals.next().unwrap_or("+OK\r\n")),
    });
    let mut client = connect(&[&a], Options { deadline: Duration::from_millis(300), ..options() }).await;
    assert!(client.call(&[b"SET", b"k", b"v"]).await.unwrap().is_ok());
    assert_eq!(client.call(&[b"SET", b"full", b"v"]).await.unwrap_err().prefix(), Some("OOM"));
    let Err(Error::Deadline(last)) = client.call(&[b"SET", b"refused", b"v"]).await else { panic!("it was refused") };
    assert_eq!(last.prefix(), Some("CLUSTERDOWN"));
}

#[tokio::test]
async fn lost_writes_are_uncertain_and_lost_reads_are_sent_again() {
    let (a, b) = (Mock::start().await, Mock::start().await);
    let (to_a, to_b) = (a.address.clone(), b.address.clone());
    let mut asked = 0;
    a.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => {
            asked += 1;
            map_of(if asked == 1 { &to_a } else { &to_b })
        }
        ["GET", "first"] => reply("+from a\r\n"),
        ["SET", "unknown", _] => reply("-UNCERTAIN no answer from the leader\r\n"),
        _ => Answer::Close,
    });
    b.answer(|_| reply("+from b\r\n"));
    let mut client = connect(&[&a], options()).await;
    let unknown = client.call(&[b"SET", b"unknown", b"v"]).await;
    assert!(matches!(unknown, Err(Error::Uncertain(_))), "{unknown:?}");
    let commands = [vec!["GET", "first"], vec!["SET", "k", "v"], vec!["GET", "k"], vec!["SET", "l", "v"]];
    let replies = client.pipeline(&commands).await;
    assert_eq!(replies[0].as_ref().unwrap().as_str(), Some("from a"));
    assert!(matches!(replies[1], Err(Error::Uncertain(_))));
    assert_eq!(replies[2].as_ref().unwrap().as_str(), Some("from b"));
    assert!(matches!(replies[3], Err(Error::Uncertain(_))));
    assert_eq!(b.log(), ["GET k"]);
}

#[tokio::test]
async fn a_dead_node_is_left_for_the_one_that_took_over() {
    let (a, b) = (Mock::start().await, Mock::start().await);
    let gone =
        Address::new("127.0.0.1", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let to_b = b.address.clone();
    let mut asked = 0;
    a.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => {
            asked += 1;
            map_of(if asked < 4 { &gone } else { &to_b })
        }
        ["COMMAND", ..] => unreachable!(),
        _ => reply("-ERR not here\r\n"),
    });
    let to_b = b.address.clone();
    b.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => map_of(&to_b),
        _ => reply("+from b\r\n"),
    });
    let mut client = connect(&[&a], options()).await;
    assert_eq!(client.call(&[b"SET", b"k", b"v"]).await.unwrap().as_str(), Some("from b"));
    assert_eq!(b.count("SET k v"), 1);
}

#[tokio::test]
async fn redirections_without_end_are_given_up() {
    let a = Mock::start().await;
    let to_a = a.address.clone();
    let moved = format!("-MOVED {} {}\r\n", slot_of(b"k"), a.address);
    a.answer(move |words| match words {
        ["CLUSTER", "SLOTS"] => map_of(&to_a),
        _ => reply(&moved),
    });
    let mut client = connect(&[&a], Options { deadline: Duration::from_millis(50), ..options() }).await;
    assert!(matches!(client.call(&[b"GET", b"k"]).await, Err(Error::Deadline(_))));
}
