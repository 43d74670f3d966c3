//! A model of the directory's group: what it decides is the server's own code, how it agrees is not.
//!
//! One state that survives every crash, as the real one's log does; a leader, which needs a majority of the voters to
//! decide anything and is deposed by another once it has lost sight of them; and on each node a picture of the state that
//! is as old as the last time that the leader got through. A deposed leader does not know that it is.

use super::judge::{Event, Judge};
use super::network::{Network, below, chance};
use super::runtime::{current, ms, sleep};
use super::statistics::Counters;
use larder::cluster::directory::{Applied, DirectoryCommand, DirectoryError, DirectoryState};
use larder::ids::NodeNo;
use larder::topology::NodeState;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// A proposal looks for a leader this long.
const PROPOSE_MS_MAX: u64 = 10_000;
/// A leader that has lost its majority is deposed after so long.
const ELECTION_MS: u64 = 900;
/// Up to so many nodes vote.
const VOTERS_MAX: usize = 5;

/// What a node knows of the directory; on its disk, so that it outlives the process.
#[derive(Clone)]
struct Picture {
    state: Arc<DirectoryState>,
    leader: Option<NodeNo>,
}

struct Inner {
    state: Arc<DirectoryState>,
    leader: Option<NodeNo>,
    term: u64,
    voters: BTreeSet<NodeNo>,
    learners: BTreeSet<NodeNo>,
    pictures: BTreeMap<NodeNo, Picture>,
    changed: BTreeMap<NodeNo, Arc<Notify>>,
    /// Since when the leader has no majority.
    alone_since_ns: Option<u64>,
}

/// The directory of a cluster.
pub struct Directory {
    inner: Mutex<Inner>,
    network: Weak<Network>,
    counters: Arc<Counters>,
    judge: Arc<Judge>,
}

