//! The serving side of what other nodes forward.

use super::harness::Node;
use bytes::{Bytes, BytesMut};
use larder::cluster::routes::{Forward, ForwardKind};
use larder::commands::block::{self, CommandOptions};
use larder::commands::table;
use larder::ids::{NodeNo, PartitionId};
use larder::raft::{Refusal, Role, ShareOutcome};
use larder_protocol::Args;
use std::sync::atomic::Ordering;

/// `commands`, separated by semicolons, as a block; all on keys of the slot of `a`.
fn encode(commands: &str) -> (Bytes, u32) {
    let mut out = BytesMut::new();
    let mut count = 0;
    for command in commands.split(';').filter(|command| !command.is_empty()) {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for word in command.split(' ') {
            ranges.push((bytes.len() as u32, (bytes.len() + word.len()) as u32));
            bytes.extend_from_slice(word.as_bytes());
        }
        let name = command.split(' ').next().unwrap();
        let spec = table::all().find(|spec| spec.name == name).unwrap();
        block::encode(&mut out, spec, CommandOptions::default(), Args::new(&bytes, &ranges));
        count += 1;
    }
    (out.freeze(), count)
}

fn serve(node: &Node, kind: ForwardKind, commands: &str, from: u32) -> ShareOutcome {
    let (block, count) = encode(commands);
    let partition = node.routes.partition_of(15495).id();
    node.block_on(node.dispatcher.serve_forward(Forward::new(partition, kind, block, count), NodeNo(from)))
}

#[track_caller]
fn replies(outcome: ShareOutcome) -> String {
    match outcome {
        ShareOutcome::Applied(replies) => String::from_utf8_lossy(&replies.bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn forwarded_commands_run_in_order() {
    let node = Node::start(&[]);
    assert_eq!(replies(serve(&node, ForwardKind::Run, "set a 1;get a;get {a}b", 2)), "+OK\r\n$1\r\n1\r\n$-1\r\n");
    node.memory.full.store(true, Ordering::Relaxed);
    assert!(matches!(serve(&node, ForwardKind::Run, "set a 2", 2), ShareOutcome::Refused(Refusal::OutOfMemory)));
    assert_eq!(replies(serve(&node, ForwardKind::Run, "get a", 2)), "$1\r\n1\r\n");
}

#[test]
fn a_node_that_does_not_lead_refuses() {
    let node = Node::with_roles(&[], |_| Role::Follower(Some(NodeNo(2))));
    let outcome = serve(&node, ForwardKind::Run, "set a 1", 3);
    assert!(matches!(outcome, ShareOutcome::Refused(Refusal::NotLeader(Some(NodeNo(2))))), "{outcome:?}");
    let outcome = serve(&node, ForwardKind::Watch { session: 1 }, "watch a", 3);
    assert!(matches!(outcome, ShareOutcome::Refused(Refusal::NotLeader(Some(NodeNo(2))))), "{outcome:?}");
    let (block, count) = encode("get a");
    let beyond =
        node.dispatcher.serve_forward(Forward::new(PartitionId(999), ForwardKind::Run, block, count), NodeNo(3));
    assert!(matches!(node.block_on(beyond), ShareOutcome::Refused(Refusal::NoCopy)));
}

#[test]
fn what_other_nodes_watch_is_kept_until_exec_or_loss() {
    let node = Node::start(&[]);
    let watch = |session| ForwardKind::Watch { session };
    let exec = |session| ForwardKind::Exec { session };
    assert_eq!(replies(serve(&node, watch(1), "watch a {a}b", 2)), "+OK\r\n");
    assert_eq!(replies(serve(&node, exec(1), "set a 1", 2)), "+OK\r\n");
    assert!(matches!(serve(&node, exec(1), "set a 2", 2), ShareOutcome::Dirty), "it is forgotten after EXEC");
    assert_eq!(replies(serve(&node, watch(1), "watch a", 2)), "+OK\r\n");
    assert_eq!(replies(serve(&node, watch(1), "watch {a}b", 2)), "+OK\r\n");
    assert_eq!(replies(serve(&node, watch(1), "watch a", 3)), "+OK\r\n");
    node.connect().ask(b"set a 3\r\n", b"+OK\r\n");
    assert!(matches!(serve(&node, exec(1), "set a 4", 2), ShareOutcome::Dirty));
    assert_eq!(replies(serve(&node, watch(5), "watch a", 3)), "+OK\r\n");
    assert_eq!(replies(serve(&node, exec(5), "", 3)), "");
    assert_eq!(replies(serve(&node, watch(6), "watch a", 3)), "+OK\r\n");
    node.dispatcher.drop_watches_of(NodeNo(3));
    assert!(matches!(serve(&node, exec(6), "set a 5", 3), ShareOutcome::Dirty));
}

#[test]
fn nonsense_does_nothing() {
    let node = Node::start(&[]);
    let (block, _) = encode("set a 1");
    let partition = node.routes.partition_of(15495).id();
    for (block, count) in
        [(block.clone(), 2), (block.slice(..block.len() - 1), 1), (Bytes::from_static(b"\xfe\xfe"), 1)]
    {
        let serve = node.dispatcher.serve_forward(Forward::new(partition, ForwardKind::Run, block, count), NodeNo(2));
        assert!(replies(node.block_on(serve)).starts_with("-ERR "));
    }
    node.connect().ask(b"get a\r\n", b"$-1\r\n");
}
