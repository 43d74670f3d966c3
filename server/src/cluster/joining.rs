//! How a node comes to its place: it joins a cluster, or registers a new incarnation in its own.

use super::control::{ControlReply, ControlRequest};
use super::directory::{
    Directory, DirectoryCommand, DirectoryError, DirectoryState, Generation, Refused, Registration,
};
use super::identity::ClusterMembership;
use super::node::{ClusterError, hex};
use super::service;
use super::waiting::{Stage, Waiting};
use crate::raft::transport::{HandshakeError, Peers};
use crate::topology::HostPort;
use futures::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long one try to join may take.
pub(super) const JOIN_TIMEOUT: Duration = Duration::from_secs(12);
/// First and longest pause between tries to join.
const JOIN_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// How long a node that registers is waited for, where there are others to ask.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a node a question of the control service.
///
/// # Errors
/// Where it is not reached or does not understand.
pub(super) async fn ask(
    peers: &Peers,
    address: &HostPort,
    request: &ControlRequest,
    timeout: Duration,
) -> Result<ControlReply, HandshakeError> {
    let body = serde_json::to_vec(request).expect("a request is JSON").into();
    let answer = peers.call_as_guest(address, service::CONTROL, &body, timeout).await?;
    serde_json::from_slice(&answer).map_err(|_| HandshakeError::NotLarder)
}

/// Asks one seed after another until one takes the node in. Seeds that are out of reach are asked again; where those
/// that answer will never take this node in, that is an error.
pub(super) async fn join(
    peers: &Peers,
    seeds: &[HostPort],
    registration: &Registration,
    waiting: &Waiting,
) -> Result<ClusterMembership, ClusterError> {
    let request = ControlRequest::Register(registration.clone());
    let mut pause = JOIN_PAUSE.0;
    let mut asked: Vec<_> = seeds.iter().map(|seed| (seed.clone(), "it has not answered yet".to_owned())).collect();
    loop {
        let mut hopeless = None;
        for (position, seed) in seeds.iter().enumerate() {
            waiting.enter(Stage::Joining(asked.clone()));
            asked[position].1 = match ask(peers, seed, &request, JOIN_TIMEOUT).await {
                Ok(ControlReply::Registered { cluster, no, .. }) => {
                    tracing::info!(node = no.0, cluster = hex(&cluster), %seed, "joined a cluster");
                    return Ok(ClusterMembership { cluster, no });
                }
                Ok(ControlReply::Refused(reason)) => return Err(ClusterError::Refused(reason)),
                Ok(ControlReply::Later(reason)) => reason,
                Ok(_) => "unexpected answer".to_owned(),
                Err(error) if error.is_final() => {
                    hopeless = Some(ClusterError::Stranger { at: seed.clone(), reason: error.to_string() });
                    error.to_string()
                }
                Err(error) => error.to_string(),
            };
        }
        waiting.enter(Stage::Joining(asked.clone()));
        if let Some(hopeless) = hopeless {
            return Err(hopeless);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(JOIN_PAUSE.1);
    }
}

/// Registers the incarnation of a known node: through its own directory, and where nobody dials this node (its address
/// may have changed) as a guest of the others, or of the `seeds`.
///
/// Before that the others are asked who they are: where the directory has begun anew without this node, its own member
/// must decide nothing.
pub(super) async fn register(
    peers: &Peers,
    directory: &Directory,
    registration: &Registration,
    seeds: &[HostPort],
) -> Result<(), ClusterError> {
    let request = ControlRequest::Register(registration.clone());
    let others: BTreeSet<HostPort> = {
        let state = directory.state();
        let known = state.nodes.values().filter(|node| node.name != registration.name).map(|node| node.peer.clone());
        known.chain(seeds.iter().filter(|seed| **seed != registration.peer).cloned()).collect()
    };
    let mut later = later_generation(peers, directory.generation(), registration, &others).await?;
    loop {
        if later.is_none() {
            match directory.propose(DirectoryCommand::RegisterNode(registration.clone())).await {
                Ok(_) => return Ok(()),
                Err(DirectoryError::Refused(
                    reason @ (Refused::StaleIncarnation { .. } | Refused::AnotherCluster | Refused::NotMember),
                )) => return Err(ClusterError::Refused(reason.to_string())),
                Err(DirectoryError::TimedOut(reason)) => tracing::debug!(reason, "cannot register yet"),
                Err(error) => return Err(error.into()),
            }
            later = later_generation(peers, directory.generation(), registration, &others).await?;
        }
        for other in &others {
            match ask(peers, other, &request, REGISTER_TIMEOUT).await {
                Ok(ControlReply::Registered { .. }) => return Ok(()),
                Ok(ControlReply::Refused(reason)) => return Err(ClusterError::Refused(reason)),
                _ => {}
            }
        }
        if later.is_some() {
            tokio::time::sleep(JOIN_PAUSE.0).await;
        }
    }
}

/// Asks all others at once who they are: the latest generation of the directory that is above this node's, if any.
async fn later_generation(
    peers: &Peers,
    mine: Generation,
    registration: &Registration,
    others: &BTreeSet<HostPort>,
) -> Result<Option<Generation>, ClusterError> {
    let asked = others
        .iter()
        .map(|other| async move { (other, ask(peers, other, &ControlRequest::Describe, REGISTER_TIMEOUT).await) });
    let mut latest = None;
    let mut hopeless = None;
    let mut reached = false;
    for (other, answer) in join_all(asked).await {
        match answer {
            Ok(ControlReply::Description { cluster, generation, .. }) => {
                if registration.cluster.is_some_and(|own| own != cluster) {
                    let reason = format!(
                        "it is a node of cluster {}; this node's data directory is one of cluster {}",
                        hex(&cluster),
                        hex(&registration.cluster.unwrap_or_default())
                    );
                    return Err(ClusterError::Stranger { at: other.clone(), reason });
                }
                reached = true;
                latest = latest.max((generation > mine).then_some(generation));
            }
            // Anything may answer at the old address of a node that is gone: only another node says anything.
            Err(error @ (HandshakeError::Secret | HandshakeError::Version(_))) => {
                hopeless = Some(ClusterError::Stranger { at: other.clone(), reason: error.to_string() });
            }
            _ => {}
        }
    }
    match hopeless {
        Some(hopeless) if !reached => Err(hopeless),
        _ => Ok(latest),
    }
}

/// Waits until this node's directory has a state with a cluster.
pub(super) async fn until_state(directory: &Directory) -> Arc<DirectoryState> {
    let mut states = directory.subscribe();
    loop {
        let state = Arc::clone(&states.borrow_and_update());
        if state.cluster.is_some() {
            return state;
        }
        if states.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
