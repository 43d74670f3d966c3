//! What the directory's leader does: it compares what is with what should be and orders one step of the difference at a
//! time, a few partitions at once.
//!
//! Nothing here is remembered: a new leader starts from the directory's state and the groups' answers. So every step is
//! recorded before it is ordered (PlanVoters) and after it is done (SettlePartition), and may be repeated.

use super::directory::{Applied, DirectoryCommand, DirectoryError, DirectoryState, MembershipId, PartitionRecord};
use super::node::ClusterNode;
use super::orders::{Order, OrderKind, OrderReply};
use super::placement::{PlacementNode, leaders, place};
use crate::clock;
use crate::ids::{CopyId, NodeNo, PartitionId};
use crate::planted::{Bug, planted};
use crate::topology::NodeState;
use futures::future::{BoxFuture, Either, select};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

mod generations;
#[cfg(test)]
mod tests;

/// Between looks, unless the directory changes.
const PERIOD: Duration = Duration::from_millis(100);
/// Partitions that change their copies at once.
const MOVES_MAX: usize = 4;
/// The membership that a partition without a group, or a generation's first copy, counts as having.
const FIRST_MEMBERSHIP: MembershipId = MembershipId { term: 1, index: 1 };

/// A node as the reconciler sees it, which runs on it.
pub trait Conductor: Send + Sync + 'static {
    /// Its number.
    fn no(&self) -> NodeNo;

    /// The directory's state as it is known here.
    fn state(&self) -> Arc<DirectoryState>;

    /// Resolves when the state is no longer `known`, or after `at_most`.
    fn changed<'a>(&'a self, known: &'a Arc<DirectoryState>, at_most: Duration) -> BoxFuture<'a, ()>;

    /// Whether this node leads the directory, as far as it knows.
    fn leads(&self) -> bool;

    /// The directory's voters and learners.
    fn members(&self) -> (BTreeSet<NodeNo>, BTreeSet<NodeNo>);

    /// Asks a quorum whether this node still leads the directory, and gives the term that orders carry.
    fn confirm_leadership(&self) -> BoxFuture<'_, Result<u64, DirectoryError>>;

    /// Has the directory decide.
    fn propose(&self, command: DirectoryCommand) -> BoxFuture<'_, Result<Applied, DirectoryError>>;

    /// Makes a node a member of the directory's group.
    fn add_node(&self, no: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>>;

    /// Takes a node out of it.
    fn remove_node(&self, no: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>>;

    /// Chooses its voters anew.
    fn balance(&self, without: Option<NodeNo>) -> BoxFuture<'_, Result<(), DirectoryError>>;

    /// Gives an order to a node and waits for what becomes of it.
    fn give(&self, to: NodeNo, order: Order) -> BoxFuture<'_, OrderReply>;

    /// Whether another node is linked with this one.
    fn is_connected(&self, no: NodeNo) -> bool;

    /// Who leads a partition, as last heard.
    fn leader_of(&self, partition: PartitionId) -> Option<NodeNo>;

    /// In which term.
    fn term_of(&self, partition: PartitionId) -> u32;

    /// Whether a node's clock is not followed.
    fn is_held_back(&self, no: NodeNo) -> bool;

    /// Whether a node does not reach another one which a third node reaches.
    fn is_apart(&self, no: NodeNo) -> bool;

    /// Partitions whose voters are being changed on this node's orders.
    fn work(&self) -> &Mutex<BTreeSet<PartitionId>>;

    /// Boot time.
    fn boot_ns(&self) -> u64;

    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Starts a task.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

impl Conductor for ClusterNode {
    fn no(&self) -> NodeNo {
        self.me.node
    }

    fn state(&self) -> Arc<DirectoryState> {
        self.directory.state()
    }

    fn changed<'a>(&'a self, known: &'a Arc<DirectoryState>, at_most: Duration) -> BoxFuture<'a, ()> {
        let mut states = self.directory.subscribe();
        Box::pin(async move {
            let _ = tokio::time::timeout(at_most, states.wait_for(|state| !Arc::ptr_eq(state, known))).await;
        })
    }

    fn leads(&self) -> bool {
        self.directory.leads()
    }

    fn members(&self) -> (BTreeSet<NodeNo>, BTreeSet<NodeNo>) {
        self.directory.members()
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<u64, DirectoryError>> {
        Box::pin(self.directory.confirm_leadership())
    }

    fn propose(&self, command: DirectoryCommand) -> BoxFuture<'_, Result<Applied, DirectoryError>> {
        Box::pin(self.directory.propose(command))
    }

    fn add_node(&self, no: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.directory.add_node(no))
    }

    fn remove_node(&self, no: NodeNo) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.directory.remove_node(no))
    }

    fn balance(&self, without: Option<NodeNo>) -> BoxFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.directory.balance(without))
    }

    fn give(&self, to: NodeNo, order: Order) -> BoxFuture<'_, OrderReply> {
        Box::pin(Self::give(self, to, order))
    }

    fn is_connected(&self, no: NodeNo) -> bool {
        self.peers.is_connected(no)
    }

    fn leader_of(&self, partition: PartitionId) -> Option<NodeNo> {
        self.routes.leader(partition)
    }

    fn term_of(&self, partition: PartitionId) -> u32 {
        self.routes.term(partition)
    }

    fn is_held_back(&self, no: NodeNo) -> bool {
        if no == self.me.node { clock::held_back_ms() > 0 } else { self.skew.lock().is_held_back(no) }
    }

    fn is_apart(&self, no: NodeNo) -> bool {
        self.reach.lock().apart().contains(&no)
    }

    fn work(&self) -> &Mutex<BTreeSet<PartitionId>> {
        &self.work
    }

    fn boot_ns(&self) -> u64 {
        clock::boot_ns()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// Runs for the life of the node; acts only while it leads the directory.
pub async fn run<N: Conductor>(node: Arc<N>) {
    loop {
        let known = node.state();
        if node.leads() {
            match step(&node).await {
                Ok(()) | Err(DirectoryError::NotLeader(_) | DirectoryError::Refused(_)) => {}
                Err(error) => tracing::warn!(%error, "reconciling failed; it goes on"),
            }
        }
        node.changed(&known, PERIOD).await;
        // Changes come in flocks.
        node.sleep(Duration::from_millis(5)).await;
    }
}

async fn step<N: Conductor>(node: &Arc<N>) -> Result<(), DirectoryError> {
    let state = node.state();
    if state.cluster.is_none() {
        return Ok(());
    }
    settle_nodes(node, &state).await?;
    set_targets(node, &node.state()).await?;
    let state = node.state();
    begin_partitions(node, &state).await?;
    let state = node.state();
    start_moves(node, &state).await?;
    balance_leaders(node, &state).await?;
    release_stop(node, &state).await
}

/// Moves nodes along their lives: those that joined become members, those that are empty leave.
async fn settle_nodes<N: Conductor>(node: &Arc<N>, state: &DirectoryState) -> Result<(), DirectoryError> {
    let (voters, learners) = node.members();
    for record in state.nodes.values() {
        let no = record.no;
        let here = no == node.no() || node.is_connected(no);
        let is_member = voters.contains(&no) || learners.contains(&no);
        match record.state {
            NodeState::Joining if here => {
                if !is_member {
                    tracing::info!(node = no.0, "taking a node into the directory");
                    node.add_node(no).await?;
                }
                node.propose(DirectoryCommand::SetNodeState { no, state: NodeState::Up }).await?;
                tracing::info!(node = no.0, "node is up");
            }
            // The directory has begun anew without it.
            NodeState::Up | NodeState::Draining if here && !is_member => {
                tracing::info!(node = no.0, "taking a node back into the directory");
                node.add_node(no).await?;
            }
            NodeState::Joining | NodeState::Up => {}
            NodeState::Draining => {
                if voters.contains(&no) && voters.len() > 1 {
                    if no == node.no() {
                        // Another leads the directory from here on and lets this node go.
                        node.remove_node(no).await?;
                        return Ok(());
                    }
                    node.balance(Some(no)).await?;
                }
                if !state.holds_copies(no) {
                    node.propose(DirectoryCommand::SetNodeState { no, state: NodeState::Left }).await?;
                    tracing::info!(node = no.0, "node is drained");
                }
            }
            NodeState::Down => {
                if is_member && no != node.no() {
                    node.remove_node(no).await?;
                }
                if !state.holds_copies(no) {
                    node.propose(DirectoryCommand::SetNodeState { no, state: NodeState::Left }).await?;
                }
            }
            // It is kept informed, and linked, until it stops.
            NodeState::Left if !here => {
                if is_member {
                    node.remove_node(no).await?;
                }
                node.propose(DirectoryCommand::ForgetNode { no }).await?;
                tracing::info!(node = no.0, "node has left");
            }
            NodeState::Left => {}
        }
    }
    if learners.iter().any(|no| state.nodes.get(no).is_some_and(|record| record.state == NodeState::Up)) {
        node.balance(None).await?;
    }
    Ok(())
}

/// Who should hold what, by partition, as placement has it from the present state; `None` where no node may hold any.
pub(super) fn wanted_targets(state: &DirectoryState) -> Option<Vec<Vec<NodeNo>>> {
    let cluster = state.cluster.as_ref()?;
    let up: Vec<PlacementNode> = state
        .nodes
        .values()
        .filter(|record| record.state == NodeState::Up)
        .map(|record| PlacementNode { no: record.no, weight: record.weight, zone: record.zone.clone() })
        .collect();
    let previous: Vec<Vec<NodeNo>> = state.partitions.iter().map(|record| record.target.clone()).collect();
    let settings = &cluster.settings;
    (!up.is_empty()).then(|| place(&up, settings.partitions, usize::from(settings.replicas), &previous))
}

/// Records who is to hold what, where that differs from what is recorded.
async fn set_targets<N: Conductor>(node: &Arc<N>, state: &DirectoryState) -> Result<(), DirectoryError> {
    let Some(targets) = wanted_targets(state) else { return Ok(()) };
    if !state.partitions.iter().map(|record| &record.target).eq(&targets) {
        node.propose(DirectoryCommand::SetTarget { expected: state.target_epoch, targets }).await?;
        tracing::info!("placement changed");
    }
    Ok(())
}

/// Gives a first copy to partitions that have none, and begins those anew that can decide nothing ever again.
async fn begin_partitions<N: Conductor>(node: &Arc<N>, state: &DirectoryState) -> Result<(), DirectoryError> {
    let (mut first, mut anew) = (Vec::new(), Vec::new());
    for (index, record) in state.partitions.iter().enumerate() {
        let partition = index as u16;
        if record.voters.is_empty() {
            let home = record.target.iter().find_map(|no| current_copy(state, *no));
            if let Some(copy) = home {
                first.push(node.propose(DirectoryCommand::SettlePartition {
                    partition,
                    generation: record.generation,
                    membership: FIRST_MEMBERSHIP,
                    voters: vec![copy],
                }));
            }
        } else if record.membership == MembershipId::default() {
            first.push(node.propose(DirectoryCommand::SettlePartition {
                partition,
                generation: record.generation,
                membership: FIRST_MEMBERSHIP,
                voters: record.voters.clone(),
            }));
        } else if state.may_be_stuck(record) || generations::seems_lost(node, record) {
            anew.push(generations::begin_anew(node, state, partition, record));
        }
    }
    // Side by side: one may wait for a node that does not answer.
    let begun_alone = futures::future::try_join_all(anew).await?.into_iter().filter(|alone| *alone).count();
    if begun_alone > 0 {
        tracing::info!(partitions = begun_alone, "this node, alone in its cluster, was started anew and begins empty");
    }
    futures::future::try_join_all(first).await?;
    Ok(())
}

fn is_here<N: Conductor>(node: &Arc<N>, no: NodeNo) -> bool {
    no == node.no() || node.is_connected(no)
}

fn current_copy(state: &DirectoryState, no: NodeNo) -> Option<CopyId> {
    let record = state.nodes.get(&no)?;
    let alive = !matches!(record.state, NodeState::Down | NodeState::Left);
    alive.then_some(CopyId { node: no, incarnation: record.incarnation })
}

/// The copies that should vote: the targets' current incarnations.
fn desired(state: &DirectoryState, record: &PartitionRecord) -> BTreeSet<CopyId> {
    record.target.iter().filter_map(|no| current_copy(state, *no)).collect()
}

/// Starts a task for each partition whose voters differ from what they should be, a few at once.
async fn start_moves<N: Conductor>(node: &Arc<N>, state: &Arc<DirectoryState>) -> Result<(), DirectoryError> {
    let differs = |record: &PartitionRecord| {
        let wanted = desired(state, record);
        let forgotten = planted(Bug::PlanIsForgotten) && record.planned.is_some();
        !wanted.is_empty()
            && !record.voters.is_empty()
            && !forgotten
            && (record.planned.is_some() || !record.voters.iter().copied().eq(wanted.iter().copied()))
    };
    let mut waiting: Vec<PartitionId> = (0..state.partitions.len() as u16)
        .map(PartitionId)
        .filter(|id| differs(&state.partitions[id.index()]) && !node.work().lock().contains(id))
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    // Not always the same first: some may wait for a node that is away.
    let turn = (node.boot_ns() / 1_000_000_000) as usize % waiting.len();
    waiting.rotate_left(turn);
    let term = node.confirm_leadership().await?;
    for id in waiting {
        {
            let mut work = node.work().lock();
            if work.len() >= MOVES_MAX {
                break;
            }
            work.insert(id);
        }
        let node = Arc::clone(node);
        let conductor = Arc::clone(&node);
        conductor.spawn(Box::pin(async move {
            if let Err(error) = change_voters(&node, id, term).await {
                tracing::debug!(partition = id.0, error, "voters not changed yet");
                node.sleep(PERIOD).await;
            }
            node.work().lock().remove(&id);
        }));
    }
    Ok(())
}

/// One step towards the voters that a partition should have.
async fn change_voters<N: Conductor>(node: &Arc<N>, id: PartitionId, term: u64) -> Result<(), String> {
    let state = node.state();
    let Some(record) = state.partition(id) else { return Ok(()) };
    let wanted = desired(&state, record);
    let voters: BTreeSet<CopyId> = record.voters.iter().copied().collect();
    let leader_node = match node.leader_of(id) {
        Some(no) => no,
        None if record.voters.len() == 1 => record.voters[0].node,
        None => return Err("nobody leads the partition".into()),
    };
    let leader = record.copies().find(|copy| copy.node == leader_node && !state.is_dead(*copy));
    let Some(leader) = leader else { return Err("the leader is not among the voters on record".into()) };
    // What an earlier plan began is ended first: carried out, or called off where one of its copies has died since.
    if let Some(planned) = &record.planned
        && planned.iter().any(|copy| state.is_dead(*copy))
    {
        let target = if voters.contains(&leader) {
            tracing::info!(partition = id.0, planned = nodes(planned), "calling a change of voters off");
            record.voters.clone()
        } else {
            // Nobody leads who has no vote: the plan is in force, or half so, and its copies need not be waited for.
            planned.clone()
        };
        return reshape(node, id, term, record, leader_node, target, true).await;
    }
    let target: BTreeSet<CopyId> = match &record.planned {
        Some(planned) => planned.iter().copied().collect(),
        None if wanted.contains(&leader) => wanted,
        // The leader has to go: first the new copies come beside it, then it hands over, then it is removed.
        None if wanted.is_subset(&voters) => {
            return Err(hand_over(node, id, term, record, leader_node, wanted.first().copied()).await);
        }
        None => wanted.into_iter().chain([leader]).collect(),
    };
    if !target.contains(&leader) {
        let heir = target.intersection(&voters).next().copied();
        return Err(hand_over(node, id, term, record, leader_node, heir).await);
    }
    if record.planned.is_none() && target == voters {
        // Settled between the look that found a change wanted and this one.
        return Ok(());
    }
    let target: Vec<CopyId> = target.into_iter().collect();
    let plan = DirectoryCommand::PlanVoters {
        partition: id.0,
        generation: record.generation,
        expected: record.membership,
        voters: target.clone(),
    };
    node.propose(plan).await.map_err(|error| error.to_string())?;
    let (from, to, term_led) = (nodes(&record.voters), nodes(&target), known(node.term_of(id)));
    tracing::info!(partition = id.0, term = term_led, from, to, "changing voters");
    reshape(node, id, term, record, leader_node, target, false).await
}

/// Orders a leader that is in the way of a change to hand over first. Says why the change has to wait.
async fn hand_over<N: Conductor>(
    node: &Arc<N>,
    id: PartitionId,
    directory_term: u64,
    record: &PartitionRecord,
    leader: NodeNo,
    heir: Option<CopyId>,
) -> String {
    let Some(to) = heir else { return "no copy can lead instead".into() };
    let kind = OrderKind::Transfer { to };
    node.give(leader, Order { partition: id, generation: record.generation, directory_term, kind }).await;
    "leadership is moving".into()
}

/// A term for the log: a partition that never was a group has none.
fn known(term: u32) -> Option<u32> {
    (term > 0).then_some(term)
}

/// Orders a change of voters and records what came of it.
async fn reshape<N: Conductor>(
    node: &Arc<N>,
    id: PartitionId,
    term: u64,
    record: &PartitionRecord,
    leader: NodeNo,
    target: Vec<CopyId>,
    anew: bool,
) -> Result<(), String> {
    let text = |error: DirectoryError| error.to_string();
    let died = until_one_dies(node, target.clone(), anew);
    let kind = OrderKind::Reshape { expected: record.membership, target, anew };
    let order = Order { partition: id, generation: record.generation, directory_term: term, kind };
    let reply = match select(pin!(node.give(leader, order)), pin!(died)).await {
        Either::Left((reply, _)) => reply,
        Either::Right(_) => return Err("a copy of the plan has died".into()),
    };
    match reply {
        OrderReply::Settled { membership, voters } => {
            if membership == record.membership {
                return Err("nothing changed".into());
            }
            let settle = DirectoryCommand::SettlePartition {
                partition: id.0,
                generation: record.generation,
                membership,
                voters,
            };
            node.propose(settle).await.map_err(text)?;
            Ok(())
        }
        other => Err(format!("{other:?}")),
    }
}

/// Resolves when one of these copies is dead; never where that does not matter.
async fn until_one_dies<N: Conductor>(node: &Arc<N>, copies: Vec<CopyId>, does_not_matter: bool) {
    loop {
        let state = node.state();
        if !does_not_matter && copies.iter().any(|copy| state.is_dead(*copy)) {
            return;
        }
        node.changed(&state, Duration::from_secs(1)).await;
    }
}

/// The nodes of some copies, as a log shows them: `1,2,3`.
fn nodes(copies: &[CopyId]) -> String {
    copies.iter().map(|copy| copy.node.to_string()).collect::<Vec<_>>().join(",")
}

/// Spreads leaders evenly over the copies, once everything else is done.
async fn balance_leaders<N: Conductor>(node: &Arc<N>, state: &DirectoryState) -> Result<(), DirectoryError> {
    if !node.work().lock().is_empty() || state.stop_permit.is_some() || state.nodes.len() < 2 {
        return Ok(());
    }
    // Nodes whose clocks cannot be followed lead nothing.
    let held_back: BTreeSet<NodeNo> = state.nodes.keys().copied().filter(|no| node.is_held_back(*no)).collect();
    let settled: Vec<Vec<NodeNo>> = state
        .partitions
        .iter()
        .map(|record| {
            let usable =
                |copy: &&CopyId| is_here(node, copy.node) && !state.is_dead(**copy) && !held_back.contains(&copy.node);
            let usable: Vec<NodeNo> = record.voters.iter().filter(usable).map(|copy| copy.node).collect();
            // Those that reach all, where there are any.
            let reaching: Vec<NodeNo> = usable.iter().copied().filter(|no| !node.is_apart(*no)).collect();
            if reaching.is_empty() { usable } else { reaching }
        })
        .collect();
    let now: Vec<Option<NodeNo>> =
        (0..state.partitions.len() as u16).map(|index| node.leader_of(PartitionId(index))).collect();
    if now.iter().any(Option::is_none) {
        return Ok(());
    }
    let wanted = leaders(&settled, &now);
    // One at a time: the next look sees whether it worked. A leader that is out of reach takes no orders.
    let takes_orders = |leader: &Option<NodeNo>| leader.is_some_and(|no| is_here(node, no));
    let next = wanted.iter().zip(&now).position(|(wanted, now)| wanted.is_some() && wanted != now && takes_orders(now));
    let Some(index) = next else { return Ok(()) };
    let record = &state.partitions[index];
    let to = record.voters.iter().find(|copy| Some(copy.node) == wanted[index]).copied();
    if let (Some(to), Some(from)) = (to, now[index]) {
        let directory_term = node.confirm_leadership().await?;
        let kind = OrderKind::Transfer { to };
        let partition = PartitionId(index as u16);
        let term = known(node.term_of(partition));
        tracing::info!(%partition, term, from = %from, to = %to.node, "moving leadership");
        node.give(from, Order { partition, generation: record.generation, directory_term, kind }).await;
    }
    Ok(())
}

/// Takes the stop permit back once its holder is a full member again.
async fn release_stop<N: Conductor>(node: &Arc<N>, state: &DirectoryState) -> Result<(), DirectoryError> {
    let Some(holder) = state.stop_permit else { return Ok(()) };
    let no = holder.node;
    let back = state.nodes.get(&no).is_some_and(|record| record.incarnation > holder.incarnation);
    if back && state.is_settled(no) && (no == node.no() || node.is_connected(no)) {
        node.propose(DirectoryCommand::ReleaseStop { no, incarnation: Some(holder.incarnation) }).await?;
        tracing::info!(node = no.0, "stop permit is free again");
    }
    Ok(())
}
