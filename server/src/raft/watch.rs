//! A watch channel that costs little to send to.
//!
//! A Raft group of openraft sends half a dozen values in each turn of its loop, to channels at which hardly anybody waits.
//! tokio's channel asks eight lists of waiters, each under a lock, at every one of them; this one asks a flag.

use openraft::async_runtime::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft::{OptionalSend, OptionalSync};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// The channels of [`super::BeatRuntime`].
#[derive(Debug)]
pub struct FlagWatch;

struct Channel<T> {
    value: RwLock<T>,
    /// Counts changes.
    version: AtomicU64,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    receiver_ids: AtomicU64,
    /// Whether `waiting` has anybody.
    awaited: AtomicBool,
    /// At most one entry a receiver.
    waiting: Mutex<Vec<(u64, Waker)>>,
}

impl<T> Channel<T> {
    fn receiver(self: &Arc<Self>, seen: u64) -> FlagReceiver<T> {
        self.receivers.fetch_add(1, Ordering::Relaxed);
        let id = self.receiver_ids.fetch_add(1, Ordering::Relaxed);
        FlagReceiver { channel: Arc::clone(self), seen, id }
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.wake_all();
    }

    /// Whoever began to wait before the change that is told is seen here: it sets the flag first and looks for a change
    /// afterwards.
    fn wake_all(&self) {
        if self.awaited.load(Ordering::SeqCst) {
            let waiting = {
                let mut waiting = self.waiting.lock();
                self.awaited.store(false, Ordering::SeqCst);
                std::mem::take(&mut *waiting)
            };
            waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    fn wait(&self, receiver: u64, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        match waiting.iter_mut().find(|(id, _)| *id == receiver) {
            Some((_, known)) => known.clone_from(waker),
            None => waiting.push((receiver, waker.clone())),
        }
        self.awaited.store(true, Ordering::SeqCst);
    }
}

/// The sending half of a [`FlagWatch`] channel.
pub struct FlagSender<T>(Arc<Channel<T>>);

/// The receiving half of a [`FlagWatch`] channel.
pub struct FlagReceiver<T> {
    channel: Arc<Channel<T>>,
    seen: u64,
    id: u64,
}

impl<T> Clone for FlagSender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for FlagSender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.wake_all();
        }
    }
}

impl<T> Clone for FlagReceiver<T> {
    fn clone(&self) -> Self {
        self.channel.receiver(self.seen)
    }
}

impl<T> Drop for FlagReceiver<T> {
    fn drop(&mut self) {
        self.channel.receivers.fetch_sub(1, Ordering::Relaxed);
        if self.channel.awaited.load(Ordering::SeqCst) {
            self.channel.waiting.lock().retain(|(id, _)| *id != self.id);
        }
    }
}

impl<T> FlagReceiver<T> {
    /// The answer to who waits for a change, if there is one.
    fn news(&mut self) -> Option<Result<(), RecvError>> {
        // In this order: a sender that changes the value and goes has changed it.
        let gone = self.channel.senders.load(Ordering::SeqCst) == 0;
        let version = self.channel.version.load(Ordering::SeqCst);
        if version != self.seen {
            self.seen = version;
            return Some(Ok(()));
        }
        gone.then_some(Err(RecvError(())))
    }

    fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        if let Some(news) = self.news() {
            return Poll::Ready(news);
        }
        self.channel.wait(self.id, context.waker());
        self.news().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Watch for FlagWatch {
    type Sender<T: OptionalSend + OptionalSync> = FlagSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = FlagReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = RwLockReadGuard<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (FlagSender<T>, FlagReceiver<T>) {
        let channel = Arc::new(Channel {
            value: RwLock::new(init),
            version: AtomicU64::new(0),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            receiver_ids: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
        });
        let receiver = channel.receiver(0);
        (FlagSender(channel), receiver)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<FlagWatch, T> for FlagSender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.receivers.load(Ordering::Acquire) == 0 {
            return Err(SendError(value));
        }
        // The old value is dropped when nobody has to wait for that.
        let _old = std::mem::replace(&mut *self.0.value.write(), value);
        self.0.changed();
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        let modified = modify(&mut self.0.value.write());
        if modified {
            self.0.changed();
        }
        modified
    }

    fn borrow_watched(&self) -> RwLockReadGuard<'_, T> {
        self.0.value.read()
    }

    fn subscribe(&self) -> FlagReceiver<T> {
        self.0.receiver(self.0.version.load(Ordering::SeqCst))
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<FlagWatch, T> for FlagReceiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        std::future::poll_fn(|context| self.poll_changed(context)).await
    }

    fn borrow_watched(&self) -> RwLockReadGuard<'_, T> {
        self.channel.value.read()
    }

    fn borrow_and_update(&mut self) -> RwLockReadGuard<'_, T> {
        // Before the value is read: one that is newer than the version is seen again, never missed.
        self.seen = self.channel.version.load(Ordering::SeqCst);
        self.channel.value.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn receivers_see_the_newest_value_and_the_end() {
        let (sender, mut receiver) = FlagWatch::channel(1);
        let mut other = receiver.clone();
        assert!(receiver.changed().now_or_never().is_none());
        sender.send(2).unwrap();
        sender.send(3).unwrap();
        assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
        assert_eq!(*receiver.borrow_watched(), 3);
        assert!(receiver.changed().now_or_never().is_none());
        assert_eq!(*other.borrow_and_update(), 3);
        assert!(other.changed().now_or_never().is_none());
        assert!(!sender.send_if_modified(|_| false));
        assert!(sender.send_if_greater(4) && !sender.send_if_different(4));
        let second = sender.clone();
        drop(sender);
        assert_eq!(receiver.changed().now_or_never(), Some(Ok(())));
        assert!(receiver.changed().now_or_never().is_none());
        assert!(second.subscribe().changed().now_or_never().is_none());
        drop(second);
        assert_eq!(receiver.changed().now_or_never(), Some(Err(RecvError(()))));
    }

    #[test]
    fn nothing_is_sent_to_nobody() {
        let (sender, receiver) = FlagWatch::channel(1);
        drop(receiver);
        assert_eq!(sender.send(2), Err(SendError(2)));
        assert_eq!(*sender.borrow_watched(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_change_is_missed_across_threads() {
        const LAST: u32 = 20_000;
        let (sender, mut receiver) = FlagWatch::channel(0);
        let (echo, mut echoed) = FlagWatch::channel(0);
        let answering = tokio::spawn(async move {
            while *receiver.borrow_watched() < LAST {
                receiver.changed().await.unwrap();
                let seen = *receiver.borrow_and_update();
                let _ = echo.send(seen);
            }
        });
        for number in 1..=LAST {
            sender.send(number).unwrap();
            while *echoed.borrow_watched() < number {
                if echoed.changed().await.is_err() {
                    break;
                }
            }
        }
        answering.await.unwrap();
    }

    #[test]
    fn who_waited_and_went_is_forgotten() {
        let (sender, receiver) = FlagWatch::channel(0);
        for _ in 0..10 {
            let mut transient = receiver.clone();
            assert!(transient.changed().now_or_never().is_none());
        }
        assert!(sender.0.waiting.lock().is_empty());
    }
}
