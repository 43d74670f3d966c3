//! Listeners, and who is let in.

use super::server::Shared;
use crate::commands::session::PortKind;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections that wait to be accepted (Redis: `tcp-backlog`).
const BACKLOG: i32 = 511;
/// Pause after accept has failed, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

const PROTECTED: &[u8] =
    b"-DENIED Redis is running in protected mode because protected mode is enabled and no password \
is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to \
connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode \
sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG \
REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis \
configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started \
the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication \
password for the default user. NOTE: You only need to do one of the above things in order for the server to start \
accepting connections from the outside.\r\n";

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) kind: PortKind,
    pub(super) socket: std::net::TcpListener,
}

impl Listener {
    /// A socket that [`bind`] has bound.
    pub fn new(socket: std::net::TcpListener, kind: PortKind) -> Self {
        Self { kind, socket }
    }

    /// The same socket once more.
    ///
    /// # Errors
    /// Where the process has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { kind: self.kind, socket: self.socket.try_clone()? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Binds `address`; port 0 picks a free one. An IPv6 address takes IPv6 connections only, so that both families can be
/// bound to one port.
///
/// # Errors
/// Where the address is taken, or not of this machine.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds `address` as [`bind`] does, for clients of this kind.
///
/// # Errors
/// As [`bind`].
pub fn listen(address: SocketAddr, kind: PortKind) -> io::Result<Listener> {
    Ok(Listener::new(bind(address)?, kind))
}

/// Accepts until the task is dropped.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, kind: PortKind) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Err(error) = admit(&shared, stream, peer, kind) {
                    tracing::debug!(%peer, %error, "a connection was lost while it was accepted");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr, kind: PortKind) -> io::Result<()> {
    let node = &shared.dispatcher.node;
    let stats = node.stats();
    let live = node.settings().live();
    stats.connections_received.fetch_add(1, Ordering::Relaxed);
    if node.clients().len() as u64 >= live.maxclients() {
        stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
        let _ = stream.try_write(TOO_MANY);
        return Ok(());
    }
    if live.protected_mode() && !live.has_password() && !peer.ip().to_canonical().is_loopback() {
        stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
        let _ = stream.try_write(PROTECTED);
        return Ok(());
    }
    stream.set_nodelay(true)?;
    let keepalive = live.tcp_keepalive_seconds();
    if keepalive > 0 {
        let time = Duration::from_secs(keepalive);
        let probes = TcpKeepalive::new().with_time(time).with_interval((time / 3).max(Duration::from_secs(1)));
        SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    }
    let local = stream.local_addr()?;
    shared.open(stream.into_std()?, peer, local, kind);
    Ok(())
}
