//! One authenticated connection between two nodes: requests of many groups and clients over one stream.

use super::bulk::{self, BULK_BYTES_MIN};
use super::frame::{self, FrameType, MalformedFrame};
use super::handshake::PeerIdentity;
use super::{CallError, PeerService, Traffic};
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
use tokio::time::Instant;

/// Bytes that may wait for a peer that does not read; past it the connection is given up. More than a message of the greatest length
/// and what is sent while it is under way.
const OUT_BYTES_MAX: usize = 3 * 1024 * 1024 * 1024;

/// Bytes that may wait for a peer before it gets no more big answers: replies of forwarded commands, whose number alone
/// bounds nothing. Far below what gives the connection up, since the groups' messages share it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a patient request waits for company: a quarter of a heartbeat interval, so that those of all groups make a
/// few writes an interval.
const REQUEST_PATIENCE: Duration = Duration::from_millis(25);

/// How long an answer to one waits for the answers to those that came with it: longer only if a group is busy.
const ANSWER_PATIENCE: Duration = Duration::from_millis(5);

/// Frames to be written: whoever sends appends, the flusher writes all in one call.
#[derive(Default)]
struct Out {
    /// What goes with the flusher's next pass.
    now: BytesMut,
    /// What goes along with it, or when `until` has come.
    patient: BytesMut,
    until: Option<Instant>,
    /// Long messages, a part with each pass.
    bulk: bulk::Outbox,
}

impl Out {
    /// Moves what is to be written into `spare`, if anything is. Returns how many of its bytes were counted as unwritten,
    /// and the part of a long message that is to be written right after it.
    fn take(&mut self, spare: &mut BytesMut) -> (usize, Option<Bytes>) {
        let due = self.until.is_some_and(|until| until <= Instant::now());
        if self.now.is_empty() && self.bulk.is_empty() && !due {
            return (0, None);
        }
        std::mem::swap(&mut self.now, spare);
        spare.extend_from_slice(&self.patient);
        self.patient.clear();
        self.until = None;
        (spare.len(), self.bulk.next_part(spare))
    }

    /// Whether anything is to be written at once.
    fn is_pressing(&self) -> bool {
        !self.now.is_empty() || !self.bulk.is_empty()
    }
}

/// The sending side of a connection, and the calls that wait for its answers.
pub(super) struct Connection {
    out: Mutex<Out>,
    wake: Notify,
    pending: Mutex<HashMap<u64, oneshot::Sender<Bytes>>>,
    next_id: AtomicU64,
    closed: AtomicBool,
    /// Bytes that were sent and are not written yet.
    unwritten: AtomicUsize,
    room: Notify,
    /// Patient requests of the peer that are not answered yet.
    answering: AtomicUsize,
    traffic: Arc<Traffic>,
}

/// A request that is out. Where it is given up before its answer came, it is forgotten, and what was not sent of it is not
/// sent any more.
struct Asked<'a> {
    connection: &'a Connection,
    id: u64,
    answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.pending.lock().remove(&self.id);
            let unsent = self.connection.out.lock().bulk.call_off(self.id);
            self.connection.unwritten.fetch_sub(unsent, Ordering::AcqRel);
        }
    }
}

