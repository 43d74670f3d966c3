//! Frees what was detached (a flushed keyspace, a large collection), away from the partition's lock.
//!
//! One thread for the process, started by the first use: dropping millions of items takes long enough to be missed
//! by heartbeats, and so does giving their memory back to the system. Nothing waits for it, so state stays a function of the
//! entries.

use super::memory::give_back_freed;
use std::any::Any;
use std::sync::LazyLock;
use std::sync::mpsc::{self, Sender};

type Garbage = Box<dyn Any + Send>;

/// Where garbage goes; `None` where no thread could be started.
static QUEUE: LazyLock<Option<Sender<Garbage>>> = LazyLock::new(|| {
    let (queue, garbage) = mpsc::channel::<Garbage>();
    std::thread::Builder::new().name("reclaim".into()).spawn(move || garbage.iter().for_each(dispose)).ok()?;
    Some(queue)
});

fn dispose(garbage: Garbage) {
    drop(garbage);
    give_back_freed();
}

/// Drops `garbage` soon, on another thread; here, if there is none.
pub fn later(garbage: impl Send + 'static) {
    if let Some(queue) = &*QUEUE {
        // An error hands the garbage back, and so drops it.
        drop(queue.send(Box::new(garbage)));
    }
}

/// Has the system get back what was freed, soon, on that thread.
pub fn give_back() {
    later(());
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    #[test]
    fn it_is_dropped_elsewhere() {
        struct Witness(mpsc::Sender<std::thread::ThreadId>);
        impl Drop for Witness {
            fn drop(&mut self) {
                let _ = self.0.send(std::thread::current().id());
            }
        }
        let (sender, receiver) = mpsc::channel();
        super::later(Witness(sender));
        assert_ne!(receiver.recv().unwrap(), std::thread::current().id());
    }
}
