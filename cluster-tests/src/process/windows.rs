//! How long writes fail: for each partition the longest time without one that succeeded, wherever it was sent.
//!
//! A writer for each partition at each node writes one after the other. What counts is that some node takes writes, as it
//! does for a client that knows them all.

use super::resp::{Client, Value};
use larder_protocol::{SLOTS, slot_of};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for a reply; then the writer connects anew.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between writes, and between tries to connect.
const PAUSE: Duration = Duration::from_millis(25);

/// Writers at work.
pub struct Windows {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
}

struct Shared {
    partitions: Vec<Mutex<Gaps>>,
    stop: AtomicBool,
}

/// What is known of one partition.
struct Gaps {
    last: Instant,
    longest: Duration,
    writes: u64,
}

impl Windows {
    /// Starts writers for each of so many partitions at each of `addresses`.
    pub fn start(addresses: &[SocketAddr], partitions: u16) -> Self {
        let gaps = || Mutex::new(Gaps { last: Instant::now(), longest: Duration::ZERO, writes: 0 });
        let shared =
            Arc::new(Shared { partitions: (0..partitions).map(|_| gaps()).collect(), stop: AtomicBool::new(false) });
        let mut writers = Vec::new();
        for partition in 0..partitions {
            for address in addresses {
                let (shared, address, key) = (Arc::clone(&shared), *address, key_of(partition, partitions));
                writers.push(std::thread::spawn(move || shared.write(address, usize::from(partition), &key)));
            }
        }
        Self { shared, writers }
    }

    /// Forgets what was until now.
    pub fn begin(&self) {
        for gaps in &self.shared.partitions {
            let mut gaps = gaps.lock();
            gaps.longest = Duration::ZERO;
            gaps.writes = 0;
        }
    }

    /// Waits until every partition has taken so many writes since [`Windows::begin`].
    ///
    /// # Panics
    /// Where that takes longer than `limit`.
    pub fn progress(&self, writes: u64, limit: Duration) {
        super::wait_until("every partition takes writes", limit, || {
            let fewest = self.shared.partitions.iter().map(|gaps| gaps.lock().writes).min().unwrap_or(0);
            if fewest >= writes { Ok(()) } else { Err(format!("one has taken {fewest} of {writes}")) }
        });
    }

    /// The longest window of each partition since [`Windows::begin`].
    pub fn longest(&self) -> Vec<Duration> {
        let longest = |gaps: &Mutex<Gaps>| {
            let gaps = gaps.lock();
            gaps.longest.max(gaps.last.elapsed())
        };
        self.shared.partitions.iter().map(longest).collect()
    }

    /// Ends the writers.
    ///
    /// # Panics
    /// If one did.
    pub fn stop(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    }
}

impl Shared {
    fn write(&self, address: SocketAddr, partition: usize, key: &str) {
        let mut client = None;
        while !self.stop.load(Ordering::Relaxed) {
            client = client.or_else(|| Client::connect(address, PATIENCE).ok());
            match client.as_mut().map(|client| client.command(&[b"SET", key.as_bytes(), b"probe"])) {
                Some(Ok(Value::Simple(_))) => self.succeeded(partition),
                Some(Ok(_)) | None => {}
                Some(Err(_)) => client = None,
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn succeeded(&self, partition: usize) {
        let mut gaps = self.partitions[partition].lock();
        let now = Instant::now();
        gaps.longest = gaps.longest.max(now - gaps.last);
        gaps.last = now;
        gaps.writes += 1;
    }
}

/// A key of the partition.
fn key_of(partition: u16, partitions: u16) -> String {
    let is_in = |key: &String| {
        let slot = u32::from(slot_of(key.as_bytes()));
        slot * u32::from(partitions) / u32::from(SLOTS) == u32::from(partition)
    };
    (0u64..).map(|number| format!("window:{number}")).find(is_in).expect("a key in every partition")
}
