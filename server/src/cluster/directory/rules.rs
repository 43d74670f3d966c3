//! The rules of the state machine, one test each.

use super::*;
use crate::ids::{CopyId, Incarnation, NodeName, NodeNo};
use crate::topology::{HostPort, NodeState};
use NodeState::{Down, Draining, Joining, Left, Up};
use proptest::prelude::*;
use std::collections::BTreeSet;

type Command = DirectoryCommand;

fn created(replicas: u8) -> DirectoryState {
    let mut state = DirectoryState::default();
    let settings = Settings { partitions: 2, replicas, hash_seed: [1; 16] };
    state.apply(Command::CreateCluster { id: [9; 20], settings }).unwrap();
    state
}

fn registration(name: u8, incarnation: u32) -> Registration {
    let address = |port| HostPort { host: "127.0.0.1".to_owned(), port };
    Registration {
        cluster: None,
        name: NodeName([name; 20]),
        incarnation: Incarnation(incarnation),
        token: u64::from(incarnation) << 8 | u64::from(name),
        client: address(6379),
        cluster_address: address(7379),
        peer: address(16379),
        weight: 1 << 30,
        zone: None,
        version: "0.1.0".to_owned(),
    }
}

fn register(state: &mut DirectoryState, name: u8, incarnation: u32) -> DirectoryResponse {
    state.apply(Command::RegisterNode(registration(name, incarnation)))
}

fn become_(state: &mut DirectoryState, no: u32, to: NodeState) -> DirectoryResponse {
    state.apply(Command::SetNodeState { no: NodeNo(no), state: to })
}

fn copy(node: u32, incarnation: u32) -> CopyId {
    CopyId { node: NodeNo(node), incarnation: Incarnation(incarnation) }
}

fn nos(list: &[u32]) -> Vec<NodeNo> {
    list.iter().map(|no| NodeNo(*no)).collect()
}

fn settle(state: &mut DirectoryState, partition: u16, generation: u32, index: u64, on: &[CopyId]) -> DirectoryResponse {
    let membership = MembershipId { term: 1, index };
    state.apply(Command::SettlePartition { partition, generation, membership, voters: on.to_vec() })
}

fn generation(state: &mut DirectoryState, generation: u32, survivor: Option<CopyId>) -> DirectoryResponse {
    sealed_generation(state, generation, survivor, &[])
}

fn sealed_generation(
    state: &mut DirectoryState,
    generation: u32,
    survivor: Option<CopyId>,
    sealed: &[CopyId],
) -> DirectoryResponse {
    let sealed = sealed.to_vec();
    state.apply(Command::StartGeneration { partition: 0, generation, survivor, planned_unseen: false, sealed })
}

fn stop(state: &mut DirectoryState, no: u32, incarnation: u32, unavailable: &[u32]) -> DirectoryResponse {
    let unavailable: BTreeSet<NodeNo> = nos(unavailable).into_iter().collect();
    state.apply(Command::AcquireStop { copy: copy(no, incarnation), unavailable })
}

/// Nodes 1 to `count`, up, each with a copy of both partitions.
fn running(count: u32) -> DirectoryState {
    let mut state = created(count as u8);
    let all: Vec<u32> = (1..=count).collect();
    let copies: Vec<CopyId> = all.iter().map(|no| copy(*no, 1)).collect();
    for no in 1..=count {
        assert_eq!(register(&mut state, no as u8, 1), Ok(Applied::Registered { no: NodeNo(no) }));
        become_(&mut state, no, Up).unwrap();
    }
    state.apply(Command::SetTarget { expected: 0, targets: vec![nos(&all); 2] }).unwrap();
    for partition in 0..2 {
        settle(&mut state, partition, 1, 1, &copies).unwrap();
    }
    state
}

