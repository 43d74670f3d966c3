//! Many connections at a steady rate: what a client waits, whatever the server is busy with.
//!
//! Each command is due at its time, whether the ones before it were answered or not, and its latency counts from then: a
//! server that stands still for a second is charged for every command that was due in it.

use super::connection::Connection;
use super::{EVENTS, LATENCY_NS_MAX, Requests};
use hdrhistogram::Histogram;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Errors that are kept.
const SAMPLES: usize = 8;

/// What to send, and how often.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Where.
    pub address: SocketAddr,
    /// Connections, which take turns.
    pub connections: usize,
    /// Commands a second, of all together.
    pub rate: u64,
    /// Which commands.
    pub requests: Requests,
}

/// Connections at work.
pub struct Paced {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Seen>>,
}

/// What clients saw.
pub struct Seen {
    /// Nanoseconds from when each command was due to its reply; to the end, for those without one.
    pub latency_ns: Histogram<u64>,
    /// Replies that were errors.
    pub errors: u64,
    /// What some of them said, each of another connection.
    pub samples: Vec<String>,
}

impl Paced {
    /// Connects, and begins.
    ///
    /// # Errors
    /// Where a connection fails.
    pub fn start(pace: &Pace) -> io::Result<Self> {
        let mut lanes = Vec::with_capacity(pace.connections);
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for number in 0..pace.connections as u64 {
            let mut connection = Connection::open(pace.address, pace.requests.for_connection(number, None))?;
            connection.tolerate_errors();
            epoll::add(&epoll, connection.socket(), EventData::new_u64(number), EventFlags::IN)?;
            lanes.push(Lane { connection, due: VecDeque::new(), sent: None });
        }
        let (stop, interval) = (Arc::new(AtomicBool::new(false)), Duration::from_secs(1) / pace.rate.max(1) as u32);
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || run(&epoll, &mut lanes, interval, &told));
        Ok(Self { stop, thread })
    }

    /// Ends the work.
    ///
    /// # Errors
    /// Where a connection failed.
    pub fn stop(self) -> io::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the generator panicked"))?
    }
}

/// A connection, and what it has to send.
struct Lane {
    connection: Connection,
    /// When those that wait for the one under way were due.
    due: VecDeque<Instant>,
    /// When the one under way was due.
    sent: Option<Instant>,
}

impl Lane {
    fn send_next(&mut self, now: Instant) -> io::Result<()> {
        if self.sent.is_none()
            && let Some(due) = self.due.pop_front()
        {
            self.connection.send(1, now)?;
            self.sent = Some(due);
        }
        Ok(())
    }
}

fn run(epoll: &rustix::fd::OwnedFd, lanes: &mut [Lane], interval: Duration, stop: &AtomicBool) -> io::Result<Seen> {
    let mut latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).map_err(io::Error::other)?;
    let mut record =
        |due: Instant, now: Instant| latency_ns.saturating_record(now.duration_since(due).as_nanos() as u64);
    let mut events = Vec::with_capacity(EVENTS);
    let mut next_due = Instant::now();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        while next_due <= now {
            let count = lanes.len();
            let lane = &mut lanes[turn % count];
            lane.due.push_back(next_due);
            lane.send_next(now)?;
            turn += 1;
            next_due += interval;
        }
        events.clear();
        let wait = next_due.saturating_duration_since(Instant::now()).try_into().map_err(io::Error::other)?;
        match epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let lane = &mut lanes[event.data.u64() as usize];
            if lane.connection.receive()? == 0 {
                continue;
            }
            let now = Instant::now();
            if let Some(due) = lane.sent.take() {
                record(due, now);
            }
            lane.send_next(now)?;
        }
    }
    let now = Instant::now();
    lanes.iter().flat_map(|lane| lane.sent.iter().chain(&lane.due)).for_each(|due| record(*due, now));
    let errors = lanes.iter().map(|lane| lane.connection.errors()).sum();
    let samples = lanes.iter().filter_map(|lane| lane.connection.first_error()).take(SAMPLES).map(Into::into).collect();
    Ok(Seen { latency_ns, errors, samples })
}
