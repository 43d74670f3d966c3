//! One single-threaded runtime a core. What is spawned on one stays there.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How long the tasks of a core may take to end.
const STOP_PATIENCE: Duration = Duration::from_millis(200);

/// The threads that serve connections and drive Raft groups.
pub struct Cores {
    cores: Vec<Core>,
}

struct Core {
    handle: Handle,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A connection's place on a core; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Cores {
    /// Starts `count` threads, or as many as the process may use at once where that is 0.
    ///
    /// # Errors
    /// Where a thread or its event queue cannot be made.
    pub fn start(count: usize) -> io::Result<Self> {
        let count = if count == 0 { std::thread::available_parallelism().map_or(1, NonZero::get) } else { count };
        (0..count).map(Self::start_one).collect::<io::Result<Vec<_>>>().map(|cores| Self { cores })
    }

    fn start_one(number: usize) -> io::Result<Core> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("core-{number}")).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(STOP_PATIENCE);
        })?;
        Ok(Core { handle, connections: Arc::default(), stop: Some(stop), thread: Some(thread) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cores.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cores.is_empty()
    }

    /// The runtime of core `number`, counted around.
    pub fn handle(&self, number: usize) -> &Handle {
        &self.cores[number % self.cores.len()].handle
    }

    /// A place on the core with the fewest connections, and that core's runtime.
    pub(super) fn place(&self) -> (Place, &Handle) {
        let fewest = self.cores.iter().min_by_key(|core| core.connections.load(Ordering::Relaxed));
        let core = fewest.unwrap_or(&self.cores[0]);
        core.connections.fetch_add(1, Ordering::Relaxed);
        (Place { connections: Arc::clone(&core.connections) }, &core.handle)
    }

    /// Ends all threads and waits for them. Tasks that still run are dropped. Must not be called from one of the cores.
    pub fn stop(&mut self) {
        for core in &mut self.cores {
            core.stop.take();
        }
        for core in &mut self.cores {
            if let Some(thread) = core.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        for core in &mut self.cores {
            core.stop.take();
        }
    }
}