#[test]
fn a_cluster_is_created_once_and_first() {
    let mut state = DirectoryState::default();
    assert_eq!(register(&mut state, 1, 1), Err(Refused::NoCluster));
    let create = |id, partitions, replicas| Command::CreateCluster {
        id,
        settings: Settings { partitions, replicas, hash_seed: [0; 16] },
    };
    for (partitions, replicas) in [(0, 3), (PARTITIONS_MAX + 1, 3), (12, 0), (12, REPLICAS_MAX + 1)] {
        assert!(matches!(state.apply(create([1; 20], partitions, replicas)), Err(Refused::BadSetting(_))));
    }
    state.apply(create([1; 20], 12, 3)).unwrap();
    let before = state.clone();
    assert_eq!(state.apply(create([1; 20], 24, 1)), Ok(Applied::Done));
    assert_eq!(state.apply(create([2; 20], 12, 3)), Err(Refused::AnotherCluster));
    assert_eq!(state, before);
}

#[test]
fn a_later_incarnation_updates_and_an_earlier_one_is_refused() {
    let mut state = created(3);
    assert_eq!(register(&mut state, 7, 5), Ok(Applied::Registered { no: NodeNo(1) }));
    // The same process again: its first answer was lost.
    assert_eq!(register(&mut state, 7, 5), Ok(Applied::Registered { no: NodeNo(1) }));
    // Another process with the same data directory.
    let twin = Registration { token: 1, ..registration(7, 5) };
    assert_eq!(state.apply(Command::RegisterNode(twin)), Err(Refused::StaleIncarnation { found: 5, known: 5 }));
    assert_eq!(register(&mut state, 7, 4), Err(Refused::StaleIncarnation { found: 4, known: 5 }));
    become_(&mut state, 1, Up).unwrap();
    assert_eq!(register(&mut state, 7, 6), Ok(Applied::Registered { no: NodeNo(1) }));
    assert_eq!((state.nodes[&NodeNo(1)].incarnation, state.nodes[&NodeNo(1)].state), (Incarnation(6), Up));
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let mut state = created(3);
    let stranger = Registration { cluster: Some([8; 20]), ..registration(1, 1) };
    assert_eq!(state.apply(Command::RegisterNode(stranger)), Err(Refused::AnotherCluster));
}

#[test]
fn who_has_left_or_is_dead_returns_as_new() {
    let mut state = created(3);
    register(&mut state, 1, 1).unwrap();
    register(&mut state, 2, 1).unwrap();
    become_(&mut state, 1, Left).unwrap();
    become_(&mut state, 2, Down).unwrap();
    assert_eq!(register(&mut state, 1, 1), Ok(Applied::Registered { no: NodeNo(1) }), "an answer that was lost");
    for name in 1..=2 {
        // With the data directory of its former life it is no new node.
        let old = Registration { cluster: Some([9; 20]), ..registration(name, 2) };
        assert_eq!(state.apply(Command::RegisterNode(old)), Err(Refused::NotMember));
    }
    assert_eq!(register(&mut state, 1, 2), Ok(Applied::Registered { no: NodeNo(3) }));
    assert!(!state.nodes.contains_key(&NodeNo(1)));
    assert_eq!(register(&mut state, 2, 2), Ok(Applied::Registered { no: NodeNo(4) }));
    assert_eq!(state.nodes[&NodeNo(2)].state, Down, "its copies are proven dead by this");
    assert_eq!(state.nodes[&NodeNo(4)].state, Joining);
}

#[test]
fn a_forgotten_node_cannot_come_back_from_the_past() {
    let mut state = created(3);
    register(&mut state, 1, 5).unwrap();
    assert!(state.apply(Command::ForgetNode { no: NodeNo(1) }).is_err());
    become_(&mut state, 1, Left).unwrap();
    state.apply(Command::ForgetNode { no: NodeNo(1) }).unwrap();
    assert_eq!(state.apply(Command::ForgetNode { no: NodeNo(1) }), Ok(Applied::Done));
    assert_eq!(register(&mut state, 1, 5), Err(Refused::StaleIncarnation { found: 5, known: 5 }));
    assert_eq!(register(&mut state, 1, 6), Ok(Applied::Registered { no: NodeNo(2) }));
}