impl Connection {
    pub(super) fn new(traffic: Arc<Traffic>) -> Self {
        Self {
            out: Mutex::default(),
            wake: Notify::new(),
            pending: Mutex::new(HashMap::new()),
            next_id: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            unwritten: AtomicUsize::new(0),
            room: Notify::new(),
            answering: AtomicUsize::new(0),
            traffic,
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

    /// Sends with the flusher's next pass, or after `patience` at the latest.
    fn send(&self, kind: FrameType, service: u8, id: u64, body: &Bytes, patience: Duration) {
        if self.unwritten.load(Ordering::Acquire) > OUT_BYTES_MAX {
            self.close();
            return;
        }
        self.traffic.messages.fetch_add(1, Ordering::Relaxed);
        let mut out = self.out.lock();
        if body.len() >= BULK_BYTES_MIN {
            self.unwritten.fetch_add(body.len(), Ordering::AcqRel);
            out.bulk.push(kind, service, id, body.clone());
            drop(out);
            self.wake.notify_one();
            return;
        }
        let buffer = if patience.is_zero() { &mut out.now } else { &mut out.patient };
        let before = buffer.len();
        frame::write(buffer, kind, service, id, body);
        self.unwritten.fetch_add(buffer.len() - before, Ordering::AcqRel);
        let mut wake = patience.is_zero();
        if !wake {
            let until = Instant::now() + patience;
            wake = out.until.is_none_or(|earlier| until < earlier);
            if wake {
                out.until = Some(until);
            }
        }
        drop(out);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Sends without waiting for anything.
    pub(super) fn tell(&self, service: u8, body: &Bytes) {
        self.send(FrameType::OneWay, service, 0, body, Duration::ZERO);
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call(&self, service: u8, body: &Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        self.request(FrameType::Request, service, body, timeout).await
    }

    /// The same for a request that may wait for company, as may its answer.
    pub(super) async fn call_patiently(
        &self,
        service: u8,
        body: &Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.request(FrameType::PatientRequest, service, body, timeout).await
    }

    async fn request(&self, kind: FrameType, service: u8, body: &Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.pending.lock().insert(id, sender);
        if self.is_closed() {
            self.pending.lock().remove(&id);
            return Err(CallError::NotSent);
        }
        let mut asked = Asked { connection: self, id, answered: false };
        let patience = if kind == FrameType::PatientRequest { REQUEST_PATIENCE } else { Duration::ZERO };
        self.send(kind, service, id, body, patience);
        let answer = tokio::time::timeout(timeout, answer).await.map_err(|_| CallError::Timeout)?;
        asked.answered = true;
        answer.map_err(|_| CallError::Lost)
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

    /// Waits until something has to be written, or the connection is closed.
    async fn until_due(&self) {
        while !self.is_closed() {
            let until = {
                let out = self.out.lock();
                if out.is_pressing() {
                    return;
                }
                out.until
            };
            match until {
                Some(until) => {
                    if tokio::time::timeout_at(until, self.wake.notified()).await.is_err() {
                        return;
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    async fn flush(self: Arc<Self>, mut write: OwnedWriteHalf) {
        let mut spare = BytesMut::new();
        loop {
            self.until_due().await;
            // Let every group and connection of this turn of the loop add its frames: one system call for all.
            tokio::task::yield_now().await;
            loop {
                let (counted, part) = self.out.lock().take(&mut spare);
                if spare.is_empty() {
                    break;
                }
                let mut result = write.write_all(&spare).await;
                if let (Ok(()), Some(part)) = (&result, &part) {
                    result = write.write_all(part).await;
                }
                if result.is_err() {
                    self.close();
                    return;
                }
                self.traffic.writes.fetch_add(1, Ordering::Relaxed);
                self.unwritten.fetch_sub(counted + part.as_ref().map_or(0, Bytes::len), Ordering::AcqRel);
                self.room.notify_waiters();
                spare.clear();
                if spare.capacity() > 4 * 1024 * 1024 {
                    spare = BytesMut::new();
                }
                if part.is_some() {
                    // Many parts in a row must not hold up what else lives on this core.
                    tokio::task::yield_now().await;
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
        let mut bulk = bulk::Inbox::default();
        loop {
            let mut received = 0;
            while let Some(mut frame) = frame::read(&mut buffer).map_err(io::Error::other)? {
                if frame.kind == FrameType::Part {
                    let Some(whole) = bulk.take(frame.id, frame.body).map_err(io::Error::other)? else { continue };
                    frame = whole;
                }
                received += 1;
                match frame.kind {
                    FrameType::Part => return Err(io::Error::other(MalformedFrame)),
                    FrameType::Response => {
                        if let Some(sender) = self.pending.lock().remove(&frame.id) {
                            let _ = sender.send(frame.body);
                        }
                    }
                    FrameType::OneWay => service.tell(&from, frame.service, frame.body),
                    FrameType::Request | FrameType::PatientRequest => {
                        let patient = frame.kind == FrameType::PatientRequest;
                        if patient {
                            self.answering.fetch_add(1, Ordering::AcqRel);
                        }
                        let answer = service.call(&from, frame.service, frame.body);
                        let connection = Arc::clone(self);
                        let big = service.answers_big(frame.service);
                        tokio::spawn(async move {
                            if big {
                                connection.until_room().await;
                            }
                            let body = answer.await;
                            // The last answer takes those before it along.
                            let more = patient && connection.answering.fetch_sub(1, Ordering::AcqRel) > 1;
                            let patience = if more { ANSWER_PATIENCE } else { Duration::ZERO };
                            connection.send(FrameType::Response, frame.service, frame.id, &body, patience);
                        });
                    }
                }
            }
            self.traffic.received.fetch_add(received, Ordering::Relaxed);
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
    use crate::ids::{Incarnation, NodeName, NodeNo};
    use futures::future::{BoxFuture, join_all};

    /// Two ends of one stream.
    async fn streams() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialed = TcpStream::connect(listener.local_addr().unwrap());
        let (dialed, accepted) = tokio::join!(dialed, listener.accept());
        (dialed.unwrap(), accepted.unwrap().0)
    }

    /// Answers with what it is asked, service 9 never.
    struct Echo;

    impl PeerService for Echo {
        fn call(&self, _: &Arc<PeerIdentity>, service: u8, body: Bytes) -> BoxFuture<'static, Bytes> {
            Box::pin(async move { if service == 9 { std::future::pending().await } else { body } })
        }

        fn tell(&self, _: &Arc<PeerIdentity>, _: u8, _: Bytes) {}

        fn admit(&self, _: &PeerIdentity) -> Result<(), String> {
            Ok(())
        }

        fn answers_big(&self, _: u8) -> bool {
            false
        }

        fn link_changed(&self, _: NodeNo, _: bool) {}
    }

    fn run(stream: TcpStream) -> Arc<Connection> {
        let connection = Arc::new(Connection::new(Arc::default()));
        let from = PeerIdentity {
            cluster: String::new(),
            no: NodeNo(1),
            name: NodeName([0; 20]),
            incarnation: Incarnation(1),
            version: String::new(),
        };
        tokio::spawn(Arc::clone(&connection).run(stream, from, Arc::new(Echo)));
        connection
    }

    const LONG: Duration = Duration::from_secs(60);
    static A: Bytes = Bytes::from_static(b"a");
    static B: Bytes = Bytes::from_static(b"b");

    #[tokio::test]
    async fn long_messages_come_back_and_short_ones_overtake_them() {
        let (near, far) = streams().await;
        let (near, far) = (run(near), run(far));
        let long = Bytes::from(vec![7; 20 * 1024 * 1024]);
        let slow = near.call(1, &long, LONG);
        let fast = async {
            let answer = near.call(1, &A, LONG).await;
            (answer, near.unwritten.load(Ordering::Acquire))
        };
        let (slow, (fast, unwritten)) = tokio::join!(slow, fast);
        assert_eq!(fast.unwrap(), A);
        assert!(unwritten > 0, "the long one was not under way any more");
        assert_eq!(slow.unwrap(), long);
        assert_eq!([near, far].map(|end| end.unwritten.load(Ordering::Acquire)), [0, 0]);
    }

    #[tokio::test]
    async fn patient_requests_share_writes_and_so_do_their_answers() {
        let (near, far) = streams().await;
        let (near, far) = (run(near), run(far));
        let calls = (0..12u8).map(|number| {
            let near = &near;
            async move { near.call_patiently(1, &Bytes::copy_from_slice(&[number]), LONG).await }
        });
        for (number, answer) in join_all(calls).await.into_iter().enumerate() {
            assert_eq!(answer.unwrap()[..], [number as u8]);
        }
        assert_eq!((near.traffic.messages(), far.traffic.messages()), (12, 12));
        assert_eq!(far.traffic.received(), 12);
        assert_eq!(near.traffic.writes(), 1);
        // All arrive at once, unless the kernel cuts the stream.
        assert!(far.traffic.writes() <= 2, "{}", far.traffic.writes());
    }

    #[tokio::test]
    async fn a_patient_request_goes_along_with_one_that_is_not() {
        let (near, far) = streams().await;
        let (near, _far) = (run(near), run(far));
        let (patient, other) = tokio::join!(near.call_patiently(1, &A, LONG), near.call(1, &B, LONG));
        assert_eq!((&patient.unwrap()[..], &other.unwrap()[..]), (&b"a"[..], &b"b"[..]));
        assert_eq!(near.traffic.writes(), 1);
    }

    #[tokio::test]
    async fn one_answer_that_does_not_come_holds_up_no_other() {
        let (near, far) = streams().await;
        let (near, far) = (run(near), run(far));
        tokio::select! {
            _ = near.call_patiently(9, &B, LONG) => panic!("there is no such answer"),
            answer = near.call_patiently(1, &A, LONG) => assert_eq!(&answer.unwrap()[..], b"a"),
        }
        assert_eq!(far.answering.load(Ordering::Acquire), 1);
    }

    #[tokio::test]
    async fn big_answers_wait_for_a_peer_that_does_not_read() {
        let connection = Arc::new(Connection::new(Arc::default()));
        connection.until_room().await;
        connection.send(FrameType::Response, 3, 1, &vec![0; ANSWER_BYTES_MAX].into(), Duration::ZERO);
        let waiting = tokio::spawn({
            let connection = Arc::clone(&connection);
            async move { connection.until_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // The peer reads.
        let (stream, mut peer) = streams().await;
        let (_read, write) = stream.into_split();
        tokio::spawn(Arc::clone(&connection).flush(write));
        tokio::spawn(async move { tokio::io::copy(&mut peer, &mut tokio::io::sink()).await });
        waiting.await.unwrap();
        assert!(connection.unwritten.load(Ordering::Acquire) < ANSWER_BYTES_MAX);
    }
}
