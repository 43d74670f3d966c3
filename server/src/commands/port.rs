//! What commands need from the node they run on, as a trait that `app` implements: so INFO, CONFIG and CLUSTER reach
//! upward without a circle.

use super::session::{Clients, PortKind, Session};
use crate::topology::{HostPort, Topology};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;

/// What a connection handler works on.
pub struct ConnectionContext<'a> {
    /// The connection.
    pub session: &'a mut Session,
    /// Its node.
    pub node: &'a Arc<dyn NodePort>,
}

/// How a connection goes on after a handler.
pub enum Flow {
    /// The reply is written.
    Done,
    /// The reply comes later, encoded; the connection's next commands wait for it.
    Wait(BoxFuture<'static, Bytes>),
    /// The reply is written; close the connection once it is sent.
    Close,
}

/// The node, as commands see it.
pub trait NodePort: Send + Sync + 'static {
    /// Its connections.
    fn clients(&self) -> &Clients;

    /// The cluster as of now.
    fn topology(&self) -> Arc<Topology>;

    /// Joins this node and the one at `other` (its client port, or its peer port where given) into one cluster.
    fn meet(&self, other: HostPort, peer_port: Option<u16>) -> BoxFuture<'static, Result<(), String>>;

    /// Removes a dead node, by a unique beginning of its name or its client address.
    fn forget(&self, node: String) -> BoxFuture<'static, Result<(), String>>;

    /// Which `redis_mode` a connection is told.
    fn mode(&self, port: PortKind) -> &'static str {
        match port {
            PortKind::Client => "standalone",
            PortKind::Cluster => "cluster",
        }
    }
}
