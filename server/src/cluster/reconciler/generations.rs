//! Partitions that can decide nothing ever again are begun anew, from the living copy that has everything that any of them
//! has (decision 0019).
//!
//! Where no change of voters is under way, that the voters' majority is dead says it all: nothing can be committed, and the
//! copies need only be asked. Where one is, the copies' logs decide which majorities count, and one that nobody can be
//! elected by now might still commit by a message that is late. So the copies are asked; where none of them can go on, each
//! is sealed, after which nothing can be committed; and only what they say then is what the survivor is chosen by.

use super::super::directory::{Applied, DirectoryCommand, DirectoryError, DirectoryState, PartitionRecord};
use super::super::orders::{Order, OrderKind, OrderReply};
use super::{Conductor, is_here};
use crate::ids::{CopyId, PartitionId};
use crate::planted::{Bug, planted};
use crate::raft::Standing;
use futures::future::{Either, join_all, select};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a copy that is asked may take: as long as one that hangs holds everything else up.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Begins a partition anew if it can decide nothing more and all its living copies answer. True where nothing else was to
/// be expected.
pub(super) async fn begin_anew<N: Conductor>(
    node: &Arc<N>,
    state: &DirectoryState,
    partition: u16,
    record: &PartitionRecord,
) -> Result<bool, DirectoryError> {
    let is_out = |copy: &CopyId| planted(Bug::UnreachableIsDead) && !is_here(node, copy.node);
    let living: BTreeSet<CopyId> = record.copies().filter(|copy| !state.is_dead(*copy) && !is_out(copy)).collect();
    // Every living copy must be asked: out of reach is not dead.
    let Some(mut standings) = ask(node, partition, record, &living, &OrderKind::Report).await? else {
        return Ok(false);
    };
    let mut sealed = Vec::new();
    if record.planned.is_some() {
        if can_go_on(&standings) {
            return Ok(false);
        }
        match ask(node, partition, record, &living, &OrderKind::Seal).await? {
            Some(last) => standings = last,
            None => return Ok(false),
        }
        sealed = living.into_iter().collect();
    }
    let (generation, survivor) = (record.generation + 1, furthest(&standings));
    let command = DirectoryCommand::StartGeneration { partition, generation, survivor, planned_unseen: false, sealed };
    let applied = match node.propose(command).await {
        Ok(applied) => applied,
        // Something was decided meanwhile; nothing else waits for that.
        Err(DirectoryError::Refused(reason)) => {
            tracing::debug!(partition, %reason, "not begun anew");
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    if is_alone(node, state, record) {
        return Ok(true);
    }
    let survivor = survivor.map(|copy| copy.node.0);
    let loss_possible = applied == Applied::GenerationStarted { loss_possible: true };
    tracing::warn!(partition, generation, survivor, loss_possible, "a majority of the copies is dead: begun anew");
    Ok(false)
}

/// Whether this node is the whole cluster and had the only copy: its items went with its last process, as is to be
/// expected.
fn is_alone<N: Conductor>(node: &Arc<N>, state: &DirectoryState, record: &PartitionRecord) -> bool {
    state.nodes.len() == 1 && record.voters.iter().all(|copy| copy.node == node.no())
}

/// For [`Bug::UnreachableIsDead`]: whether a majority cannot be reached now.
pub(super) fn seems_lost<N: Conductor>(node: &Arc<N>, record: &PartitionRecord) -> bool {
    let here = || record.voters.iter().filter(|copy| is_here(node, copy.node)).count();
    planted(Bug::UnreachableIsDead) && here() <= record.voters.len() / 2
}

/// Gives an order to all copies; how each stands, or `None` where one does not answer.
async fn ask<N: Conductor>(
    node: &Arc<N>,
    partition: u16,
    record: &PartitionRecord,
    copies: &BTreeSet<CopyId>,
    kind: &OrderKind,
) -> Result<Option<Vec<(CopyId, Standing)>>, DirectoryError> {
    if !copies.iter().all(|copy| is_here(node, copy.node)) {
        return Ok(None);
    }
    let directory_term = node.confirm_leadership().await?;
    let answers = copies.iter().map(|copy| {
        let (partition, generation) = (PartitionId(partition), record.generation);
        let order = Order { partition, generation, directory_term, kind: kind.clone() };
        async move { (*copy, node.give(copy.node, order).await) }
    });
    let answers = match select(pin!(join_all(answers)), pin!(node.sleep(ASK_TIMEOUT))).await {
        Either::Left((answers, _)) => answers,
        Either::Right(_) => return Ok(None),
    };
    let standing = |(copy, answer)| match answer {
        OrderReply::Report(standing) => Some((copy, standing)),
        _ => None,
    };
    Ok(answers.into_iter().map(standing).collect())
}

/// Whether the group can still decide something, these being all living copies: one of them can be elected, or leads and can
/// end a change of voters with the majority of one side. Not where one is sealed: then what was begun is ended.
fn can_go_on(living: &[(CopyId, Standing)]) -> bool {
    let ends_change = |one: &Standing| {
        let lives = |config: &Vec<CopyId>| is_majority(config, living.iter().map(|(copy, _)| *copy));
        one.leads_on && one.configs.len() > 1 && one.configs.iter().any(lives)
    };
    !living.iter().any(|(_, one)| one.sealed)
        && living.iter().any(|(copy, one)| can_win(*copy, one, living) || ends_change(one))
}

/// Whether the votes of those whose logs are no longer than this copy's are a majority by the membership in its log.
fn can_win(candidate: CopyId, standing: &Standing, living: &[(CopyId, Standing)]) -> bool {
    let votes = || living.iter().filter(|(_, other)| other.last <= standing.last).map(|(copy, _)| *copy);
    standing.configs.iter().any(|config| config.contains(&candidate))
        && standing.configs.iter().all(|config| is_majority(config, votes()))
}

fn is_majority(config: &[CopyId], copies: impl Iterator<Item = CopyId>) -> bool {
    copies.filter(|copy| config.contains(copy)).count() > config.len() / 2
}

/// The copy whose last entry is the greatest: with what any majority of one of the memberships has committed, as far as one
/// of that majority lives.
fn furthest(standings: &[(CopyId, Standing)]) -> Option<CopyId> {
    let last = |one: &&(CopyId, Standing)| (one.1.last, std::cmp::Reverse(one.0));
    let found = if planted(Bug::LaggardSurvives) {
        standings.iter().min_by_key(last)
    } else {
        standings.iter().max_by_key(last)
    };
    found.map(|(copy, _)| *copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, NodeNo};

    fn copy(node: u32) -> CopyId {
        CopyId { node: NodeNo(node), incarnation: Incarnation(1) }
    }

    /// A copy whose last entry is `last`, of a leader 1 unless said otherwise, and whose log ends with these voters.
    fn one(node: u32, last: (u64, u64), configs: &[&[u32]]) -> (CopyId, Standing) {
        let configs = configs.iter().map(|config| config.iter().copied().map(copy).collect()).collect();
        (copy(node), Standing { last: (last.0, 1, last.1), configs, ..Standing::default() })
    }

    const OLD: &[u32] = &[1, 2, 3];
    const NEW: &[u32] = &[1, 2, 4];

    #[test]
    fn who_alone_knows_of_a_change_and_cannot_carry_it_out_holds_everybody_up() {
        // 1 and 4 are dead. 3 has the change and cannot win by it, 2 does not get its vote.
        assert!(!can_go_on(&[one(2, (1, 9), &[OLD]), one(3, (1, 10), &[OLD, NEW])]));
        assert!(!can_go_on(&[one(2, (1, 10), &[OLD, NEW]), one(3, (1, 10), &[OLD, NEW])]), "both have it");
        assert!(!can_go_on(&[one(2, (1, 11), &[NEW]), one(3, (1, 10), &[OLD, NEW])]), "it is carried out");
        assert!(can_go_on(&[one(2, (1, 9), &[OLD]), one(3, (1, 9), &[OLD])]), "nobody has it");
        assert!(can_go_on(&[one(2, (2, 8), &[OLD]), one(3, (1, 10), &[OLD, NEW])]), "3 votes for 2");
    }

    #[test]
    fn a_majority_without_those_who_know_of_the_change_goes_on() {
        let (old, new): (&[u32], &[u32]) = (&[1, 2, 3, 4, 5], &[1, 2, 3, 6, 7]);
        let change = [old, new];
        let short = |node| one(node, (1, 9), &[old]);
        let long = |node| one(node, (1, 10), &change);
        // 1, 6 and 7 are dead.
        assert!(can_go_on(&[short(2), long(3), short(4), short(5)]));
        assert!(!can_go_on(&[short(2), long(3), short(4), long(5)]));
    }

    #[test]
    fn the_new_voters_may_have_taken_over() {
        // 1 and 3 are dead.
        assert!(can_go_on(&[one(2, (1, 10), &[OLD, NEW]), one(4, (1, 11), &[NEW])]));
        assert!(!can_go_on(&[one(2, (1, 10), &[OLD, NEW]), one(4, (1, 10), &[OLD, NEW])]), "the old ones count");
        assert!(!can_go_on(&[one(2, (1, 9), &[OLD]), one(4, (0, 0), &[])]), "4 is empty");
    }

    #[test]
    fn a_leader_ends_a_change_that_nobody_could_be_elected_in() {
        let leader = |leads_on, last| {
            let (copy, standing) = one(3, last, &[OLD, NEW]);
            (copy, Standing { leads_on, ..standing })
        };
        let other = one(2, (1, 10), &[OLD, NEW]);
        assert!(can_go_on(&[other.clone(), leader(true, (1, 12))]), "it goes back to the old voters");
        assert!(!can_go_on(&[other, leader(false, (1, 12))]), "one change after the other: this one is not committed");
        assert!(!can_go_on(&[leader(true, (1, 12))]), "not alone");
    }

    #[test]
    fn a_copy_that_takes_part_no_more_gives_no_vote() {
        let (sealed, standing) = one(2, (1, 9), &[OLD]);
        let sealed = (sealed, Standing { sealed: true, ..standing });
        assert!(!can_go_on(&[sealed, one(3, (1, 9), &[OLD])]));
    }

    #[test]
    fn the_survivor_has_the_last_entry_of_the_last_leader() {
        let by = |node, last| (copy(node), Standing { last, ..Standing::default() });
        assert_eq!(furthest(&[]), None);
        assert_eq!(furthest(&[by(2, (1, 1, 9)), by(3, (1, 1, 10))]), Some(copy(3)));
        assert_eq!(furthest(&[by(2, (2, 1, 9)), by(3, (1, 1, 10))]), Some(copy(2)), "a later term");
        assert_eq!(furthest(&[by(2, (1, 2, 9)), by(3, (1, 1, 10))]), Some(copy(2)), "the later leader of one term");
        assert_eq!(furthest(&[by(2, (1, 1, 9)), by(3, (1, 1, 9))]), Some(copy(2)), "always the same one");
    }
}
