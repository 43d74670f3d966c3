//! What a node waits for until it has its place in a cluster, and what may be asked of it meanwhile.
//!
//! A node may wait for long: nobody is at the addresses that it joins by, or it comes back to a directory that has lost
//! its majority. It then says what it waits for, and takes the one order that ends the latter: to begin the directory anew.

use super::directory::Directory;
use super::operations::Removal;
use super::picture::{label, topology};
use crate::clock;
use crate::ids::NodeNo;
use crate::raft::transport::Peers;
use crate::topology::{HostPort, NodeInfo, Topology};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a node waits before its log says for what: most have their place sooner.
const SILENCE: Duration = Duration::from_secs(3);
/// Between two lines of the log where it waits for something else now.
const NEWS_PERIOD: Duration = Duration::from_secs(10);
/// The same where it is still the same.
const REMINDER_PERIOD: Duration = Duration::from_secs(600);

/// How far a node is on its way to its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has just begun.
    #[default]
    Starting,
    /// It asks to be taken in; what the nodes that it asks last said.
    Joining(Vec<(HostPort, String)>),
    /// It is a member and registers that it is back.
    Registering,
    /// It was taken in and waits for the directory's state, which the others bring to its peer address.
    Following,
}

/// This node's member of the directory, from when that is open.
struct Member {
    me: NodeNo,
    client: HostPort,
    peer: HostPort,
    peers: Arc<Peers>,
    directory: Directory,
}

/// A node that has no place yet.
#[derive(Default)]
pub struct Waiting {
    stage: Mutex<Stage>,
    member: OnceLock<Member>,
}

impl Waiting {
    pub(super) fn enter(&self, stage: Stage) {
        *self.stage.lock() = stage;
    }

    pub(super) fn set_member(
        &self,
        me: NodeNo,
        (client, peer): (HostPort, HostPort),
        peers: &Arc<Peers>,
        directory: &Directory,
    ) {
        let (peers, directory) = (Arc::clone(peers), directory.clone());
        let _ = self.member.set(Member { me, client, peer, peers, directory });
    }

    /// What the node waits for.
    pub fn reason(&self) -> String {
        let stage = self.stage.lock().clone();
        let what = match (stage, self.member.get()) {
            (Stage::Joining(asked), _) => {
                let asked: Vec<String> = asked.iter().map(|(at, answer)| format!("{at} ({answer})")).collect();
                format!("to be taken in by {}", asked.join(" or "))
            }
            (Stage::Registering, Some(member)) => member.missing(),
            (Stage::Following, Some(member)) => format!(
                "for the directory's state, which the other nodes bring to the peer address that this one advertises, \
                 {}: can they reach it there?",
                member.peer
            ),
            _ => "for its start to end".to_owned(),
        };
        format!("it has no place in a cluster yet: it waits {what}")
    }

    /// The cluster as far as it is known; `me`, alone, where nothing is.
    pub fn topology(&self, me: &NodeInfo) -> Topology {
        let known = self.member.get().map(|member| {
            let state = member.directory.state();
            topology(&state, member.me, &|_| None, &|no| member.peers.is_connected(no))
        });
        match known {
            Some(known) if known.node(known.me).is_some() => known,
            _ => Topology { epoch: 0, me: me.no, nodes: vec![me.clone()], owners: Vec::new() },
        }
    }

    /// The nodes to which there is a link.
    pub fn connected(&self) -> Vec<NodeNo> {
        self.member.get().map(|member| member.peers.connected()).unwrap_or_default()
    }

    /// As [`ClusterNode::remove`](super::node::ClusterNode::remove): a survivor that was itself restarted gets its place
    /// by this where the directory's majority is lost for good.
    ///
    /// # Errors
    /// Where the node is alive, or nothing is known of a cluster, or the directory says no.
    pub async fn remove(&self, no: NodeNo, force_quorum: bool) -> Result<(), String> {
        let Some(Member { me, peers, directory, .. }) = self.member.get() else {
            return Err(format!("ERR this node cannot remove another: {}", self.reason()));
        };
        let is_heard = |no| peers.is_connected(no);
        Removal { me: *me, peers, directory, is_heard: &is_heard }.remove(no, force_quorum).await
    }

    /// Says in the log what the node waits for, now and again, until it is dropped.
    pub(super) async fn tell(&self) {
        let begun = Instant::now();
        let mut told: Option<(Instant, String)> = None;
        loop {
            clock::beat(Duration::from_secs(1)).await;
            if begun.elapsed() < SILENCE {
                continue;
            }
            let reason = self.reason();
            let silent = told
                .as_ref()
                .is_some_and(|(at, old)| at.elapsed() < if *old == reason { REMINDER_PERIOD } else { NEWS_PERIOD });
            if !silent {
                tracing::warn!(reason, "this node does not serve clients");
                told = Some((Instant::now(), reason));
            }
        }
    }
}

impl Member {
    /// Who is missing for the directory to register this node.
    fn missing(&self) -> String {
        let (voters, _) = self.directory.members();
        let missing: Vec<NodeNo> =
            voters.iter().copied().filter(|no| *no != self.me && !self.peers.is_connected(*no)).collect();
        if missing.is_empty() || 2 * missing.len() < voters.len() {
            return "for the directory's leader to register it".to_owned();
        }
        let state = self.directory.state();
        let names: Vec<String> = missing.iter().map(|no| label(&state, *no)).collect();
        let first = missing.first().and_then(|no| state.nodes.get(no)).map(|node| node.client.to_string());
        format!(
            "for a majority of the directory, of whose {} voters {} cannot be reached. Bring them back or, if they are \
             lost for good: larder remove --force-quorum {} --node {}",
            voters.len(),
            names.join(", "),
            first.unwrap_or_default(),
            self.client
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::port_stub::node_info;

    #[test]
    fn it_is_said_whom_a_node_waits_for() {
        let waiting = Waiting::default();
        assert!(waiting.reason().ends_with("it waits for its start to end"));
        let at = |port| HostPort { host: "cache".into(), port };
        waiting.enter(Stage::Joining(vec![(at(1), "no answer".into()), (at(2), "later".into())]));
        let reason = waiting.reason();
        assert!(reason.ends_with("to be taken in by cache:1 (no answer) or cache:2 (later)"), "{reason}");
    }

    #[tokio::test]
    async fn a_node_that_knows_of_no_cluster_shows_itself_and_removes_nobody() {
        let waiting = Waiting::default();
        let me = node_info(1);
        let topology = waiting.topology(&me);
        assert_eq!((topology.nodes, topology.owners.len()), (vec![me], 0));
        assert!(waiting.remove(NodeNo(2), true).await.unwrap_err().contains("no place in a cluster"));
    }
}
