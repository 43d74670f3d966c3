//! Whole nodes in one process, over loopback: they join, move copies, lose a node and take it back.

use super::copies::Assignment;
use super::identity::DataDir;
use super::node::{ClusterConfig, ClusterNode};
use crate::commands::block::{self, CommandOptions};
use crate::commands::table;
use crate::ids::PartitionId;
use crate::raft::ANY_TERM;
use crate::raft::transport::ClusterSecret;
use crate::raft::{Role, Share, ShareOutcome};
use crate::topology::{HostPort, NodeState};
use bytes::BytesMut;
use larder_protocol::Args;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

const PARTITIONS: u16 = 4;

async fn start(dir: &Path, join: &[HostPort]) -> Arc<ClusterNode> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = HostPort { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let config = ClusterConfig {
        waiting: Arc::default(),
        data_dir: DataDir::open(dir).unwrap(),
        client: HostPort { host: "127.0.0.1".into(), port: 1 },
        cluster: HostPort { host: "127.0.0.1".into(), port: 2 },
        peer,
        join: join.to_vec(),
        partitions: PARTITIONS,
        replicas: 3,
        weight: 1,
        zone: None,
        secret: ClusterSecret::new("secret"),
        listener,
        cores: vec![Handle::current()],
    };
    ClusterNode::start(config).await.unwrap()
}

fn peer_address(node: &ClusterNode) -> HostPort {
    node.state().nodes[&node.no()].peer.clone()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "still not: {what}");
}

async fn until_ready(nodes: &[&Arc<ClusterNode>]) {
    let told = || nodes.iter().map(|node| format!("{}: {:?}", node.no(), node.readiness())).collect::<Vec<_>>();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !nodes.iter().all(|node| node.readiness().is_ok()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not ready: {:?}", told());
}

/// Writes a key of each partition at whichever node leads it.
async fn write_everywhere(nodes: &[&Arc<ClusterNode>], value: &str) {
    for index in 0..PARTITIONS {
        let id = PartitionId(index);
        let written = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                for node in nodes {
                    if write(node, id, value).await {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(written.await.is_ok(), "partition {id} takes no writes");
    }
}

async fn write(node: &ClusterNode, id: PartitionId, value: &str) -> bool {
    let partition = &node.routes().partitions()[id.index()];
    let role = partition.lock().role;
    match role {
        Role::Solo => {
            partition.lock().keyspace.set_string(b"key", value.as_bytes(), crate::keyspace::Deadline::Clear, Some(1));
            true
        }
        Role::Leader => {
            let text = format!("key{value}");
            let (key, end) = (3, text.len() as u32);
            let ranges = [(0, 0), (0, key), (key, end)];
            let spec = table::all().find(|spec| spec.name == "set").unwrap();
            let mut out = BytesMut::new();
            block::encode(&mut out, spec, CommandOptions::default(), Args::new(text.as_bytes(), &ranges));
            let (done, outcome) = oneshot::channel();
            partition.propose(Share {
                block: out.freeze(),
                count: 1,
                grows: true,
                watch: None,
                term_max: ANY_TERM,
                done,
            });
            matches!(outcome.await, Ok(ShareOutcome::Applied(_)))
        }
        _ => false,
    }
}

fn digests(node: &ClusterNode) -> Vec<u64> {
    node.routes().partitions().iter().map(|partition| partition.lock().keyspace.digest()).collect()
}

#[tokio::test]
async fn a_solo_node_grows_to_four_and_one_is_drained() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(dirs[0].path(), &[]).await;
    until_ready(&[&first]).await;
    assert!(first.routes().partitions().iter().all(|partition| partition.lock().role == Role::Solo));
    write_everywhere(&[&first], "1").await;
    let seed = [peer_address(&first)];
    let second = start(dirs[1].path(), &seed).await;
    let third = start(dirs[2].path(), &seed).await;
    until("three nodes are up", || first.state().nodes.values().filter(|n| n.state == NodeState::Up).count() == 3)
        .await;
    until_ready(&[&first, &second, &third]).await;
    write_everywhere(&[&first, &second, &third], "2").await;
    until("the copies are alike", || digests(&first) == digests(&second) && digests(&second) == digests(&third)).await;
    let fourth = start(dirs[3].path(), &seed).await;
    until("the fourth holds its share", || {
        let state = first.state();
        state.nodes.values().filter(|n| n.state == NodeState::Up).count() == 4
            && state.partitions.iter().filter(|p| p.voters.iter().any(|copy| copy.node == fourth.no())).count() == 3
    })
    .await;
    until_ready(&[&first, &second, &third, &fourth]).await;
    first.drain(first.no()).await.unwrap();
    until("the first is empty", || {
        second.state().nodes.get(&first.no()).is_none_or(|node| node.state == NodeState::Left)
    })
    .await;
    until_ready(&[&second, &third, &fourth]).await;
    write_everywhere(&[&second, &third, &fourth], "3").await;
    assert!(first.routes().partitions().iter().all(|partition| partition.lock().role == Role::Absent));
    for node in [first, second, third, fourth] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_copy_whose_core_has_ended_is_not_begun_again_under_its_id() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = start(dirs[0].path(), &[]).await;
    let seed = [peer_address(&first)];
    let second = start(dirs[1].path(), &seed).await;
    let third = start(dirs[2].path(), &seed).await;
    let nodes = [&first, &second, &third];
    let id = PartitionId(0);
    let leader = || nodes.into_iter().position(|node| node.routes().partitions()[0].lock().role == Role::Leader);
    until("three copies", || first.state().partitions[0].voters.len() == 3 && leader().is_some()).await;
    until_ready(&nodes).await;
    write_everywhere(&nodes, "1").await;
    let ended = leader().unwrap();
    let group = nodes[ended].copies().group(id).unwrap();
    // Not by way of the copy: so openraft ends where something is broken.
    group.raft().shutdown().await.unwrap();
    until("it leads no more", || nodes[ended].routes().partitions()[0].lock().role == Role::Follower(None)).await;
    let state = nodes[ended].state();
    nodes[ended].copies().follow(id, &Assignment::from(&state.partitions[0])).await;
    assert!(Arc::ptr_eq(&group, &nodes[ended].copies().group(id).unwrap()));
    assert!(!group.is_running());
    until("another one leads", || leader().is_some_and(|leader| leader != ended)).await;
    write_everywhere(&nodes, "2").await;
    for node in nodes {
        node.stop().await;
    }
}
