//! Wake-ups across cores that make a system call only where the other core sleeps.
//!
//! tokio writes to an event descriptor whenever a task is woken from another thread, whether or not the task's own thread is
//! awake: under replicated writes more often than it reads and writes sockets. Here tasks are polled with a waker that puts
//! the wake-up into the [`Mailbox`] of the task's core; the core empties it after each task that it polls, and before it
//! sleeps. Only who finds it asleep wakes it up, and only once.
//!
//! ```text
//! waker --> its core awake:  mailbox --(next task polled, or before the core sleeps)--> the core's run queue
//!       \-> its core asleep: tokio's own waker, one write to the event descriptor
//! ```

use crossbeam::queue::SegQueue;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    static HERE: RefCell<Option<Arc<Mailbox>>> = const { RefCell::new(None) };
}

/// Tasks of one core that were woken from elsewhere while it was awake.
#[derive(Default)]
struct Mailbox {
    woken: SegQueue<Waker>,
    /// Whether the core sleeps, or is about to and will look once more.
    asleep: AtomicBool,
}

impl Mailbox {
    fn post(&self, task: &Waker) {
        if !self.rouse() {
            self.woken.push(task.clone());
            // With the fence of `before_sleep`: either the core sees this one, or this thread sees that it sleeps.
            fence(Ordering::SeqCst);
            if !self.rouse() {
                return;
            }
        }
        task.wake_by_ref();
    }

    /// Whether it is this thread's turn to wake the core up.
    fn rouse(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    fn empty(&self) {
        while !self.woken.is_empty()
            && let Some(task) = self.woken.pop()
        {
            task.wake();
        }
    }
}

/// Gives the calling thread a mailbox. Its runtime has to call [`before_sleep`] and [`after_sleep`].
pub fn receive_here() {
    HERE.set(Some(Arc::default()));
}

/// To be called when the thread's runtime has nothing to do (`on_thread_park`).
pub fn before_sleep() {
    HERE.with_borrow(|here| {
        let Some(mailbox) = here else { return };
        mailbox.empty();
        mailbox.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !mailbox.woken.is_empty() {
            mailbox.asleep.store(false, Ordering::Relaxed);
            mailbox.empty();
        }
    });
}

/// To be called when it goes on (`on_thread_unpark`).
pub fn after_sleep() {
    HERE.with_borrow(|here| {
        let Some(mailbox) = here else { return };
        mailbox.asleep.store(false, Ordering::Relaxed);
        mailbox.empty();
    });
}

/// Wakes a task through the mailbox of its core.
struct Post {
    mailbox: Arc<Mailbox>,
    task: Waker,
}

impl Wake for Post {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A thread that is ending has no mailbox any more.
        let is_here = HERE.try_with(|here| {
            here.try_borrow().is_ok_and(|here| here.as_ref().is_some_and(|here| Arc::ptr_eq(here, &self.mailbox)))
        });
        if is_here == Ok(true) {
            self.task.wake_by_ref();
        } else {
            self.mailbox.post(&self.task);
        }
    }
}

pin_project! {
    /// A task's future, polled with a waker that goes through the mailbox of the core that it is polled on. On a thread
    /// without one it is the future itself.
    pub struct Polled<F> {
        #[pin]
        future: F,
        seat: Option<Seat>,
    }
}

/// A task on a core with a mailbox.
struct Seat {
    mailbox: Arc<Mailbox>,
    /// What tokio gave last.
    given: Waker,
    /// What the future gets for it.
    waker: Waker,
}

impl Seat {
    fn here(given: &Waker) -> Option<Self> {
        let mailbox = HERE.with_borrow(Clone::clone)?;
        let post = Post { mailbox: Arc::clone(&mailbox), task: given.clone() };
        Some(Self { mailbox, given: given.clone(), waker: Waker::from(Arc::new(post)) })
    }
}

impl<F> Polled<F> {
    /// To be spawned on one core, where it stays.
    pub fn new(future: F) -> Self {
        Self { future, seat: None }
    }
}

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.seat.as_ref().is_none_or(|seat| !seat.given.will_wake(context.waker())) {
            *this.seat = Seat::here(context.waker());
        }
        let Some(seat) = this.seat else { return this.future.poll(context) };
        let outcome = this.future.poll(&mut Context::from_waker(&seat.waker));
        seat.mailbox.empty();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use tokio::runtime::{Builder, Handle};
    use tokio::sync::{Notify, oneshot};

    struct Core {
        handle: Handle,
        stop: Option<oneshot::Sender<()>>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Core {
        fn start() -> Self {
            let (send, handles) = mpsc::channel();
            let (stop, stopped) = oneshot::channel::<()>();
            let thread = std::thread::spawn(move || {
                receive_here();
                let runtime = Builder::new_current_thread()
                    .enable_all()
                    .on_thread_park(before_sleep)
                    .on_thread_unpark(after_sleep)
                    .build()
                    .unwrap();
                send.send(runtime.handle().clone()).unwrap();
                let _ = runtime.block_on(stopped);
            });
            Self { handle: handles.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
        }
    }

    impl Drop for Core {
        fn drop(&mut self) {
            self.stop.take();
            self.thread.take().unwrap().join().unwrap();
        }
    }

    /// Two tasks on two cores wake each other in turn: a wake-up that is lost ends the game for ever.
    #[test]
    fn no_wake_up_is_lost_between_cores() {
        const TURNS: usize = 20_000;
        let (left, right) = (Core::start(), Core::start());
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = left.handle.spawn(Polled::new({
            let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
            async move {
                for _ in 0..TURNS {
                    ping.notify_one();
                    pong.notified().await;
                }
            }
        }));
        let second = right.handle.spawn(Polled::new(async move {
            for _ in 0..TURNS {
                ping.notified().await;
                pong.notify_one();
            }
        }));
        let waiting = Builder::new_current_thread().build().unwrap();
        waiting.block_on(async { (first.await.unwrap(), second.await.unwrap()) });
    }

    /// Wake-ups from a thread that has no mailbox, to tasks that also yield and sleep.
    #[test]
    fn a_stranger_wakes_tasks_that_are_busy_or_asleep() {
        const TURNS: usize = 5_000;
        let core = Core::start();
        let (wake, done) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let task = core.handle.spawn(Polled::new({
            let (wake, done) = (Arc::clone(&wake), Arc::clone(&done));
            async move {
                for turn in 0..TURNS {
                    wake.notified().await;
                    done.store(turn + 1, Ordering::Release);
                    if turn % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }));
        for turn in 0..TURNS {
            wake.notify_one();
            while done.load(Ordering::Acquire) <= turn {
                std::hint::spin_loop();
            }
        }
        Builder::new_current_thread().build().unwrap().block_on(task).unwrap();
    }

    #[tokio::test]
    async fn without_a_mailbox_nothing_changes() {
        let answer = tokio::spawn(Polled::new(async {
            tokio::task::yield_now().await;
            7
        }));
        assert_eq!(answer.await.unwrap(), 7);
    }
}
