//! How two nodes prove to each other that they know the cluster's secret, without sending it.
//!
//! ```text
//! dialer                              listener
//!   MAGIC version nonce_d        ->
//!                                <-   MAGIC version nonce_l
//!   identity_d mac_d             ->
//!                                <-   ok identity_l mac_l   |   refused text
//! ```
//! Each mac is HMAC-SHA256 under the secret over a role, both nonces and the sender's identity, so it can be neither
//! replayed nor reflected. Until then no frame is longer than a few KiB and nothing is believed.

use crate::ids::{Incarnation, NodeName, NodeNo};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// First bytes of every peer connection.
const MAGIC: &[u8; 6] = b"LARDER";
/// Version of everything after them.
const VERSION: u16 = 9;
/// Longest identity or refusal.
const MESSAGE_BYTES_MAX: usize = 4096;
/// How long the whole handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PeerIdentity {
    /// The cluster that the node is a member of, 40 hex digits; empty for a guest that asks to become one.
    pub cluster: String,
    /// Its number there; 0 for a guest.
    pub no: NodeNo,
    /// Its name.
    pub name: NodeName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The version of its program.
    pub version: String,
}

impl PeerIdentity {
    /// Whether the node only asks to join: it may use the control service and no other.
    pub fn is_guest(&self) -> bool {
        self.no == NodeNo(0)
    }
}

/// The secret that the nodes of a cluster share; empty where none is set.
#[derive(Clone, Default)]
pub struct ClusterSecret(Vec<u8>);

impl ClusterSecret {
    /// A secret.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// Whether none is set: then the peer port serves loopback only.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() { "ClusterSecret(none)" } else { "ClusterSecret(set)" })
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It took too long.
    #[error(
        "the handshake was not finished in time: is that a peer port (the client port plus 10000 unless set otherwise)?"
    )]
    Timeout,
    /// What answered is no Larder node.
    #[error("the other end is not a Larder peer port")]
    NotLarder,
    /// Another protocol version.
    #[error("the peer speaks peer protocol version {0}, this node {VERSION}")]
    Version(u16),
    /// The proof was wrong.
    #[error("the peer has another cluster secret")]
    Secret,
    /// The other end says no.
    #[error("refused by the peer: {0}")]
    Refused(String),
}

impl HandshakeError {
    /// Whether trying again is of no use: the other end is what it is.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::NotLarder | Self::Version(_) | Self::Secret)
    }
}

/// Dials' half. Returns the other end's identity.
pub(super) async fn dial(
    stream: &mut TcpStream,
    secret: &ClusterSecret,
    me: &PeerIdentity,
) -> Result<PeerIdentity, HandshakeError> {
    let exchange = async {
        let mine = nonce()?;
        stream.write_all(&hello(&mine)).await?;
        let theirs = read_hello(stream).await?;
        let identity = serde_json::to_vec(me).map_err(io::Error::other)?;
        let mac = tag(secret, b"dialer", &mine, &theirs, &identity);
        write_message(stream, &identity).await?;
        stream.write_all(&mac).await?;
        let status = stream.read_u8().await?;
        let message = read_message(stream).await?;
        match status {
            0 => {}
            1 => return Err(HandshakeError::Secret),
            _ => return Err(HandshakeError::Refused(String::from_utf8_lossy(&message).into_owned())),
        }
        let mut mac = [0; 32];
        stream.read_exact(&mut mac).await?;
        verify(secret, b"listener", &theirs, &mine, &message, &mac)?;
        serde_json::from_slice(&message).map_err(|_| HandshakeError::NotLarder)
    };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, exchange).await.map_err(|_| HandshakeError::Timeout)?
}

/// The listener's half. `admit` decides on an identity that is proven. Returns the other end's identity.
pub(super) async fn accept(
    stream: &mut TcpStream,
    secret: &ClusterSecret,
    me: &PeerIdentity,
    admit: impl Fn(&PeerIdentity) -> Result<(), String>,
) -> Result<PeerIdentity, HandshakeError> {
    let exchange = async {
        let theirs = read_hello(stream).await?;
        let mine = nonce()?;
        stream.write_all(&hello(&mine)).await?;
        let message = read_message(stream).await?;
        let mut mac = [0; 32];
        stream.read_exact(&mut mac).await?;
        if verify(secret, b"dialer", &theirs, &mine, &message, &mac).is_err() {
            stream.write_u8(1).await?;
            write_message(stream, b"").await?;
            return Err(HandshakeError::Secret);
        }
        let other: PeerIdentity = serde_json::from_slice(&message).map_err(|_| HandshakeError::NotLarder)?;
        if let Err(reason) = admit(&other) {
            stream.write_u8(2).await?;
            write_message(stream, reason.as_bytes()).await?;
            return Err(HandshakeError::Refused(reason));
        }
        let identity = serde_json::to_vec(me).map_err(io::Error::other)?;
        let mac = tag(secret, b"listener", &mine, &theirs, &identity);
        stream.write_u8(0).await?;
        write_message(stream, &identity).await?;
        stream.write_all(&mac).await?;
        Ok(other)
    };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, exchange).await.map_err(|_| HandshakeError::Timeout)?
}

fn nonce() -> io::Result<[u8; 32]> {
    let mut nonce = [0; 32];
    rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::empty())?;
    Ok(nonce)
}

fn hello(nonce: &[u8; 32]) -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes(), nonce].concat()
}

async fn read_hello(stream: &mut TcpStream) -> Result<[u8; 32], HandshakeError> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await?;
    if &head[..6] != MAGIC {
        return Err(HandshakeError::NotLarder);
    }
    let version = u16::from_le_bytes([head[6], head[7]]);
    if version != VERSION {
        return Err(HandshakeError::Version(version));
    }
    let mut nonce = [0; 32];
    stream.read_exact(&mut nonce).await?;
    Ok(nonce)
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let message = &message[..message.len().min(MESSAGE_BYTES_MAX)];
    stream.write_u32_le(message.len() as u32).await?;
    stream.write_all(message).await
}

async fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>, HandshakeError> {
    let length = stream.read_u32_le().await? as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(HandshakeError::NotLarder);
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

fn mac(secret: &ClusterSecret, role: &[u8], own: &[u8; 32], other: &[u8; 32], identity: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
    for part in [role, own, other, identity] {
        mac.update(part);
    }
    mac
}

fn tag(secret: &ClusterSecret, role: &[u8], own: &[u8; 32], other: &[u8; 32], identity: &[u8]) -> [u8; 32] {
    mac(secret, role, own, other, identity).finalize().into_bytes().into()
}

fn verify(
    secret: &ClusterSecret,
    role: &[u8],
    own: &[u8; 32],
    other: &[u8; 32],
    identity: &[u8],
    tag: &[u8; 32],
) -> Result<(), HandshakeError> {
    mac(secret, role, own, other, identity).verify_slice(tag).map_err(|_| HandshakeError::Secret)
}
