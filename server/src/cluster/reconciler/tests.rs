//! Steps of the reconciler on a directory that is only a state.

use super::super::directory::{Registration, Settings};
use super::*;
use crate::ids::{Incarnation, NodeName};
use crate::topology::HostPort;

type Command = DirectoryCommand;

/// The leader of a directory that decides at once; every copy that is asked reports `reports`.
struct Leader {
    state: Mutex<DirectoryState>,
    reports: Vec<CopyId>,
    work: Mutex<BTreeSet<PartitionId>>,
}

impl Conductor for Leader {
    fn no(&self) -> NodeNo {
        NodeNo(4)
    }

    fn state(&self) -> Arc<DirectoryState> {
        Arc::new(self.state.lock().clone())
    }

    fn changed<'a>(&'a self, _: &'a Arc<DirectoryState>, _: Duration) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn leads(&self) -> bool {
        true
    }

    fn members(&self) -> (BTreeSet<NodeNo>, BTreeSet<NodeNo>) {
        (self.state.lock().nodes.keys().copied().collect(), BTreeSet::new())
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<u64, DirectoryError>> {
        Box::pin(async { Ok(1) })
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Applied, DirectoryError>> {
        Box::pin(async { Ok(self.state.lock().apply(command)?) })
    }

    fn add_node(&self, _: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(async { Ok(()) })
    }

    fn remove_node(&self, _: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(async { Ok(()) })
    }

    fn balance(&self, _: Option<NodeNo>) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(async { Ok(()) })
    }

    fn give(&self, _: NodeNo, _: Order) -> BoxFuture<'_, OrderReply> {
        Box::pin(async { OrderReply::Report { last: (1, 9), voters: self.reports.clone() } })
    }

    fn is_connected(&self, _: NodeNo) -> bool {
        true
    }

    fn leader_of(&self, _: PartitionId) -> Option<NodeNo> {
        None
    }

    fn term_of(&self, _: PartitionId) -> u32 {
        0
    }

    fn is_held_back(&self, _: NodeNo) -> bool {
        false
    }

    fn work(&self) -> &Mutex<BTreeSet<PartitionId>> {
        &self.work
    }

    fn boot_ns(&self) -> u64 {
        0
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) {}
}

fn copy(node: u32, incarnation: u32) -> CopyId {
    CopyId { node: NodeNo(node), incarnation: Incarnation(incarnation) }
}

fn register(name: u8, incarnation: u32) -> Command {
    let address = || HostPort { host: "127.0.0.1".to_owned(), port: 1 };
    Command::RegisterNode(Registration {
        cluster: None,
        name: NodeName([name; 20]),
        incarnation: Incarnation(incarnation),
        token: u64::from(incarnation),
        client: address(),
        cluster_address: address(),
        peer: address(),
        weight: 1,
        zone: None,
        version: "0.1.0".to_owned(),
    })
}

/// A partition's voters have lost their majority, but those that were planned have taken over: it is not begun anew, and
/// what is due to the other partitions is done all the same.
#[tokio::test]
async fn a_partition_that_is_not_begun_anew_holds_up_no_other() {
    let (voters, planned) = (vec![copy(1, 1), copy(2, 1), copy(4, 1)], vec![copy(1, 1), copy(2, 2), copy(4, 1)]);
    let settings = Settings { partitions: 2, replicas: 3, hash_seed: [1; 16] };
    let mut state = DirectoryState::default();
    let mut apply = |command| state.apply(command).unwrap();
    apply(Command::CreateCluster { id: [9; 20], settings });
    for name in 1..=4 {
        apply(register(name, 1));
        apply(Command::SetNodeState { no: NodeNo(u32::from(name)), state: NodeState::Up });
    }
    let target = vec![NodeNo(1), NodeNo(2), NodeNo(4)];
    apply(Command::SetTarget { expected: 0, targets: vec![target.clone(), target] });
    let membership = FIRST_MEMBERSHIP;
    apply(Command::SettlePartition { partition: 0, generation: 1, membership, voters });
    apply(register(2, 2));
    apply(Command::PlanVoters { partition: 0, generation: 1, expected: membership, voters: planned.clone() });
    apply(register(1, 2));

    let leader = Arc::new(Leader { state: Mutex::new(state), reports: planned, work: Mutex::default() });
    let before = leader.state();
    assert!(before.has_lost_quorum(&before.partitions[0].voters) && before.partitions[1].voters.is_empty());
    begin_partitions(&leader, &before).await.unwrap();
    let after = leader.state();
    assert_eq!(after.partitions[0], before.partitions[0], "the planned voters may decide");
    assert_eq!(after.partitions[1].voters, [copy(1, 2)], "its first copy is made");
}
