//! Directories of one process that talk through memory.

use super::*;
use crate::ids::{Incarnation, NodeName, NodeNo};
use crate::topology::{HostPort, NodeState};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

const TIMING: DirectoryTiming =
    DirectoryTiming { heartbeat_ms: 50, election_ms_min: 250, election_ms_max: 500, propose_ms_max: 20_000 };
/// Long enough for any machine; no test waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The links of all nodes: a node without an entry cannot be reached.
#[derive(Clone, Default)]
struct Links(Arc<Mutex<BTreeMap<NodeNo, Directory>>>);

impl PeerRpc for Links {
    fn call(&self, to: NodeNo, body: Bytes, limit: Duration) -> BoxFuture<'static, Result<Bytes, PeerUnreachable>> {
        let directory = self.0.lock().get(&to).cloned();
        Box::pin(async move {
            let unreachable = |reason: &str| PeerUnreachable { to, reason: reason.to_owned() };
            let directory = directory.ok_or_else(|| unreachable("no link"))?;
            timeout(limit, directory.handle(body)).await.map_err(|_| unreachable("no answer in time"))
        })
    }
}

struct Cluster {
    links: Links,
    dirs: BTreeMap<NodeNo, TempDir>,
}

impl Cluster {
    /// Node 1 alone.
    async fn new() -> Self {
        let mut cluster = Self { links: Links::default(), dirs: BTreeMap::new() };
        let first = cluster.start(1).await;
        let settings = Settings { partitions: 12, replicas: 3, hash_seed: [5; 16] };
        first.bootstrap([9; 20], settings).await.unwrap();
        assert_eq!(register(&first, 1).await, NodeNo(1));
        cluster
    }

    /// Nodes 1 to `count`, all members.
    async fn of(count: u32) -> Self {
        let mut cluster = Self::new().await;
        for no in 2..=count {
            cluster.join(no).await;
        }
        cluster
    }

    async fn start(&mut self, no: u32) -> Directory {
        let no = NodeNo(no);
        let dir = self.dirs.entry(no).or_insert_with(|| tempfile::tempdir().unwrap());
        let directory = Directory::open(dir.path(), no, Arc::new(self.links.clone()), TIMING).await.unwrap();
        self.links.0.lock().insert(no, directory.clone());
        directory
    }

    async fn join(&mut self, no: u32) -> Directory {
        let leader = self.leader().await;
        assert_eq!(register(&leader, no).await, NodeNo(no));
        let directory = self.start(no).await;
        self.leader().await.add_node(NodeNo(no)).await.unwrap();
        directory
    }

    async fn stop(&mut self, no: u32) {
        let directory = self.links.0.lock().remove(&NodeNo(no)).unwrap();
        directory.shutdown().await.unwrap();
    }

    fn node(&self, no: u32) -> Directory {
        self.links.0.lock()[&NodeNo(no)].clone()
    }

