//! One single-threaded runtime a core. What is spawned on one stays there.

use super::spread::Spread;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How long the tasks of a core may take to end.
const STOP_PATIENCE: Duration = Duration::from_millis(200);

/// The threads that serve connections and drive Raft groups.
pub struct Cores {
    cores: Vec<Core>,
    spread: Arc<Spread>,
}

struct Core {
    handle: Handle,
    thread_id: i32,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cores {
    /// Starts `count` threads, or as many as the process may use at once where that is 0.
    ///
    /// # Errors
    /// Where a thread or its event queue cannot be made.
    pub fn start(count: usize) -> io::Result<Self> {
        let count = if count == 0 { std::thread::available_parallelism().map_or(1, NonZero::get) } else { count };
        let cores = (0..count).map(Self::start_one).collect::<io::Result<Vec<_>>>()?;
        let spread = Spread::new(cores.iter().map(|core| (core.handle.clone(), core.thread_id)).collect());
        Ok(Self { cores, spread })
    }

    fn start_one(number: usize) -> io::Result<Core> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (started, starting) = mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("core-{number}")).spawn(move || {
            let _ = started.send(rustix::thread::gettid().as_raw_nonzero().get());
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(STOP_PATIENCE);
        })?;
        let thread_id = starting.recv().map_err(io::Error::other)?;
        Ok(Core { handle, thread_id, stop: Some(stop), thread: Some(thread) })
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

    /// Where connections are.
    pub(super) fn spread(&self) -> &Arc<Spread> {
        &self.spread
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
