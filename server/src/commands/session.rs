//! What a connection is, as far as commands are concerned.

pub use super::reply_mode::ReplyMode;

use crate::ids::DatabaseNo;
use larder_protocol::ProtocolVersion;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::Notify;

/// Which listener a connection came through (CLIENTS.md: two client ports a node).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortKind {
    /// Any node serves any key, by forwarding; never MOVED.
    Client,
    /// MOVED and ASK as Redis Cluster answers them.
    Cluster,
}

/// A connection's own state: only its task touches it.
#[derive(Debug)]
pub struct Session {
    /// The part that others may look at.
    pub client: Arc<Client>,
    /// Where it came in.
    pub port: PortKind,
    /// RESP2 or RESP3.
    pub version: ProtocolVersion,
    /// What SELECT chose.
    pub database: DatabaseNo,
    /// Whether AUTH has succeeded, or is not asked for.
    pub authenticated: bool,
    /// After READONLY.
    pub readonly: bool,
    /// After ASKING, for the next command.
    pub asking: bool,
    /// CLIENT NO-TOUCH ON.
    pub no_touch: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Set by RESET: `dispatch` drops the transaction and what is watched.
    pub reset: bool,
}

impl Session {
    /// Selects a database.
    pub fn select(&mut self, database: DatabaseNo) {
        self.database = database;
        self.client.database.store(database.0, Ordering::Relaxed);
    }

    /// A connection that has just come in through `port`.
    pub fn new(client: Arc<Client>, port: PortKind, authenticated: bool) -> Self {
        Self {
            client,
            port,
            version: ProtocolVersion::Resp2,
            database: DatabaseNo::FIRST,
            authenticated,
            readonly: false,
            asking: false,
            no_touch: false,
            reply_mode: ReplyMode::default(),
            reset: false,
        }
    }
}

/// The part of a connection that CLIENT LIST shows and CLIENT KILL reaches.
#[derive(Debug)]
pub struct Client {
    /// Grows with every connection of the node.
    pub id: u64,
    /// The other end.
    pub address: SocketAddr,
    /// This end.
    pub local_address: SocketAddr,
    /// Wall clock at accept.
    pub created_ms: u64,
    /// Names and versions that the client gave itself.
    pub labels: Mutex<Labels>,
    /// Wall clock of the last command.
    pub last_active_ms: AtomicU64,
    /// Bytes that wait to be sent.
    pub output_bytes: AtomicU64,
    /// Bytes that were read and not yet executed.
    pub query_bytes: AtomicU64,
    /// Commands carried out.
    pub commands: AtomicU64,
    /// Queued commands of MULTI plus 1, or 0 outside of it.
    pub multi: AtomicU64,
    /// Keys watched.
    pub watching: AtomicU64,
    /// 2 or 3.
    pub resp: AtomicU64,
    /// The database that is selected.
    pub database: AtomicU16,
    /// CLIENT NO-EVICT.
    pub no_evict: AtomicBool,
    /// Whether CLIENT NO-TOUCH is on.
    pub no_touch: AtomicBool,
    activity: AtomicU8,
    closing: AtomicBool,
    killed: AtomicBool,
    interrupt: Notify,
    /// Whether it waits in a blocking command, and whether it was told not to.
    blocked: AtomicU8,
    unblocked: Notify,
}

/// It does not wait.
const NOT_BLOCKED: u8 = 0;
/// It waits.
const BLOCKED: u8 = 1;
/// CLIENT PAUSE holds it, which CLIENT UNBLOCK does not change.
const PAUSED: u8 = 5;

/// How a wait ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if its time were over (CLIENT UNBLOCK).
    Timeout = 2,
    /// With an error (CLIENT UNBLOCK ERROR).
    Error = 3,
    /// The node stops.
    Forced = 4,
}

/// What a connection's task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Bytes of the client.
    Reading,
    /// Itself, or others that it waits for: a reply is due.
    Working,
    /// The client, to take its replies.
    Writing,
}

/// What a client says of itself, and what it did last.
#[derive(Debug, Default, Clone)]
pub struct Labels {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub library_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub library_version: Vec<u8>,
    /// The last command's full name, `client|list`.
    pub last_command: &'static str,
}

impl Client {
    /// A connection just accepted.
    pub fn new(id: u64, address: SocketAddr, local_address: SocketAddr, now_ms: u64) -> Self {
        Self {
            id,
            address,
            local_address,
            created_ms: now_ms,
            labels: Mutex::default(),
            last_active_ms: AtomicU64::new(now_ms),
            output_bytes: AtomicU64::new(0),
            query_bytes: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            multi: AtomicU64::new(0),
            watching: AtomicU64::new(0),
            resp: AtomicU64::new(2),
            database: AtomicU16::new(0),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            activity: AtomicU8::new(Activity::Reading as u8),
            closing: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            interrupt: Notify::new(),
            blocked: AtomicU8::new(NOT_BLOCKED),
            unblocked: Notify::new(),
        }
    }