    /// A node that leads and that a quorum follows.
    async fn leader(&self) -> Directory {
        let find = async {
            loop {
                let all: Vec<Directory> = self.links.0.lock().values().cloned().collect();
                for directory in all {
                    if directory.leads() && directory.confirm_leadership().await.is_ok() {
                        return directory;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, find).await.expect("no leader")
    }

    fn leader_no(&self, leader: &Directory) -> u32 {
        leader.leader().unwrap().0
    }
}

fn registration(no: u32, incarnation: u32) -> Registration {
    let address = |port| HostPort { host: "127.0.0.1".to_owned(), port };
    Registration {
        cluster: None,
        name: NodeName([no as u8; 20]),
        incarnation: Incarnation(incarnation),
        token: u64::from(no),
        client: address(6379),
        cluster_address: address(7379),
        peer: address(16379),
        weight: 1 << 30,
        zone: None,
        version: "0.1.0".to_owned(),
    }
}

async fn register(directory: &Directory, no: u32) -> NodeNo {
    let command = DirectoryCommand::RegisterNode(registration(no, 1));
    match directory.propose(command).await.unwrap() {
        Applied::Registered { no } => no,
        other => panic!("{other:?}"),
    }
}

async fn set_up(directory: &Directory, no: u32) -> Result<Applied, DirectoryError> {
    directory.propose(DirectoryCommand::SetNodeState { no: NodeNo(no), state: NodeState::Up }).await
}

/// Waits until `directory` has applied a state that satisfies `wanted`.
async fn until(directory: &Directory, wanted: impl FnMut(&Arc<DirectoryState>) -> bool) -> Arc<DirectoryState> {
    let mut states = directory.subscribe();
    timeout(PATIENCE, states.wait_for(wanted)).await.expect("the state never came").unwrap().clone()
}

fn is_up(no: u32) -> impl FnMut(&Arc<DirectoryState>) -> bool {
    move |state| state.nodes.get(&NodeNo(no)).is_some_and(|node| node.state == NodeState::Up)
}

#[tokio::test]
async fn one_node_decides_alone_and_remembers() {
    let mut cluster = Cluster::new().await;
    let first = cluster.node(1);
    set_up(&first, 1).await.unwrap();
    let before = first.state();
    drop(first);
    cluster.stop(1).await;
    let again = cluster.start(1).await;
    until(&again, |state| state.epoch >= before.epoch).await;
    assert_eq!(again.state(), before);
    // A second bootstrap is a restart, not another cluster.
    let settings = Settings { partitions: 12, replicas: 3, hash_seed: [5; 16] };
    again.bootstrap([9; 20], settings).await.unwrap();
    assert_eq!(again.state().digest(), before.digest());
}

#[tokio::test]
async fn two_join_and_a_follower_proposes() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    assert_eq!(leader.members().0, [1, 2, 3].map(NodeNo).into());
    let follower = (1..=3).find(|no| *no != cluster.leader_no(&leader)).unwrap();
    set_up(&cluster.node(follower), 2).await.unwrap();
    for no in 1..=3 {
        until(&cluster.node(no), is_up(2)).await;
    }
    let digests: Vec<u64> = (1..=3).map(|no| cluster.node(no).state().digest()).collect();
    assert_eq!(digests, [digests[0]; 3]);
}

#[tokio::test]
async fn refusals_come_back_from_the_leader() {
    let cluster = Cluster::of(2).await;
    for no in 1..=2 {
        let refused = set_up(&cluster.node(no), 77).await;
        assert!(matches!(refused, Err(DirectoryError::Refused(Refused::UnknownNode(NodeNo(77))))), "{refused:?}");
    }
}

#[tokio::test]
async fn another_takes_over_and_the_old_leader_comes_back() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let old = cluster.leader_no(&leader);
    drop(leader);
    cluster.stop(old).await;
    let other = (1..=3).find(|no| *no != old).unwrap();
    set_up(&cluster.node(other), old).await.unwrap();
    assert_ne!(cluster.leader_no(&cluster.leader().await), old);
    let back = cluster.start(old).await;
    until(&back, is_up(old)).await;
    assert_eq!(cluster.leader().await.members().0.len(), 3);
}

#[tokio::test]
async fn a_minority_decides_nothing() {
    let mut cluster = Cluster::of(3).await;
    cluster.stop(2).await;
    cluster.stop(3).await;
    let alone = cluster.node(1);
    let hurried = timeout(Duration::from_secs(2), set_up(&alone, 1)).await;
    assert!(!matches!(hurried, Ok(Ok(_))), "{hurried:?}");
    assert!(alone.confirm_leadership().await.is_err());
    cluster.start(2).await;
    set_up(&alone, 1).await.unwrap();
}

#[tokio::test]
async fn a_late_learner_gets_a_snapshot() {
    let mut cluster = Cluster::new().await;
    let first = cluster.node(1);
    // Past the point where the log is cut.
    for _ in 0..400 {
        first.propose(DirectoryCommand::ChangeSettings { replicas: 2 }).await.unwrap();
        first.propose(DirectoryCommand::ChangeSettings { replicas: 3 }).await.unwrap();
    }
    let late = cluster.join(2).await;
    until(&late, |state| state.nodes.len() == 2 && state.epoch == first.state().epoch).await;
    assert_eq!(late.state(), first.state());
    assert!(late.has_snapshot(), "the log was sent whole");
    drop(late);
    cluster.stop(2).await;
    let again = cluster.start(2).await;
    until(&again, |state| state.nodes.len() == 2).await;
}

#[tokio::test]
async fn no_more_than_five_vote_and_a_removed_one_is_replaced() {
    let mut cluster = Cluster::of(4).await;
    assert_eq!(cluster.leader().await.members().0.len(), 3);
    cluster.join(5).await;
    cluster.join(6).await;
    let leader = cluster.leader().await;
    assert_eq!((leader.members().0.len(), leader.members().1.len()), (5, 1));
    leader.remove_node(NodeNo(2)).await.unwrap();
    let (voters, learners) = leader.members();
    assert_eq!((voters, learners), ([1, 3, 4, 5, 6].map(NodeNo).into(), [].into()));
}

#[tokio::test]
async fn a_draining_node_does_not_come_to_vote_again() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let no = [1, 2, 3].map(NodeNo).into_iter().find(|no| Some(*no) != leader.leader()).unwrap();
    leader.propose(DirectoryCommand::SetNodeState { no, state: NodeState::Draining }).await.unwrap();
    leader.balance(Some(no)).await.unwrap();
    leader.balance(None).await.unwrap();
    assert_eq!((leader.members().0.len(), leader.members().1), (2, [no].into()));
}

