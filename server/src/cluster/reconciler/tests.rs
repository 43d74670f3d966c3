//! Steps of the reconciler on a directory that is only a state.

use super::super::directory::{Registration, Settings};
use super::*;
use crate::ids::{Incarnation, NodeName};
use crate::raft::Standing;
use crate::topology::HostPort;
use std::collections::BTreeMap;

type Command = DirectoryCommand;

/// The leader of a directory that decides at once; copies that are asked answer as they stand, and are sealed if told so.
struct Leader {
    state: Mutex<DirectoryState>,
    standings: Mutex<BTreeMap<NodeNo, Standing>>,
    /// Does not answer.
    hangs: Option<NodeNo>,
    /// Leads all partitions.
    foremost: Option<NodeNo>,
    /// Does not reach a node that others reach.
    apart: BTreeSet<NodeNo>,
    /// Orders to move leaderships or to change voters, and to whom.
    orders: Mutex<Vec<(NodeNo, OrderKind)>>,
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

    fn give(&self, to: NodeNo, order: Order) -> BoxFuture<'_, OrderReply> {
        if self.hangs == Some(to) {
            return Box::pin(std::future::pending());
        }
        if matches!(order.kind, OrderKind::Transfer { .. } | OrderKind::Reshape { .. }) {
            self.orders.lock().push((to, order.kind.clone()));
        }
        let mut standings = self.standings.lock();
        let standing = standings.get_mut(&to).unwrap();
        standing.sealed |= order.kind == OrderKind::Seal;
        let standing = standing.clone();
        Box::pin(async { OrderReply::Report(standing) })
    }

    fn is_connected(&self, _: NodeNo) -> bool {
        true
    }

    fn leader_of(&self, _: PartitionId) -> Option<NodeNo> {
        self.foremost
    }

    fn term_of(&self, _: PartitionId) -> u32 {
        0
    }

    fn is_apart(&self, no: NodeNo) -> bool {
        self.apart.contains(&no)
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

/// Nodes 1 to `count`, up, and two partitions whose copies are to be on the nodes of `target`.
fn running(count: u8, target: &[u32]) -> DirectoryState {
    let settings = Settings { partitions: 2, replicas: 3, hash_seed: [1; 16] };
    let mut state = DirectoryState::default();
    let mut apply = |command| state.apply(command).unwrap();
    apply(Command::CreateCluster { id: [9; 20], settings });
    for name in 1..=count {
        apply(register(name, 1));
        apply(Command::SetNodeState { no: NodeNo(u32::from(name)), state: NodeState::Up });
    }
    let target: Vec<NodeNo> = target.iter().copied().map(NodeNo).collect();
    apply(Command::SetTarget { expected: 0, targets: vec![target.clone(), target] });
    state
}

/// How a copy stands whose log ends with entry `index` and these voters.
fn standing(index: u64, configs: &[&Vec<CopyId>]) -> Standing {
    let configs = configs.iter().copied().cloned().collect();
    Standing { last: (1, 1, index), configs, ..Standing::default() }
}

fn leader(state: DirectoryState, standings: impl Into<BTreeMap<NodeNo, Standing>>) -> Arc<Leader> {
    let standings = Mutex::new(standings.into());
    Arc::new(Leader {
        state: Mutex::new(state),
        standings,
        hangs: None,
        foremost: None,
        apart: BTreeSet::new(),
        orders: Mutex::default(),
        work: Mutex::default(),
    })
}

/// A partition's voters have lost their majority, but those that were planned have taken over: it is not begun anew, and
/// what is due to the other partitions is done all the same.
#[tokio::test]
async fn a_partition_that_is_not_begun_anew_holds_up_no_other() {
    let (voters, planned) = (vec![copy(1, 1), copy(2, 1), copy(4, 1)], vec![copy(1, 1), copy(2, 2), copy(4, 1)]);
    let mut state = running(4, &[1, 2, 4]);
    let mut apply = |command| state.apply(command).unwrap();
    let membership = FIRST_MEMBERSHIP;
    apply(Command::SettlePartition { partition: 0, generation: 1, membership, voters });
    apply(register(2, 2));
    apply(Command::PlanVoters { partition: 0, generation: 1, expected: membership, voters: planned.clone() });
    apply(register(1, 2));

    let leader = leader(state, [2, 4].map(|no| (NodeNo(no), standing(9, &[&planned]))));
    let before = leader.state();
    assert!(before.has_lost_quorum(&before.partitions[0].voters) && before.partitions[1].voters.is_empty());
    begin_partitions(&leader, &before).await.unwrap();
    let after = leader.state();
    assert_eq!(after.partitions[0], before.partitions[0], "the planned voters may decide");
    assert_eq!(after.partitions[1].voters, [copy(1, 2)], "its first copy is made");
}

/// Voters 1, 2 and 3 on the way to 1, 2 and 4; 1 and 4 are dead. 2 and 3 stand as given.
fn half_moved(two: &[&[u32]], three: &[&[u32]]) -> Arc<Leader> {
    let (voters, planned) = (vec![copy(1, 1), copy(2, 1), copy(3, 1)], vec![copy(1, 1), copy(2, 1), copy(4, 1)]);
    let mut state = running(5, &[1, 2, 4]);
    let mut apply = |command| state.apply(command).unwrap();
    for partition in 0..2 {
        let (membership, voters) = (FIRST_MEMBERSHIP, voters.clone());
        apply(Command::SettlePartition { partition, generation: 1, membership, voters });
    }
    apply(Command::PlanVoters { partition: 0, generation: 1, expected: FIRST_MEMBERSHIP, voters: planned });
    apply(register(1, 2));
    apply(register(4, 2));
    let stand = |configs: &[&[u32]]| {
        let configs: Vec<Vec<CopyId>> =
            configs.iter().map(|config| config.iter().map(|no| copy(*no, 1)).collect()).collect();
        standing(8 + configs.len() as u64, &configs.iter().collect::<Vec<_>>())
    };
    leader(state, [(NodeNo(2), stand(two)), (NodeNo(3), stand(three))])
}

fn sealed(leader: &Leader) -> Vec<bool> {
    leader.standings.lock().values().map(|standing| standing.sealed).collect()
}

const OLD: &[u32] = &[1, 2, 3];
const NEW: &[u32] = &[1, 2, 4];

#[tokio::test]
async fn a_change_that_nobody_can_end_ends_with_its_generation() {
    let leader = half_moved(&[OLD], &[OLD, NEW]);
    begin_partitions(&leader, &leader.state()).await.unwrap();
    let record = leader.state().partitions[0].clone();
    assert_eq!((record.generation, record.voters, record.planned), (2, vec![copy(3, 1)], None));
    assert_eq!(record.losses, 1, "the planned voters may have decided something that only 1 and 4 knew");
    assert_eq!(leader.state().partitions[1].generation, 1, "it has its majority");
    assert_eq!(sealed(&leader), [true, true]);
}

#[tokio::test]
async fn voters_who_can_call_a_change_off_are_left_to_it() {
    let leader = half_moved(&[OLD], &[OLD]);
    let before = leader.state();
    begin_partitions(&leader, &before).await.unwrap();
    assert_eq!(leader.state().partitions, before.partitions);
    assert_eq!(sealed(&leader), [false, false]);
}

#[tokio::test]
async fn no_copy_that_lives_is_left_out() {
    let mut leader = half_moved(&[OLD], &[OLD, NEW]);
    Arc::get_mut(&mut leader).unwrap().hangs = Some(NodeNo(2));
    let before = leader.state();
    begin_partitions(&leader, &before).await.unwrap();
    assert_eq!(leader.state().partitions, before.partitions, "2 may be the one that has everything");
    assert_eq!(sealed(&leader), [false, false]);
}

#[tokio::test]
async fn of_two_that_do_not_hear_each_other_neither_leads() {
    let mut state = running(4, &[1, 2, 4]);
    for partition in 0..2 {
        let voters = vec![copy(1, 1), copy(2, 1), copy(4, 1)];
        let settle = Command::SettlePartition { partition, generation: 1, membership: FIRST_MEMBERSHIP, voters };
        state.apply(settle).unwrap();
    }
    let mut leader = leader(state, [1, 2, 4].map(|no| (NodeNo(no), Standing::default())));
    let given = Arc::get_mut(&mut leader).unwrap();
    (given.foremost, given.apart) = (Some(NodeNo(1)), BTreeSet::from([NodeNo(1), NodeNo(2)]));
    balance_leaders(&leader, &leader.state()).await.unwrap();
    assert_eq!(*leader.orders.lock(), [(NodeNo(1), OrderKind::Transfer { to: copy(4, 1) })]);
    // Where no copy reaches all, they lead on.
    Arc::get_mut(&mut leader).unwrap().apart.insert(NodeNo(4));
    balance_leaders(&leader, &leader.state()).await.unwrap();
    assert_eq!(leader.orders.lock().len(), 2, "spread as ever");
}

#[tokio::test]
async fn a_plan_whose_copy_leads_is_carried_out_though_another_copy_of_it_has_died() {
    let mut state = running(4, &[1, 3, 4]);
    let mut apply = |command| state.apply(command).unwrap();
    let copies = |nos: &[u32]| nos.iter().map(|no| copy(*no, 1)).collect::<Vec<_>>();
    let (membership, planned) = (FIRST_MEMBERSHIP, copies(&[1, 3, 4]));
    apply(Command::SettlePartition { partition: 0, generation: 1, membership, voters: copies(&[1, 2, 4]) });
    apply(Command::PlanVoters { partition: 0, generation: 1, expected: membership, voters: planned.clone() });
    apply(register(1, 2));
    let mut leader = leader(state, [2, 3, 4].map(|no| (NodeNo(no), Standing::default())));
    let ordered = |target: Vec<CopyId>| OrderKind::Reshape { expected: membership, target, anew: true };
    for (foremost, target) in [(3, planned), (4, copies(&[1, 2, 4]))] {
        Arc::get_mut(&mut leader).unwrap().foremost = Some(NodeNo(foremost));
        assert!(change_voters(&leader, PartitionId(0), 1).await.is_err(), "the order is not carried out here");
        assert_eq!(leader.orders.lock().pop(), Some((NodeNo(foremost), ordered(target))));
    }
}
