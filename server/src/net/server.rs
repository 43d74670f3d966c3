//! The listeners of a node and the connections that came through them.

use super::accept::{Listener, accept};
use super::connection::Connection;
use super::cores::Cores;
use super::spread::Place;
use super::sweep::sweep;
use crate::clock;
use crate::commands::session::{PortKind, Session};
use crate::dispatch::{Conversation, Dispatcher};
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How often a stop looks whether all connections are closed.
const STOP_PAUSE: Duration = Duration::from_millis(5);
/// How long connections that are killed at the end of a stop may take to close.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// Client and cluster port, served.
///
/// It stops in two steps: listeners close, connections finish the batch they are at and close once idle; what is left
/// when the grace is over is killed.
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<(PortKind, SocketAddr)>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What accepting tasks share.
pub(super) struct Shared {
    pub dispatcher: Arc<Dispatcher>,
    cores: Arc<Cores>,
}

impl Shared {
    /// Starts the task of a connection that was let in.
    pub fn open(&self, stream: std::net::TcpStream, peer: SocketAddr, local: SocketAddr, kind: PortKind) {
        let node = &self.dispatcher.node;
        let client = node.clients().register(peer, local, clock::unix_ms());
        let authenticated = !node.settings().live().has_password();
        let session = Session::new(client, kind, authenticated);
        let conversation = Conversation::new(Arc::clone(&self.dispatcher), session);
        let connection = Connection::new(Arc::clone(node), conversation);
        go_on(connection, stream, self.cores.spread().place());
    }
}

/// Serves a connection on the core of its place, until it ends or moves to another.
fn go_on(connection: Connection, stream: std::net::TcpStream, place: Place) {
    let runtime = place.runtime().clone();
    runtime.spawn(async move {
        // Registered with the core that it lives on.
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        if let Some(moved) = connection.run(stream, place).await
            && let Ok(stream) = moved.stream.into_std()
        {
            go_on(moved.connection, stream, moved.place);
        }
    });
}

impl Server {
    /// Serves `listeners`: accepts on the first core, spreads connections over all.
    ///
    /// # Errors
    /// Where the system refuses to watch a listener.
    pub fn start(dispatcher: Arc<Dispatcher>, cores: Arc<Cores>, listeners: Vec<Listener>) -> io::Result<Self> {
        let shared = Arc::new(Shared { dispatcher, cores });
        let core = shared.cores.handle(0).clone();
        let _entered = core.enter();
        let mut addresses = Vec::new();
        let mut tasks = vec![
            core.spawn(sweep(Arc::clone(&shared.dispatcher.node))),
            core.spawn(Arc::clone(shared.cores.spread()).watch()),
        ];
        for listener in listeners {
            addresses.push((listener.kind, listener.local_addr()?));
            let socket = TcpListener::from_std(listener.socket)?;
            tasks.push(core.spawn(accept(Arc::clone(&shared), socket, listener.kind)));
        }
        Ok(Self { shared, addresses, tasks: Mutex::new(tasks) })
    }

    /// Where it listens, ports that were picked included.
    pub fn addresses(&self) -> &[(PortKind, SocketAddr)] {
        &self.addresses
    }

    /// Lets nobody in any more. Connections go on.
    pub fn close_listeners(&self) {
        self.tasks.lock().drain(..).for_each(|task| task.abort());
    }

    /// Closes listeners and connections: those that are idle at once, the others when the batch they are at is
    /// answered, or when `grace` is over.
    pub async fn stop(&self, grace: Duration) {
        self.close_listeners();
        let clients = self.shared.dispatcher.node.clients();
        let deadline = Instant::now() + grace;
        while !clients.is_empty() && Instant::now() < deadline {
            // Again and again, since one may have been on its way from accept.
            clients.list().iter().for_each(|client| client.close_when_idle());
            tokio::time::sleep(STOP_PAUSE).await;
        }
        let left = clients.len();
        if left > 0 {
            tracing::info!(connections = left, "closing connections that are still at work");
        }
        let deadline = Instant::now() + KILL_PATIENCE;
        while !clients.is_empty() && Instant::now() < deadline {
            clients.list().iter().for_each(|client| client.kill());
            tokio::time::sleep(STOP_PAUSE).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close_listeners();
    }
}
