//! One authenticated connection between two nodes: requests of many groups and clients over one stream.

use super::frame::{self, FrameType};
use super::handshake::PeerIdentity;
use super::{CallError, PeerService};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// Bytes that may wait for a peer that does not read; past it the connection is given up.
const OUT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Bytes that may wait for a peer before it gets no more big answers: replies of forwarded commands, whose number alone
/// bounds nothing. Far below what gives the connection up, since the groups' messages share it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The sending side of a connection, and the calls that wait for its answers.
pub(super) struct Connection {
    /// Frames to be written: whoever sends appends, the flusher writes all in one call.
    out: Mutex<BytesMut>,
    wake: Notify,
    pending: Mutex<HashMap<u64, oneshot::Sender<Bytes>>>,
    next_id: AtomicU64,
    closed: AtomicBool,
    /// Bytes that were sent and are not written yet.
    unwritten: AtomicUsize,
    room: Notify,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            out: Mutex::new(BytesMut::new()),
            wake: Notify::new(),
            pending: Mutex::new(HashMap::new()),
            next_id: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            unwritten: AtomicUsize::new(0),
            room: Notify::new(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Gives the connection up: what waits for an answer learns that none will come.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.pending.lock().clear();
        self.wake.notify_one();
        self.room.notify_waiters();
    }

    /// Waits until the peer has read most of what it was sent.
    async fn until_room(&self) {
        loop {
            let more = self.room.notified();
            if self.is_closed() || self.unwritten.load(Ordering::Acquire) < ANSWER_BYTES_MAX {
                return;
            }
            more.await;
        }
    }

    fn send(&self, kind: FrameType, service: u8, id: u64, body: &[u8]) {
        let mut out = self.out.lock();
        if out.len() > OUT_BYTES_MAX {
            drop(out);
            self.close();
            return;
        }
        let before = out.len();
        frame::write(&mut out, kind, service, id, body);
        self.unwritten.fetch_add(out.len() - before, Ordering::AcqRel);
        drop(out);
        self.wake.notify_one();
    }

    /// Sends without waiting for anything.
    pub(super) fn tell(&self, service: u8, body: &[u8]) {
        self.send(FrameType::OneWay, service, 0, body);
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call(&self, service: u8, body: &[u8], timeout: Duration) -> Result<Bytes, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.pending.lock().insert(id, sender);
        if self.is_closed() {
            self.pending.lock().remove(&id);
            return Err(CallError::NotSent);
        }
        self.send(FrameType::Request, service, id, body);
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(CallError::Lost),
            Err(_) => {
                self.pending.lock().remove(&id);
                Err(CallError::Timeout)
            }
        }
    }

    /// Reads and writes `stream` until either side closes.
    pub(super) async fn run(self: Arc<Self>, stream: TcpStream, from: PeerIdentity, service: Arc<dyn PeerService>) {
        let (read, write) = stream.into_split();
        let flusher = tokio::spawn(Arc::clone(&self).flush(write));
        let result = self.read(read, from, service).await;
        if let Err(error) = result {
            tracing::debug!(%error, "peer connection failed");
        }
        self.close();
        let _ = flusher.await;
    }

    async fn flush(self: Arc<Self>, mut write: OwnedWriteHalf) {
        let mut spare = BytesMut::new();
        loop {
            self.wake.notified().await;
            // Let every group and connection of this turn of the loop add its frames: one system call for all.
            tokio::task::yield_now().await;
            loop {
                std::mem::swap(&mut *self.out.lock(), &mut spare);
                if spare.is_empty() {
                    break;
                }
                if write.write_all(&spare).await.is_err() {
                    self.close();
                    return;
                }
                self.unwritten.fetch_sub(spare.len(), Ordering::AcqRel);
                self.room.notify_waiters();
                spare.clear();
                if spare.capacity() > 4 * 1024 * 1024 {
                    spare = BytesMut::new();
                }
            }
            if self.is_closed() {
                return;
            }
        }
    }

    async fn read(
        self: &Arc<Self>,
        mut read: OwnedReadHalf,
        from: PeerIdentity,
        service: Arc<dyn PeerService>,
    ) -> io::Result<()> {
        let from = Arc::new(from);
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        loop {
            while let Some(frame) = frame::read(&mut buffer).map_err(io::Error::other)? {
                match frame.kind {
                    FrameType::Response => {
                        if let Some(sender) = self.pending.lock().remove(&frame.id) {
                            let _ = sender.send(frame.body);
                        }
                    }
                    FrameType::OneWay => service.tell(&from, frame.service, frame.body),
                    FrameType::Request => {
                        let answer = service.call(&from, frame.service, frame.body);
                        let connection = Arc::clone(self);
                        let big = service.answers_big(frame.service);
                        tokio::spawn(async move {
                            if big {
                                connection.until_room().await;
                            }
                            let body = answer.await;
                            connection.send(FrameType::Response, frame.service, frame.id, &body);
                        });
                    }
                }
            }
            buffer.reserve(16 * 1024);
            tokio::select! {
                biased;
                count = read.read_buf(&mut buffer) => if count? == 0 { return Ok(()) },
                () = self.until_closed() => return Ok(()),
            }
        }
    }

    /// Resolves some time after the connection was closed by this side.
    async fn until_closed(&self) {
        while !self.is_closed() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn big_answers_wait_for_a_peer_that_does_not_read() {
        let connection = Arc::new(Connection::new());
        connection.until_room().await;
        connection.send(FrameType::Response, 3, 1, &vec![0; ANSWER_BYTES_MAX]);
        let waiting = tokio::spawn({
            let connection = Arc::clone(&connection);
            async move { connection.until_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // The peer reads.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, mut peer) = {
            let dialed = TcpStream::connect(listener.local_addr().unwrap());
            let (dialed, accepted) = tokio::join!(dialed, listener.accept());
            (dialed.unwrap(), accepted.unwrap().0)
        };
        let (_read, write) = stream.into_split();
        tokio::spawn(Arc::clone(&connection).flush(write));
        tokio::spawn(async move { tokio::io::copy(&mut peer, &mut tokio::io::sink()).await });
        waiting.await.unwrap();
        assert_eq!(connection.unwritten.load(Ordering::Acquire), 0);
    }
}