#[tokio::test]
async fn a_leader_hands_over_before_it_is_removed() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let old = leader.leader().unwrap();
    assert!(matches!(leader.remove_node(old).await, Err(DirectoryError::NotLeader(Some(_)))));
    let removed = async {
        while cluster.leader().await.remove_node(old).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, removed).await.unwrap();
    assert!(!cluster.leader().await.members().0.contains(&old));
}

#[tokio::test]
async fn a_wiped_node_knows_nothing() {
    let mut cluster = Cluster::of(2).await;
    let second = cluster.links.0.lock().remove(&NodeNo(2)).unwrap();
    second.wipe().await.unwrap();
    let again = cluster.start(2).await;
    assert_eq!(*again.state(), DirectoryState::default());
}

#[tokio::test]
async fn strange_requests_are_answered_with_errors() {
    let cluster = Cluster::new().await;
    let first = cluster.node(1);
    let valid = network::request(network::Kind::Vote, NodeNo(1), Generation::FIRST, |_| ());
    for request in [
        &b""[..],
        b"\x03",
        b"\x02\x63\0\0\0\x01",
        b"\x02\x06\0\0\0\x01\0\0\0\x01\0\0\0\0junk",
        b"\x02\x04\0\0\0\x02",
        &valid,
    ] {
        let answer = first.handle(Bytes::copy_from_slice(request)).await;
        assert!(network::open_answer(answer).is_err(), "{request:?}");
    }
    set_up(&first, 1).await.unwrap();
}

#[tokio::test]
async fn a_survivor_begins_a_new_generation_and_the_others_follow() {
    let mut cluster = Cluster::of(5).await;
    for no in 1..=5 {
        set_up(&cluster.node(1), no).await.unwrap();
    }
    for no in 1..=2 {
        until(&cluster.node(no), is_up(5)).await;
    }
    for no in 3..=5 {
        cluster.stop(no).await;
    }
    let (founder, other) = (cluster.node(1), cluster.node(2));
    let before = founder.state();
    let generation = founder.begin_generation().await.unwrap();
    assert_eq!(generation, Generation { number: 2, founder: NodeNo(1) });
    let leader = cluster.leader().await;
    assert_eq!((leader.leader(), leader.members().0), (Some(NodeNo(1)), [NodeNo(1)].into()));
    assert_eq!(founder.state(), before);
    assert_eq!(*other.state(), *before, "what it knew is shown until it is told more");
    founder.add_node(NodeNo(2)).await.unwrap();
    set_up(&other, 1).await.unwrap();
    founder.propose(DirectoryCommand::SetNodeState { no: NodeNo(3), state: NodeState::Down }).await.unwrap();
    until(&other, |state| state.nodes[&NodeNo(3)].state == NodeState::Down).await;
    assert_eq!((other.generation(), founder.members().0.len()), (generation, 2));
    // Both remember it, and those of the old generation are not heard.
    drop((founder, other, leader));
    for no in 1..=2 {
        cluster.stop(no).await;
    }
    for no in 1..=4 {
        cluster.start(no).await;
    }
    assert_eq!(cluster.node(1).generation(), generation);
    assert_eq!(cluster.node(3).generation(), Generation::FIRST);
    let leader = cluster.leader().await;
    assert_eq!((leader.generation(), leader.members().0), (generation, [1, 2].map(NodeNo).into()));
}

#[tokio::test]
async fn a_new_generation_has_what_the_last_leader_had_sent() {
    let mut cluster = Cluster::of(2).await;
    for no in 1..=2 {
        set_up(&cluster.node(1), no).await.unwrap();
    }
    let dead = cluster.leader_no(&cluster.leader().await);
    // Its last word reached the other's log; that it was committed may not have.
    cluster.leader().await.propose(DirectoryCommand::ChangeSettings { replicas: 2 }).await.unwrap();
    cluster.stop(dead).await;
    let survivor = cluster.node(3 - dead);
    let last = survivor.last_log();
    survivor.begin_generation().await.unwrap();
    assert_eq!(survivor.state().cluster.as_ref().unwrap().settings.replicas, 2);
    set_up(&survivor, 1).await.unwrap();
    assert!(survivor.last_log() > last, "terms and indices go on");
}