#[test]
fn lives_go_one_way() {
    let states = [Joining, Up, Draining, Down, Left];
    let allowed = [
        (Joining, Up),
        (Joining, Draining),
        (Joining, Down),
        (Joining, Left),
        (Up, Draining),
        (Up, Down),
        (Draining, Up),
        (Draining, Down),
        (Draining, Left),
        (Down, Left),
    ];
    for from in states {
        for to in states {
            let mut state = created(3);
            register(&mut state, 1, 1).unwrap();
            state.nodes.get_mut(&NodeNo(1)).unwrap().state = from;
            let answer = become_(&mut state, 1, to);
            assert_eq!(answer.is_ok(), from == to || allowed.contains(&(from, to)), "{from:?} to {to:?}: {answer:?}");
        }
    }
    assert_eq!(become_(&mut created(3), 1, Up), Err(Refused::UnknownNode(NodeNo(1))));
}

#[test]
fn a_node_with_copies_does_not_leave() {
    let mut state = running(3);
    become_(&mut state, 3, Draining).unwrap();
    assert_eq!(become_(&mut state, 3, Left), Err(Refused::HoldsCopies(NodeNo(3))));
    state.apply(Command::SetTarget { expected: 1, targets: vec![nos(&[1, 2]); 2] }).unwrap();
    assert_eq!(become_(&mut state, 3, Left), Err(Refused::HoldsCopies(NodeNo(3))));
    for partition in 0..2 {
        settle(&mut state, partition, 1, 2, &[copy(1, 1), copy(2, 1)]).unwrap();
    }
    become_(&mut state, 3, Left).unwrap();
}

#[test]
fn targets_are_checked() {
    let mut state = running(3);
    register(&mut state, 4, 1).unwrap();
    let mut set = |expected, row: &[u32]| state.apply(Command::SetTarget { expected, targets: vec![nos(row); 2] });
    assert!(matches!(set(0, &[1]), Err(Refused::Stale { .. })));
    for row in [&[][..], &[1, 1], &[1, 2, 3, 4], &[4], &[9]] {
        assert!(matches!(set(1, row), Err(Refused::BadCopies { .. })), "{row:?}");
    }
    assert_eq!(set(1, &[2, 3]), Ok(Applied::TargetSet { epoch: 2 }));
    let short = Command::SetTarget { expected: 2, targets: vec![nos(&[1])] };
    assert!(matches!(state.apply(short), Err(Refused::Stale { .. })));
}

#[test]
fn reports_of_the_past_are_refused() {
    let mut state = running(3);
    let (three, two) = ([copy(1, 1), copy(2, 1), copy(3, 1)], [copy(1, 1), copy(2, 1)]);
    assert_eq!(settle(&mut state, 0, 1, 1, &three), Ok(Applied::Done), "the same report again");
    assert!(matches!(settle(&mut state, 0, 1, 1, &two), Err(Refused::Stale { .. })));
    assert!(matches!(settle(&mut state, 0, 2, 9, &two), Err(Refused::Stale { .. })), "another generation");
    settle(&mut state, 0, 1, 2, &two).unwrap();
    assert!(matches!(settle(&mut state, 0, 1, 1, &three), Err(Refused::Stale { .. })));
    assert_eq!(settle(&mut state, 5, 1, 3, &two), Err(Refused::UnknownPartition(5)));
    for voters in [&[][..], &[copy(1, 1), copy(1, 1)], &[copy(9, 1)], &[copy(1, 2)]] {
        assert!(matches!(settle(&mut state, 0, 1, 3, voters), Err(Refused::BadCopies { .. })), "{voters:?}");
    }
}

#[test]
fn one_change_of_voters_at_a_time() {
    let mut state = running(3);
    let plan = |index, voters: &[CopyId]| Command::PlanVoters {
        partition: 0,
        generation: 1,
        expected: MembershipId { term: 1, index },
        voters: voters.to_vec(),
    };
    let two = [copy(1, 1), copy(2, 1)];
    assert!(matches!(state.apply(plan(2, &two)), Err(Refused::Stale { .. })));
    state.apply(plan(1, &two)).unwrap();
    state.apply(plan(1, &two)).unwrap();
    assert!(matches!(state.apply(plan(1, &[copy(1, 1)])), Err(Refused::BadCopies { .. })));
    settle(&mut state, 0, 1, 2, &two).unwrap();
    assert_eq!(state.partitions[0].planned, None);
    register(&mut state, 3, 2).unwrap();
    assert!(matches!(state.apply(plan(2, &[copy(3, 1)])), Err(Refused::BadCopies { .. })), "a dead copy");
}

