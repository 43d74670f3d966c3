//! What operators ask of a cluster: to drain a node, to remove one, to bring two nodes together.

use super::control::{ControlReply, ControlRequest};
use super::directory::{Directory, DirectoryCommand};
use super::joining::{JOIN_TIMEOUT, ask};
use super::node::ClusterNode;
use super::picture::label;
use crate::ids::NodeNo;
use crate::raft::transport::Peers;
use crate::topology::{HostPort, NodeState};
use std::time::{Duration, Instant};

/// How long the directory's majority must have been out of reach before it is given up.
const LOST_FOR: Duration = Duration::from_secs(3);
/// Between looks at it.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

impl ClusterNode {
    /// Starts to empty a node.
    ///
    /// # Errors
    /// Where it is out of reach or the last one, or the directory says no.
    pub async fn drain(&self, no: NodeNo) -> Result<(), String> {
        let state = self.directory.state();
        if no != self.me.node && !self.is_heard(no) {
            let node = self.label(no);
            return Err(format!("ERR node {node} cannot be reached: bring it back, or remove it if it is dead"));
        }
        if !state.nodes.values().any(|node| node.no != no && node.state == NodeState::Up) {
            return Err("ERR the last node cannot be drained: there is no other to take its data".into());
        }
        self.propose(DirectoryCommand::SetNodeState { no, state: NodeState::Draining }).await
    }

    /// Declares a dead node dead for good. `force_quorum` also where the directory has lost its majority: this node then
    /// begins a new generation of it.
    ///
    /// # Errors
    /// Where the node is connected, or the directory says no.
    pub async fn remove(&self, no: NodeNo, force_quorum: bool) -> Result<(), String> {
        let is_heard = |no| self.is_heard(no);
        let (me, peers, directory) = (self.me.node, &self.peers, &self.directory);
        Removal { me, peers, directory, is_heard: &is_heard }.remove(no, force_quorum).await
    }

    async fn propose(&self, command: DirectoryCommand) -> Result<(), String> {
        propose(&self.directory, command).await
    }

    /// Brings this node and the one at `other` into one cluster: of the two, the one without data joins.
    ///
    /// # Errors
    /// Where both hold data, or the other cannot be reached.
    pub async fn meet(&self, other: &HostPort) -> Result<(), String> {
        let answer = self.control(other, &ControlRequest::Describe).await?;
        let ControlReply::Description { cluster, nodes, has_data, .. } = answer else {
            return Err(format!("ERR unexpected answer of {other}"));
        };
        if cluster == self.cluster {
            return Ok(());
        }
        let state = self.directory.state();
        let we_are_free = state.nodes.len() == 1 && !self.has_data();
        if nodes == 1 && !has_data {
            let mine = state.nodes.get(&self.me.node).map(|node| node.peer.clone());
            let mine = mine.ok_or("ERR this node is not a member of its cluster")?;
            return match self.control(other, &ControlRequest::Join(mine)).await? {
                ControlReply::Accepted => Ok(()),
                ControlReply::Refused(reason) | ControlReply::Later(reason) => Err(format!("ERR {reason}")),
                _ => Err(format!("ERR unexpected answer of {other}")),
            };
        }
        if !we_are_free {
            return Err("ERR both nodes hold data or have a cluster: empty one of them first".into());
        }
        self.rejoin_at(other.clone())
    }

    pub(super) fn has_data(&self) -> bool {
        self.routes.partitions().iter().any(|partition| partition.lock().keyspace.total_len() > 0)
    }

    pub(super) fn rejoin_at(&self, other: HostPort) -> Result<(), String> {
        let rejoin = self.rejoin.get().ok_or("ERR this node cannot join another cluster")?;
        rejoin(other);
        Ok(())
    }

    async fn control(&self, other: &HostPort, request: &ControlRequest) -> Result<ControlReply, String> {
        control(&self.peers, other, request).await
    }
}

/// The removal of a dead node, by a node that has its place or one that still waits for it.
pub(super) struct Removal<'a> {
    pub me: NodeNo,
    pub peers: &'a Peers,
    pub directory: &'a Directory,
    /// Whether another node answers.
    pub is_heard: &'a (dyn Fn(NodeNo) -> bool + Send + Sync),
}

impl Removal<'_> {
    /// See [`ClusterNode::remove`].
    pub async fn remove(&self, no: NodeNo, force_quorum: bool) -> Result<(), String> {
        if no == self.me || (self.is_heard)(no) {
            return Err(format!(
                "ERR node {} is alive: drain it, or stop it first",
                label(&self.directory.state(), no)
            ));
        }
        if !self.directory_is_lost(no) {
            return propose(self.directory, DirectoryCommand::SetNodeState { no, state: NodeState::Down }).await;
        }
        if !force_quorum {
            return Err(
                "ERR the directory has lost its majority: bring its nodes back, or, if they are lost for good, \
                        remove one with --force-quorum"
                    .into(),
            );
        }
        // A link that was lost for a moment is no lost majority.
        let looked_since = Instant::now();
        while looked_since.elapsed() < LOST_FOR {
            tokio::time::sleep(LOOK_PERIOD).await;
            if !self.directory_is_lost(no) {
                return propose(self.directory, DirectoryCommand::SetNodeState { no, state: NodeState::Down }).await;
            }
        }
        self.check_foremost().await?;
        tracing::warn!(
            removed = %no,
            "an operator gives the directory's majority up: this node begins it anew with what it knows. Nodes that are \
             removed must be stopped, and must never come back with their data directories"
        );
        let generation = self.directory.begin_generation().await.map_err(|error| format!("ERR {error}"))?;
        tracing::warn!(%generation, "the directory has begun anew");
        propose(self.directory, DirectoryCommand::SetNodeState { no, state: NodeState::Down }).await
    }

    /// Whether too many of the directory's voters are out of reach, `dead` among them, for the others to decide.
    fn directory_is_lost(&self, dead: NodeNo) -> bool {
        let (voters, _) = self.directory.members();
        let here = |no: &&NodeNo| **no != dead && (**no == self.me || self.peers.is_connected(**no));
        2 * voters.iter().filter(here).count() <= voters.len()
    }

    /// Refuses where another survivor knows more of the directory than this node.
    async fn check_foremost(&self) -> Result<(), String> {
        let mine = (self.directory.generation(), self.directory.last_log());
        let state = self.directory.state();
        let survivors = state.nodes.values().filter(|node| self.peers.is_connected(node.no));
        for node in survivors {
            let ControlReply::Description { generation, last_log, .. } =
                control(self.peers, &node.peer, &ControlRequest::Describe).await?
            else {
                return Err(format!("ERR node {} does not say how much it knows: try again", node.no));
            };
            if (generation, last_log) > mine {
                return Err(format!(
                    "ERR node {} knows more of the directory: ask it, with --node {}",
                    node.no, node.client
                ));
            }
        }
        Ok(())
    }
}

async fn propose(directory: &Directory, command: DirectoryCommand) -> Result<(), String> {
    directory.propose(command).await.map(|_| ()).map_err(|error| format!("ERR {error}"))
}

async fn control(peers: &Peers, other: &HostPort, request: &ControlRequest) -> Result<ControlReply, String> {
    ask(peers, other, request, JOIN_TIMEOUT).await.map_err(|error| format!("ERR {other}: {error}"))
}
