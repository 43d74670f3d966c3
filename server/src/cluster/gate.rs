//! What a node answers on its links, from before it is complete.

use super::control::{ControlReply, ControlRequest};
use super::directory::{Applied, Directory, DirectoryCommand, DirectoryError};
use super::forwarding;
use super::node::ClusterNode;
use super::orders::{Order, OrderReply};
use super::picture::members;
use super::service;
use super::skew::Reading;
use crate::ids::NodeNo;
use crate::raft::ShareOutcome;
use crate::raft::transport::{PeerIdentity, PeerService, Peers};
use crate::topology::NodeState;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::{Arc, OnceLock};

/// What answers on the links, from before the node is complete.
pub(super) struct Gate {
    pub directory: Directory,
    pub peers: Arc<Peers>,
    pub node: OnceLock<Arc<ClusterNode>>,
}

impl PeerService for Gate {
    fn call(&self, from: &Arc<PeerIdentity>, number: u8, body: Bytes) -> BoxFuture<'static, Bytes> {
        let node = self.node.get().cloned();
        let guest = from.is_guest();
        match (number, node) {
            (service::GROUP, Some(node)) if !guest => Box::pin(async move { node.copies.handle(body).await }),
            (service::GROUP, None) if !guest => Box::pin(async { crate::raft::refusal() }),
            (service::DIRECTORY, _) if !guest => {
                let directory = self.directory.clone();
                Box::pin(async move { directory.handle(body).await })
            }
            (service::FORWARD | service::WAIT, node) if !guest => serve_forward(node, from.no, body),
            (service::READS, node) if !guest => serve_reads(node, from.no, body),
            (service::ORDER, Some(node)) if !guest => Box::pin(async move {
                let reply = match serde_json::from_slice::<Order>(&body) {
                    Ok(order) => Arc::clone(&node.copies).order(order).await,
                    Err(error) => OrderReply::Refused(error.to_string()),
                };
                serde_json::to_vec(&reply).unwrap_or_default().into()
            }),
            (service::CLOCK, _) if !guest => {
                let (compared, unheard) = self.node.get().map_or_else(Default::default, |node| node.knows());
                Box::pin(async move { Reading::now(compared, unheard).encode() })
            }
            (service::CONTROL, node) => {
                let (directory, peers) = (self.directory.clone(), Arc::clone(&self.peers));
                Box::pin(async move {
                    let reply = match serde_json::from_slice(&body) {
                        Ok(request) => answer_control(&directory, &peers, node, request).await,
                        Err(error) => ControlReply::Refused(error.to_string()),
                    };
                    serde_json::to_vec(&reply).unwrap_or_default().into()
                })
            }
            _ => Box::pin(async { Bytes::new() }),
        }
    }

    fn tell(&self, from: &Arc<PeerIdentity>, number: u8, body: Bytes) {
        if let Some(node) = self.node.get()
            && number == service::LEADERS
            && !from.is_guest()
        {
            node.copies.hear(from.no, body);
        }
    }

    fn admit(&self, other: &PeerIdentity) -> Result<(), String> {
        let me = self.peers.me();
        if other.is_guest() {
            return Ok(());
        }
        if other.cluster != me.cluster {
            return Err(format!("this is a node of cluster {}, not of {}", me.cluster, other.cluster));
        }
        let state = self.directory.state();
        match state.nodes.get(&other.no) {
            Some(record) if record.name != other.name => {
                Err(format!("node {} is {}, not {}", other.no, record.name, other.name))
            }
            Some(record) if record.state == NodeState::Down => Err("this node was removed by an operator".into()),
            Some(record) if record.incarnation > other.incarnation => Err(format!(
                "incarnation {} of the node is over, {} is known",
                other.incarnation.0, record.incarnation.0
            )),
            // One that is not known here yet: this node may be behind.
            _ => Ok(()),
        }
    }

    fn answers_big(&self, number: u8) -> bool {
        matches!(number, service::FORWARD | service::READS)
    }

    fn link_changed(&self, node: NodeNo, up: bool) {
        if !up && let Some(forward) = self.node.get().and_then(|this| this.forward.get()) {
            forward.link_lost(node);
        }
    }
}

fn serve_forward(node: Option<Arc<ClusterNode>>, from: NodeNo, body: Bytes) -> BoxFuture<'static, Bytes> {
    let refused = || ShareOutcome::Refused(crate::raft::Refusal::NoCopy);
    let server = node.and_then(|node| node.forward.get().cloned());
    Box::pin(async move {
        let outcome = match (server, forwarding::decode_request(body)) {
            (Some(server), Ok(request)) => server.serve(from, request).await,
            _ => refused(),
        };
        forwarding::encode_outcome(&outcome)
    })
}

fn serve_reads(node: Option<Arc<ClusterNode>>, from: NodeNo, body: Bytes) -> BoxFuture<'static, Bytes> {
    let server = node.and_then(|node| node.forward.get().cloned());
    Box::pin(async move {
        let outcomes = match (server, forwarding::decode_requests(body)) {
            (Some(server), Ok(requests)) => server.serve_reads(from, requests).await,
            // Fewer outcomes than requests: nobody knows of the rest.
            _ => Vec::new(),
        };
        forwarding::encode_outcomes(&outcomes)
    })
}

async fn answer_control(
    directory: &Directory,
    peers: &Arc<Peers>,
    node: Option<Arc<ClusterNode>>,
    request: ControlRequest,
) -> ControlReply {
    let state = directory.state();
    let Some(cluster) = state.cluster.clone() else {
        return ControlReply::Later("this node has no cluster yet".into());
    };
    match request {
        ControlRequest::Register(registration) => {
            match directory.propose(DirectoryCommand::RegisterNode(registration.clone())).await {
                Ok(Applied::Registered { no }) => {
                    // Links to it are dialed as soon as the directory's state says so; no need to wait for a look.
                    peers.set_members(&members(&directory.state()));
                    ControlReply::Registered { cluster: cluster.id, no, settings: cluster.settings.clone() }
                }
                Ok(_) => ControlReply::Later("unexpected answer of the directory".into()),
                Err(DirectoryError::Refused(reason)) => ControlReply::Refused(reason.to_string()),
                Err(error) => ControlReply::Later(error.to_string()),
            }
        }
        ControlRequest::Describe => ControlReply::Description {
            cluster: cluster.id,
            nodes: state.nodes.len(),
            has_data: node.is_some_and(|node| node.has_data()),
            generation: directory.generation(),
            last_log: directory.last_log(),
        },
        ControlRequest::Join(other) => match node {
            Some(node) if state.nodes.len() == 1 && !node.has_data() => match node.rejoin_at(other) {
                Ok(()) => ControlReply::Accepted,
                Err(reason) => ControlReply::Refused(reason),
            },
            _ => ControlReply::Refused("the node holds data or is in a cluster".into()),
        },
    }
}