#[test]
fn a_generation_starts_only_after_the_proven_death_of_a_majority() {
    let mut state = running(3);
    assert_eq!(generation(&mut state, 2, Some(copy(1, 1))), Err(Refused::QuorumLives(0)));
    register(&mut state, 2, 2).unwrap();
    assert_eq!(generation(&mut state, 2, Some(copy(1, 1))), Err(Refused::QuorumLives(0)), "one of three");
    become_(&mut state, 3, Down).unwrap();
    assert!(matches!(generation(&mut state, 3, Some(copy(1, 1))), Err(Refused::Stale { .. })));
    assert!(matches!(generation(&mut state, 2, None), Err(Refused::BadCopies { .. })), "a copy lives");
    assert!(matches!(generation(&mut state, 2, Some(copy(2, 1))), Err(Refused::BadCopies { .. })), "it is dead");
    assert!(matches!(generation(&mut state, 2, Some(copy(2, 2))), Err(Refused::BadCopies { .. })), "it is empty");
    assert_eq!(generation(&mut state, 2, Some(copy(1, 1))), Ok(Applied::GenerationStarted { loss_possible: true }));
    let partition = &state.partitions[0];
    assert_eq!((partition.generation, partition.losses, partition.voters.as_slice()), (2, 1, &[copy(1, 1)][..]));
    assert!(generation(&mut state, 2, Some(copy(1, 1))).is_err(), "once");
    settle(&mut state, 0, 2, 1, &[copy(1, 1)]).unwrap();
}

#[test]
fn the_survivor_of_two_is_complete() {
    let mut state = running(2);
    assert_eq!(generation(&mut state, 2, Some(copy(1, 1))), Err(Refused::QuorumLives(0)));
    register(&mut state, 2, 2).unwrap();
    assert_eq!(generation(&mut state, 2, Some(copy(1, 1))), Ok(Applied::GenerationStarted { loss_possible: false }));
    assert_eq!(state.partitions[0].losses, 0);
}

#[test]
fn when_all_are_dead_the_next_generation_is_empty() {
    let mut state = running(2);
    register(&mut state, 1, 2).unwrap();
    register(&mut state, 2, 2).unwrap();
    assert_eq!(generation(&mut state, 2, None), Ok(Applied::GenerationStarted { loss_possible: true }));
    assert!(state.partitions[0].voters.is_empty());
    assert_eq!(generation(&mut state, 3, None), Err(Refused::QuorumLives(0)), "it has not begun");
}

#[test]
fn planned_voters_may_have_taken_over() {
    let mut state = running(3);
    register(&mut state, 4, 1).unwrap();
    let voters = vec![copy(1, 1), copy(3, 1), copy(4, 1)];
    let expected = MembershipId { term: 1, index: 1 };
    state.apply(Command::PlanVoters { partition: 0, generation: 1, expected, voters }).unwrap();
    become_(&mut state, 1, Down).unwrap();
    become_(&mut state, 2, Down).unwrap();
    assert_eq!(generation(&mut state, 2, Some(copy(3, 1))), Err(Refused::QuorumLives(0)), "3 and 4 may decide");
    let (survivor, mut earlier) = (Some(copy(3, 1)), state.clone());
    let asked =
        Command::StartGeneration { partition: 0, generation: 2, survivor, planned_unseen: true, sealed: Vec::new() };
    assert_eq!(earlier.apply(asked), Ok(Applied::GenerationStarted { loss_possible: true }), "as earlier versions did");
    let one = sealed_generation(&mut state, 2, survivor, &[copy(3, 1)]);
    assert_eq!(one, Err(Refused::QuorumLives(0)), "4 may lead yet, if 3 voted for it before it was sealed");
    let both = sealed_generation(&mut state, 2, survivor, &[copy(3, 1), copy(4, 1)]);
    assert_eq!(both, Ok(Applied::GenerationStarted { loss_possible: true }));
}

