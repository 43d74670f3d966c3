//! One thread that keeps many connections busy.
//!
//! Every connection has one pipeline under way: when the last reply of one has come, the next is sent. Requests are
//! patched templates and replies are counted, not decoded, so that on two cores the server is what is measured.

mod connection;
mod paced;
mod reply;
mod request;

use crate::leaders::Shards;
use connection::Connection;
use hdrhistogram::Histogram;
pub use paced::{Pace, Paced, Seen};
pub use request::{Mix, Requests, key_name};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io;
use std::time::{Duration, Instant};

/// Events taken at once.
const EVENTS: usize = 64;
/// Longest silence of a server.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Longest latency that is told apart.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// What to send, where, and how much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where, and which keys.
    pub shards: Shards,
    /// Connections in all, dealt out to the shards in turn.
    pub connections: usize,
    /// Commands that a connection sends at once.
    pub pipeline: usize,
    /// Commands in all.
    pub operations: u64,
    /// Which commands.
    pub requests: Requests,
}

/// What came of it.
pub struct Outcome {
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// Nanoseconds from sending a pipeline to each of its replies.
    pub latency_ns: Histogram<u64>,
}

/// Runs a plan to its end.
///
/// # Errors
/// Where a connection fails, a server is silent, or any reply is an error.
pub fn run(plan: &Plan) -> io::Result<Outcome> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut connections = Vec::new();
    for number in 0..plan.connections {
        let (address, keys) = &plan.shards[number % plan.shards.len()];
        let requests = plan.requests.for_connection(number as u64, keys.as_deref());
        let connection = Connection::open(*address, requests)?;
        epoll::add(&epoll, connection.socket(), EventData::new_u64(number as u64), EventFlags::IN)?;
        connections.push(connection);
    }
    let mut latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).map_err(io::Error::other)?;
    let (mut to_send, mut done) = (plan.operations, 0);
    let start = Instant::now();
    for connection in &mut connections {
        let count = to_send.min(plan.pipeline as u64);
        to_send -= count;
        connection.send(count, start)?;
    }
    let mut events = Vec::with_capacity(EVENTS);
    let silence = SILENCE_MAX.try_into().map_err(io::Error::other)?;
    while done < plan.operations {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&silence)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no reply within {SILENCE_MAX:?}"))),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let connection = &mut connections[event.data.u64() as usize];
            let replies = connection.receive()?;
            let now = Instant::now();
            done += replies;
            latency_ns.saturating_record_n(now.duration_since(connection.sent_at()).as_nanos() as u64, replies);
            if connection.is_idle() && to_send > 0 {
                let count = to_send.min(plan.pipeline as u64);
                to_send -= count;
                connection.send(count, now)?;
            }
        }
    }
    Ok(Outcome { elapsed: start.elapsed(), latency_ns })
}