impl Directory {
    /// A directory that node 1 has just made.
    pub fn new(network: &Arc<Network>, create: DirectoryCommand) -> Arc<Self> {
        let mut state = DirectoryState::default();
        state.apply(create).expect("a cluster is made once");
        let first = NodeNo(1);
        let inner = Inner {
            state: Arc::new(state),
            leader: Some(first),
            term: 1,
            voters: BTreeSet::from([first]),
            learners: BTreeSet::new(),
            pictures: BTreeMap::new(),
            changed: BTreeMap::new(),
            alone_since_ns: None,
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            network: Arc::downgrade(network),
            counters: Arc::clone(&network.counters),
            judge: Arc::clone(&network.judge),
        })
    }

    /// What has been decided so far, whoever knows it.
    pub fn truth(&self) -> Arc<DirectoryState> {
        Arc::clone(&self.inner.lock().state)
    }

    /// What node `no` knows.
    pub fn state(&self, no: NodeNo) -> Arc<DirectoryState> {
        let inner = self.inner.lock();
        inner.pictures.get(&no).map_or_else(Arc::default, |picture| Arc::clone(&picture.state))
    }

    /// Whether node `no` takes itself for the leader.
    pub fn leads(&self, no: NodeNo) -> bool {
        self.inner.lock().pictures.get(&no).is_some_and(|picture| picture.leader == Some(no))
    }

    /// Voters and learners.
    pub fn members(&self) -> (BTreeSet<NodeNo>, BTreeSet<NodeNo>) {
        let inner = self.inner.lock();
        (inner.voters.clone(), inner.learners.clone())
    }

    /// What is told when the picture of node `no` changes.
    pub fn notify(&self, no: NodeNo) -> Arc<Notify> {
        Arc::clone(self.inner.lock().changed.entry(no).or_default())
    }

    fn has_majority(&self, leader: NodeNo) -> bool {
        let Some(network) = self.network.upgrade() else { return false };
        let voters = self.inner.lock().voters.clone();
        let heard = voters.iter().filter(|no| network.reaches(leader, **no)).count();
        heard > voters.len() / 2
    }

    fn reaches(&self, from: NodeNo, to: NodeNo) -> bool {
        self.network.upgrade().is_some_and(|network| network.reaches(from, to))
    }

    /// Asks a quorum whether `no` still leads, and gives its term.
    pub async fn confirm(&self, no: NodeNo) -> Result<u64, DirectoryError> {
        sleep(ms(1 + below(3))).await;
        let (leader, term) = {
            let inner = self.inner.lock();
            (inner.leader, inner.term)
        };
        if leader == Some(no) && self.has_majority(no) {
            self.publish_to(no);
            return Ok(term);
        }
        Err(DirectoryError::NotLeader(leader))
    }

    /// Has the directory decide on a command of node `from`, or of one that has no number yet.
    pub async fn propose(&self, from: Option<NodeNo>, command: DirectoryCommand) -> Result<Applied, DirectoryError> {
        let deadline_ns = current().now_ns() + PROPOSE_MS_MAX * 1_000_000;
        loop {
            sleep(ms(1 + below(4))).await;
            let leader = self.inner.lock().leader;
            if let Some(leader) = leader
                && from.is_none_or(|from| self.reaches(from, leader))
                && self.has_majority(leader)
            {
                // Its disk.
                sleep(ms(1 + below(6))).await;
                if self.inner.lock().leader == Some(leader) && self.has_majority(leader) {
                    let response = self.decide(leader, command.clone());
                    if chance(30) {
                        // The answer is lost; commands may be proposed again.
                        self.counters.directory_lost.add(1);
                        continue;
                    }
                    return Ok(response?);
                }
            }
            if current().now_ns() > deadline_ns {
                return Err(DirectoryError::TimedOut("no leader is known".into()));
            }
            sleep(ms(20 + below(200))).await;
        }
    }

    fn decide(
        &self,
        leader: NodeNo,
        command: DirectoryCommand,
    ) -> Result<Applied, larder::cluster::directory::Refused> {
        let response = {
            let mut inner = self.inner.lock();
            let before = Arc::clone(&inner.state);
            let response = Arc::make_mut(&mut inner.state).apply(command.clone());
            if *before == *inner.state {
                inner.state = before;
            }
            response
        };
        let state = self.truth();
        if let Ok(Applied::GenerationStarted { .. }) = response {
            self.counters.generation.add(1);
            let by_seal = matches!(&command, DirectoryCommand::StartGeneration { sealed, .. } if !sealed.is_empty());
            self.counters.generation_sealed.add(u64::from(by_seal));
        }
        self.judge.hear(&Event::Decided { command: &command, response: &response, state: &state });
        self.publish_to(leader);
        response
    }

    fn publish_to(&self, no: NodeNo) {
        let mut inner = self.inner.lock();
        let picture = Picture { state: Arc::clone(&inner.state), leader: inner.leader };
        let old = inner.pictures.insert(no, picture.clone());
        let same = old.is_some_and(|old| Arc::ptr_eq(&old.state, &picture.state) && old.leader == picture.leader);
        if !same {
            let notify = Arc::clone(inner.changed.entry(no).or_default());
            drop(inner);
            notify.notify_waiters();
        }
    }

    /// Takes a node into the group.
    pub async fn add(&self, by: NodeNo, no: NodeNo) -> Result<(), DirectoryError> {
        self.confirm(by).await?;
        let mut inner = self.inner.lock();
        if !inner.voters.contains(&no) {
            inner.learners.insert(no);
        }
        Ok(())
    }

    /// Lets a node go.
    pub async fn remove(&self, by: NodeNo, no: NodeNo) -> Result<(), DirectoryError> {
        self.confirm(by).await?;
        let mut inner = self.inner.lock();
        inner.learners.remove(&no);
        inner.voters.remove(&no);
        if inner.leader == Some(no) {
            inner.leader = None;
        }
        Ok(())
    }

    /// Chooses the voters anew: an odd number of nodes that are up and can be reached.
    pub async fn balance(&self, by: NodeNo, without: Option<NodeNo>) -> Result<(), DirectoryError> {
        self.confirm(by).await?;
        let all = {
            let inner = self.inner.lock();
            let up = |no: &NodeNo| inner.state.nodes.get(no).is_some_and(|node| node.state == NodeState::Up);
            let (voters, learners) = (inner.voters.iter(), inner.learners.iter());
            voters.chain(learners).copied().filter(|no| Some(*no) != without && up(no)).collect::<Vec<_>>()
        };
        // The leader stays, and those that answer come first.
        let mut ranked: Vec<NodeNo> = all.into_iter().filter(|no| *no == by || self.reaches(by, *no)).collect();
        ranked.sort_by_key(|no| (*no != by, *no));
        let count = match ranked.len().min(VOTERS_MAX) {
            even @ 4.. if even % 2 == 0 => even - 1,
            count => count,
        };
        let chosen: BTreeSet<NodeNo> = ranked.into_iter().take(count).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let mut inner = self.inner.lock();
        let members: BTreeSet<NodeNo> = inner.voters.union(&inner.learners).copied().collect();
        inner.learners = members.difference(&chosen).copied().filter(|no| Some(*no) != without).collect();
        inner.voters = chosen;
        Ok(())
    }

    /// Keeps pictures fresh and a leader in place, for the life of the run.
    pub async fn run(self: Arc<Self>) {
        loop {
            sleep(ms(3 + below(12))).await;
            let (leader, nodes) = {
                let inner = self.inner.lock();
                (inner.leader, inner.state.nodes.keys().copied().collect::<Vec<_>>())
            };
            self.elect(leader);
            let Some(leader) = leader else { continue };
            if !self.reaches(leader, leader) {
                continue;
            }
            for no in nodes {
                if self.reaches(leader, no) {
                    self.publish_to(no);
                }
            }
        }
    }

    fn elect(&self, leader: Option<NodeNo>) {
        let now_ns = current().now_ns();
        if leader.is_some_and(|leader| self.reaches(leader, leader) && self.has_majority(leader)) {
            self.inner.lock().alone_since_ns = None;
            return;
        }
        let since = *self.inner.lock().alone_since_ns.get_or_insert(now_ns);
        if now_ns - since < ELECTION_MS * 1_000_000 {
            return;
        }
        self.depose(leader);
    }

    /// Another voter takes over, if one has a majority.
    pub fn depose(&self, leader: Option<NodeNo>) {
        let voters = self.inner.lock().voters.clone();
        let able: Vec<NodeNo> =
            voters.into_iter().filter(|no| self.reaches(*no, *no) && self.has_majority(*no)).collect();
        let others: Vec<NodeNo> = able.iter().copied().filter(|no| Some(*no) != leader).collect();
        let from = if others.is_empty() { able } else { others };
        if from.is_empty() {
            return;
        }
        let next = from[below(from.len() as u64) as usize];
        self.counters.directory_election.add(1);
        let mut inner = self.inner.lock();
        inner.leader = Some(next);
        inner.term += 1;
        inner.alone_since_ns = None;
        drop(inner);
        self.publish_to(next);
    }

    /// The leader, whether it knows it or not.
    pub fn leader(&self) -> Option<NodeNo> {
        self.inner.lock().leader
    }
}