#[test]
fn a_change_whose_new_voters_are_lost_ends_with_the_generation_once_all_are_sealed() {
    let mut state = running(4);
    let (old, new) = ([copy(1, 1), copy(2, 1), copy(3, 1)], vec![copy(1, 1), copy(2, 1), copy(4, 1)]);
    settle(&mut state, 0, 1, 2, &old).unwrap();
    let expected = MembershipId { term: 1, index: 2 };
    state.apply(Command::PlanVoters { partition: 0, generation: 1, expected, voters: new }).unwrap();
    let (survivor, living) = (Some(copy(3, 1)), [copy(2, 1), copy(3, 1)]);
    register(&mut state, 1, 2).unwrap();
    let sealed = [copy(2, 1), copy(3, 1), copy(4, 1)];
    assert_eq!(sealed_generation(&mut state, 2, survivor, &sealed), Err(Refused::QuorumLives(0)), "one of each three");
    register(&mut state, 4, 2).unwrap();
    for some in [&living[..0], &living[..1], &living[1..], &[copy(2, 1), copy(1, 1)]] {
        assert_eq!(sealed_generation(&mut state, 2, survivor, some), Err(Refused::QuorumLives(0)), "{some:?}");
    }
    assert!(matches!(sealed_generation(&mut state, 2, None, &living), Err(Refused::BadCopies { .. })));
    assert!(matches!(sealed_generation(&mut state, 2, Some(copy(1, 1)), &living), Err(Refused::BadCopies { .. })));
    let begun = sealed_generation(&mut state, 2, survivor, &living);
    assert_eq!(begun, Ok(Applied::GenerationStarted { loss_possible: true }));
    assert_eq!((state.partitions[0].voters.as_slice(), &state.partitions[0].planned), (&[copy(3, 1)][..], &None));
}

#[test]
fn a_generation_of_an_earlier_versions_log_is_read() {
    let json = br#"{"StartGeneration":{"partition":1,"generation":2,"survivor":null,"planned_unseen":true}}"#;
    let read = Command::decode(&[&[1], &json[..]].concat()).unwrap();
    let sealed = Vec::new();
    let meant = Command::StartGeneration { partition: 1, generation: 2, survivor: None, planned_unseen: true, sealed };
    assert_eq!(read, meant);
}

#[test]
fn one_stops_at_a_time_and_only_over_a_majority() {
    let mut state = running(3);
    assert!(matches!(stop(&mut state, 9, 1, &[]), Err(Refused::UnknownNode(_))));
    assert!(matches!(stop(&mut state, 1, 2, &[]), Err(Refused::Stale { .. })));
    assert_eq!(stop(&mut state, 1, 1, &[2]), Err(Refused::NoMajorityWithout(0)));
    stop(&mut state, 1, 1, &[]).unwrap();
    stop(&mut state, 1, 1, &[2]).unwrap();
    assert_eq!(stop(&mut state, 2, 1, &[]), Err(Refused::StopPermitHeld(NodeNo(1))));
    // It restarts: the permit stays out until its new copies vote everywhere and the old ones nowhere.
    register(&mut state, 1, 2).unwrap();
    let release = Command::ReleaseStop { no: NodeNo(1), incarnation: Some(Incarnation(1)) };
    assert_eq!(state.apply(release.clone()), Err(Refused::NotSettled(NodeNo(1))));
    assert_eq!(stop(&mut state, 2, 1, &[]), Err(Refused::StopPermitHeld(NodeNo(1))));
    for partition in 0..2 {
        settle(&mut state, partition, 1, 2, &[copy(1, 2), copy(2, 1), copy(3, 1)]).unwrap();
    }
    state.apply(release.clone()).unwrap();
    assert_eq!(state.apply(release.clone()), Ok(Applied::Done));
    // The same, repeated late, does not take the leave that its next incarnation has.
    stop(&mut state, 1, 2, &[]).unwrap();
    assert_eq!(state.apply(release), Ok(Applied::Done));
    assert_eq!(stop(&mut state, 2, 1, &[]), Err(Refused::StopPermitHeld(NodeNo(1))));
}

#[test]
fn a_node_whose_copies_are_dead_is_no_majority() {
    let mut state = running(3);
    register(&mut state, 3, 2).unwrap();
    assert_eq!(stop(&mut state, 1, 1, &[]), Err(Refused::NoMajorityWithout(0)));
}

#[test]
fn two_need_each_other_and_one_needs_nobody() {
    let mut two = running(2);
    assert_eq!(stop(&mut two, 1, 1, &[]), Err(Refused::NoMajorityWithout(0)));
    stop(&mut running(1), 1, 1, &[]).unwrap();
}