    /// Asks the connection to close.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.interrupt.notify_one();
    }

    /// Whether it was asked to close.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Asks the connection to close as soon as what it has begun is answered.
    pub fn close_when_idle(&self) {
        self.closing.store(true, Ordering::Release);
        self.interrupt.notify_one();
        self.unblock(Unblock::Forced);
    }

    /// It waits in a blocking command, or does not any more.
    pub fn set_blocked(&self, blocked: bool) {
        self.blocked.store(if blocked { BLOCKED } else { NOT_BLOCKED }, Ordering::SeqCst);
        if blocked && self.is_closing() {
            self.unblock(Unblock::Forced);
        }
    }

    /// CLIENT PAUSE holds it from now on.
    pub fn set_paused(&self) {
        self.blocked.store(PAUSED, Ordering::SeqCst);
    }

    /// Whether it waits in a blocking command, or for the end of CLIENT PAUSE.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire) != NOT_BLOCKED
    }

    /// Ends its wait in a blocking command; false where it does not wait, or its wait is being ended already.
    pub fn unblock(&self, how: Unblock) -> bool {
        let was = self.blocked.compare_exchange(BLOCKED, how as u8, Ordering::SeqCst, Ordering::Acquire);
        self.unblocked.notify_one();
        was.is_ok()
    }

    /// Waits until somebody ends its wait. For its task alone.
    pub async fn until_unblocked(&self) -> Unblock {
        loop {
            match self.blocked.load(Ordering::Acquire) {
                2 => return Unblock::Timeout,
                3 => return Unblock::Error,
                4 => return Unblock::Forced,
                _ => self.unblocked.notified().await,
            }
        }
    }

    /// Whether it was asked to close when idle.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// What its task is at.
    pub fn activity(&self) -> Activity {
        match self.activity.load(Ordering::Acquire) {
            0 => Activity::Reading,
            1 => Activity::Working,
            _ => Activity::Writing,
        }
    }

    /// Its task goes on to something else.
    pub fn set_activity(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Release);
    }

    /// Waits until the connection must close: at once, or where that was asked for, when it is idle. For its task alone.
    pub async fn until_interrupted(&self) {
        while !(self.is_killed() || self.is_closing() && self.activity() == Activity::Reading) {
            self.interrupt.notified().await;
        }
    }
}

/// All connections of a node, by id, and what CLIENT PAUSE asks of them.
#[derive(Debug, Default)]
pub struct Clients {
    next_id: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
    pause: Mutex<Pause>,
    /// Whether any pause may be in force: the one load that a connection pays for each batch.
    pausing: AtomicBool,
    unpaused: Notify,
}

/// Instants until which commands are held.
#[derive(Debug, Default)]
struct Pause {
    all: Option<Instant>,
    writes: Option<Instant>,
}

/// Which commands CLIENT PAUSE holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseKind {
    /// All of them.
    All,
    /// Those that may change data.
    Writes,
}

impl Clients {
    /// Registers a connection.
    pub fn register(&self, address: SocketAddr, local_address: SocketAddr, now_ms: u64) -> Arc<Client> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client::new(id, address, local_address, now_ms));
        self.open.lock().insert(id, Arc::clone(&client));
        client
    }

    /// Forgets a connection that has closed.
    pub fn unregister(&self, id: u64) {
        self.open.lock().remove(&id);
    }

    /// All that are open, by id.
    pub fn list(&self) -> Vec<Arc<Client>> {
        self.open.lock().values().cloned().collect()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.lock().is_empty()
    }

    /// The connection with this id.
    pub fn find(&self, id: u64) -> Option<Arc<Client>> {
        self.open.lock().get(&id).cloned()
    }

    /// CLIENT PAUSE: holds commands until `until`. A longer pause of the same kind that is in force stays.
    pub fn pause(&self, kind: PauseKind, until: Instant) {
        let mut pause = self.pause.lock();
        let end = match kind {
            PauseKind::All => &mut pause.all,
            PauseKind::Writes => &mut pause.writes,
        };
        *end = Some(end.map_or(until, |old| old.max(until)));
        self.pausing.store(true, Ordering::Release);
    }

    /// CLIENT UNPAUSE: lets everything go on.
    pub fn unpause(&self) {
        *self.pause.lock() = Pause::default();
        self.pausing.store(false, Ordering::Release);
        self.unpaused.notify_waiters();
    }

    /// Until when a command that writes, or one that does not, is held; `None` where it may run.
    pub fn paused(&self, is_write: bool) -> Option<Instant> {
        if !self.pausing.load(Ordering::Acquire) {
            return None;
        }
        let mut pause = self.pause.lock();
        let now = Instant::now();
        pause.all = pause.all.filter(|end| *end > now);
        pause.writes = pause.writes.filter(|end| *end > now);
        if pause.all.is_none() && pause.writes.is_none() {
            self.pausing.store(false, Ordering::Release);
        }
        if is_write { pause.all.max(pause.writes) } else { pause.all }
    }

    /// Waits until a command that writes, or one that does not, may run. Every command but those of CLIENT waits here
    /// before it starts, since CLIENT UNPAUSE must get through.
    pub async fn until_unpaused(&self, is_write: bool) {
        loop {
            // Registered before the look, so that an UNPAUSE in between is not missed.
            let mut unpaused = std::pin::pin!(self.unpaused.notified());
            unpaused.as_mut().enable();
            let Some(end) = self.paused(is_write) else { return };
            let _ = tokio::time::timeout_at(end.into(), unpaused).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_pause_holds_what_it_names_and_ends() {
        let clients = Arc::new(Clients::default());
        assert_eq!(clients.paused(true), None);
        let end = Instant::now() + Duration::from_secs(600);
        clients.pause(PauseKind::Writes, end);
        clients.pause(PauseKind::Writes, Instant::now());
        assert_eq!((clients.paused(true), clients.paused(false)), (Some(end), None), "the longer one stays");
        clients.until_unpaused(false).await;
        let held = tokio::spawn({
            let clients = Arc::clone(&clients);
            async move { clients.until_unpaused(true).await }
        });
        tokio::task::yield_now().await;
        assert!(!held.is_finished());
        clients.unpause();
        held.await.unwrap();
        clients.pause(PauseKind::All, Instant::now());
        assert_eq!(clients.paused(false), None, "over already");
    }
}
