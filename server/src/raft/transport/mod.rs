//! Peer links: one authenticated stream per pair of nodes, shared by all groups, forwarded commands and orders.
//!
//! Of each pair the node with the lower number dials, again and again; the other listens. A node that is not a member
//! yet dials as a guest and may only use the control service.

mod bulk;
mod complaints;
mod connection;
mod frame;
mod handshake;

pub use handshake::{ClusterSecret, HandshakeError, PeerIdentity};

use crate::ids::NodeNo;
use crate::topology::HostPort;
use bytes::Bytes;
use complaints::{Complaints, Lost};
use connection::Connection;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// First and longest pause between tries to reach a peer.
const REDIAL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));
/// A long message gets more time than a short one: this many bytes a millisecond must get through, which a link of
/// 100 Mbit/s does.
const BYTES_PER_MS: usize = 8 * 1024;
/// Connections that have not proven the secret yet; more are closed as they come. The peers themselves need few, and try again.
const STRANGERS_MAX: usize = 256;
/// A peer that acknowledges nothing for so long is taken for gone by the kernel.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// There is no connection: nothing was sent.
    #[error("no connection to the peer")]
    NotSent,
    /// The connection was lost after the request had been sent.
    #[error("the connection to the peer was lost")]
    Lost,
    /// No answer came in time.
    #[error("the peer did not answer in time")]
    Timeout,
}

/// What a node does for its peers.
pub trait PeerService: Send + Sync + 'static {
    /// Answers a request. Runs on the link's thread until it first waits.
    fn call(&self, from: &Arc<PeerIdentity>, service: u8, body: Bytes) -> BoxFuture<'static, Bytes>;

    /// Takes a message that wants no answer.
    fn tell(&self, from: &Arc<PeerIdentity>, service: u8, body: Bytes);

    /// Whether a node that has proven the secret may connect; if not, why.
    ///
    /// # Errors
    /// The reason, for the other node's log.
    fn admit(&self, other: &PeerIdentity) -> Result<(), String>;

    /// Whether answers of a service may be big, so that its requests wait while many bytes wait for the peer to read.
    fn answers_big(&self, service: u8) -> bool;

    /// A link to `node` was made or lost.
    fn link_changed(&self, node: NodeNo, up: bool);
}

/// What has gone over the links of a node since it started.
#[derive(Debug, Default)]
pub struct Traffic {
    messages: AtomicU64,
    received: AtomicU64,
    writes: AtomicU64,
}

impl Traffic {
    /// Messages handed to the links: requests, answers, hints.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Messages that came over them.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Writes that carried those sent; the fewer, the more messages shared one.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }
}

/// The links of a node.
pub struct Peers {
    secret: ClusterSecret,
    me: RwLock<PeerIdentity>,
    service: RwLock<Option<Arc<dyn PeerService>>>,
    links: RwLock<BTreeMap<NodeNo, Arc<Connection>>>,
    /// Peers that this node dials, with the tasks that do.
    dialed: Mutex<BTreeMap<NodeNo, (HostPort, tokio::task::AbortHandle)>>,
    complaints: Complaints,
    strangers: Arc<Semaphore>,
    traffic: Arc<Traffic>,
}

impl Peers {
    /// Links of a node that is `me`.
    pub fn new(secret: ClusterSecret, me: PeerIdentity) -> Arc<Self> {
        Arc::new(Self {
            secret,
            me: RwLock::new(me),
            service: RwLock::new(None),
            links: RwLock::default(),
            dialed: Mutex::default(),
            complaints: Complaints::default(),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            traffic: Arc::default(),
        })
    }

    /// Connects the links with what answers on them. Before this nothing is accepted.
    pub fn set_service(&self, service: Arc<dyn PeerService>) {
        *self.service.write() = Some(service);
    }

    /// What has gone over the links.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Who this node is.
    pub fn me(&self) -> PeerIdentity {
        self.me.read().clone()
    }

    /// Changes who this node is: it has joined a cluster.
    pub fn set_me(self: &Arc<Self>, me: PeerIdentity) {
        *self.me.write() = me;
        self.set_members(&[]);
        self.links.write().values().for_each(|link| link.close());
    }

