//! What can be asked of the directory, and what it answers.
//!
//! A proposer that lost sight of its proposal proposes again, so every command is written to change nothing when it is
//! applied a second time: it names the state that it sets, or the one that it expects.

use super::state::{ClusterId, MembershipId, Settings};
use crate::ids::{CopyId, Incarnation, NodeName, NodeNo};
use crate::topology::{HostPort, NodeState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A change of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryCommand {
    /// The first command of all.
    CreateCluster {
        /// Its name.
        id: ClusterId,
        /// Its settings.
        settings: Settings,
    },
    /// A node has started: a new one, or a later incarnation of a known one.
    RegisterNode(Registration),
    /// Moves a node along its life.
    SetNodeState {
        /// Which.
        no: NodeNo,
        /// To what.
        state: NodeState,
    },
    /// Drops the record of a node that has left.
    ForgetNode {
        /// Which.
        no: NodeNo,
    },
    /// Sets who is to hold what.
    SetTarget {
        /// The `target_epoch` that this was computed from.
        expected: u64,
        /// By partition.
        targets: Vec<Vec<NodeNo>>,
    },
    /// A partition's group is about to be told to change its voters.
    PlanVoters {
        /// Which partition.
        partition: u16,
        /// Its generation.
        generation: u32,
        /// The settled membership that the change starts from.
        expected: MembershipId,
        /// The voters to be.
        voters: Vec<CopyId>,
    },
    /// A partition's leader reports a committed membership with no change under way, having committed an entry of its own
    /// term.
    SettlePartition {
        /// Which partition.
        partition: u16,
        /// Its generation.
        generation: u32,
        /// The log id of the membership.
        membership: MembershipId,
        /// Its voters.
        voters: Vec<CopyId>,
    },
    /// Begins a partition's group anew, after the loss of its quorum, or of that of the voters that it was moving to.
    StartGeneration {
        /// Which partition.
        partition: u16,
        /// The new generation: one above the last.
        generation: u32,
        /// The living copy with the highest last log id; none where no copy lives.
        survivor: Option<CopyId>,
        /// Whether every living copy was asked and none has the planned membership in its log. Said by earlier versions only,
        /// which sealed no copy; their logs are still read.
        #[serde(default)]
        planned_unseen: bool,
        /// The copies that take part no more in the generation that ends: none, or every living one.
        #[serde(default)]
        sealed: Vec<CopyId>,
    },
    /// A node asks to stop.
    AcquireStop {
        /// Which, and which incarnation of it.
        copy: CopyId,
        /// Nodes whose copies cannot be counted on now: out of reach, or behind.
        unavailable: BTreeSet<NodeNo>,
    },
    /// A node that had leave to stop is back with all its copies.
    ReleaseStop {
        /// Which.
        no: NodeNo,
        /// Which incarnation of it had leave: the next one may have it, too, by now. Earlier versions did not say.
        #[serde(default)]
        incarnation: Option<Incarnation>,
    },
    /// Changes what may be changed of the settings.
    ChangeSettings {
        /// Copies of each partition.
        replicas: u8,
    },
}

/// What a node says of itself when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The cluster that it believes to belong to.
    pub cluster: Option<ClusterId>,
    /// Its name.
    pub name: NodeName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Random, of this process.
    pub token: u64,
    /// Advertised client address.
    pub client: HostPort,
    /// Advertised cluster address.
    pub cluster_address: HostPort,
    /// Advertised peer address.
    pub peer: HostPort,
    /// Bytes of memory.
    pub weight: u64,
    /// Its zone.
    pub zone: Option<String>,
    /// Version of its program.
    pub version: String,
}

/// What the directory answers to a command that it applied.
pub type DirectoryResponse = Result<Applied, Refused>;

/// A command took effect, or had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// Nothing more to say.
    Done,
    /// The node has this number.
    Registered {
        /// The number.
        no: NodeNo,
    },
    /// The targets have this `target_epoch`.
    TargetSet {
        /// The epoch.
        epoch: u64,
    },
    /// A generation begins.
    GenerationStarted {
        /// Whether answered writes may be missing from it.
        loss_possible: bool,
    },
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// The directory holds another cluster.
    #[error("this is another cluster")]
    AnotherCluster,
    /// No cluster was created here yet.
    #[error("no cluster has been created here")]
    NoCluster,
    /// A setting is out of its range.
    #[error("{0} is out of range")]
    BadSetting(String),
    /// The registration's incarnation is not above the highest known one.
    #[error(
        "incarnation {found} of the node is not above {known}, the last one known: its data directory was copied or restored; empty it to join as a new node"
    )]
    StaleIncarnation {
        /// What was registered.
        found: u32,
        /// The highest known.
        known: u32,
    },
    /// It says that it is a node of this cluster, but it has left or was removed.
    #[error("this node has left the cluster or was removed from it: empty its data directory to join as a new node")]
    NotMember,
    /// As many nodes as there may be.
    #[error("the cluster has {0} nodes, which is the most")]
    TooManyNodes(usize),
    /// No such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeNo),
    /// The life of a node does not go that way.
    #[error("node {no} is {from:?} and cannot become {to:?}")]
    BadTransition {
        /// Which.
        no: NodeNo,
        /// Its state.
        from: NodeState,
        /// The state asked for.
        to: NodeState,
    },
    /// The node cannot leave while it holds or is to hold copies.
    #[error("node {0} still holds copies")]
    HoldsCopies(NodeNo),
    /// The command was made from a state that is no more.
    #[error("the directory has changed since: expected {expected}, is {actual}")]
    Stale {
        /// What the command expected.
        expected: String,
        /// What is.
        actual: String,
    },
    /// No such partition.
    #[error("there is no partition {0}")]
    UnknownPartition(u16),
    /// A target or a list of voters makes no sense.
    #[error("partition {partition}: {reason}")]
    BadCopies {
        /// Which partition.
        partition: u16,
        /// Why.
        reason: String,
    },
    /// The group can still decide by itself.
    #[error("partition {0} has not lost its quorum")]
    QuorumLives(u16),
    /// Another node has the stop permit.
    #[error("node {0} has the stop permit")]
    StopPermitHeld(NodeNo),
    /// A partition would lose its majority.
    #[error("partition {0} would lose its majority")]
    NoMajorityWithout(u16),
    /// The node is not back yet.
    #[error("node {0} does not vote everywhere again")]
    NotSettled(NodeNo),
}

impl DirectoryCommand {
    /// The command as bytes: a version, then JSON.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![COMMAND_VERSION];
        serde_json::to_writer(&mut bytes, self).expect("a command is numbers and texts, which JSON can write");
        bytes
    }

    /// The inverse of [`DirectoryCommand::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&COMMAND_VERSION, json)) => serde_json::from_slice(json).map_err(|error| error.to_string()),
            Some((version, _)) => {
                Err(format!("directory command of format {version}, this program reads {COMMAND_VERSION}"))
            }
            None => Err("empty directory command".to_owned()),
        }
    }
}

const COMMAND_VERSION: u8 = 1;