#[test]
fn a_dead_or_gone_holder_gives_the_permit_back() {
    let mut state = running(3);
    stop(&mut state, 1, 1, &[]).unwrap();
    become_(&mut state, 1, Down).unwrap();
    assert_eq!(state.stop_permit, None);
}

#[test]
fn settings_keep_their_ranges() {
    let mut state = created(3);
    assert!(matches!(state.apply(Command::ChangeSettings { replicas: 0 }), Err(Refused::BadSetting(_))));
    state.apply(Command::ChangeSettings { replicas: 5 }).unwrap();
    assert_eq!(state.cluster.unwrap().settings.replicas, 5);
}

fn any_command() -> impl Strategy<Value = Command> {
    let no = || (0..5_u32).prop_map(NodeNo);
    let copies = || prop::collection::vec((0..5_u32, 0..4_u32).prop_map(|(n, i)| copy(n, i)), 0..4);
    let life = prop::sample::select(vec![Joining, Up, Draining, Down, Left]);
    prop_oneof![
        (0..4_u8, 0..4_u32).prop_map(|(name, inc)| Command::RegisterNode(registration(name, inc))),
        (no(), life).prop_map(|(no, state)| Command::SetNodeState { no, state }),
        no().prop_map(|no| Command::ForgetNode { no }),
        (0..3_u64, prop::collection::vec(prop::collection::vec(no(), 0..4), 0..3))
            .prop_map(|(expected, targets)| Command::SetTarget { expected, targets }),
        (0..3_u16, 1..3_u32, 0..4_u64, copies()).prop_map(|(partition, generation, index, voters)| {
            Command::SettlePartition { partition, generation, membership: MembershipId { term: 1, index }, voters }
        }),
        (0..3_u16, 1..3_u32, 0..4_u64, copies()).prop_map(|(partition, generation, index, voters)| {
            Command::PlanVoters { partition, generation, expected: MembershipId { term: 1, index }, voters }
        }),
        (0..3_u16, 1..4_u32, prop::option::of((0..5_u32, 0..4_u32)), any::<bool>(), copies()).prop_map(
            |(partition, generation, survivor, planned_unseen, sealed)| Command::StartGeneration {
                partition,
                generation,
                survivor: survivor.map(|(n, i)| copy(n, i)),
                planned_unseen,
                sealed,
            }
        ),
        (0..5_u32, 0..4_u32).prop_map(|(n, i)| Command::AcquireStop { copy: copy(n, i), unavailable: BTreeSet::new() }),
        (no(), prop::option::of((0..4_u32).prop_map(Incarnation)))
            .prop_map(|(no, incarnation)| Command::ReleaseStop { no, incarnation }),
        any::<u8>().prop_map(|replicas| Command::ChangeSettings { replicas }),
    ]
}

proptest! {
    #[test]
    fn any_commands_leave_a_sound_state(commands in prop::collection::vec(any_command(), 0..120)) {
        let mut state = created(3);
        for command in commands {
            prop_assert_eq!(&Command::decode(&command.encode()).unwrap(), &command);
            let before = state.clone();
            let answer = state.apply(command.clone());
            if answer.is_err() {
                prop_assert_eq!(&state, &before, "a refused command changed something: {:?}", command);
            }
            prop_assert!(state.epoch >= before.epoch && state.last_node >= before.last_node);
            let changed = (&state.nodes, &state.partitions.iter().map(|p| (p.generation, &p.voters, &p.target)).collect::<Vec<_>>())
                != (&before.nodes, &before.partitions.iter().map(|p| (p.generation, &p.voters, &p.target)).collect::<Vec<_>>());
            prop_assert!(!changed || state.epoch > before.epoch, "an unseen change: {:?}", command);
            for copies in before.partitions.iter().map(|p| p.copies().collect::<Vec<_>>()) {
                for copy in copies.into_iter().filter(|copy| before.is_dead(*copy)) {
                    prop_assert!(state.is_dead(copy), "{:?} rose from the dead by {:?}", copy, command);
                }
            }
            prop_assert_eq!(&DirectoryState::decode(&state.encode()).unwrap(), &state);
        }
    }
}