    /// Accepts peers until dropped.
    pub async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let Ok(place) = Arc::clone(&self.strangers).try_acquire_owned() else {
                        self.complain(&address.ip(), &"too many connections that have not proven the secret");
                        continue;
                    };
                    let peers = Arc::clone(&self);
                    tokio::spawn(async move {
                        match Arc::clone(&peers).accept(stream, place).await {
                            // Who only looks whether somebody listens, as a node does at its own address.
                            Err(HandshakeError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                            Err(error) => peers.complain(&address.ip(), &error),
                            Ok(()) => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "peer port cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Warns of a peer, unless that was done just now.
    fn complain(&self, at: &dyn std::fmt::Display, reason: &dyn std::fmt::Display) {
        if let Some(silent) = self.complaints.may_warn(&format!("{at} {reason}"), Instant::now()) {
            tracing::warn!(peer = %at, %reason, silent, "peer refused");
        }
    }

    async fn accept(
        self: Arc<Self>,
        mut stream: TcpStream,
        stranger: OwnedSemaphorePermit,
    ) -> Result<(), HandshakeError> {
        tune(&stream)?;
        let Some(service) = self.service.read().clone() else {
            return Err(HandshakeError::Refused("this node is starting".into()));
        };
        let me = self.me();
        let other = handshake::accept(&mut stream, &self.secret, &me, |other| service.admit(other)).await?;
        drop(stranger);
        self.run(stream, other, service).await;
        Ok(())
    }

    async fn run(self: Arc<Self>, stream: TcpStream, other: PeerIdentity, service: Arc<dyn PeerService>) {
        let connection = Arc::new(Connection::new(Arc::clone(&self.traffic)));
        let (node, guest) = (other.no, other.is_guest());
        if !guest {
            if let Some(old) = self.links.write().insert(node, Arc::clone(&connection)) {
                old.close();
            }
            tracing::info!(peer = node.0, name = %other.name, incarnation = other.incarnation.0, "peer link up");
            service.link_changed(node, true);
        }
        Arc::clone(&connection).run(stream, other, Arc::clone(&service)).await;
        if !guest {
            let mut links = self.links.write();
            if links.get(&node).is_some_and(|now| Arc::ptr_eq(now, &connection)) {
                links.remove(&node);
                drop(links);
                tracing::info!(peer = node.0, "peer link down");
                service.link_changed(node, false);
            }
        }
    }

    /// Says which peers there are. Those with a higher number than this node are dialed from now on.
    pub fn set_members(self: &Arc<Self>, members: &[(NodeNo, HostPort)]) {
        let me = self.me.read().no;
        let mut dialed = self.dialed.lock();
        dialed.retain(|no, (address, task)| {
            let keep = members.iter().any(|(other, at)| other == no && at == address);
            if !keep {
                task.abort();
                if let Some(link) = self.links.read().get(no) {
                    link.close();
                }
            }
            keep
        });
        for (no, address) in members.iter().filter(|(no, _)| *no > me) {
            if !dialed.contains_key(no) {
                let task = tokio::spawn(Arc::clone(self).dial_again_and_again(*no, address.clone()));
                dialed.insert(*no, (address.clone(), task.abort_handle()));
            }
        }
    }

    async fn dial_again_and_again(self: Arc<Self>, no: NodeNo, address: HostPort) {
        let mut pause = REDIAL.0;
        let mut lost = Lost::default();
        loop {
            let Some(service) = self.service.read().clone() else { return };
            let me = self.me();
            match dial(&address, &self.secret, &me).await {
                Ok((stream, other)) if other.no == no && other.cluster == me.cluster => {
                    pause = REDIAL.0;
                    lost = Lost::default();
                    if let Err(reason) = service.admit(&other) {
                        self.complain(&address, &reason);
                    } else {
                        Arc::clone(&self).run(stream, other, service).await;
                    }
                }
                Ok((_, other)) => {
                    self.complain(&address, &format!("node {} answers at the address of node {no}", other.no));
                }
                Err(error) if error.is_final() => self.complain(&address, &error),
                Err(error) if lost.may_warn(Instant::now()) => {
                    tracing::warn!(peer = %no, %address, %error, "a node cannot be reached at its peer address");
                }
                Err(error) => tracing::debug!(peer = %no, %address, %error, "peer not reached"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REDIAL.1);
        }
    }

    /// The nodes to which there is a link now.
    pub fn connected(&self) -> Vec<NodeNo> {
        self.links.read().keys().copied().collect()
    }

    /// Whether there is a link to `node` now.
    pub fn is_connected(&self, node: NodeNo) -> bool {
        self.links.read().contains_key(&node)
    }

    fn link(&self, node: NodeNo) -> Option<Arc<Connection>> {
        self.links.read().get(&node).filter(|link| !link.is_closed()).cloned()
    }

    /// Sends a request to `node` and waits for its answer, beyond `timeout` as long as the request itself may take.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, node: NodeNo, service: u8, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let link = self.link(node).ok_or(CallError::NotSent)?;
        link.call(service, &body, timeout + transfer_time(&body)).await
    }

    /// Like [`Peers::call`], for a request that is in no hurry: it goes with whatever goes to that node next, or after a
    /// moment, and its answer comes back in the same way.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_patiently(
        &self,
        node: NodeNo,
        service: u8,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let link = self.link(node).ok_or(CallError::NotSent)?;
        link.call_patiently(service, &body, timeout).await
    }

    /// Sends a message to every peer to which there is a link.
    pub fn tell_all(&self, service: u8, body: &Bytes) {
        for link in self.links.read().values() {
            link.tell(service, body);
        }
    }

    /// Connects to `address` as a guest, makes one call of the control service and hangs up.
    ///
    /// # Errors
    /// Where no connection comes about, or no answer.
    pub async fn call_as_guest(
        &self,
        address: &HostPort,
        service: u8,
        body: &Bytes,
        timeout: Duration,
    ) -> Result<Bytes, HandshakeError> {
        let me = PeerIdentity { no: NodeNo(0), ..self.me() };
        let (stream, other) = dial(address, &self.secret, &me).await?;
        let connection = Arc::new(Connection::new(Arc::clone(&self.traffic)));
        let nothing: Arc<dyn PeerService> = Arc::new(NoService);
        let task = tokio::spawn(Arc::clone(&connection).run(stream, other, nothing));
        let answer = connection.call(service, body, timeout).await;
        connection.close();
        task.abort();
        answer.map_err(|error| HandshakeError::Io(io::Error::other(error)))
    }
}

/// The bodies of the messages that a link reads off `wire`, which arrives in pieces of `piece` bytes, up to what breaks the format.
#[cfg(any(test, fuzzing))]
pub(crate) fn frames_of(wire: &[u8], piece: usize) -> Vec<Bytes> {
    let (mut buffer, mut inbox, mut bodies) = (bytes::BytesMut::new(), bulk::Inbox::default(), Vec::new());
    for piece in wire.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match frame::read(&mut buffer) {
                Ok(Some(frame)) if frame.kind == frame::FrameType::Part => match inbox.take(frame.id, frame.body) {
                    Ok(whole) => bodies.extend(whole.map(|whole| whole.body)),
                    Err(frame::MalformedFrame) => return bodies,
                },
                Ok(Some(frame)) => bodies.push(frame.body),
                Ok(None) => break,
                Err(frame::MalformedFrame) => return bodies,
            }
        }
    }
    bodies
}

/// How long a message may take to be sent.
fn transfer_time(body: &Bytes) -> Duration {
    Duration::from_millis((body.len() / BYTES_PER_MS) as u64)
}

/// What a guest offers.
struct NoService;

impl PeerService for NoService {
    fn call(&self, _: &Arc<PeerIdentity>, _: u8, _: Bytes) -> BoxFuture<'static, Bytes> {
        Box::pin(async { Bytes::new() })
    }

    fn tell(&self, _: &Arc<PeerIdentity>, _: u8, _: Bytes) {}

    fn answers_big(&self, _: u8) -> bool {
        false
    }

    fn admit(&self, _: &PeerIdentity) -> Result<(), String> {
        Ok(())
    }

    fn link_changed(&self, _: NodeNo, _: bool) {}
}

async fn dial(
    address: &HostPort,
    secret: &ClusterSecret,
    me: &PeerIdentity,
) -> Result<(TcpStream, PeerIdentity), HandshakeError> {
    let connect = TcpStream::connect((address.host.as_str(), address.port));
    let mut stream = tokio::time::timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| HandshakeError::Timeout)??;
    tune(&stream)?;
    let other = handshake::dial(&mut stream, secret, me).await?;
    Ok((stream, other))
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))
}
